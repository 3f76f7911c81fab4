"""Pages of stored events, cut into responses by the thread that reads them.

Owns where a response ends and the joining of its events. Called for streams that catch up and
for queries, in that thread, so that the event loop meets a few large pieces instead of a
thousand small ones that another core holds. Never decides what a reader is sent next.
"""

import dataclasses
from collections.abc import Callable, Sequence

from event_gateway import splice
from event_gateway.db import read
from servicekit import clock, storage

# How full responses are made whose events are joined before their sizes are known.
_FULL = 0.8
# A statement for fewer events costs the thread more than cutting them.
JOINED_MIN = 32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most events, and most bytes of them as they are stored; a larger event comes alone."""

    events: int
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The events of one response.

    Attributes:
        data: The response, events first.
        size_bytes: Of the events in it.
        count: How many.
        position: Nothing else matches after the part before and at or before this position.
    """

    data: bytes
    size_bytes: int
    count: int
    position: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one read found.

    Attributes:
        state: Of the log.
        parts: The responses that hold events.
        upto: Nothing else matches at or before this position.
        made_us: When, epoch microseconds; 0 if nobody asks.
    """

    state: read.State
    parts: Sequence[Part]
    upto: int
    made_us: int = 0


def cut(
    found: read.Stretch,
    *,
    whole: Limits,
    each: Limits,
    thin: bool = False,
    made_us: int = 0,
    trailer: Callable[[int], bytes] = lambda position: b"",
) -> Page:
    """Returns what was *found*, or the first part of it, in responses.

    Args:
        found: No more events than *whole* allows; it may end after the first that is too much.
        whole: Limits of the page.
        each: Limits of each response.
        thin: Leave out the events' data.
        made_us: The time, epoch microseconds.
        trailer: Returns what a response that ends at a position says besides events.
    """
    prefix = splice.prefix
    parts: list[Part] = []
    data = bytearray()
    total = count = position = 0
    left_bytes, page_left_bytes = each.bytes, whole.bytes
    # Once for each event that is replayed: nothing here may cost much.
    for reached, event in found.events:
        size = len(event)
        left_bytes -= size
        page_left_bytes -= size
        if count and (left_bytes < 0 or count == each.events or page_left_bytes < 0):
            parts.append(_part(data, count, position, trailer))
            total += count
            if page_left_bytes < 0:
                return Page(state=found.state, parts=parts, upto=position, made_us=made_us)
            data, count, left_bytes = bytearray(), 0, each.bytes - size
        if thin:
            event = splice.thin(event)
        data += prefix(len(event))
        data += event
        count += 1
        position = reached
    # Where a limit is reached nobody knows what follows.
    is_full = total + count == whole.events or page_left_bytes < 0
    upto = position if is_full else found.upto
    if count:
        parts.append(_part(data, count, upto, trailer))
    return Page(state=found.state, parts=parts, upto=upto, made_us=made_us)


class Reading:
    """Pages of the log as one reader takes them; joined by the database where it can.

    Args:
        selection: What the reader is sent.
        whole: Limits of a page.
        each: Limits of each response.
        thin: Leave out the events' data.
        time: Says when a page was made.
        trailer: Returns what a response that ends at a position says besides events.
    """

    def __init__(
        self,
        selection: read.Selection,
        *,
        whole: Limits,
        each: Limits,
        thin: bool,
        time: clock.Clock,
        trailer: Callable[[int], bytes],
    ) -> None:
        self._selection = selection
        self._whole = whole
        self._each = each
        self._thin = thin
        self._time = time
        self._trailer = trailer
        # Of the last page's events, with what precedes each.
        self._mean_bytes = 0

    def page(self, conn: storage.Connection, after: int, upto: int) -> Page:
        """Returns the first page of what lies in (*after*, *upto*]."""
        page = None
        if conn.dialect == "sqlite" and self._selection.by_rows and not self._thin:
            page = self._joined(conn, after, upto)
        if page is None:
            page = self.cut(
                read.stretch(
                    conn,
                    self._selection,
                    after=after,
                    upto=upto,
                    events_max=self._whole.events,
                    bytes_max=self._whole.bytes,
                )
            )
        if count := sum(part.count for part in page.parts):
            self._mean_bytes = sum(part.size_bytes for part in page.parts) // count
        return page

    def cut(self, found: read.Stretch) -> Page:
        """Returns what was found in storage."""
        return cut(
            found,
            whole=self._whole,
            each=self._each,
            thin=self._thin,
            made_us=self._time.now_us(),
            trailer=self._trailer,
        )

    def _joined(self, conn: storage.Connection, after: int, upto: int) -> Page | None:
        """Returns a page of responses that the database joined, or None: cut it.

        The interpreter's lock is needed once for each response, not for every row.
        """
        if not self._mean_bytes:
            return None
        left, left_bytes = self._whole.events, self._whole.bytes
        most_bytes = min(self._each.bytes, left_bytes)
        rows = min(self._each.events, int(most_bytes * _FULL) // self._mean_bytes)
        if rows < JOINED_MIN:
            return None
        state, made_us = read.state(conn), self._time.now_us()
        upto = min(upto, state.head)
        parts: list[Part] = []
        reached = after
        while reached < upto and left >= rows and left_bytes >= rows * self._mean_bytes:
            found = read.joined(conn, self._selection, after=reached, upto=upto, rows=rows)
            if found is None or len(found.data) > min(self._each.bytes, left_bytes):
                break
            reached = found.upto
            left -= found.count
            left_bytes -= len(found.data)
            if found.count:
                parts.append(_part(found.data, found.count, reached, self._trailer))
            if found.count < rows:
                # No read covers more, where the reader's tenants are few among many.
                break
        if reached == after:
            return None
        return Page(state=state, parts=parts, upto=reached, made_us=made_us)


def _part(data: bytes | bytearray, count: int, upto: int, trailer: Callable[[int], bytes]) -> Part:
    response = b"".join((data, trailer(upto)))
    return Part(data=response, size_bytes=len(data), count=count, position=upto)
