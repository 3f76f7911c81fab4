"""Members, gateways and connections to the database die; nothing is lost or stuck."""

import asyncio
import collections
import dataclasses
import functools
import random
import signal
import urllib.parse
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import psycopg
import pytest

from tests.integration.gateway import consuming, harness
from tests.integration.gateway.harness import event

ENTITIES = 8
BOUNDARIES = ("event_gateway.before_progress_commit:2", "event_gateway.after_progress_commit:2")


@dataclasses.dataclass
class Work:
    """What members did, over all their lives."""

    acked: dict[str, set[int]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(set)
    )
    deliveries: int = 0
    overtaken: list[tuple[str, int]] = dataclasses.field(default_factory=list)

    @property
    def count(self) -> int:
        """Different events that were acknowledged."""
        return sum(len(versions) for versions in self.acked.values())

    async def member(self, connect: Callable[[], harness.Client], name: str) -> None:
        """Consumes until it is cancelled, over any number of streams."""
        chance = random.Random(name)
        while True:
            member = consuming.Member(connect(), "ledger", name, credit=20)
            done = 0
            try:
                while not member.over:
                    batch = member.deliveries[done:]
                    done += len(batch)
                    for one in batch:
                        await self._deal_with(member, one, chance)
                    await asyncio.sleep(0.01)
            except (grpc.RpcError, asyncio.InvalidStateError):
                pass
            finally:
                member.break_off()
            await asyncio.sleep(0.1)

    async def _deal_with(self, member: consuming.Member, one: Any, chance: random.Random) -> None:
        self.deliveries += 1
        entity, version = one.event.entity_id, one.event.entity_version
        missing = [each for each in range(1, version) if each not in self.acked[entity]]
        if missing:
            self.overtaken.append((entity, version))
        if chance.random() < 0.1:
            await member.settle("REJECT", one)
        else:
            self.acked[entity].add(version)
            await member.settle("ACK", one)
        await member.grant(1)


