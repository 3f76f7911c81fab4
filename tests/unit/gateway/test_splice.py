"""Spliced bytes: what readers parse is what protobuf would have written."""

import pytest
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import splice


@pytest.mark.parametrize(
    ("message", "field", "number"),
    [
        (pb.SubscribeResponse, "events", 1),
        (pb.QueryEventsResponse, "events", 1),
        (pb.GetEventResponse, "event", 1),
        (event_pb2.Event, "append_time", 10),
        (event_pb2.Event, "position", 11),
    ],
)
def test_the_contract_has_the_numbers_that_splicing_relies_on(
    message: type, field: str, number: int
) -> None:
    """Tags are written by hand; a renumbered field must fail here, not at a reader."""
    assert message.DESCRIPTOR.fields_by_name[field].number == number  # type: ignore[attr-defined]


def test_the_first_event_of_a_response_is_found() -> None:
    """Whatever its size, and whatever follows it."""
    for size in (0, 127, 128, 20_000):
        both = [event_pb2.Event(id="evt_1", data=b"x" * each) for each in (size, 5)]
        events = [event.SerializeToString() for event in both]
        assert splice.first(b"".join(map(splice.chunk, events))) == events[0]
