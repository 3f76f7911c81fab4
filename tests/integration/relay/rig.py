"""What the relay's tests share: an outbox with events, and relays on it.

Owns building rows, reading marks and starting relays in this process or
another. Called by the tests and fixtures of this folder.
"""

import asyncio
import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from payhub.events.v1 import event_pb2

import payment_service.db
from payment_service import relay
from payment_service.db import outbox
from payment_service.usecases import standing
from servicekit import clock, ids, metrics, storage
from tests import polling
from tests.integration.relay import fake_log

MIGRATIONS = pathlib.Path(payment_service.db.__file__).parent / "migrations"
TENANT = "default"

until = polling.until


def event(entity_id: str, version: int, *, data: bytes = b"{}", **over: Any) -> event_pb2.Event:
    """One event of a payment."""
    fields: dict[str, Any] = {
        "id": ids.new_id("evt"),
        "type": "payment.created",
        "type_version": 1,
        "source": "payments",
        "tenant_id": TENANT,
        "entity_type": "payment",
        "entity_id": entity_id,
        "entity_version": version,
        "occur_time": {"seconds": 1_700_000_000},
        "content_type": "application/json",
        "data": data,
        **over,
    }
    return event_pb2.Event(**fields)


def entry(
    one: event_pb2.Event, *, envelope: bytes | None = None, created_us: int = 1_700_000_000_000_000
) -> outbox.Entry:
    """The outbox entry of an event; *envelope* replaces its bytes."""
    return outbox.Entry(
        event_id=one.id,
        tenant_id=one.tenant_id,
        entity_type=one.entity_type,
        entity_id=one.entity_id,
        entity_version=one.entity_version,
        envelope=one.SerializeToString() if envelope is None else envelope,
        created_us=created_us,
    )


async def write(db: storage.Database, *entries: outbox.Entry) -> None:
    """Writes entries in one transaction, in chunks that both databases take."""

    def insert(conn: storage.Connection) -> None:
        for start in range(0, len(entries), 100):
            conn.run_all([outbox.append(entries[start : start + 100])])

    await db.write(insert)


async def fill(
    db: storage.Database, entity_ids: Sequence[str], versions: Sequence[int] = (1, 2, 3)
) -> list[str]:
    """Writes one event per version and entity; returns their ids, version by version."""
    events = [event(entity_id, version) for version in versions for entity_id in entity_ids]
    await write(db, *map(entry, events))
    return [one.id for one in events]


async def marks(db: storage.Database) -> dict[str, tuple[str, int]]:
    """Epoch and position of every row, by event id."""
    rows = await db.read(
        lambda conn: conn.query("select event_id, log_epoch, log_position from outbox")
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def waiting(db: storage.Database) -> dict[str, tuple[int, str]]:
    """When it is sent again and why it was refused, by id of each event that waits."""
    rows = await db.read(
        lambda conn: conn.query(
            "select event_id, retry_us, refused from outbox where log_epoch = ''"
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def leave(db: storage.Database, ids: Sequence[str]) -> None:
    """Takes rows out of the outbox, as happens when they are old enough."""
    listed = ", ".join(f"'{one}'" for one in ids)
    delete = storage.Statement(f"delete from outbox where event_id in ({listed})")
    assert await db.write(lambda conn: conn.run(delete)) == len(ids)


async def assert_in_log(db: storage.Database, log: fake_log.FakeLog) -> None:
    """Every row is marked with its own place in the log, and the log holds nothing twice."""
    expected = {one: (log.epoch, place) for place, one in enumerate(log.ids, 1)}
    found = await marks(db)
    assert found == {one: expected.get(one) for one in found}
    assert len(set(log.ids)) == len(log.ids)


def make(
    db: storage.Database,
    target: str,
    *,
    owner: str = "one",
    time: clock.Clock | None = None,
    registry: metrics.Metrics | None = None,
    standing_: standing.Standing | None = None,
    wake: asyncio.Event | None = None,
    key: str = fake_log.KEY,
    **options: float,
) -> relay.Relay:
    """A relay that keeps rows unless told otherwise."""
    registry = registry or metrics.Metrics()
    return relay.Relay(
        db=db,
        endpoint=target,
        key=key,
        owner=owner,
        clock=time or clock.SystemClock(),
        registry=registry,
        guard=relay.Guard(db, standing_ or standing.Standing(), registry),
        wake=wake,
        options=relay.Options(**{"keep_s": 0.0, "mark_s": 0.0, **options}),
    )


@contextlib.asynccontextmanager
async def running(one: relay.Relay) -> AsyncIterator[None]:
    """Runs a relay in the background, and ends it in order."""
    stop = asyncio.Event()
    task = asyncio.create_task(one.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


def start_process(url: str, target: str, *, fail_point: str = "") -> subprocess.Popen[bytes]:
    """Starts a relay in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.relay.child", url, target],
        env={**os.environ, "PAYHUB_FAIL_POINTS": fail_point},
        stderr=subprocess.DEVNULL,
    )
