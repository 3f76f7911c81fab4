"""What is told of consumers: every change of one, once, with who made it."""

import asyncio
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from payhub.events.v1 import consumer_events_pb2, consumer_pb2, event_pb2

from event_gateway import gateway as gateway_module
from event_gateway import telling
from event_gateway.api import ingest
from event_gateway.consumers import changes, definition
from event_gateway.db import append, consumers
from servicekit import auth, storage
from tests.integration.gateway import consuming, harness

Event = consumer_events_pb2.ConsumerEvent
ABOUT = {"types": ["consumer.*"]}
BY = telling.By(actor="key:k", now_us=1)
IDLE = storage.Statement("update consumer set idle_expiry_us = 1")
LOGGED = storage.Statement("select event from event_log order by position")


def checked(events: Sequence[event_pb2.Event]) -> list[tuple[str, Any]]:
    """Returns verbs and payloads of the events of one consumer, whose versions are dense."""
    assert [each.entity_version for each in events] == list(range(1, len(events) + 1))
    assert all(each.data_schema == Event.DESCRIPTOR.full_name for each in events)
    return [(each.type.partition(".")[2], Event.FromString(each.data)) for each in events]


async def told(client: harness.Client, name: str) -> list[tuple[str, Any]]:
    """Returns verbs and payloads of the events of one of a tenant's consumers."""
    page = await client.query(filter={**ABOUT, "entity_ids": [name]})
    for each in page.events:
        assert each.entity_type == "consumer"
        assert each.cause.actor == f"key:{auth.parse_key(client.key)}"
        assert each.cause.correlation_id
    return checked(page.events)


async def test_every_change_of_a_consumer_is_told(gateway: harness.Gateway, tenant: str) -> None:
    """With what it was before, to its tenant alone, and on after the name is used again; what
    changes nothing tells nothing.
    """
    client = gateway.tenant(tenant)
    for _ in range(2):
        made = (await client.ask("CreateConsumer", consumer={"name": "a"})).consumer
    mask = {"paths": ["paused", "max_deliveries", "retry_backoff"]}
    change = {"name": "a", "paused": True, "retry_backoff": made.retry_backoff}
    for etag in ("1", ""):
        await client.ask(
            "UpdateConsumer",
            consumer={**change, "max_deliveries": 4, "etag": etag},
            update_mask=mask,
        )
    stale = {"name": "a", "max_deliveries": 5, "etag": "1"}
    with pytest.raises(grpc.RpcError):
        await client.ask("UpdateConsumer", consumer=stale, update_mask=mask)
    sought = {"name": "a", "target": consuming.OLDEST}
    await client.ask("SeekConsumer", **sought, dry_run=True)
    for _ in range(2):
        moved = await client.ask("SeekConsumer", **sought, idempotency_key="k1")
    for _ in range(2):
        await client.ask("DeleteConsumer", name="a")
    await client.ask("CreateConsumer", consumer={"name": "a"})
    first, update, seek, gone, again = await told(client, "a")
    assert (first[0], first[1].consumer) == ("created", made)
    assert (update[0], update[1].consumer.etag) == ("updated", "2")
    assert list(update[1].changed.paths) == ["max_deliveries", "paused"]
    assert update[1].previous == consumer_pb2.Consumer(max_deliveries=10)
    assert (update[1].consumer.max_deliveries, update[1].consumer.paused) == (4, True)
    assert seek[0] == "sought"
    assert seek[1].previous_cursor == moved.previous_cursor == first[1].cursor
    assert seek[1].cursor == moved.cursor == gone[1].cursor
    assert seek[1].previous_position == consuming.place(moved.previous_cursor)
    assert seek[1].position == consuming.place(moved.cursor)
    assert (gone[0], gone[1].consumer) == ("deleted", update[1].consumer)
    assert again[0] == "created"
    page = await client.query(filter=ABOUT)
    keys = [each.cause.idempotency_key for each in page.events]
    assert keys == ["", "", "k1", "", ""]
    assert not (await gateway.tenant(f"{tenant}-2").query(filter=ABOUT)).events


async def test_what_becomes_of_parked_events_is_told(gateway: harness.Gateway, tenant: str) -> None:
    """Each call that puts back or drops some is one event with how many and where, as are a seek
    and a deletion that drop the rest; a call that finds none is none.
    """
    client = gateway.tenant(tenant)
    name = await consuming.make(client)
    await client.publish(
        *(harness.event(tenant, entity_id=key) for key in ("a", "a", "b", "c", "d"))
    )
    member = consuming.Member(client, name)
    for each in await member.got(4):
        await member.durable(await member.settle("PARK", each, reason="odd"))
    await harness.until(lambda: consuming.is_parked(client, 5))
    await member.leave()
    parked = (await client.ask("ListParkedEvents", consumer=name)).parked_events
    one, behind, *rest = [each.position for each in parked]
    wait = {"max_events": 1, "wait": {"seconds": 15}}

    async def resolve(what: str, *positions: int) -> None:
        fields = {"consumer": name, "positions": positions, "resolution": f"RESOLUTION_{what}"}
        await client.ask("ResolveParkedEvents", **fields)

    await resolve("RETRY", behind)
    await resolve("DISCARD", one)
    await resolve("DISCARD", one)
    await resolve("RETRY", rest[0], 1)
    seek = {"name": name, "target": {"anchor": "ANCHOR_NEWEST"}}
    await client.ask("SeekConsumer", **seek, idempotency_key="k1")
    await client.ask("SeekConsumer", **seek, discard_parked=True, idempotency_key="k2")
    await client.publish(harness.event(tenant, entity_id="e"))
    (last,) = (await client.ask("Fetch", consumer=name, member="m", **wait)).deliveries
    settlement = {"leases": [last.lease], "verdict": "VERDICT_PARK"}
    await client.ask("Settle", consumer=name, settlements=[settlement])
    await client.ask("DeleteConsumer", name=name)
    assert [
        (verb, one.parked, list(one.parked_positions), one.released)
        for verb, one in await told(client, name)
    ] == [
        ("created", 0, [], 0),
        ("parked_discarded", 1, [one], 1),
        ("parked_redriven", 1, [rest[0]], 0),
        ("sought", 0, [], 0),
        ("sought", 2, rest[1:], 0),
        ("deleted", 1, [last.event.position], 0),
    ]


