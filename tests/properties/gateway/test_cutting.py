"""Pages cut into responses: nothing lost, repeated or larger than allowed."""

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2, event_stream_service_pb2

from event_gateway import cutting
from event_gateway.db import read

STATE = read.State(epoch=1, head=1000, oldest=0, head_append_us=0)
UPTO = 900

LIMITS = st.builds(cutting.Limits, events=st.integers(1, 12), bytes=st.integers(1, 2000))


def stored(positions: list[int], sizes: list[int]) -> list[tuple[int, bytes]]:
    """Events of the log, their data of the given sizes."""
    return [
        (position, event_pb2.Event(id=f"evt_{position}", data=b"x" * size).SerializeToString())
        for position, size in zip(positions, sizes, strict=True)
    ]


def trailer(upto: int) -> bytes:
    """What a response says besides events."""
    response = event_stream_service_pb2.SubscribeResponse(head_position=upto)
    return response.SerializeToString()


def as_database(
    events: list[tuple[int, bytes]], whole: cutting.Limits, *, stops: bool
) -> Iterator[tuple[int, bytes]]:
    """What a database returns: up to a number, and if it *stops*, one more than fits."""
    total = 0
    for position, event in events[: whole.events]:
        if stops and total > whole.bytes:
            return
        total += len(event)
        yield position, event


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 600)), max_size=30),
    LIMITS,
    LIMITS,
    st.booleans(),
    st.booleans(),
)
def test_pages_hold_every_event_once_and_within_their_limits(
    log: list[tuple[int, int]],
    whole: cutting.Limits,
    each: cutting.Limits,
    thin: bool,
    stops: bool,
) -> None:
    """Read page after page, whole or thin, from either kind of database, the log comes complete
    and in order; a page or response exceeds its limits only for one event that comes alone.
    """
    positions = list(itertools.accumulate(gap for gap, _ in log))
    events = stored(positions, [size for _, size in log])
    sizes = {position: len(event) for position, event in events}
    seen: list[int] = []
    after = 0
    while after < UPTO:
        left = [one for one in events if one[0] > after]
        found = read.Stretch(state=STATE, events=as_database(left, whole, stops=stops), upto=UPTO)
        page = cutting.cut(found, whole=whole, each=each, thin=thin, trailer=trailer)
        assert after < page.upto
        taken: list[int] = []
        for part in page.parts:
            response = event_stream_service_pb2.SubscribeResponse.FromString(part.data)
            own = [int(event.id.removeprefix("evt_")) for event in response.events]
            assert response.head_position == part.position >= own[-1]
            assert part.data[part.size_bytes :] == trailer(part.position)
            assert len(own) == part.count <= each.events
            assert len(own) == 1 or sum(map(sizes.__getitem__, own)) <= each.bytes
            assert not thin or not any(event.data for event in response.events)
            taken += own
        assert len(taken) <= whole.events
        assert len(taken) <= 1 or sum(map(sizes.__getitem__, taken)) <= whole.bytes
        assert not page.parts or page.parts[-1].position == page.upto
        seen += taken
        after = page.upto
    assert seen == positions
