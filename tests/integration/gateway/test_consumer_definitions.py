"""Consumers as their owners see them: definitions, changes, seeking, names and rights."""

from typing import Any

import grpc
import pytest
from payhub.events.v1 import consumer_pb2

from event_gateway.api import consumer_views
from event_gateway.db import consumers
from servicekit import storage
from tests.integration.gateway import consuming, harness, one_group
from tests.integration.gateway.harness import event

Reason = consumer_pb2.SettlementFailure


async def test_definitions(gateway: harness.Gateway, tenant: str) -> None:
    """Create is idempotent for an equal definition, Update needs the right etag, Delete takes
    everything; pages go by name, and tenants see their own only.
    """
    client, other = gateway.tenant(tenant), gateway.tenant(f"{tenant}-2")
    made = (await client.ask("CreateConsumer", consumer={"name": "a"})).consumer
    assert (made.max_deliveries, made.ack_timeout.seconds, made.etag) == (10, 30, "1")
    assert (await client.ask("CreateConsumer", consumer={"name": "a"})).consumer == made
    with pytest.raises(grpc.RpcError) as refused:
        await client.ask("CreateConsumer", consumer={"name": "a", "max_deliveries": 3})
    assert harness.reason(refused.value) == "CONSUMER_EXISTS"
    for name in ("b", "c"):
        await client.ask("CreateConsumer", consumer={"name": name})
    first = await client.ask("ListConsumers", page_size=2)
    rest = await client.ask("ListConsumers", page_size=2, page_token=first.next_page_token)
    assert [one.consumer.name for one in [*first.consumers, *rest.consumers]] == ["a", "b", "c"]
    assert not rest.next_page_token
    mask = {"paths": ["paused", "max_deliveries"]}
    change = {"name": "a", "paused": True, "max_deliveries": 4, "etag": "1"}
    changed = (await client.ask("UpdateConsumer", consumer=change, update_mask=mask)).consumer
    assert (changed.paused, changed.max_deliveries, changed.etag) == (True, 4, "2")
    await client.ask("UpdateConsumer", consumer=change, update_mask=mask)
    stale_change = {**change, "max_deliveries": 5}
    with pytest.raises(grpc.RpcError) as stale:
        await client.ask("UpdateConsumer", consumer=stale_change, update_mask=mask)
    assert harness.error_info(stale.value).metadata["current"] == "2"
    with pytest.raises(grpc.RpcError) as unknown:
        await other.ask("GetConsumer", name="a")
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
    await client.ask("DeleteConsumer", name="a")
    await client.ask("DeleteConsumer", name="a")
    with pytest.raises(grpc.RpcError):
        await client.ask("GetConsumer", name="a")


@pytest.mark.parametrize(
    ("method", "fields", "path"),
    [
        ("CreateConsumer", {"consumer": {"name": "Bad Name"}}, "consumer.name"),
        ("CreateConsumer", {"consumer": {"name": "a", "etag": "1"}}, "consumer.etag"),
        ("CreateConsumer", {"consumer": {"name": "a", "ack_timeout": {}}}, "consumer.ack_timeout"),
        (
            "CreateConsumer",
            {"consumer": {"name": "a", "start": {"after_cursor": "x"}}},
            "consumer.start.after_cursor",
        ),
        (
            "UpdateConsumer",
            {"consumer": {"name": "a"}, "update_mask": {"paths": ["ordering"]}},
            "update_mask",
        ),
        ("SeekConsumer", {"name": "a", "target": consuming.OLDEST}, "idempotency_key"),
        ("ResolveParkedEvents", {"consumer": "a", "resolution": 1}, "positions"),
        ("ResolveParkedEvents", {"consumer": "a", "all": True}, "resolution"),
        ("Fetch", {"consumer": "a", "member": "m", "max_events": 1001}, "max_events"),
        ("Settle", {"consumer": "a"}, "settlements"),
        (
            "Settle",
            {"consumer": "a", "settlements": [{"leases": ["x"]}]},
            "settlements[0].verdict",
        ),
    ],
)
async def test_bad_input_names_its_field(
    sqlite_gateway: harness.Gateway, tenant: str, method: str, fields: Any, path: str
) -> None:
    """What is wrong is INVALID_ARGUMENT with the field's path."""
    client = sqlite_gateway.tenant(tenant)
    await client.ask("CreateConsumer", consumer={"name": "a"})
    with pytest.raises(grpc.RpcError) as refused:
        await client.ask(method, **fields)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    bad = harness.violations(refused.value)
    assert path in bad, bad


