"""PublishEvents over real sockets and databases: what gets in, and what is answered."""

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from payhub.events.v1 import event_ingest_service_pb2 as pb

from servicekit import ids
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

APPENDED = pb.PublishResult.OUTCOME_APPENDED
DUPLICATE = pb.PublishResult.OUTCOME_DUPLICATE
REJECTED = pb.PublishResult.OUTCOME_REJECTED
ID_CONFLICT = pb.PublishResult.REJECT_REASON_EVENT_ID_CONFLICT
VERSION_CONFLICT = pb.PublishResult.REJECT_REASON_ENTITY_VERSION_CONFLICT
VERSION_GAP = pb.PublishResult.REJECT_REASON_ENTITY_VERSION_GAP
TENANT_FORBIDDEN = pb.PublishResult.REJECT_REASON_TENANT_FORBIDDEN
INVALID = pb.PublishResult.REJECT_REASON_INVALID


def outcomes(response: pb.PublishEventsResponse) -> list[int]:
    """What became of each event."""
    return [result.outcome for result in response.results]


def reasons(response: pb.PublishEventsResponse) -> list[int]:
    """Why each event was refused; 0 if it was not."""
    return [result.reject_reason for result in response.results]


async def test_the_same_event_again_is_a_duplicate(gateway: harness.Gateway, tenant: str) -> None:
    """Repeating a batch appends nothing and answers with the first places and times."""
    client = gateway.tenant(tenant)
    batch = [event(tenant, entity_version=1), event(tenant, entity_version=2), event(tenant)]
    first = await client.publish(*batch)
    again = await client.publish(*batch)
    assert outcomes(first) == [APPENDED] * 3
    assert outcomes(again) == [DUPLICATE] * 3
    for one, two in zip(first.results, again.results, strict=True):
        assert (one.id, one.position, one.append_time) == (two.id, two.position, two.append_time)
    assert again.log_epoch == first.log_epoch
    page = await client.query()
    assert [stored.id for stored in page.events] == [made.id for made in batch]


async def test_a_known_id_with_other_content_is_refused(
    gateway: harness.Gateway, tenant: str
) -> None:
    """An id stands for one content for ever, within one batch too."""
    client = gateway.tenant(tenant)
    made = event(tenant)
    await client.publish(made)
    changed = event(tenant, id=made.id, data=b"other")
    assert reasons(await client.publish(changed)) == [ID_CONFLICT]
    twice = event(tenant)
    response = await client.publish(twice, twice, event(tenant, id=twice.id, data=b"other"))
    assert outcomes(response) == [APPENDED, DUPLICATE, REJECTED]
    assert reasons(response)[2] == ID_CONFLICT


async def test_ids_and_entities_of_tenants_are_apart(gateway: harness.Gateway, tenant: str) -> None:
    """Another tenant's use of an id or entity neither blocks nor shows."""
    one, two = gateway.tenant(tenant), gateway.tenant(f"{tenant}-2")
    made = event(tenant, entity_version=1)
    same = event(f"{tenant}-2", id=made.id, entity_version=1, data=b"mine")
    assert outcomes(await one.publish(made)) == [APPENDED]
    assert outcomes(await two.publish(same)) == [APPENDED]
    assert (await two.get(made.id)).event.data == b"mine"
    assert (await one.get(made.id)).event.data == made.data


async def test_versions_are_dense_per_entity(gateway: harness.Gateway, tenant: str) -> None:
    """A version is accepted only right after the one before; a missing one is named."""
    client = gateway.tenant(tenant)
    response = await client.publish(
        event(tenant, entity_id="a", entity_version=1),
        event(tenant, entity_id="b", entity_version=2),
        event(tenant, entity_id="a", entity_version=3),
        event(tenant, entity_id="a", entity_version=2),
        event(tenant, entity_id="a", entity_version=3),
    )
    assert outcomes(response) == [APPENDED, REJECTED, REJECTED, APPENDED, APPENDED]
    assert reasons(response)[1:3] == [VERSION_GAP, VERSION_GAP]
    assert "version 2 of this entity comes next" in response.results[2].message
    other_type = event(tenant, entity_id="a", entity_type="customer", entity_version=2)
    assert reasons(await client.publish(other_type)) == [VERSION_GAP]


async def test_a_version_under_another_id_conflicts(gateway: harness.Gateway, tenant: str) -> None:
    """One version of an entity is one event; in one batch or in two."""
    client = gateway.tenant(tenant)
    response = await client.publish(
        event(tenant, entity_version=1), event(tenant, entity_version=1)
    )
    assert outcomes(response) == [APPENDED, REJECTED]
    assert reasons(response)[1] == VERSION_CONFLICT
    assert reasons(await client.publish(event(tenant, entity_version=1))) == [VERSION_CONFLICT]