@pytest.fixture
async def tasks() -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Tasks that end with the test."""
    running: list[asyncio.Task[Any]] = []
    yield running
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def publish(client: harness.Client, first: int, last: int) -> int:
    """Publishes versions *first* to *last* of every entity; returns how many events."""
    made = [
        event("one", entity_id=f"p{n}", entity_version=version)
        for version in range(first, last + 1)
        for n in range(ENTITIES)
    ]
    await client.publish(*made)
    return len(made)


async def make(client: harness.Client) -> None:
    """Makes the consumer that the members share."""
    await client.ask(
        "CreateConsumer",
        consumer={
            "name": "ledger",
            "filter": consuming.PUBLISHED,
            "start": {"anchor": "ANCHOR_OLDEST"},
            "retry_backoff": [{"nanos": 50_000_000}],
            "max_deliveries": 100,
            "ack_timeout": {"seconds": 5},
        },
    )


async def all_done(client: harness.Client, work: Work, count: int) -> None:
    """Waits until *count* events are acknowledged and that is on disk; checks the order."""
    await harness.until(lambda: work.count >= count, 50)

    async def settled() -> bool:
        try:
            status = (await client.ask("GetConsumer", name="ledger")).status
        except grpc.RpcError:
            return False
        return bool((status.backlog, status.retrying, status.parked) == (0, 0, 0))

    await harness.until(settled, 30)
    assert work.overtaken == []


@pytest.mark.parametrize("boundary", BOUNDARIES)
async def test_a_killed_gateway_loses_no_delivery(
    database_url: str, boundary: str, tasks: list[asyncio.Task[Any]]
) -> None:
    """kill -9 around the write of a place, then again in between: every event is dealt with, in
    the order of its entity, and what was durable before does not come again.
    """
    keys = harness.Keys()
    keys.start()
    gateway = harness.Gateway(keys, database_url, EVENT_GATEWAY_CONSUMER_LEASE_S="2")
    work = Work()
    try:
        gateway.start(PAYHUB_FAIL_POINTS=boundary)
        key = keys.add("one")
        client = gateway.client(key)
        await make(client)
        count = await publish(client, 1, 5)
        tasks += [
            asyncio.create_task(work.member(lambda: gateway.client(key), name))
            for name in ("a", "b")
        ]
        assert await asyncio.to_thread(gateway.ended) == -signal.SIGKILL
        gateway.start()
        count += await publish(gateway.client(key), 6, 12)
        await harness.until(lambda: work.count > 60, 40)
        gateway.signal(signal.SIGKILL)
        await asyncio.to_thread(gateway.ended)
        gateway.start()
        count += await publish(gateway.client(key), 13, 15)
        await all_done(gateway.client(key), work, count)
        assert work.deliveries < 3 * count
    finally:
        gateway.stop()
        keys.stop()


async def test_ownership_moves_between_replicas(
    new_postgres_database: Any, tasks: list[asyncio.Task[Any]]
) -> None:
    """Members at either replica share a consumer; when its owner is killed the other one takes
    over, and when that is told to stop it gives the consumer back at once.
    """
    url = new_postgres_database()
    keys = harness.Keys()
    keys.start()
    gateways = [harness.Gateway(keys, url, EVENT_GATEWAY_CONSUMER_LEASE_S="2") for _ in range(2)]
    work = Work()
    try:
        for each in gateways:
            each.start()
        key = keys.add("one")
        client = gateways[0].client(key)
        await make(client)
        count = await publish(client, 1, 4)
        tasks += [
            asyncio.create_task(work.member(functools.partial(gateways[at].client, key), f"m{at}"))
            for at in (0, 1)
        ]
        await all_done(client, work, count)

        async def both_there() -> bool:
            status = (await client.ask("GetConsumer", name="ledger")).status
            return bool(status.members == 2)

        await harness.until(both_there)
        at = 0 if "running a consumer" in gateways[0].log() else 1
        gateways[at].signal(signal.SIGKILL)
        await asyncio.to_thread(gateways[at].ended)
        other = gateways[1 - at].client(key)
        count += await publish(other, 5, 8)
        await all_done(other, work, count)
        gateways[at].start()
        gateways[1 - at].signal(signal.SIGTERM)
        client = gateways[at].client(key)
        count += await publish(client, 9, 12)
        await all_done(client, work, count)
        assert await asyncio.to_thread(gateways[1 - at].ended) == 0
    finally:
        for each in gateways:
            each.stop()
        keys.stop()


async def test_members_leave_a_stopping_replica_that_only_passes_them_on(
    new_postgres_database: Any,
) -> None:
    """It says closing as the one that runs the consumer would, passes on what is settled then, and
    gives back what is not, long before it is ended by force. A Fetch gets an empty batch.
    """
    url = new_postgres_database()
    keys = harness.Keys()
    keys.start()
    gateways = [harness.Gateway(keys, url) for _ in range(2)]
    try:
        for each in gateways:
            each.start()
        key = keys.add("one")
        runs, passes_on = (each.client(key) for each in gateways)
        await make(runs)
        first = consuming.Member(runs, "ledger", "first", credit=0)
        await harness.until(lambda: first.responses)
        leaving = consuming.Member(passes_on, "ledger", "leaving", credit=2)
        await publish(runs, 1, 1)
        held = await leaving.got(2)
        nothing = {"types": ["none.such"]}
        await consuming.make(runs, name="idle", filter=nothing)
        idle = consuming.Member(runs, "idle", "first")
        await harness.until(lambda: idle.responses)
        fetching = asyncio.create_task(
            passes_on.ask("Fetch", consumer="idle", member="leaving", wait={"seconds": 20})
        )

        async def fetches() -> bool:
            status = (await runs.ask("GetConsumer", name="idle")).status
            return bool(status.members == 2)

        await harness.until(fetches)
        gateways[1].signal(signal.SIGTERM)
        await harness.until(lambda: leaving.responses[-1].closing)
        assert not (await fetching).deliveries
        await leaving.ack(held[0])
        assert await leaving.ended() == grpc.StatusCode.OK
        assert await asyncio.to_thread(gateways[1].ended) == 0
        await first.grant(ENTITIES)
        await first.got(ENTITIES - 1)
        assert held[1].event.id in first.ids
        assert held[0].event.id not in first.ids
    finally:
        for each in gateways:
            each.stop()
        keys.stop()


async def test_database_dies(new_postgres_database: Any, tasks: list[asyncio.Task[Any]]) -> None:
    """Connections to the database break again and again: members go on, and nothing is lost."""
    url = new_postgres_database()
    with harness.running(url) as gateway:
        client = gateway.tenant("one")
        work = Work()
        await make(client)
        count = await publish(client, 1, 6)
        tasks.append(asyncio.create_task(work.member(lambda: gateway.client(client.key), "m")))
        name = urllib.parse.urlsplit(url).path.lstrip("/")
        for version in range(7, 13):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = %s and pid <> pg_backend_pid()",
                    [name],
                )

            async def published(version: int = version) -> bool:
                try:
                    await publish(client, version, version)
                except grpc.RpcError:
                    return False
                return True

            await harness.until(published)
            count += ENTITIES
        await all_done(client, work, count)


async def test_a_revoked_key_and_draining_end_members(tmp_path: Any) -> None:
    """A revoked key's member ends with UNAUTHENTICATED; a stopping gateway says closing, takes
    what is settled then, and ends with status 0.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    fast = {"EVENT_GATEWAY_KEY_RECHECK_S": "0.2", "EVENT_GATEWAY_KEY_CACHE_TTL_S": "0.2"}
    with harness.running(url, **fast) as gateway:
        revoked, kept = gateway.tenant("one"), gateway.tenant("one")
        await make(kept)
        ending = consuming.Member(revoked, "ledger", "ending")
        staying = consuming.Member(kept, "ledger", "staying")
        await harness.until(lambda: bool(ending.responses and staying.responses))
        gateway.keys.revoke(revoked.key)
        assert await ending.ended() == grpc.StatusCode.UNAUTHENTICATED
        await publish(kept, 1, 1)
        held = await staying.got(ENTITIES)
        gateway.signal(signal.SIGTERM)
        await harness.until(lambda: staying.responses[-1].closing)
        await staying.ack(*held)
        await staying.leave()
        assert await staying.ended() == grpc.StatusCode.OK
        assert await asyncio.to_thread(gateway.ended) == 0
        gateway.start()
        status = await gateway.client(kept.key).ask("GetConsumer", name="ledger")
        assert status.status.backlog == 0
