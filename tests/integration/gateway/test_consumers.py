"""Durable consumers over gRPC, row by row of their semantics, on both databases."""

import asyncio
from typing import Any

import grpc
import pytest
from payhub.events.v1 import consumer_pb2

from tests.integration.gateway import consuming, harness
from tests.integration.gateway.harness import event

Reason = consumer_pb2.SettlementFailure


async def test_consume_delivers_in_order_and_keeps_the_place(
    gateway: harness.Gateway, tenant: str
) -> None:
    """History, then live; what was acknowledged does not come again, what was not does."""
    client = gateway.tenant(tenant)
    made = [event(tenant, entity_id=f"p{n % 3}") for n in range(9)]
    await client.publish(*made)
    name = await consuming.make(client)
    member = consuming.Member(client, name)
    for count in range(3, 10, 3):
        # One unsettled event per entity at a time.
        await member.got(count)
        assert len(member.deliveries) == count
        await member.ack(*member.deliveries[-3:])
    assert sorted(member.ids) == sorted(one.id for one in made)
    live = event(tenant)
    await client.publish(live)
    await member.got(10)
    assert member.ids[-1] == live.id
    assert (await consuming.status(client)).backlog == 1
    await member.settle("RELEASE", member.deliveries[-1])
    await member.leave()
    again = consuming.Member(client, name, "two")
    assert (await again.got(1))[0].event.id == live.id
    await again.ack(*again.deliveries)

    async def seen() -> bool:
        found = await consuming.status(client)
        return (found.backlog, found.members, found.owner != "") == (0, 1, True)

    await harness.until(seen)
    await again.leave()


async def test_place_on_disk_passes_what_a_filter_skips(
    gateway: harness.Gateway, tenant: str
) -> None:
    """The floor moves past events that do not match, and lies with the last settlement."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client, filter={"types": ["refund.*"]})
    member = consuming.Member(client, name)
    await client.publish(
        event(tenant), event(tenant, type="refund.created"), *(event(tenant) for _ in range(20))
    )
    await member.ack(*await member.got(1))
    head = (await client.info()).head_cursor

    async def passed() -> bool:
        floor = (await consuming.status(client)).ack_floor_cursor
        return consuming.place(floor) >= consuming.place(head)

    await harness.until(passed)
    await member.leave()


async def test_reject_waits_and_other_entities_go_on(gateway: harness.Gateway, tenant: str) -> None:
    """REJECT delivers again after the delay, with attempt and reason; its entity waits."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    member = consuming.Member(client, name)
    first, behind, other = (event(tenant, entity_id=key) for key in ("a", "a", "b"))
    await client.publish(first, behind, other)
    await member.got(2)
    assert member.ids == [first.id, other.id]
    began = asyncio.get_running_loop().time()
    await member.settle("REJECT", member.deliveries[0], delay={"nanos": 700_000_000}, reason="no")
    await member.settle("ACK", member.deliveries[1])
    await member.got(3)
    assert asyncio.get_running_loop().time() - began >= 0.65
    again = member.deliveries[2]
    assert (again.event.id, again.attempt, again.last_reason) == (first.id, 2, "no")
    await member.settle("ACK", again)
    await member.got(4)
    assert member.ids[3] == behind.id
    assert not member.failures
    await member.leave()


