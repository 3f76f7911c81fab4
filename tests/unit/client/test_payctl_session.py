"""How payctl finds its key and reads its arguments."""

import json
from pathlib import Path

import pytest
import typer
from payhub.plugin.v1 import binding_pb2
from payhub.type.v1 import error_reason_pb2

import payhub_client
from payctl import admin, bindings, render, session, webhooks_in
from payhub_client import errors


def test_the_key_is_found_where_it_is_named_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option wins over PAYHUB_KEY, that over PAYHUB_KEY_FILE, that over ./var/dev.key."""
    monkeypatch.chdir(tmp_path)
    dev, named, option = tmp_path / "var" / "dev.key", tmp_path / "named", tmp_path / "option"
    dev.parent.mkdir()
    for path in (dev, named, option):
        path.write_text(f"phk_{path.name}\n", encoding="ascii")
    env = {"PAYHUB_KEY": "phk_env", "PAYHUB_KEY_FILE": str(named)}
    assert session.find_key(option, env) == "phk_option"
    assert session.find_key(None, env) == "phk_env"
    assert session.find_key(None, {"PAYHUB_KEY_FILE": f"{named}\r\n"}) == "phk_named"
    assert session.find_key(None, {"PAYHUB_KEY": "", "PAYHUB_KEY_FILE": ""}) == "phk_dev.key"


def test_a_missing_key_says_where_to_put_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key, or with a file that can't be read, the way out is named."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(typer.BadParameter, match="PAYHUB_KEY_FILE"):
        session.find_key(None, {})
    with pytest.raises(typer.BadParameter, match="No such file"):
        session.find_key(tmp_path / "absent", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(typer.BadParameter, match="not an API key"):
        session.find_key(tmp_path / "binary", {})


def test_metadata_is_given_as_pairs() -> None:
    """`k=v` entries are read; other forms and repetitions are refused."""
    assert session.pairs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    assert session.pairs(None) == {}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(typer.BadParameter):
            session.pairs(wrong)


def test_every_error_comes_with_advice() -> None:
    """Whatever is raised, people are told what to do next."""
    kinds = {*errors.BY_REASON.values(), *errors.BY_CODE.values(), errors.OutcomeUnknown}
    advice = {kind: render.advice_on(kind("x", idempotency_key="k")) for kind in kinds}
    assert "look again" not in advice.values()
    assert "same --key" in advice[errors.OutcomeUnknown]


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("BINDING_UNKNOWN", "payctl bindings list"),
        ("FEATURE_DISABLED", "payctl bindings show"),
        ("KILL_SWITCH_ACTIVE", "payctl plugins kills"),
        ("PERMISSION_NOT_GRANTED", "payctl plugins allow"),
        ("PROVIDER_DISABLED", "payctl plugins"),
        ("SEAL_INVALID", "passphrase"),
        ("VERSION_UNKNOWN", "payctl plugins show"),
    ],
)
def test_advice_is_about_the_reason_where_the_class_says_less(reason: str, named: str) -> None:
    """A switch, a permission or a version is not mended by looking at an id or a scope."""
    by_name = {error_reason_pb2.ErrorReason.Name(r): kind for r, kind in errors.BY_REASON.items()}
    kind = by_name[f"ERROR_REASON_{reason}"]
    assert named in render.advice_on(kind("x", reason=reason))


@pytest.mark.parametrize("kind", [errors.CursorInvalid, errors.CursorAhead, errors.CursorExpired])
def test_advice_on_a_cursor_holds_where_there_is_no_from_start(
    kind: type[errors.PayhubError],
) -> None:
    """`events query` begins with the oldest event where it is given no cursor."""
    assert "without --after" in render.advice_on(kind("x"))


def test_advice_names_no_key_that_a_command_has_not() -> None:
    """What takes no idempotency key is repeated as it is, or looked for first."""
    with_key = render.advice_on(errors.OutcomeUnknown("x", retry="same_key", idempotency_key="k"))
    once = render.advice_on(errors.OutcomeUnknown("x", retry="same_key"))
    each_time = render.advice_on(errors.OutcomeUnknown("x", retry="never"))
    assert "--key" in with_key
    assert "--key" not in once + each_time
    assert "repeat" in once
    assert "look" in each_time


def test_undecided_and_failed_have_different_exit_codes() -> None:
    """A mutation that may have taken effect never exits as a plain error."""
    assert session.code_of(errors.OutcomeUnknown("x")) is session.Exit.UNDECIDED
    assert session.code_of(errors.KeyInFlight("x")) is session.Exit.UNDECIDED
    assert session.code_of(errors.Internal("x", idempotency_key="k")) is session.Exit.UNDECIDED
    assert session.code_of(errors.Internal("x")) is session.Exit.ERROR
    assert session.code_of(errors.NotFound("x")) is session.Exit.ERROR


def test_texts_of_others_can_not_steer_the_terminal() -> None:
    """Control characters are shown as escapes."""
    assert render.plain("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
    assert render.plain("Zoë ✓") == "Zoë ✓"


def test_json_can_not_steer_the_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    """What JSON leaves as it is, and a terminal obeys, is escaped; values stay the same."""
    content = {"text": "\x9b2J\x7f\u202e\u2028\U000e0001Zoë ✓\n", "\x85": ["x"]}
    render.document(content)
    render.line(content)
    document, line = capsys.readouterr().out.strip().rsplit("\n", 1)
    assert json.loads(document) == json.loads(line) == content
    assert "Zoë ✓" in line
    assert document.count("\n") == 5
    assert all(each.isprintable() for each in (line, *document.split("\n")))


def test_a_pipe_gets_each_row_and_value_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """However long it is: an address that is cut in two is none."""
    address = f"https://pay.test/{'x' * 500}"
    render.table(["checkout", "detail", ">n"], [[f"chk_{'0' * 32}", address, "1"], ["b", "", ""]])
    render.fields({"payer must go to": address, "short": "value"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert sum(address in line for line in lines) == 2
    assert lines[2] == "b"
    assert not any(line.endswith(" ") for line in lines)


def test_a_part_that_refuses_the_key_is_not_told_as_silent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`payctl status` with a key that lacks a scope doesn't send people after an outage."""
    admin.write_log(errors.PermissionDenied("the API key lacks the scope events:read"))
    shown = capsys.readouterr().out
    assert "no answer" not in shown
    assert "events:read" in shown
    admin.write_log(errors.Unavailable("nobody is there"))
    assert "no answer: nobody is there" in capsys.readouterr().out