async def test_seek(gateway: harness.Gateway, tenant: str) -> None:
    """A dry run counts; seeking voids what is in flight and delivers anew from the target; the
    same key moves it once.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    made = [event(tenant, entity_id=f"p{n}") for n in range(4)]
    await client.publish(*made)
    member = consuming.Member(client, name)
    await member.ack(*(await member.got(4))[:3])
    held = member.deliveries[3]
    begin = {"name": name, "target": consuming.OLDEST}
    dry = await client.ask("SeekConsumer", **begin, dry_run=True)
    assert dry.backlog == 4
    assert len(member.deliveries) == 4
    moved = await client.ask("SeekConsumer", **begin, idempotency_key="k1")
    assert consuming.place(moved.cursor) < consuming.place(moved.previous_cursor)
    await member.got(8)
    assert sorted(member.ids[4:]) == sorted(one.id for one in made)
    await member.durable(await member.settle("ACK", held))
    assert [one.reason for one in member.failures] == [Reason.REASON_UNKNOWN]
    await member.ack(*member.deliveries[4:])
    assert await client.ask("SeekConsumer", **begin, idempotency_key="k1") == moved
    reworded = {"name": name, "target": {**consuming.OLDEST, "expired_policy": 1}}
    assert await client.ask("SeekConsumer", **reworded, idempotency_key="k1") == moved
    with pytest.raises(grpc.RpcError) as reused:
        await client.ask("SeekConsumer", **begin, discard_parked=True, idempotency_key="k1")
    assert harness.reason(reused.value) == "IDEMPOTENCY_KEY_REUSED"
    assert (await consuming.status(client)).backlog == 0
    await member.leave()


async def test_the_newest_place_lies_behind_all_that_was_published(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Who moves a consumer to the newest event gets none that was published before, whatever the
    gateway itself put into the log in between; nor does who makes one.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    newest = {"anchor": "ANCHOR_NEWEST"}
    for count in range(1, 11):
        mask, fields = {"paths": ["max_deliveries"]}, {"name": name, "max_deliveries": count}
        await client.ask("UpdateConsumer", consumer=fields, update_mask=mask)
        await client.publish(event(tenant))
        await client.ask("SeekConsumer", name=name, target=newest, idempotency_key=f"k{count}")
        assert (await consuming.status(client)).backlog == 0
        await client.ask("UpdateConsumer", consumer={"name": name}, update_mask=mask)
        await client.publish(event(tenant))
        late = await consuming.make(client, name=f"late{count}", start=newest)
        assert (await consuming.status(client, late)).backlog == 0


async def test_what_is_parked_and_read_again_can_be_put_back(
    gateway: harness.Gateway, tenant: str
) -> None:
    """A seek delivers a parked event anew; if it waits for its next try then, putting it back from
    the parked ones works and leaves one delivery.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client, park_scope="PARK_SCOPE_EVENT")
    await client.publish(event(tenant))
    member = consuming.Member(client, name)
    await member.settle("PARK", *await member.got(1), reason="odd")
    await harness.until(lambda: consuming.is_parked(client, 1))
    await client.ask("SeekConsumer", name=name, target=consuming.OLDEST, idempotency_key="k1")
    again = (await member.got(2))[1]
    await member.durable(await member.settle("REJECT", again, delay={"seconds": 1}))
    done = await client.ask(
        "ResolveParkedEvents", consumer=name, all=True, resolution="RESOLUTION_RETRY"
    )
    assert (done.resolved, done.remaining) == (1, False)
    await member.ack((await member.got(3))[2])
    found = await consuming.status(client)
    assert (found.parked, found.retrying, found.backlog) == (0, 0, 0)
    await member.leave()


async def test_what_was_put_back_is_as_old_as_its_event(
    gateway: harness.Gateway, tenant: str
) -> None:
    """The age of the oldest unsettled event counts one that was parked and put back."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    await client.publish(event(tenant))
    member = consuming.Member(client, name)
    (parked,) = await member.got(1)
    await member.durable(await member.settle("PARK", parked, reason="odd"))
    await member.leave()
    found = await consuming.status(client)
    assert (found.backlog, found.oldest_unsettled_age.ToMicroseconds()) == (0, 0)
    await client.ask("ResolveParkedEvents", consumer=name, all=True, resolution="RESOLUTION_RETRY")
    found = await consuming.status(client)
    assert (found.backlog, found.retrying) == (1, 1)
    assert found.oldest_unsettled_age.ToMicroseconds() > 0


@pytest.mark.parametrize(
    ("kept_s", "age_s", "left_s"),
    [(100, 75, None), (100, 80, 20), (100, 101, 0), (0, 10**6, None)],
)
async def test_row_over_retention_is_told_before(
    on: one_group.Running, kept_s: int, age_s: int, left_s: int | None
) -> None:
    """A consumer's status says how long its oldest event is kept still, once less than a quarter
    of that time is left.
    """
    await on.start()
    await on.publish("p1")
    appended_us = 1

    def status(conn: storage.Connection) -> Any:
        stored = consumers.get(conn, "one", "a")
        assert stored is not None
        return consumer_views.described(
            conn,
            stored,
            epoch=on.around.epoch,
            now_us=appended_us + age_s * 1_000_000,
            kept_us=kept_s * 1_000_000,
            rows_max=100,
        ).status

    found = await on.database.read(status)
    assert found.oldest_unsettled_age.seconds == age_s
    assert found.HasField("retention_headroom") == (left_s is not None)
    assert found.retention_headroom.seconds == (left_s or 0)


async def test_update_of_filter_and_pause(gateway: harness.Gateway, tenant: str) -> None:
    """A pause stops deliveries and settling goes on; a new filter applies from the floor on."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client, filter={"types": ["payment.*"]})
    member = consuming.Member(client, name)
    await harness.until(lambda: bool(member.responses))

    async def update(path: str, **fields: Any) -> None:
        await client.ask(
            "UpdateConsumer", consumer={"name": name, **fields}, update_mask={"paths": [path]}
        )

    await client.publish(event(tenant, entity_id="p1"))
    (held,) = await member.got(1)
    await update("paused", paused=True)
    skipped = event(tenant, type="refund.created", entity_id="p2")
    await client.publish(skipped, event(tenant, entity_id="p3"))
    await member.ack(held)
    assert len(member.deliveries) == 1
    await update("filter", filter={"types": ["refund.*"]})
    await update("paused", paused=False)
    await member.got(2)
    assert member.ids[1:] == [skipped.id]
    await member.ack(member.deliveries[1])
    await client.ask("DeleteConsumer", name=name)
    assert await member.ended() == grpc.StatusCode.NOT_FOUND