async def test_erasure_reaches_what_is_set_aside(gateway: harness.Gateway, tenant: str) -> None:
    """Parked events of an erased entity are empty in listings and when they come back; those
    of others are not.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    made = [event(tenant, entity_id=key, data=b"private", user_id="u") for key in ("a", "a", "b")]
    await client.publish(*made)
    member = consuming.Member(client, name)
    first, other = await member.got(2)
    await member.durable(await member.settle("PARK", first, other, reason="never"))
    assert (await client.erase(tenant, "payment", "a")).erased_events == 2
    parked = (await client.ask("ListParkedEvents", consumer=name)).parked_events
    shown = [(each.event.id, each.event.data, each.event.redacted) for each in parked]
    assert shown == [
        (made[0].id, b"", True),
        (made[1].id, b"", True),
        (made[2].id, b"private", False),
    ]
    await client.ask("ResolveParkedEvents", consumer=name, all=True, resolution="RESOLUTION_RETRY")
    again = (await member.got(4))[2:]
    assert {each.event.redacted for each in again if each.event.entity_id == "a"} == {True}
    await member.leave()


async def test_max_deliveries_reached_or_park(gateway: harness.Gateway, tenant: str) -> None:
    """Used-up and parked events are set aside with their entity, listed with reasons, and come
    back in order, ahead of newer ones; discarding lets the entity go on.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client, max_deliveries=2)
    made = [event(tenant, entity_id=key) for key in ("a", "a", "b", "b")]
    await client.publish(*made)
    member = consuming.Member(client, name)
    one, two = await member.got(2)
    await member.settle("REJECT", one, reason="broken")
    await member.settle("PARK", two, reason="never")
    third = (await member.got(3))[2]
    await member.durable(await member.settle("REJECT", third, reason="broken again"))
    parked = (await client.ask("ListParkedEvents", consumer=name)).parked_events
    shown = [(each.event.id, each.reason, each.attempts, each.blocked) for each in parked]
    assert shown == [
        (made[0].id, "broken again (after 2 deliveries)", 2, False),
        (made[1].id, "", 0, True),
        (made[2].id, "never", 1, False),
        (made[3].id, "", 0, True),
    ]
    assert (await consuming.status(client)).parked == 4
    paged = await client.ask("ListParkedEvents", consumer=name, page_size=3)
    rest = await client.ask(
        "ListParkedEvents", consumer=name, page_size=3, page_token=paged.next_page_token
    )
    assert [each.position for each in [*paged.parked_events, *rest.parked_events]] == [
        each.position for each in parked
    ]
    newer = event(tenant, entity_id="a")
    await client.publish(newer)
    retry = await client.ask(
        "ResolveParkedEvents",
        consumer=name,
        positions=[parked[0].position, parked[1].position],
        resolution="RESOLUTION_RETRY",
    )
    assert (retry.resolved, retry.released) in {(2, 0), (2, 1)}
    for count, wanted in enumerate((made[0], made[1], newer), 4):
        last = (await member.got(count))[-1]
        assert (last.event.id, last.attempt) == (wanted.id, 1)
        await member.settle("ACK", last)
    drop = await client.ask(
        "ResolveParkedEvents",
        consumer=name,
        positions=[parked[2].position],
        resolution="RESOLUTION_DISCARD",
    )
    assert (drop.resolved, drop.released) == (1, 1)
    last = (await member.got(7))[-1]
    assert last.event.id == made[3].id
    await member.ack(last)
    found = await consuming.status(client)
    assert (found.parked, found.backlog, found.retrying) == (0, 0, 0)
    await member.leave()


async def test_late_ack_and_same_lease_settled_twice(gateway: harness.Gateway, tenant: str) -> None:
    """A late ACK counts until the event is handed out again; then it is LEASE_EXPIRED. The
    first verdict stands.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client, ack_timeout={"seconds": 1})
    await client.publish(event(tenant))
    # So that it is not handed out a third time, however late the second one is acknowledged.
    member = consuming.Member(client, name, credit=2)
    first = (await member.got(1))[0]
    again = (await member.got(2))[1]
    assert again.attempt == 2
    await member.durable(await member.settle("ACK", first, "d-nonsense"))
    await member.ack(again)
    await member.ack(again)
    await member.settle("REJECT", again)
    await harness.until(lambda: len(member.failures) == 3)
    assert [one.reason for one in member.failures] == [
        Reason.REASON_LEASE_EXPIRED,
        Reason.REASON_UNKNOWN,
        Reason.REASON_CONFLICT,
    ]
    assert (await consuming.status(client)).backlog == 0
    await member.leave()


async def test_extend_and_release(gateway: harness.Gateway, tenant: str) -> None:
    """EXTEND keeps a delivery beyond the end of others that were made with it; RELEASE gives it
    back without an attempt.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client, ack_timeout={"seconds": 2})
    made = [event(tenant, entity_id=key) for key in ("held", "left")]
    await client.publish(*made)
    member = consuming.Member(client, name)
    held, _ = await member.got(2)
    while len(member.deliveries) == 2:
        await member.durable(await member.settle("EXTEND", held))
        await asyncio.sleep(0.2)
    (again,) = member.deliveries[2:]
    assert (again.event.id, again.attempt) == (made[1].id, 2)
    await member.ack(again)
    await member.settle("RELEASE", held)
    released = (await member.got(4))[3]
    assert (released.event.id, released.attempt) == (made[0].id, 1)
    await member.leave()


