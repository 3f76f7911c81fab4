"""Rules of the audit log's file: what is found, what is cut, what is refused."""

import contextlib
import io
import json
import pathlib
import sqlite3

import pytest

from subscribers.audit_log import __main__ as command
from subscribers.audit_log import entries, verifying, writing
from tests.integration.audit_log import logs


def test_each_event_once_whatever_comes_again(tmp_path: pathlib.Path) -> None:
    """Redelivered ids are known in a batch, after a restart, without the index and with a
    damaged one; the chain goes on.
    """
    logs.fill(tmp_path, 1, 3)
    with logs.writing_to(tmp_path) as writer:
        batch = [logs.event(3), logs.event(4), logs.event(4), logs.event(1)]
        assert writer.append(batch, log_epoch="e1") == 1
        assert writer.append(batch, log_epoch="e2") == 0
    for damage in (b"", b"no database" * 100):
        for extra in ("log.seen-wal", "log.seen-shm"):
            (tmp_path / extra).unlink(missing_ok=True)
        (tmp_path / "log.seen").write_bytes(damage)
        logs.fill(tmp_path, 1, 4)
    found = logs.verdict(logs.fill(tmp_path, 2, 5), tmp_path)
    assert (found.valid, found.anchored, found.head.sequence) == (True, True, 5)


def test_each_tenant_has_ids_of_its_own(tmp_path: pathlib.Path) -> None:
    """An event whose id another tenant used before is written down, and known by both; an index
    of the form without tenants is made anew.
    """
    logs.fill(tmp_path, 1, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "log.seen")) as index, index:
        index.executescript(
            "DROP TABLE seen; CREATE TABLE seen (event_id TEXT PRIMARY KEY) WITHOUT ROWID;"
            "INSERT INTO seen VALUES ('evt_00000001')"
        )
    with logs.writing_to(tmp_path) as writer:
        batch = [logs.event(1), logs.event(1, tenant_id="t-2"), logs.event(1, tenant_id="t-2")]
        assert writer.append(batch, log_epoch="e1") == 1
        assert writer.append(batch, log_epoch="e1") == 0
    (tmp_path / "log.seen").unlink()
    with logs.writing_to(tmp_path) as writer:
        assert writer.append(batch, log_epoch="e1") == 0


def test_no_payload_is_kept_and_a_key_hides_guesses(tmp_path: pathlib.Path) -> None:
    """Neither data nor user is in the log; the digest ignores the place and depends on a key."""
    content = logs.fill(tmp_path, 1, 1)
    assert b"ada" not in content
    moved = logs.event(1, position=99)
    assert entries.digest(logs.event(1)) == entries.digest(moved)
    assert entries.digest(logs.event(1)) != entries.digest(logs.event(1, data=b"{}"))
    assert entries.digest(logs.event(1), b"k") != entries.digest(logs.event(1), b"l")
    assert entries.digest(logs.event(1), b"k").startswith("hmac-sha256:")


def test_no_moment_stops_the_log(tmp_path: pathlib.Path) -> None:
    """An event said to have happened in no calendar's time is written down like any other."""
    odd = logs.event(1)
    odd.occur_time.seconds, odd.occur_time.nanos = 10**15, -3
    with logs.writing_to(tmp_path) as writer:
        assert writer.append([odd, logs.event(2)], log_epoch="e1") == 2
    assert logs.verdict((tmp_path / "log").read_bytes(), tmp_path).valid


def test_a_forged_end_is_found_by_the_anchor_alone(tmp_path: pathlib.Path) -> None:
    """A log cut at a line's end, or written anew, is a whole chain; only the anchor tells."""
    content = logs.fill(tmp_path, 1, 3)
    cut = b"".join(content.splitlines(keepends=True)[:2])
    assert verifying.scan(io.BytesIO(cut)).valid
    assert "missing at its end" in logs.verdict(cut, tmp_path).problem
    (tmp_path / "other").mkdir()
    other = logs.fill(tmp_path / "other", 11, 14)
    assert verifying.scan(io.BytesIO(other)).valid
    assert logs.verdict(other, tmp_path).line == 3


