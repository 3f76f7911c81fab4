"""Pages of stored events, cut into responses by the thread that reads them.

Owns where a response ends and the joining of its events. Called for streams that catch up and
for queries, in that thread, so that the event loop meets a few large pieces instead of a
thousand small ones that another core holds. Never decides what a reader is sent next.
"""

import dataclasses
from collections.abc import Callable, Sequence

from event_gateway import splice
from event_gateway.db import read


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


def _part(data: bytearray, count: int, upto: int, trailer: Callable[[int], bytes]) -> Part:
    size = len(data)
    data += trailer(upto)
    return Part(data=bytes(data), size_bytes=size, count=count, position=upto)
