"""Spliced bytes: what readers parse is what protobuf would have written, for any event."""

from hypothesis import given
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import splice

EVENTS = st.builds(
    event_pb2.Event,
    id=st.text(max_size=64),
    type=st.sampled_from(["payment.created", "a.b"]),
    entity_version=st.integers(0, 2**64 - 1),
    data=st.binary(max_size=400),
    cause=st.builds(event_pb2.Cause, actor=st.text(max_size=20)),
)


@given(st.lists(EVENTS, max_size=5), st.text(max_size=30), st.integers(0, 2**64 - 1))
def test_a_joined_response_equals_the_serialised_message(
    events: list[event_pb2.Event], cursor: str, head: int
) -> None:
    """Chunks plus a trailer are byte for byte the message with those events."""
    trailer = pb.SubscribeResponse(cursor=cursor, head_position=head)
    chunks = [splice.chunk(event.SerializeToString()) for event in events]
    whole = pb.SubscribeResponse(events=events, cursor=cursor, head_position=head)
    assert splice.join(chunks, trailer.SerializeToString()) == whole.SerializeToString()


@given(EVENTS, st.integers(0, 2**53), st.integers(1, 2**63 - 1))
def test_a_stored_event_is_the_producers_with_place_and_time(
    event: event_pb2.Event, append_us: int, position: int
) -> None:
    """The fields that the gateway sets are spliced in without a second serialisation."""
    stored = splice.stored(splice.content(event), splice.append_time_field(append_us), position)
    expected = event_pb2.Event()
    expected.CopyFrom(event)
    expected.position = position
    expected.append_time.CopyFrom(splice.timestamp(append_us))
    assert event_pb2.Event.FromString(stored) == expected
