"""Proves a log: every entry follows the one before, and none is missing at its end.

Owns the reading of logs and anchors. Called by the command line and by the writer when it
opens its log; never writes.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any, BinaryIO

from subscribers.audit_log import entries

ANCHOR_BYTES_MAX = 4_096


class BadAnchor(Exception):
    """The anchor can't be read or is not one; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a log was found to be. `line` counts from 1 and is 0 where no line is bad;
    `unanchored` counts the entries behind the anchor, which only the chain speaks for, `missing`
    the places of the gateway's log that were deleted before they were read.
    """

    head: entries.Head
    problem: str = ""
    line: int = 0
    unfinished_bytes: int = 0
    anchored: bool = False
    unanchored: int = 0
    missing: int = 0

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong and nothing is missing."""
        return not self.problem and not self.missing


def read_anchor(path: pathlib.Path) -> entries.Head | None:
    """Return the head that was anchored last; None if there is no anchor.

    Raises:
        BadAnchor: the file is something else, or can't be read.
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(ANCHOR_BYTES_MAX))
        sequence, own = content["sequence"], content["hash"]
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise BadAnchor(f"{path}: {failure.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadAnchor(f"{path}: not an anchor") from None
    if type(sequence) is not int or sequence < 0 or not isinstance(own, str):
        raise BadAnchor(f"{path}: not an anchor")
    return entries.Head(sequence=sequence, hash=own)


def scan(
    file: BinaryIO,
    *,
    start: entries.Head | None = None,
    anchor: entries.Head | None = None,
    on_entry: Callable[[dict[str, Any], entries.Head, int], None] | None = None,
) -> Verdict:
    """Check entries from where `file` stands, right after `start`, to its end.

    `on_entry` is given each good entry, the head it becomes and the bytes up to its end.
    The last line may be unfinished: a writer is at it or was killed.
    """
    head = start or entries.Head()
    end_bytes = file.tell()
    met = anchor is None or anchor == head
    missing = 0

    def verdict(problem: str = "", line: int = 0, unfinished: int = 0) -> Verdict:
        return Verdict(
            head=head,
            problem=problem,
            line=line,
            unfinished_bytes=unfinished,
            anchored=anchor is not None and met,
            unanchored=max(head.sequence - anchor.sequence, 0) if anchor is not None else 0,
            missing=missing,
        )

    while line := file.readline(entries.LINE_BYTES_MAX + 1):
        if not line.endswith(b"\n") and len(line) <= entries.LINE_BYTES_MAX:
            break
        try:
            entry, head = entries.check(line, head)
        except entries.BadEntry as failure:
            return verdict(str(failure), head.sequence + 1)
        end_bytes += len(line)
        missing += entry.get("missing", 0)
        if anchor is not None and head.sequence == anchor.sequence:
            if head.hash != anchor.hash:
                return verdict("the anchor has another hash for it", head.sequence)
            met = True
        if on_entry is not None:
            on_entry(entry, head, end_bytes)
    if not met and anchor is not None:
        if anchor.sequence > head.sequence:
            text = f"the log ends at {head.sequence}, its anchor is {anchor.sequence}: entries are"
            return verdict(f"{text} missing at its end", unfinished=len(line))
        return verdict("the anchor is not on this log", unfinished=len(line))
    return verdict(unfinished=len(line))
