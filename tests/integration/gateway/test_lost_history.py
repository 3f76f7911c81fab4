"""Logs that no longer hold what a reader or producer remembers."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from typing import Any

import grpc
import psycopg
import pytest
from payhub.events.v1 import event_ingest_service_pb2 as pb
from payhub.events.v1 import event_pb2

from event_gateway import cursor
from tests.integration.gateway import harness, hooks
from tests.integration.gateway.harness import event

DUPLICATE = pb.PublishResult.OUTCOME_DUPLICATE
CONFLICT = pb.PublishResult.REJECT_REASON_ENTITY_VERSION_CONFLICT


def execute(url: str, *statements: str) -> None:
    """Changes a database behind the gateway's back, as an operator could."""
    if url.startswith("sqlite:///"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    else:
        with psycopg.connect(url) as session:
            for statement in statements:
                session.execute(statement.encode())


async def test_history_that_is_no_longer_kept(database_url: str) -> None:
    """A cursor from before it is CURSOR_EXPIRED with the oldest one that works; the log's
    oldest place works; a consumer that began there is found, and commands with such a place that
    are repeated are answered as before; producers that repeat a forgotten event get DUPLICATE.
    """
    old = [event("one", entity_version=n) for n in (1, 2, 3)]
    new = [event("one", entity_version=n) for n in (4, 5)]
    with harness.running(database_url, **hooks.SETTINGS) as gateway:
        client = gateway.tenant("one", hooks.ALL)
        start = (await client.info()).oldest_cursor
        place = {"after_cursor": start}
        fixed = {"name": "fixed", "start": place}
        # Their events are the first of the log.
        made = await client.ask("CreateConsumer", consumer=fixed)
        seek = {"name": "fixed", "target": place, "idempotency_key": "s"}
        sought = await client.ask("SeekConsumer", **seek)
        endpoint = (await hooks.make(client, "http://127.0.0.1:9/")).endpoint
        retry = {"endpoint_id": endpoint.id, "replay_from": place, "idempotency_key": "r"}
        retried = await client.hook("RetryWebhookDeliveries", **retry)
        await client.publish(*old, *new)
    execute(
        database_url,
        "delete from event_log where position <= 6",
        "delete from event_key where position <= 5",
        "update log_head set oldest = 6",
    )
    with harness.running(database_url, **hooks.SETTINGS) as gateway:
        client = gateway.tenant("one", hooks.ALL)
        oldest = (await client.info()).oldest_cursor

        async def subscribed(**point: str) -> list[int]:
            call = client.subscribe(start=point, stop_at_head=True)
            received = harness.events_of(await harness.take_all(call))
            return [one.entity_version for one in received]

        for call in (subscribed(after_cursor=start), client.query(after_cursor=start)):
            with pytest.raises(grpc.RpcError) as refused:
                await call
            assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
            assert harness.reason(refused.value) == "CURSOR_EXPIRED"
            expired = event_pb2.CursorExpired()
            assert harness.detail(refused.value, expired)
            assert expired.requested_cursor == start
            assert expired.oldest_cursor == oldest
        assert await client.ask("CreateConsumer", consumer=fixed) == made
        assert await client.ask("SeekConsumer", **seek) == sought
        assert await client.hook("RetryWebhookDeliveries", **retry) == retried
        with pytest.raises(grpc.RpcError) as late:
            await client.ask("CreateConsumer", consumer={**fixed, "name": "late"})
        assert harness.reason(late.value) == "CURSOR_EXPIRED"
        assert await subscribed(after_cursor=oldest) == [4, 5]
        assert await subscribed(anchor="ANCHOR_OLDEST") == [4, 5]
        assert [one.entity_version for one in (await client.query()).events] == [4, 5]
        with pytest.raises(grpc.RpcError) as gone:
            await client.get(old[2].id)
        assert gone.value.code() == grpc.StatusCode.NOT_FOUND

        repeated = await client.publish(*old, *new)
        assert [one.outcome for one in repeated.results] == [DUPLICATE] * 5
        assert [one.position for one in repeated.results] == [0, 0, 6, 7, 8]
        other = await client.publish(event("one", entity_version=4))
        assert other.results[0].reject_reason == CONFLICT


async def test_a_restored_log_begins_a_new_epoch(database_url: str) -> None:
    """After `new-epoch` old cursors are refused and producers see the new epoch; the newest event
    of the payment service is still told with that which it came under.
    """
    env = {**os.environ, "EVENT_GATEWAY_DATABASE_URL": database_url}
    with harness.running(database_url) as gateway:
        client = gateway.tenant("one")
        before = await gateway.tenant("system").publish(event("one"))
        place = (await client.info()).head_cursor
    command = [sys.executable, "-m", "event_gateway", "new-epoch"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, check=True
    )
    with harness.running(database_url) as gateway:
        client = gateway.tenant("one")
        info = await client.info()
        assert info.log_epoch != before.log_epoch
        assert info.log_epoch in done.stdout
        head = (await gateway.tenant("system").info()).payments_head
        assert (head.log_epoch, head.position) == (before.log_epoch, before.results[0].position)
        with pytest.raises(grpc.RpcError) as refused:
            await client.subscribe(start={"after_cursor": place}).read()
        assert harness.reason(refused.value) == "LOG_EPOCH_MISMATCH"
        assert (await client.publish(event("one"))).log_epoch == info.log_epoch


async def test_a_log_replaced_under_a_running_gateway_ends_it(new_postgres_database: Any) -> None:
    """A gateway whose log went back takes nothing for the places that were lost, begins a new
    epoch and ends: whoever had read further is told, and consumers get what comes next.
    """
    url = new_postgres_database()
    with harness.running(url) as gateway:
        client = gateway.tenant("one")
        await client.publish(event("one"), event("one"))
        place = (await client.info()).head_cursor
        await client.ask(
            "CreateConsumer", consumer={"name": "all", "start": {"anchor": "ANCHOR_NEWEST"}}
        )
        execute(
            url,
            "delete from event_log where position = 2",
            "delete from event_key where position = 2",
            "update log_head set head = 1",
        )
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                await client.publish(event("one"))
            # Or the process ends while it is asked.
            ended = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
            assert refused.value.code() in ended
        assert await asyncio.to_thread(gateway.ended) == 1
        assert "it was restored or rebuilt; epoch" in gateway.log()
        gateway.start()
        client = gateway.tenant("one")
        with pytest.raises(grpc.RpcError) as refused:
            await client.subscribe(start={"after_cursor": place}).read()
        assert harness.reason(refused.value) == "LOG_EPOCH_MISMATCH"
        published = await client.publish(event("one"))
        assert published.head_position == 2
        fetched = await client.ask("Fetch", consumer="all", member="m", max_events=5)
        assert [each.event.position for each in fetched.deliveries] == [2]


@pytest.mark.timeout(120)
async def test_commands_say_what_is_wrong(tmp_path: Any) -> None:
    """Settings with problems end with status 2, each named; a missing schema with 1."""
    base = {name: value for name, value in os.environ.items() if "EVENT_GATEWAY" not in name}

    def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "event_gateway", *arguments]
        return subprocess.run(
            command, env={**base, **env}, capture_output=True, text=True, check=False, timeout=60
        )

    wrong = run(EVENT_GATEWAY_TICK_MS="-1", EVENT_GATEWAY_WINDOW_BYTES="few")
    assert wrong.returncode == 2
    assert "EVENT_GATEWAY_TICK_MS" in wrong.stderr
    assert "EVENT_GATEWAY_WINDOW_BYTES" in wrong.stderr
    url = f"sqlite:///{tmp_path}/events.db"
    empty = run(
        EVENT_GATEWAY_DATABASE_URL=url,
        EVENT_GATEWAY_AUTO_MIGRATE="false",
        EVENT_GATEWAY_GRPC_PORT="0",
        EVENT_GATEWAY_HTTP_PORT="0",
    )
    assert empty.returncode == 1
    assert "migrate" in empty.stderr
    assert run("migrate", EVENT_GATEWAY_DATABASE_URL=url).returncode == 0
    assert run("migrate", EVENT_GATEWAY_DATABASE_URL=url).returncode == 0
    with harness.running(url, EVENT_GATEWAY_AUTO_MIGRATE="false") as gateway:
        place = (await gateway.tenant("one").info()).head_cursor
        assert cursor.decode(place).position == 0
