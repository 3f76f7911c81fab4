"""Pages of stored events, cut into responses by the thread that reads them.

Owns where a response ends and the joining of its events. Called for streams that catch up and
for queries, in that thread, so that the event loop meets a few large pieces instead of a
thousand small ones that another core holds. Never decides what a reader is sent next.
"""

import dataclasses
from collections.abc import Sequence

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
        data: All of them, as a response holds them.
        count: How many.
        position: Nothing else matches after the part before and at or before this position.
    """

    data: bytearray
    count: int
    position: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one read found.

    Attributes:
        state: Of the log.
        parts: The responses that hold events.
        upto: Nothing else matches at or before this position.
    """

    state: read.State
    parts: Sequence[Part]
    upto: int


def cut(
    found: read.Stretch,
    *,
    whole: Limits,
    each: Limits,
    thin: bool = False,
) -> Page:
    """Returns what was *found*, or the first part of it, in responses.

    Args:
        found: No more events than *whole* allows; it may end after the first that is too much.
        whole: Limits of the page.
        each: Limits of each response.
        thin: Leave out the events' data.
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
            parts.append(Part(data=data, count=count, position=position))
            total += count
            if page_left_bytes < 0:
                return Page(state=found.state, parts=parts, upto=position)
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
        parts.append(Part(data=data, count=count, position=upto))
    return Page(state=found.state, parts=parts, upto=upto)