async def test_member_dies(gateway: harness.Gateway, tenant: str) -> None:
    """What a member held comes to another one soon after its stream broke, though the ack
    timeout is long; and it can be settled until then.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client, ack_timeout={"seconds": 600})
    made = [event(tenant, entity_id=f"p{n}") for n in range(2)]
    await client.publish(*made)
    dying = consuming.Member(client, name, "dying")
    first = (await dying.got(2))[0]
    dying.break_off()
    heir = consuming.Member(client, name, "heir")
    await client.ask(
        "Settle",
        consumer=name,
        settlements=[{"leases": [first.lease], "verdict": "VERDICT_ACK"}],
    )
    (second,) = await heir.got(1)
    assert (second.event.id, second.attempt) == (made[1].id, 2)
    await heir.ack(second)
    assert (await consuming.status(client)).backlog == 0
    await heir.leave()


async def test_per_entity_over_several_members(gateway: harness.Gateway, tenant: str) -> None:
    """Members share the entities: each entity's events go to one member, in order."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    members = [consuming.Member(client, name, f"m{n}") for n in range(3)]
    await harness.until(lambda: all(one.responses for one in members))
    made = [event(tenant, entity_id=f"p{n % 30}", entity_version=n // 30 + 1) for n in range(120)]
    await client.publish(*made)
    seen: dict[str, list[tuple[int, int]]] = {}
    done = [0, 0, 0]

    async def all_settled() -> bool:
        for index, member in enumerate(members):
            batch = member.deliveries[done[index] :]
            done[index] += len(batch)
            for one in batch:
                seen.setdefault(one.event.entity_id, []).append((one.event.entity_version, index))
                await member.settle("ACK", one)
                await member.grant(1)
        return sum(done) >= 120

    await harness.until(all_settled)
    assert all([version for version, _ in got] == [1, 2, 3, 4] for got in seen.values())
    assert all(len({index for _, index in got}) == 1 for got in seen.values())
    assert all(done)
    for member in members:
        await member.leave()


async def test_credit_0(gateway: harness.Gateway, tenant: str) -> None:
    """Without credit nothing is delivered and heartbeats go on; a grant lets it come."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    await client.publish(event(tenant), event(tenant, entity_id="p2"))
    member = consuming.Member(client, name, credit=0, heartbeat_interval={"seconds": 1})
    await harness.until(lambda: len(member.responses) >= 3)
    assert not member.deliveries
    assert member.responses[0].heartbeat_interval.seconds == 1
    await member.grant(1)
    await member.got(1)
    assert member.responses[-1].remaining_credit == 0
    await member.grant(5)
    await member.got(2)
    await member.leave()


async def test_fetch_and_settle(gateway: harness.Gateway, tenant: str) -> None:
    """The unary form: a batch at once or after a wait, settled from anywhere."""
    client = gateway.tenant(tenant)
    name = await consuming.make(client, ordering="ORDERING_NONE")
    assert not (await client.ask("Fetch", consumer=name, member="m")).deliveries
    await client.publish(*(event(tenant) for _ in range(5)))
    batch = (await client.ask("Fetch", consumer=name, member="m", max_events=3)).deliveries
    assert len(batch) == 3
    waiting = asyncio.ensure_future(
        client.ask("Fetch", consumer=name, member="m", wait={"seconds": 20})
    )
    batch = [*batch, *(await waiting).deliveries]
    assert len({one.event.id for one in batch}) == 5
    settled = await gateway.client(client.key).ask(
        "Settle",
        consumer=name,
        settlements=[
            {"leases": [one.lease for one in batch], "verdict": "VERDICT_ACK"},
            {"leases": ["d-nonsense"], "verdict": "VERDICT_ACK"},
        ],
    )
    assert [(one.lease, one.reason) for one in settled.failures] == [
        ("d-nonsense", Reason.REASON_UNKNOWN)
    ]
    assert (await consuming.status(client)).backlog == 0


async def test_what_was_published_here_is_there(gateway: harness.Gateway, tenant: str) -> None:
    """A Fetch that does not wait has what was published before through the same gateway, whatever
    that itself put into the log in between.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client, ordering="ORDERING_NONE")
    for count in range(1, 21):
        made = event(tenant)
        fields = {"name": name, "max_deliveries": count}
        await client.ask(
            "UpdateConsumer", consumer=fields, update_mask={"paths": ["max_deliveries"]}
        )
        await client.publish(made)
        found = (await client.ask("Fetch", consumer=name, member="m")).deliveries
        assert [one.event.id for one in found] == [made.id]


async def test_over_retention(tmp_path: Any) -> None:
    """History that retention deleted before a consumer had read it leaves a marker among the
    parked events; one that keeps up loses nothing, and parked events keep what they say.
    """
    limits = {
        "EVENT_GATEWAY_RETENTION_BYTES": "200000",
        "EVENT_GATEWAY_RETENTION_EVERY_S": "0.2",
        "EVENT_GATEWAY_RETENTION_LEAD_S": "0.2",
        "EVENT_GATEWAY_WINDOW_BYTES": "70000",
    }
    with harness.running(f"sqlite:///{tmp_path}/events.db", **limits) as gateway:
        client = gateway.tenant("one")
        for name in ("late", "prompt"):
            await consuming.make(client, name=name, ordering="ORDERING_NONE")
        prompt = consuming.Member(client, "prompt", credit=10_000)
        first = event("one", data=b"kept")
        await client.publish(first)
        await prompt.durable(await prompt.settle("PARK", *await prompt.got(1), reason="aside"))
        published = 1

        async def deleted() -> bool:
            nonlocal published
            await client.publish(*(event("one", data=b"x" * 10_000) for _ in range(10)))
            published += 10
            await prompt.ack(*(await prompt.got(published))[-10:])
            info = await client.info()
            late = await consuming.status(client, "late")
            return consuming.place(info.oldest_cursor) > consuming.place(late.ack_floor_cursor)

        await harness.until(deleted)
        told = await consuming.status(client, "late")
        assert (told.skipped_entries > 0, told.parked) == (True, 0)
        assert (await consuming.status(client, "prompt")).skipped_entries == 0
        late = consuming.Member(client, "late")
        await late.got(1)
        settled = 0

        async def marked() -> bool:
            """Also what was read in time counts as skipped if it goes before it is settled."""
            nonlocal settled
            new = late.deliveries[settled:]
            settled += len(new)
            if new:
                await late.ack(*new)
            told = await consuming.status(client, "late")
            return bool(told.parked > 0 and told.skipped_entries == 0)

        await harness.until(marked)
        marker = (await client.ask("ListParkedEvents", consumer="late")).parked_events[0]
        assert marker.skipped_entries >= told.skipped_entries
        assert marker.reason.startswith("SKIPPED")
        assert not marker.HasField("event")
        with pytest.raises(grpc.RpcError):
            await client.get(first.id)
        (aside,) = (await client.ask("ListParkedEvents", consumer="prompt")).parked_events
        assert aside.event.data == b"kept"
        await client.erase("one", "payment", "pay_1")
        await client.ask(
            "ResolveParkedEvents",
            consumer="prompt",
            positions=[aside.position],
            resolution="RESOLUTION_RETRY",
        )
        again = (await prompt.got(published + 1))[-1]
        assert (again.event.id, again.event.redacted, again.event.data) == (first.id, True, b"")
        await late.leave()
        await prompt.leave()
