"""Log lines: JSON, complete, sanitized, and none lost."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator

import pytest
from payhub.options.v1 import options_pb2

from servicekit import auth, logs

CANARY = "canary-77aa"


class Output(io.StringIO):
    """What was logged."""

    def lines(self) -> list[dict[str, object]]:
        """Return the JSON lines written so far."""
        logs.flush()
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    """Send lines to a buffer, and put logging back as it was."""
    monkeypatch.setattr(logs._sink, "start", lambda: None)
    stream = Output()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    before = {name: getattr(logs._State, name) for name in vars(logs._State) if name[0] != "_"}
    logs.flush()
    logs._sink.stream = stream
    logs.replace_bound({})
    logs.configure(service="x", level="info", fmt="json", sensitive=options_pb2.sensitive)
    yield stream
    logs.flush()
    logs._sink.stream = None
    for name, value in before.items():
        setattr(logs._State, name, value)
    root.handlers = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object(output: Output) -> None:
    """Time, level, event, service and logger come with the caller's values."""
    logs.get_logger("a.b").info("something happened", count=3, name='with "quotes" and\nlines')
    (line,) = output.lines()
    assert line.pop("ts", "").endswith("Z")  # type: ignore[attr-defined]
    assert line == {
        "level": "info",
        "event": "something happened",
        "service": "x",
        "logger": "a.b",
        "count": 3,
        "name": 'with "quotes" and\nlines',
    }


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_nobodys_text_begins_a_line_or_steers_a_terminal(
    output: Output, monkeypatch: pytest.MonkeyPatch, fmt: str
) -> None:
    """A line is a line in both formats, whatever others put into what is logged."""
    logs.configure(service="x", level="info", fmt=fmt)
    hostile = "a\n2026-01-01 ERROR forged\r\x1b[2J\x9b2J\u2028\u202e✓"
    log = logs.get_logger("a")
    log.info("told", detail=hostile, among=[hostile])
    logging.getLogger("a.library").warning("%s", hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        log.exception("failed")
    logs.flush()
    text = output.getvalue()
    assert text.count("✓") == 4
    assert all(line.isprintable() for line in text.split("\n"))
    assert sum(bool(line.strip()) and line[0] != " " for line in text.split("\n")) == 3
    if fmt == "json":
        assert output.lines()[0]["detail"] == hostile


def test_levels_are_respected(output: Output) -> None:
    """Below the level nothing is written, and nothing is computed."""
    log = logs.get_logger("a")
    log.debug("no")
    logs.configure(service="x", level="error")
    log.warning("no")
    log.error("yes")
    assert [line["event"] for line in output.lines()] == ["yes"]
    assert not logs.enabled("warning")


def test_bound_fields_are_in_every_line(output: Output) -> None:
    """Request and operation ids need not be passed along."""
    logs.bind(request_id="req_1")
    logs.bind(operation_id="op_1")
    logs.get_logger("a").info("x")
    (line,) = output.lines()
    assert (line["request_id"], line["operation_id"]) == ("req_1", "op_1")


def test_the_access_line_has_the_shape_of_every_line(output: Output) -> None:
    """Whoever reads the log finds the same names in the same form."""
    logs.bind(request_id="req_1", client_token=CANARY, note="phk_aaaa_bbbb", attempt=2)
    access = logs.AccessLog("a.b", "p.S.M")
    access.write("info", "OK", 1.234, 'te"nant', None)
    access.write("warning", "UNAVAILABLE", 5, None, "UNAVAILABLE")
    logs.configure(service="x", level="warning")
    access.write("info", "OK", 1, None, None)
    first, second = output.lines()
    assert str(first.pop("ts")).endswith("Z")
    assert first == {
        "level": "info",
        "event": "rpc",
        "service": "x",
        "request_id": "req_1",
        "client_token": "***",
        "note": "***",
        "attempt": 2,
        "logger": "a.b",
        "method": "p.S.M",
        "code": "OK",
        "duration_ms": 1.23,
        "tenant_id": 'te"nant',
    }
    assert (second["level"], second["reason"]) == ("warning", "UNAVAILABLE")


def test_the_console_format_is_for_people(output: Output) -> None:
    """One readable line, and the traceback below it."""
    logs.configure(service="x", level="info", fmt="console")
    logs.AccessLog("a", "p.S.M").write("info", "OK", 1.5, "default", None)
    try:
        raise ValueError("broken")
    except ValueError:
        logs.get_logger("a").exception("failed", part=1)
    logs.flush()
    text = output.getvalue()
    assert " info    rpc logger=a method=p.S.M code=OK duration_ms=1.5 tenant_id=default\n" in text
    assert " error   failed logger=a part=1\n  Traceback" in text
    assert text.endswith("ValueError: broken\n\n")


def test_no_secret_gets_into_a_line(output: Output) -> None:
    """By name, by form, nested, in exceptions and in the lines of libraries."""
    _, key = auth.new_key()
    log = logs.get_logger("a")
    log.info("x", password=CANARY, headers={"authorization": CANARY, "ok": ["fine", key]})
    log.info("x", text=f"used {key}", blob=CANARY.encode(), thing=Exception(f"token={CANARY}"))
    try:
        raise ValueError(f"api_key={CANARY} and {key}")
    except ValueError:
        log.exception("x")
        logging.getLogger("library").exception("failed with secret=%s", CANARY)
    log.error("x", exc_info=ValueError(f"card {CANARY}"), hidden=[CANARY])
    lines = output.lines()
    assert len(lines) == 5
    assert CANARY not in output.getvalue()
    assert key not in output.getvalue()
    assert "fine" in output.getvalue()


def test_libraries_write_our_format_once(output: Output) -> None:
    """Configuring twice does not double their lines; levels hold for them too."""
    logs.configure(service="x", level="warning", sensitive=None)
    logging.getLogger("library").info("no")
    logging.getLogger("library").warning("yes %s", 1)
    lines = [line for line in output.lines() if line["logger"] == "library"]
    assert [line["event"] for line in lines] == ["yes 1"]


def test_what_json_does_not_know_is_written_as_text(output: Output) -> None:
    """A log call never fails because of what it is given."""
    logs.get_logger("a").info("x", value=object, items={1, 2}, deep=[[[[[[[[[[[[[[1]]]]]]]]]]]]]])
    (line,) = output.lines()
    assert line["items"] == [1, 2]


def test_a_reader_that_has_gone_does_not_stop_the_work(output: Output) -> None:
    """A closed stderr is no reason to fail a payment."""
    with contextlib.closing(io.StringIO()) as closed:
        logs._sink.stream = closed
    logs.get_logger("a").error("nobody hears this")
    logs._sink.stream = output
    assert output.lines() == []