async def test_version_zero_opts_out(gateway: harness.Gateway, tenant: str) -> None:
    """Producers that do not number are neither checked nor counted."""
    client = gateway.tenant(tenant)
    response = await client.publish(
        event(tenant), event(tenant, entity_version=1), event(tenant), event(tenant)
    )
    assert outcomes(response) == [APPENDED] * 4


async def test_an_invalid_event_falls_alone(gateway: harness.Gateway, tenant: str) -> None:
    """What breaks a rule is refused with its field; the rest of the batch is appended."""
    client = gateway.tenant(tenant)
    invalid = [
        ("type", event(tenant, type="Payment Created")),
        ("id", event(tenant, id="short")),
        ("type_version", event(tenant, type_version=0)),
        ("data", event(tenant, data=b"x" * 262_145)),
        ("position", event(tenant, position=4)),
        ("append_time", event(tenant, append_time={"seconds": 1})),
        ("entity_id", event(tenant, entity_id="a\0b")),
        ("entity_version", event(tenant, entity_version=2**63)),
        ("occur_time", event(tenant, occur_time={"seconds": 253_402_300_800})),
        ("occur_time", event(tenant, occur_time={"seconds": -62_135_596_801})),
        ("occur_time", event(tenant, occur_time={"nanos": 1_000_000_000})),
        ("occur_time", event(tenant, occur_time={"seconds": 1, "nanos": -1})),
        ('labels["Region"]', event(tenant, labels={"Region": "eu"})),
        ('labels["note"]', event(tenant, labels={"note": "x" * 257})),
        ("labels", event(tenant, labels={f"l{n}": "" for n in range(17)})),
    ]
    response = await client.publish(event(tenant), *(each for _, each in invalid), event(tenant))
    assert outcomes(response) == [APPENDED, *[REJECTED] * len(invalid), APPENDED]
    for (field, _), result in zip(invalid, response.results[1:-1], strict=True):
        assert result.reject_reason == INVALID
        assert result.message.startswith(f"{field}:"), result.message
        assert result.position == 0
    assert len((await client.query()).events) == 2


async def test_a_batch_has_limits(gateway: harness.Gateway, tenant: str) -> None:
    """No event, more than 1000, or more than 3 MiB: refused as a whole, nothing appended."""
    client = gateway.tenant(tenant)
    small, large = event(tenant), [event(tenant, data=b"x" * 250_000) for _ in range(13)]
    for batch in ([], [small] * 1001, large):
        with pytest.raises(grpc.RpcError) as refused:
            await client.publish(*batch)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert harness.reason(refused.value) == "INVALID_FIELD"
        bad = error_details_pb2.BadRequest()
        assert harness.detail(refused.value, bad)
        assert bad.field_violations[0].field == "events"
    huge = [event(tenant, data=b"x" * 260_000) for _ in range(17)]
    with pytest.raises(grpc.RpcError) as oversize:
        await client.publish(*huge)
    assert oversize.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len((await client.query()).events) == 0


