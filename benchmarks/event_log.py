"""The event log: appending to it, replaying it, and what its size changes.

Owns `publish_events_*`, `append_vs_umadb`, `catch_up_*` and `event_log_*`. The blind limit
writes the same rows with the same driver and asks nothing, without gRPC. Sizes come from
the environment: BENCH_REPLAYED_EVENTS and BENCH_STORED_EVENTS.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import grpc.aio
import psycopg
import umadb
from payhub.events.v1 import event_ingest_service_pb2 as pb
from payhub.events.v1 import event_ingest_service_pb2_grpc

from benchmarks import filling, publisher, report, running, streams
from event_gateway import gateway as gateway_module
from servicekit import server, storage
from tests import postgres
from tests.integration.gateway import harness

BATCH = 100
ROUNDS = 3
CALLERS = 8
REPLAYS = 7
REPLAYED = int(os.environ.get("BENCH_REPLAYED_EVENTS", "1000000"))
STORED = int(os.environ.get("BENCH_STORED_EVENTS", "1000000"))
# Made before the clock runs; more than any database takes in a round.
_BATCHES_PER_S = 600


def measure(board: report.Board, seconds: float) -> None:
    """Measures everything about the log."""
    for database in running.DATABASES:
        _publish(board, database, min(seconds, 5.0))
    _umadb(board, min(seconds, 5.0))
    for database in running.DATABASES:
        _catch_up(board, database)
    _stored(board, min(max(seconds, 3.0), 5.0))


@contextlib.contextmanager
def empty(database: str) -> Iterator[str]:
    """A new, migrated database; yields its URL."""
    with contextlib.ExitStack() as cleanup:
        if database == "sqlite":
            url = f"sqlite:///{cleanup.enter_context(running.folder())}/events.db"
        else:
            url = cleanup.enter_context(postgres.server())
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("create database bench_events")
            url = postgres.with_database(url, "bench_events")
        storage.migrate(url, gateway_module.MIGRATIONS)
        yield url


@contextlib.contextmanager
def serving(url: str) -> Iterator[harness.Gateway]:
    """Runs a gateway on *url*."""
    with harness.running(url, EVENT_GATEWAY_LOG_LEVEL="warning") as started:
        yield started


async def _publish_for(target: str, key: str, seconds: float, callers: int) -> float:
    """Publishes batches from *callers* at once; returns events per second."""
    maker = publisher.Maker(50)
    requests = [maker.batch(BATCH) for _ in range(int(seconds * _BATCHES_PER_S))]
    metadata = (("authorization", f"Bearer {key}"),)
    done = 0
    # One caller for each share of the entities: their versions go up one by one.
    async with grpc.aio.insecure_channel(target) as channel:
        stub = event_ingest_service_pb2_grpc.EventIngestServiceStub(channel)
        await channel.channel_ready()
        waiting = iter(requests)
        until_s = time.perf_counter() + seconds
        began_s = time.perf_counter()

        async def caller() -> None:
            nonlocal done
            for request in waiting:
                if time.perf_counter() >= until_s:
                    return
                answer = await stub.PublishEvents(request, metadata=metadata, timeout=30)
                if any(one.outcome != pb.PublishResult.OUTCOME_APPENDED for one in answer.results):
                    raise SystemExit("an event was not appended")
                done += BATCH

        await asyncio.gather(*(caller() for _ in range(callers)))
        return done / (time.perf_counter() - began_s)


def published_per_s(gateway: harness.Gateway, seconds: float, callers: int) -> float:
    """Returns how many events a second a gateway takes."""
    key = gateway.keys.add(publisher.TENANT)
    return server.run(_publish_for(gateway.target, key, seconds, callers))


async def _blind_for(url: str, seconds: float) -> float:
    """Writes the same rows blindly; returns events per second."""
    database = await storage.open_database(url)
    made = filling.batches(BATCH, int(seconds * _BATCHES_PER_S))
    head = 0
    began_s = time.perf_counter()
    for candidates in made:
        before = head
        head = await database.write(
            lambda conn: filling.write(conn, before, candidates)  # noqa: B023
        )
        if time.perf_counter() - began_s >= seconds:
            break
    per_s = head / (time.perf_counter() - began_s)
    await database.close()
    return per_s


def _publish(board: report.Board, database: str, seconds: float) -> None:
    suffix = "" if database == "sqlite" else f"_{database}"
    names = (f"publish_events_per_s{suffix}", f"publish_events_vs_blind{suffix}")
    if not board.wants(*names):
        return
    blind, ours = [], []
    for number in range(ROUNDS):
        board.progress(f"publish {database}: batches of {BATCH}, round {number + 1}")
        with empty(database) as url:
            blind.append(server.run(_blind_for(url, seconds)))
        with empty(database) as url, serving(url) as started:
            ours.append(published_per_s(started, seconds, CALLERS))
    board.figure(names[0], statistics.median(ours))
    board.figure(names[1], statistics.median(ours) / statistics.median(blind))
    board.note(f"publish_events_blind_per_s{suffix}", statistics.median(blind))


@contextlib.contextmanager
def _umadb_server() -> Iterator[str]:
    binary = shutil.which("umadb", path=str(pathlib.Path(sys.executable).parent))
    if binary is None:
        raise SystemExit("umadb is missing: pip install -e '.[bench]'")
    with running.folder() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        process = subprocess.Popen(
            [binary, "--listen", address, "--db-path", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            streams.wait_for(address)
            yield f"http://{address}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _umadb(board: report.Board, seconds: float) -> None:
    name = "append_vs_umadb"
    if not board.wants(name):
        return
    ours, theirs = [], []
    for number in range(ROUNDS):
        board.progress(f"append beside umadb: one caller, batches of {BATCH}, round {number + 1}")
        with empty("sqlite") as url, serving(url) as started:
            ours.append(published_per_s(started, seconds, 1))
        with _umadb_server() as address:
            theirs.append(_umadb_for(address, seconds))
    board.figure(name, statistics.median(ours) / statistics.median(theirs))
    board.note("append_one_caller_per_s", statistics.median(ours))
    board.note("append_one_caller_per_s_umadb", statistics.median(theirs))


def _umadb_for(address: str, seconds: float) -> float:
    client = umadb.Client(address)
    maker = publisher.Maker(50)
    made = [
        [
            umadb.Event(
                event_type=event.type,
                data=event.SerializeToString(),
                tags=[f"{event.entity_type}:{event.entity_id}"],
            )
            for event in maker.batch(BATCH).events
        ]
        for _ in range(int(seconds * _BATCHES_PER_S))
    ]
    done = 0
    began_s = time.perf_counter()
    for batch in made:
        client.append(batch)
        done += BATCH
        if time.perf_counter() - began_s >= seconds:
            break
    return done / (time.perf_counter() - began_s)


def _catch_up(board: report.Board, database: str) -> None:
    suffix = "" if database == "sqlite" else f"_{database}"
    names = (f"catch_up_events_per_s{suffix}", f"catch_up_vs_select{suffix}")
    if not board.wants(*names):
        return
    board.progress(f"catch-up {database}: {REPLAYED:,} events to one reader")
    with empty(database) as url:
        filling.fill(url, REPLAYED)
        with serving(url) as started:
            key = started.keys.add(publisher.TENANT)
            # In turns, as the machine's speed changes within a minute.
            turns = [(_select(url), _replay(started.target, key)) for _ in range(REPLAYS)]
    bare, ours = (statistics.median(rates) for rates in zip(*turns, strict=True))
    board.figure(names[0], ours)
    board.figure(names[1], ours / bare)
    board.note(f"bare_select_events_per_s{suffix}", bare)


def _select(url: str) -> float:
    """Reads place and bytes of every event with the driver; returns events per second."""
    statement = (
        "select position, event from event_log where tenant_id = 'bench' and position > {} "
        "order by position limit 1000"
    )
    began_s = time.perf_counter()
    count = place = 0
    if url.startswith("sqlite:///"):
        import sqlite3

        raw = sqlite3.connect(url.removeprefix("sqlite:///"))
        while rows := raw.execute(statement.format(place)).fetchall():
            count, place = count + len(rows), rows[-1][0]
        raw.close()
    else:
        with psycopg.connect(url) as connection:
            cursor = connection.cursor(binary=True)
            while rows := cursor.execute(statement.format(place).encode()).fetchall():
                count, place = count + len(rows), rows[-1][0]
    return count / (time.perf_counter() - began_s)


def _replay(target: str, key: str) -> float:
    """Reads the log from its beginning with a raw reader; returns events per second."""
    process = streams.child("benchmarks.sink", key, target=target, streams=1, connections=1,
                            replay=True)  # fmt: skip
    with streams.ended([process]):
        seen = json.loads(process.communicate(timeout=600)[0].splitlines()[-1])
    if seen["places"] != [seen["head"]]:
        raise SystemExit(f"the replay ended at {seen['places']} of {seen['head']}")
    return REPLAYED / float(seen["replay_s"])


def _stored(board: report.Board, seconds: float) -> None:
    names = ("event_log_stored_publish_vs_empty", "event_log_stored_live_vs_empty")
    if not board.wants(*names):
        return
    rates: dict[str, list[float]] = {"empty": [], "stored": []}
    costs: dict[str, list[float]] = {"empty": [], "stored": []}
    load = streams.Load(
        streams=100, rate_per_s=1000, seconds=seconds, tick_ms=25, batch=25, connections=50
    )
    with empty("sqlite") as url:
        board.progress(f"event log: filling with {STORED:,} events")
        filling.fill(url, STORED)
        for number in range(ROUNDS):
            board.progress(f"event log: empty and with {STORED:,} events, round {number + 1}")
            for name in ("empty", "stored"):
                with contextlib.ExitStack() as cleanup:
                    chosen = url if name == "stored" else cleanup.enter_context(empty("sqlite"))
                    started = cleanup.enter_context(serving(chosen))
                    rates[name].append(published_per_s(started, seconds, CALLERS))
                    costs[name].append(streams.run(started, load).us_per_event)
    middle = statistics.median
    board.figure(names[0], middle(rates["stored"]) / middle(rates["empty"]))
    board.figure(names[1], middle(costs["empty"]) / middle(costs["stored"]))
    board.note("event_log_stored_events", STORED)