async def test_what_is_too_long_for_an_event_is_left_out(
    sqlite_gateway: harness.Gateway, tenant: str
) -> None:
    """The longest definition there may be is told within what the contract allows an event."""
    client = sqlite_gateway.tenant(tenant)
    wide = {"entity_ids": ["\U0001f600" * 128] * 1024}
    made = (await client.ask("CreateConsumer", consumer={"name": "a", "filter": wide})).consumer
    narrow = {"name": "a", "filter": {"entity_ids": ["p1"]}}
    await client.ask("UpdateConsumer", consumer=narrow, update_mask={"paths": ["filter"]})
    await client.ask("DeleteConsumer", name="a")
    created, updated, deleted = (one for _, one in await told(client, "a"))
    assert (created.shortened, updated.shortened, deleted.shortened) == (True, True, False)
    assert created.ByteSize() < updated.ByteSize() < 1024
    assert (created.HasField("previous"), updated.HasField("previous")) == (False, True)
    made.filter.ClearField("entity_ids")
    assert (created.consumer, list(updated.changed.paths)) == (made, ["filter"])
    assert list(deleted.consumer.filter.entity_ids) == ["p1"]


async def test_changes_at_once_are_told_one_by_one(gateway: harness.Gateway, tenant: str) -> None:
    """However many change one consumer, each event begins where the one before it ended; a
    consumer gets the events about itself, and what its members do with them is none.
    """
    client = gateway.tenant(tenant)
    consumer = {"name": "all", "start": consuming.OLDEST, "ordering": "ORDERING_NONE"}
    made = await asyncio.gather(
        *(client.ask("CreateConsumer", consumer=consumer) for _ in range(5))
    )
    assert all(each == made[0] for each in made)
    member = consuming.Member(client, "all")
    await asyncio.gather(
        *(
            client.ask(
                "UpdateConsumer",
                consumer={"name": "all", "max_deliveries": number},
                update_mask={"paths": ["max_deliveries"]},
            )
            for number in range(1, 8)
        )
    )
    parked, *others = await member.got(8)
    await member.settle("PARK", parked, reason="odd")
    await member.ack(*others)
    await member.leave()
    verbs = await told(client, "all")
    assert [verb for verb, _ in verbs] == ["created", *["updated"] * 7]
    for (_, before), (_, after) in itertools.pairwise(verbs):
        assert after.previous.max_deliveries == before.consumer.max_deliveries
    assert (await consuming.status(client, "all")).backlog == 0


async def test_consumers_of_before_and_those_that_nobody_uses(database_url: str) -> None:
    """Of what was made before there were events, the first change is version 1, or the next one if
    somebody published about it; what idles is deleted by one gateway, and told once.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway_module.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=4)
    plain = definition.complete(consumer_pb2.Consumer(name="a"))
    paused = definition.complete(consumer_pb2.Consumer(name="a", paused=True))
    foreign = harness.event("one", entity_type="consumer", entity_id="b", entity_version=1)

    def before(conn: storage.Connection, name: str) -> None:
        made = definition.encode(plain)
        consumers.create(
            conn, "one", name, kind="consumer", definition=made, floor=3, idle_expiry_us=1, now_us=1
        )

    def pause(conn: storage.Connection, name: str) -> None:
        stored = consumers.lock(conn, "one", name)
        assert stored is not None
        changes.change(conn, stored, paused, by=BY)
        conn.run(IDLE)

    loop, idle = (
        asyncio.get_running_loop(),
        functools.partial(changes.delete_idle, aged_us=2, by=BY),
    )

    def tidy(conn: storage.Connection) -> list[tuple[str, str]]:
        gone = idle(conn)
        if conn.dialect == "postgresql":
            # Another gateway, before this one's transaction ends.
            gone += asyncio.run_coroutine_threadsafe(database.write(idle), loop).result(20.0)
        return gone

    try:
        await database.write(lambda conn: append.append(conn, [ingest.candidate(foreign)], 1))
        for name in ("a", "b"):
            await database.write(functools.partial(before, name=name))
            await database.write(functools.partial(pause, name=name))
        assert sorted(await database.write(tidy)) == [("one", "a"), ("one", "b")]
        assert await database.write(idle) == []
        logged = [
            event_pb2.Event.FromString(bytes(row[0]))
            for row in await database.read(lambda conn: conn.all(LOGGED))
        ]
    finally:
        await database.close()
    of_a, of_b = ([each for each in logged if each.entity_id == name] for name in ("a", "b"))
    assert [verb for verb, _ in checked(of_a)] == ["updated", "deleted"]
    assert [(each.type, each.entity_version) for each in of_b] == [
        ("payment.created", 1),
        ("consumer.updated", 2),
        ("consumer.deleted", 3),
    ]