def test_a_torn_end_is_cut_and_nothing_else(tmp_path: pathlib.Path) -> None:
    """What a crash leaves after the anchor goes, whole entries there stay; a log that was
    altered or cut before its anchor is not opened.
    """
    content = logs.fill(tmp_path, 1, 2)
    first_anchor = (tmp_path / "anchor").read_bytes()
    longer = logs.fill(tmp_path, 3, 4)
    log = tmp_path / "log"
    (tmp_path / "anchor").write_bytes(first_anchor)
    for torn in (longer[:-5], longer[:-300] + b"\0" * 299 + b"\n"):
        log.write_bytes(torn)
        (tmp_path / "anchor").write_bytes(first_anchor)
        assert logs.verdict(logs.fill(tmp_path, 4, 4), tmp_path).head.sequence == 4
    assert log.read_bytes() == longer
    (tmp_path / "log.seen").unlink()
    for damaged in (content, b"", longer.replace(b"evt_00000001", b"evt_00000009"), longer[5:]):
        log.write_bytes(damaged)
        with pytest.raises(writing.CantOpen, match="not whole"), logs.writing_to(tmp_path):
            pass
        assert log.read_bytes() == damaged


def test_a_log_written_anew_is_neither_opened_nor_cut(tmp_path: pathlib.Path) -> None:
    """A whole chain that is not the anchored one stays as it is for who looks into it, with the
    index of the former log, with none and with its own.
    """
    logs.fill(tmp_path, 1, 3)
    (tmp_path / "other").mkdir()
    other = logs.fill(tmp_path / "other", 11, 14)
    log, index = tmp_path / "log", tmp_path / "log.seen"
    log.write_bytes(other)

    def refused() -> None:
        for end in (b"", b"torn\n"):
            log.write_bytes(other + end)
            with pytest.raises(writing.CantOpen, match="not whole"), logs.writing_to(tmp_path):
                pass
            assert log.read_bytes() == other + end

    refused()
    index.unlink()
    refused()
    index.write_bytes((tmp_path / "other" / "log.seen").read_bytes())
    refused()


def test_one_writer_at_a_time(tmp_path: pathlib.Path) -> None:
    """A second writer is told, and the first goes on."""
    with logs.writing_to(tmp_path) as writer:
        with pytest.raises(writing.CantOpen, match="another process"), logs.writing_to(tmp_path):
            pass
        assert writer.append([logs.event(1)], log_epoch="e1") == 1


def test_verify_tells_people_and_programs(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 and whole, or 1 and the first bad line; an unfinished line and what the anchor does not
    cover are notes; a missing anchor or log is no success.
    """
    content = logs.fill(tmp_path, 1, 3)
    log, anchor = tmp_path / "log", tmp_path / "anchor"
    arguments = ["verify", "--log", str(log), "--anchor", str(anchor)]
    assert command.main(arguments) == 0
    assert "whole" in capsys.readouterr().out
    log.write_bytes(content + b'{"half')
    assert command.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unfinished_bytes"] == 6
    before = anchor.read_bytes()
    log.write_bytes(content)
    log.write_bytes(logs.fill(tmp_path, 4, 5))
    anchor.write_bytes(before)
    assert command.main(arguments) == 0
    assert "2 entries behind the anchor" in capsys.readouterr().out
    log.write_bytes(content.replace(b"evt_00000002", b"evt_00000009"))
    assert command.main(arguments) == 1
    assert "line 2" in capsys.readouterr().out
    assert command.main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["line"] == 2
    for missing in (anchor, log):
        log.write_bytes(content)
        missing.unlink()
        assert command.main(arguments) == 1


def test_a_hole_is_written_down_once_and_found(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Places that the gateway deleted unread are an entry of the chain, once however often their
    marker is seen, also in a log that was restored with it; the log goes on behind it and is
    never called whole.
    """
    logs.fill(tmp_path, 1, 2)
    for log_epoch, new in (("e1", 4), ("e1", 0), ("e2", 0)):
        with logs.writing_to(tmp_path) as writer:
            assert writer.miss({(9, 1_000): 3, (40, 2_000): 1}, log_epoch=log_epoch) == new
    found = logs.verdict(logs.fill(tmp_path, 50, 50), tmp_path)
    assert (found.valid, found.problem, found.missing) == (False, "", 4)
    assert (found.anchored, found.head.sequence) == (True, 5)
    arguments = ["verify", "--log", str(tmp_path / "log"), "--anchor", str(tmp_path / "anchor")]
    assert command.main(arguments) == 1
    told = capsys.readouterr().out
    assert "4 places" in told
    assert "whole" not in told


@pytest.mark.parametrize("places", ["5", -5, 1.5, True])
def test_a_hole_is_a_number_of_places(places: object, tmp_path: pathlib.Path) -> None:
    """A chain can be forged, and with it how much is missing: what is no number ends no `verify`,
    and none hides what others say.
    """
    content = entries.missing(3, 1_000, 1, log_epoch="e1") | {"missing": places}
    line, _ = entries.chain(content, entries.Head(), written_us=7)
    found = logs.verdict(line, tmp_path)
    assert (found.problem, found.line) == ("not an entry", 1)
