"""The order and the bytes of a batch, for any rows."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from payhub.events.v1 import event_ingest_service_pb2 as pb
from payhub.events.v1 import event_pb2

from payment_service.relay import batches, gateway
from tests.unit.relay import test_batches


@given(st.lists(st.sampled_from("abc"), max_size=12), st.randoms())
def test_entities_ascend_by_version_whatever_their_ids(entities: list[str], random: object) -> None:
    """Each entity's rows ascend by version, in the places that its rows had."""
    numbers = {name: itertools.count(1) for name in "abc"}
    rows = [test_batches.row(n, name, next(numbers[name])) for n, name in enumerate(entities)]
    versions = [one.entity_version for one in rows]
    random.shuffle(versions)  # type: ignore[attr-defined]
    mixed = [one._replace(entity_version=v) for one, v in zip(rows, versions, strict=True)]
    ordered = batches.in_order(mixed)
    assert [one.entity for one in ordered] == [one.entity for one in mixed]
    assert sorted(ordered) == sorted(mixed)
    for name in "abc":
        own = [one.entity_version for one in ordered if one.entity_id == name]
        assert own == sorted(own)


@given(
    st.lists(st.integers(min_value=0, max_value=70_000), min_size=1, max_size=4),
    st.lists(st.integers(min_value=0, max_value=999), max_size=200),
)
def test_a_spliced_request_is_the_request(sizes: list[int], first: list[int]) -> None:
    """Bytes joined by hand parse as the request that the contract describes."""
    events = [event_pb2.Event(id=f"evt_{n}", data=bytes(size)) for n, size in enumerate(sizes)]
    spliced = gateway.request([event.SerializeToString() for event in events], first)
    request = pb.PublishEventsRequest(events=events, first_remaining=first)
    assert pb.PublishEventsRequest.FromString(spliced) == request
