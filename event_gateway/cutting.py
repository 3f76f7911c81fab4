"""Pages of stored events, cut into responses by the thread that read them.

Owns where a response ends and the joining of its events. Called while a page is read, so that
the event loop meets a few large pieces instead of a thousand small ones that another core
holds. Never reads storage itself, and never decides what a reader is sent next.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence

from event_gateway import splice
from event_gateway.db import read


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The events of one response.

    Attributes:
        data: All of them, as a response holds them.
        count: How many.
        position: The place of the last.
    """

    data: bytes
    count: int
    position: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one read found.

    Attributes:
        state: Of the log.
        parts: The responses that hold events.
        upto: Nothing else matches at or before this position.
        first: The first event as it is stored, b"" if there is none.
    """

    state: read.State
    parts: Sequence[Part]
    upto: int
    first: bytes


def cut(found: read.Stretch, *, events_max: int, bytes_max: int, thin: bool) -> Page:
    """Returns what was *found* in responses of at most so many events and bytes.

    An event that is larger than that comes alone.
    """
    events = found.events
    ends = list(itertools.accumulate(map(len, events)))
    parts: list[Part] = []
    first = before_bytes = 0
    while first < len(events):
        fitting = bisect.bisect_right(ends, before_bytes + bytes_max, first)
        until = min(max(fitting, first + 1), first + events_max)
        parts.append(
            Part(
                data=_join(events[first:until], thin=thin),
                count=until - first,
                position=found.positions[until - 1],
            )
        )
        first, before_bytes = until, ends[until - 1]
    return Page(state=found.state, parts=parts, upto=found.upto, first=events[0] if events else b"")


def _join(events: Sequence[bytes], *, thin: bool) -> bytes:
    if thin:
        events = [splice.thin(event) for event in events]
    return splice.join(splice.pieces(events), b"")
