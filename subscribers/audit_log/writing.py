"""The writer of one log: append, make durable, anchor.

Owns the log file, its lock, its anchor and the index of what it holds. Called by the
follower with batches of events. What `append` returned from is on disk and anchored, so it
may be acknowledged; anything after the anchor never was, and may be cut.
"""

import fcntl
import functools
import json
import os
import pathlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from payhub.events.v1 import event_pb2

from servicekit import failpoints, logs
from subscribers.audit_log import entries, seen, verifying

INDEX_EVERY = 1_000

_log = logs.get_logger(__name__)


class CantOpen(Exception):
    """The log can't be written to: another process does, or it is not whole."""


class Writer:
    """Appends to one log. For one thread at a time; one process at a time holds the lock."""

    def __init__(
        self,
        path: pathlib.Path,
        anchor_path: pathlib.Path,
        *,
        digest_key: bytes = b"",
        now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        """Open the log, made if missing, and prove what was not proved before.

        Raises:
            CantOpen: it is locked, was altered, or is shorter than its anchor says.
            OSError: a file can't be opened or written.
        """
        self.path, self._anchor_path = path, anchor_path
        self._digest_key, self._now_us = digest_key, now_us
        self.head = entries.Head()
        self._end_bytes = 0
        made = not path.exists()
        self._file: BinaryIO = path.open("a+b", buffering=0)
        try:
            self._lock()
            if made:
                _sync_folder(path.parent)
            self._seen = seen.Seen(path.with_name(f"{path.name}.seen"))
        except BaseException:
            self._file.close()
            raise
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def append(self, events: Sequence[event_pb2.Event], *, log_epoch: str) -> int:
        """Write down what is not there yet, in the order given; returns how many that were.

        Raises:
            OSError: nothing of it counts; the writer is of no use any more.
        """
        return len(
            self._add(
                (
                    (event.tenant_id, event.id),
                    functools.partial(
                        entries.describe, event, log_epoch=log_epoch, key=self._digest_key
                    ),
                )
                for event in events
            )
        )

    def miss(self, places: Mapping[tuple[int, int], int], *, log_epoch: str) -> int:
        """Write down how many places of the log were lost, by the position up to which and the
        moment when that was noticed, epoch microseconds, once each; returns how many are new.

        Raises:
            OSError: as `append`.
        """
        holes = [
            entries.missing(*place, count, log_epoch=log_epoch)
            for place, count in sorted(places.items())
        ]
        told = {(each["tenant_id"], each["event_id"]): each for each in holes}
        new = self._add((key, functools.partial(dict, each)) for key, each in told.items())
        return sum(told[key]["missing"] for key in new)

    def _add(
        self, told: Iterable[tuple[seen.Key, Callable[[], dict[str, Any]]]]
    ) -> Collection[seen.Key]:
        lines: list[bytes] = []
        head = self.head
        new: dict[seen.Key, None] = {}
        for key, describe in told:
            if key in new or self._seen.has(key):
                continue
            content = describe()
            line, head = entries.chain(content, head, written_us=self._now_us())
            lines.append(line)
            new[key] = None
        if not lines:
            return ()
        data = b"".join(lines)
        _write(self._file, data)
        failpoints.hit("audit_log.written")
        os.fsync(self._file.fileno())
        failpoints.hit("audit_log.synced")
        self.head, self._end_bytes = head, self._end_bytes + len(data)
        self._anchor()
        self._seen.add(new, head, self._end_bytes)
        failpoints.hit("audit_log.anchored")
        return new

    def close(self) -> None:
        """Give the lock back."""
        self._seen.close()
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CantOpen(f"{self.path}: another process writes this log") from None

    def _recover(self) -> None:
        try:
            anchor = verifying.read_anchor(self._anchor_path)
        except verifying.BadAnchor as failure:
            raise CantOpen(f"anchor: {failure}") from None
        start, start_bytes = self._seen.place()
        known = start.sequence == 0 or self._ends_with(start, start_bytes)
        if not known or anchor is None or start.sequence > anchor.sequence:
            self._seen.forget()
            start, start_bytes = entries.Head(), 0
        verdict = self._scan(start, start_bytes, anchor)
        # Only what lies behind an anchor that is on this log may be a crash's.
        if verdict.problem and not (verdict.line and verdict.anchored):
            where = f" at line {verdict.line}" if verdict.line else ""
            raise CantOpen(f"{self.path}: not whole{where}: {verdict.problem}")
        if anchor is None and self.head.sequence:
            _log.warning("the log had no anchor", path=str(self._anchor_path))
        cut_bytes = self.path.stat().st_size - self._end_bytes
        if cut_bytes:
            # A crash left it there; it was never acknowledged, so its events come again.
            _log.warning("cut the end that a crash left", bytes=cut_bytes, why=verdict.problem)
            os.ftruncate(self._file.fileno(), self._end_bytes)
        os.fsync(self._file.fileno())
        self._anchor()

    def _scan(
        self, start: entries.Head, start_bytes: int, anchor: entries.Head | None
    ) -> verifying.Verdict:
        """Check the log from `start` on, and index it."""
        self.head, self._end_bytes = start, start_bytes
        keys: list[seen.Key] = []

        def take(entry: dict[str, Any], head: entries.Head, end_bytes: int) -> None:
            self.head, self._end_bytes = head, end_bytes
            keys.append((entry["tenant_id"], entry["event_id"]))
            if len(keys) >= INDEX_EVERY and (anchor is None or head.sequence <= anchor.sequence):
                self._seen.add(keys, head, end_bytes)
                keys.clear()

        with self.path.open("rb") as file:
            file.seek(start_bytes)
            verdict = verifying.scan(file, start=start, anchor=anchor, on_entry=take)
        self._seen.add(keys, self.head, self._end_bytes)
        return verdict

    def _ends_with(self, head: entries.Head, end_bytes: int) -> bool:
        """Tell whether the log's first `end_bytes` end with the entry of that head."""
        with self.path.open("rb") as file:
            file.seek(max(end_bytes - entries.LINE_BYTES_MAX - 1, 0))
            lines = file.read(min(end_bytes, entries.LINE_BYTES_MAX + 1)).splitlines(keepends=True)
        try:
            last = json.loads(lines[-1])
            before = entries.Head(sequence=head.sequence - 1, hash=last["previous"])
            return entries.check(lines[-1], before)[1] == head
        except (IndexError, ValueError, KeyError, TypeError, entries.BadEntry):
            return False

    def _anchor(self) -> None:
        """Replace the anchor as a whole, durably."""
        content = {
            "sequence": self.head.sequence,
            "hash": self.head.hash,
            "written_us": self._now_us(),
        }
        beside = self._anchor_path.with_name(f"{self._anchor_path.name}.new")
        with beside.open("wb") as file:
            file.write(json.dumps(content).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._anchor_path)
        _sync_folder(self._anchor_path.parent)


def _write(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _sync_folder(path: pathlib.Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