async def test_a_full_batch_goes_in_whole(gateway: harness.Gateway, tenant: str) -> None:
    """A thousand events are appended in their order, at one time, densely."""
    client = gateway.tenant(tenant)
    batch = [event(tenant, entity_id=f"e{n % 7}", entity_version=n // 7 + 1) for n in range(1000)]
    response = await client.publish(*batch)
    assert outcomes(response) == [APPENDED] * 1000
    positions = [result.position for result in response.results]
    assert positions == list(range(positions[0], positions[0] + 1000))
    assert len({result.append_time.ToMicroseconds() for result in response.results}) == 1
    assert response.head_position >= positions[-1]


async def test_keys_publish_for_their_own_tenant_only(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Another tenant's event is refused by itself; the relay's identity may publish it."""
    client = gateway.tenant(tenant)
    foreign = event(f"{tenant}-2", entity_version=1)
    response = await client.publish(event(tenant), foreign)
    assert outcomes(response) == [APPENDED, REJECTED]
    assert reasons(response)[1] == TENANT_FORBIDDEN
    relay = gateway.tenant("system", ["events:publish"])
    assert outcomes(await relay.publish(foreign, event(tenant))) == [APPENDED, APPENDED]


async def test_an_entity_may_begin_late(gateway: harness.Gateway, tenant: str) -> None:
    """What the relay says is the first that there is begins an entity that the log does not
    know, densely from there on; one that the log knows goes on as ever; a repeat is a duplicate.
    """
    relay = gateway.tenant("system", ["events:publish"])
    own = {n: event(tenant, entity_version=n) for n in range(3, 9)}
    other = event(tenant, entity_id="pay_2", entity_version=3)
    refused = await relay.publish(own[5])
    assert (reasons(refused), refused.results[0].expected_version) == ([VERSION_GAP], 1)
    begun = await relay.publish(own[5], other, own[6], first=[0])
    assert outcomes(begun) == [APPENDED, REJECTED, APPENDED]
    again = await relay.publish(own[5], first=[0])
    assert (outcomes(again), again.results[0].position) == ([DUPLICATE], begun.results[0].position)
    gap = await relay.publish(own[8], first=[0])
    assert (reasons(gap), gap.results[0].expected_version) == ([VERSION_GAP], 7)
    assert outcomes(await relay.publish(own[7], first=[0])) == [APPENDED]
    another = event(tenant, entity_version=6)
    assert reasons(await relay.publish(another, first=[0])) == [VERSION_CONFLICT]
    late = await relay.publish(own[3], own[8])
    assert (outcomes(late), late.results[0].position) == ([DUPLICATE, APPENDED], 0)
    page = await gateway.tenant(tenant).query()
    assert [one.entity_version for one in page.events] == [5, 6, 7, 8]


async def test_the_relay_alone_says_where_an_entity_begins(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Other keys are denied it, and what the batch itself belies is no valid request; nothing of
    such a batch is appended.
    """
    plugin = gateway.keys.add("system", ["events:publish"], plugin_id="p", publish_types=["*"])
    good, late = event(tenant, entity_version=1), event(tenant, entity_id="b", entity_version=3)
    for key in (gateway.keys.add(tenant), plugin):
        with pytest.raises(grpc.RpcError) as denied:
            await gateway.client(key).publish(good, late, first=[1])
        assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert harness.reason(denied.value) == "PERMISSION_NOT_GRANTED"
    relay = gateway.tenant("system", ["events:publish"])
    earlier, unnumbered = event(tenant, entity_id="b", entity_version=2), event(tenant)
    for batch, first, path in (
        ([good, late], [1, 2], "first_remaining[1]"),
        ([good, late], [1, 1], "first_remaining[1]"),
        ([good, late, earlier], [1], "first_remaining[0]"),
        ([good, unnumbered], [0, 1], "first_remaining[1]"),
    ):
        with pytest.raises(grpc.RpcError) as invalid:
            await relay.publish(*batch, first=first)
        assert invalid.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert harness.violations(invalid.value) == [path]
    assert len((await gateway.tenant(tenant).query()).events) == 0


async def test_racing_publishers_append_once(gateway: harness.Gateway, tenant: str) -> None:
    """The same events from many producers at once are in the log once, without gaps."""
    clients = [gateway.tenant(tenant) for _ in range(4)]
    batch = [event(tenant, entity_version=n) for n in range(1, 31)]

    async def publish(client: harness.Client) -> list[pb.PublishEventsResponse]:
        return [await client.publish(*batch[:end]) for end in (10, 20, 30)]

    answers = await asyncio.gather(*(publish(client) for client in clients))
    results = [result for answer in answers for one in answer for result in one.results]
    assert all(result.outcome in (APPENDED, DUPLICATE) for result in results)
    assert sum(result.outcome == APPENDED for result in results) == 30
    assert len({(result.id, result.position) for result in results}) == 30
    stored = (await clients[0].query()).events
    assert [one.entity_version for one in stored] == list(range(1, 31))


async def test_append_time_never_decreases(gateway: harness.Gateway, tenant: str) -> None:
    """Along the log, append times and positions rise, whoever published."""
    clients = [gateway.tenant(tenant) for _ in range(4)]
    await asyncio.gather(*(client.publish(event(tenant)) for client in clients * 5))
    stored = (await clients[0].query()).events
    places = [(one.position, one.append_time.ToMicroseconds()) for one in stored]
    assert len(places) == 20
    assert places == sorted(places)
    assert [one[1] for one in places] == sorted(one[1] for one in places)


async def test_an_unknown_field_of_a_newer_producer_is_kept(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Readers get the producer's bytes, with fields this version does not know."""
    client = gateway.tenant(tenant)
    made = event(tenant, id=ids.new_id("evt"))
    made.MergeFromString(b"\xc2\x3e\x03new")
    await client.publish(made)
    stored = (await client.get(made.id)).event
    assert b"\xc2\x3e\x03new" in stored.SerializeToString()
