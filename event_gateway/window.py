"""The newest part of the log in memory, shared by every stream.

Owns the bound in bytes and the rule that nothing inside is missing. Filled by
the appender and the tail, read by the streams; all on one event loop. Never
waits and never touches storage.
"""

import bisect
import dataclasses
import sys
from collections.abc import Sequence

from event_gateway import matching
from event_gateway.db import read

# What an entry costs besides its bytes: the tuple, its strings and numbers.
_ENTRY_OVERHEAD_BYTES = 400
# Entries looked at in one step: well below a millisecond of the event loop.
SCAN_MAX = 10_000
# An entry as it is kept. The garbage collector ignores a plain tuple of plain
# values, not a NamedTuple, and a full window holds a hundred thousand.
Row = tuple[int, str, str, str, str, bytes]
_DROPPED: Row = (0, "", "", "", "", b"")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a stream gets from the window.

    Attributes:
        chunks: Events that match, in log order.
        position: Nothing else matches after the start and at or before it.
    """

    chunks: list[bytes]
    position: int


class Window:
    """Every event in (`start`, `head`], and nothing else.

    `head_us` is when the log accepted its newest event, epoch microseconds; 0 in an empty log.

    Args:
        bytes_max: Most bytes kept; the newest event is kept whatever its size.
        head: Position of the log's newest event when the window is made.
    """

    def __init__(self, *, bytes_max: int, head: int, head_us: int = 0) -> None:
        self.start = head
        self.head = head
        self.head_us = head_us
        self.size_bytes = 0
        self._bytes_max = bytes_max
        self._entries: list[Row] = []
        self._positions: list[int] = []
        # Entries before it are dropped already; the lists are cut now and then.
        self._first = 0

    def __len__(self) -> int:
        return len(self._entries) - self._first

    def extend(
        self, after: int, entries: Sequence[read.Entry], upto: int, *, head_us: int = 0
    ) -> bool:
        """Takes in *entries*: all events of the log in (*after*, *upto*].

        *head_us* is when the last of them was accepted, if that is known.

        Returns:
            False if events between the head and *after* are missing; nothing was taken.
        """
        if after > self.head:
            return False
        for entry in entries:
            if entry.position > self.head:
                self._entries.append(_interned(entry))
                self._positions.append(entry.position)
                self.size_bytes += len(entry.chunk) + _ENTRY_OVERHEAD_BYTES
        self.head = max(self.head, upto)
        self.head_us = max(self.head_us, head_us)
        self._trim()
        return True

    def reset(self, head: int) -> None:
        """Forgets everything and goes on after *head*."""
        self.start = self.head = head
        self.size_bytes = self._first = 0
        self._entries.clear()
        self._positions.clear()

    def batch(
        self,
        after: int,
        matcher: matching.Matcher,
        *,
        upto: int,
        events_max: int,
        bytes_max: int,
    ) -> Batch:
        """Collects what matches in (*after*, *upto*], or the first part of it.

        Args:
            after: At least `start`.
            matcher: What to select.
            upto: Last position to look at; the head bounds it too.
            events_max: Most events, at least 1.
            bytes_max: Most bytes; one larger event comes alone.
        """
        assert after >= self.start, "a stream behind the window reads from storage"
        chunks: list[bytes] = []
        total = 0
        matches = matcher.matches
        index = max(bisect.bisect_right(self._positions, after), self._first)
        end = min(len(self._entries), index + SCAN_MAX)
        position = after
        while index < end:
            at, tenant_id, type_name, entity_type, entity_id, chunk = self._entries[index]
            if at > upto:
                return Batch(chunks=chunks, position=max(upto, after))
            if matches(tenant_id, type_name, entity_type, entity_id):
                total += len(chunk)
                if chunks and (len(chunks) == events_max or total > bytes_max):
                    return Batch(chunks=chunks, position=position)
                chunks.append(chunk)
            position = at
            index += 1
        if index == len(self._entries):
            position = max(min(upto, self.head), after)
        return Batch(chunks=chunks, position=position)

    def since(self, after: int) -> Sequence[Row]:
        """Returns the entries after position *after* that are still here."""
        return self._entries[self._index_after(after) :]

    def next(self, after: int) -> Row | None:
        """Returns the first of them, if there is one."""
        index = self._index_after(after)
        return self._entries[index] if index < len(self._entries) else None

    def _index_after(self, position: int) -> int:
        return max(bisect.bisect_right(self._positions, position), self._first)

    def _trim(self) -> None:
        while self.size_bytes > self._bytes_max and len(self) > 1:
            entry = self._entries[self._first]
            self.start = entry[0]
            self.size_bytes -= len(entry[5]) + _ENTRY_OVERHEAD_BYTES
            # Frees the bytes now; the slot goes with the next cut.
            self._entries[self._first] = _DROPPED
            self._first += 1
        if self._first > 1024 and self._first > len(self._entries) // 2:
            del self._entries[: self._first]
            del self._positions[: self._first]
            self._first = 0


def _interned(entry: read.Entry) -> Row:
    """Returns the entry with strings that repeat from event to event kept once."""
    position, tenant_id, type_name, entity_type, entity_id, chunk = entry
    intern = sys.intern
    return (position, intern(tenant_id), intern(type_name), intern(entity_type), entity_id, chunk)