async def test_a_wider_filter_ends_members_that_may_not_read_it(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Who joined for its own tenant's events, or a plugin for its granted types, gets no others
    when somebody with more rights changes the filter.
    """
    admin, other = gateway.tenant(tenant), f"{tenant}-2"
    granted = {"plugin_id": "plug", "read_types": ["payment.*"]}
    keys = gateway.keys
    for which, key, wider in (
        ("a", keys.add(tenant, ["events:read"]), {"tenant_ids": [tenant, other]}),
        ("b", keys.add(tenant, ["events:read"], **granted), {"types": ["refund.*"]}),
    ):
        name = await consuming.make(admin, name=which, filter={"types": ["payment.*"]})
        members = [consuming.Member(admin, name, "m1", credit=0)]
        members.append(consuming.Member(gateway.client(key), name, "m2"))
        await harness.until(lambda: all(bool(each.responses) for each in members))  # noqa: B023
        change = {"name": name, "filter": {"types": ["payment.*"], **wider}}
        mask = {"paths": ["filter"]}
        await admin.ask("UpdateConsumer", consumer=change, update_mask=mask)
        await gateway.tenant(other).publish(event(other, entity_id=which))
        await admin.publish(event(tenant, type="refund.created", entity_id=which))
        assert await members[1].ended() == grpc.StatusCode.PERMISSION_DENIED
        assert not members[1].deliveries
        await members[0].grant(1)
        await members[0].got(1)
        await members[0].leave()


async def test_a_member_name_is_used_once(gateway: harness.Gateway, tenant: str) -> None:
    """A later stream under the same name ends the earlier one for good."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    one = consuming.Member(client, name)
    await harness.until(lambda: bool(one.responses))
    two = consuming.Member(client, name)
    assert await one.ended() == grpc.StatusCode.ABORTED
    assert one.error is not None
    assert harness.reason(one.error) == "MEMBER_REPLACED"
    await client.publish(event(tenant))
    await two.ack(*await two.got(1))
    await two.leave()


async def test_consumers_read_only_what_their_callers_may(
    sqlite_gateway: harness.Gateway, tenant: str
) -> None:
    """Other tenants need the admin scope, also to consume; a plugin gets its granted types."""
    gateway = sqlite_gateway
    admin = gateway.tenant(tenant)
    plain = gateway.tenant(tenant, ["events:read"])
    foreign = {"name": "wide", "filter": {"tenant_ids": [f"{tenant}-2"]}}
    with pytest.raises(grpc.RpcError) as refused:
        await plain.ask("CreateConsumer", consumer=foreign)
    assert harness.reason(refused.value) == "SCOPE_MISSING"
    await admin.ask("CreateConsumer", consumer=foreign)
    for call in (
        plain.ask("Fetch", consumer="wide", member="m"),
        plain.ask("ListParkedEvents", consumer="wide"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            await call
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    key = gateway.keys.add(
        tenant, ["events:read"], plugin_id="plug", read_types=["payment.created"]
    )
    plugin = gateway.client(key)
    made = await plugin.ask("CreateConsumer", consumer={"name": "p", "start": consuming.OLDEST})
    assert list(made.consumer.filter.types) == ["payment.created"]
    await admin.publish(event(tenant, type="refund.created"), event(tenant))
    got = (await plugin.ask("Fetch", consumer="p", member="m", wait={"seconds": 15})).deliveries
    assert [one.event.type for one in got] == ["payment.created"]
    await admin.ask("CreateConsumer", consumer={"name": "all"})
    with pytest.raises(grpc.RpcError) as refused:
        await plugin.ask("Fetch", consumer="all", member="m")
    assert harness.reason(refused.value) == "PERMISSION_NOT_GRANTED"