def test_several_things_in_a_cell_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Limits, secrets and changes are listed; nobody has to read escapes."""
    binding = binding_pb2.Binding(id="b", tenant_id="shop", plugin_id="mock")
    binding.options.limits.add(currency_code="EUR", max_minor=100)
    binding.options.limits.add(currency_code="USD", max_minor=200)
    binding.secrets.add(slot="api_key", version=1)
    binding.secrets.add(slot="webhook", version=2)
    bindings.write(binding)
    shown = capsys.readouterr().out
    assert "max 1.00 EUR; max 2.00 USD" in shown
    assert "api_key v1; webhook v2" in shown


def test_new_keys_differ() -> None:
    """Two keys are never the same."""
    assert payhub_client.new_key() != payhub_client.new_key()


@pytest.mark.parametrize(
    "body",
    [b"\x1b]0;owned\x07\r\n\xc2\x9b2J\nsecond", b"[" * 100_000],
    ids=["steering", "nested"],
)
def test_bodies_of_webhooks_can_not_steer_the_terminal(body: bytes) -> None:
    """Anybody may send a body: what a terminal would obey is made visible, line by line, and what
    is nested too deep is shown as it came.
    """
    shown = webhooks_in.readable(body)
    assert all(each.isprintable() for each in shown.split("\n"))
    assert len(shown.split("\n")) == body.count(b"\n") + 1
    assert webhooks_in.readable(b'{"a": "\\u001b"}') == '{\n  "a": "\\u001b"\n}'
