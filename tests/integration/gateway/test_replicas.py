"""Several gateways on one PostgreSQL log."""

import asyncio
import random
import signal
import time
from typing import Any

import grpc
import psycopg

from event_gateway import tail
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

BATCHES = 30
KILLS = 2


async def publish(gateways: list[harness.Gateway], key: str, entity: str, seed: int) -> int:
    """Publishes numbered events through whichever gateway lives; returns how many."""
    chance = random.Random(seed)
    version = 0
    for _ in range(BATCHES):
        batch = [
            event("t", entity_id=entity, entity_version=version + n, data=b"x" * 2000)
            for n in range(1, chance.randint(2, 6))
        ]
        version += len(batch)
        while True:
            client = chance.choice(gateways).client(key)
            try:
                answer = await client.publish(*batch)
            except grpc.RpcError:
                # The gateway died; whatever it did with the batch, it is sent again.
                await asyncio.sleep(0.05)
                continue
            finally:
                await client.channel.close()
            assert all(one.outcome in (1, 2) for one in answer.results)
            break
    return version


async def read(call: Any) -> Any:
    """Reads one response, which takes no longer than a heartbeat."""
    async with asyncio.timeout(harness.TIMEOUT_S):
        return await call.read()


async def test_a_subscriber_that_moves_between_replicas_misses_nothing(
    new_postgres_database: Any,
) -> None:
    """Whatever gateway is killed under it: it resumes elsewhere with its last cursor, and has
    every event once, in order, in the end.
    """
    url = new_postgres_database()
    chance = random.Random(7)
    with (
        harness.running(url, EVENT_GATEWAY_WINDOW_BYTES="65536") as one,
        harness.running(url, EVENT_GATEWAY_WINDOW_BYTES="65536") as two,
    ):
        gateways = [one, two]
        # Both gateways know the key, whichever key service they ask.
        key = one.keys.add("t")
        two.keys.share(one.keys)
        publishing = asyncio.gather(*(publish(gateways, key, f"e{n}", n) for n in range(3)))
        received: list[tuple[str, int, int]] = []
        cursor = ""
        kills = 0
        current = one
        while True:
            start = {"after_cursor": cursor} if cursor else {"anchor": "ANCHOR_OLDEST"}
            call = current.client(key).subscribe(
                start=start, max_batch_events=7, heartbeat_interval={"seconds": 1}
            )
            try:
                while (response := await read(call)) is not grpc.aio.EOF:
                    received += [
                        (each.entity_id, each.entity_version, each.position)
                        for each in response.events
                    ]
                    cursor = response.cursor
                    if kills < KILLS and response.events and chance.random() < 0.2:
                        kills += 1
                        current.signal(signal.SIGKILL)
                        await asyncio.to_thread(current.ended)
                    if publishing.done() and received[-1][2] >= response.head_position:
                        break
            except grpc.RpcError:
                pass
            call.cancel()
            if publishing.done():
                info = await (two if current is one else one).tenant("t").info()
                if received and received[-1][2] == info.head_position:
                    break
            dead, current = current, two if current is one else one
            if kills and dead.poll() is not None:
                await asyncio.to_thread(dead.start)
        counts = await publishing
    assert kills == KILLS
    positions = [position for _, _, position in received]
    assert positions == sorted(set(positions))
    for number, count in enumerate(counts):
        versions = [version for entity, version, _ in received if entity == f"e{number}"]
        assert versions == [*range(1, count + 1)]


async def test_replicas_wake_each_other(new_postgres_database: Any) -> None:
    """An append reaches the other gateway's streams at once; when the database cuts what it
    listens on, at the next poll, and at once again later.
    """
    url = new_postgres_database()
    with harness.running(url) as one, harness.running(url) as two:
        writer = one.tenant("t")
        call = two.tenant("t").subscribe()
        await call.read()

        async def took_s() -> float:
            began_s = time.monotonic()
            await writer.publish(event("t"))
            await harness.take_events(call, 1)
            return time.monotonic() - began_s

        async def listening() -> int:
            with psycopg.connect(url) as connection:
                row = connection.execute(
                    "select count(*) from pg_stat_activity "
                    "where query like 'listen %' and datname = current_database()"
                ).fetchone()
            assert row is not None
            return int(row[0])

        async def both_listen() -> bool:
            return await listening() == 2

        await harness.until(both_listen)
        prompt = sorted([await took_s() for _ in range(9)])
        assert prompt[4] < tail.POLL_S / 2
        with psycopg.connect(url) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where query like 'listen %' and datname = current_database()"
            )
        await took_s()
        await harness.until(both_listen)
        prompt = sorted([await took_s() for _ in range(9)])
        assert prompt[4] < tail.POLL_S / 2
        call.cancel()
