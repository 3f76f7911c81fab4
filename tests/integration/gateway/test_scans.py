"""What tidies the gateway keeps pace, and costs what it finds rather than what there is."""

import asyncio
import contextlib
import functools
import pathlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from event_gateway import gateway, retention
from event_gateway.db import commands, consumers, parking, progress, retain, webhook_log
from servicekit import storage
from servicekit.storage import sqlite
from tests import fake_clock, scans

ROWS = 30_000
# A look at one row takes about a dozen instructions.
STEPS_MAX = ROWS
_MANY = f"with recursive many (n) as (select 1 union all select n + 1 from many where n < {ROWS})"
_FILL = tuple(
    storage.Statement(f"{_MANY} {text}" if "from many" in text else text)
    for text in (
        """insert into event_log (position, event_id, tenant_id, type, entity_type, entity_id,
             entity_version, event)
           select n, 'evt_' || (n * 7919 % 30011), 't', 'a.b', 'payment', 'p', n, :none
           from many""",
        """insert into event_key (tenant_id, event_id, position, append_us, content_hash)
           select 't', event_id, position, position, :none from event_log""",
        f"update log_head set head = {ROWS}, expiring = {ROWS}",
        """insert into consumer_retry (tenant_id, name, position, entity_key, attempts, due_us,
             reason, extra)
           select 't', 'a', n, 'p' || n, 1, 0, 'x', 0 from many""",
        """insert into consumer (tenant_id, name, kind, definition, revision, generation,
             change_count, floor, runs, owner, owner_endpoint, term, lease_until_us, members,
             outstanding, create_us, active_us, idle_expiry_us)
           select 't', 'c' || n, 'webhook', :none, 1, 1, 1, 0, :none, 'x', '', 1,
             case when n = 9 then 0 else 9000000000000000 end, 0, 0, 0, 0, 0 from many""",
        """insert into command_key (tenant_id, command, idempotency_key, fingerprint, result,
             create_us)
           select 't', 'c', 'k' || n, :none, :none,
             case when n = 9 then 0 else 9000000000000000 end from many""",
        """insert into consumer_parked (tenant_id, name, position, entity_key, event, attempts,
             reason, parked_us, blocked, skipped)
           select 't', 'c9', n, 'p', :none, 1, 'x', 1, case when n = 9 then 0 else 1 end, 0
           from many where n > 8""",
        """insert into webhook_delivery (endpoint_id, position, event_id, event_type, state,
             next_us, update_us)
           select 'whe_1', n, 'evt_' || n, 'a.b', case when n = 9 then 3 else 2 end, 0, n
           from many""",
    )
)


def _fill(conn: storage.Connection) -> None:
    for statement in _FILL:
        conn.run(statement, {"none": b""})


@pytest.fixture
def raw(tmp_path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    """A database with many rows of each table."""
    path = tmp_path / "events.db"
    storage.migrate(f"sqlite:///{path}", gateway.MIGRATIONS)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        _fill(sqlite.SqliteConnection(connection))
        yield connection


async def test_ids_are_forgotten_as_fast_as_they_come(database_url: str) -> None:
    """One round forgets every id that is due, however many they are and in whatever order they
    lie, in transactions that each take a few; those of younger or kept events stay.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    time = fake_clock.FakeClock()
    kept_from = ROWS - 100
    policy = retention.Policy(
        age_s=0.0,
        size_bytes=0,
        for_consumers=1.0,
        dedup_s=(time.now_us() - kept_from) / 1e6,
        lead_s=0.0,
    )
    tidy = retention.Retention(
        database,
        policy,
        floor=lambda: asyncio.sleep(0, None),
        kick=lambda: None,
        every_s=30.0,
        time=time,
    )
    count = storage.Statement("select count(*), min(append_us) from event_key")
    try:
        await database.write(_fill)
        await tidy.run_once()
        left = await database.read(lambda conn: conn.one(count))
        assert left == (101, kept_from)
    finally:
        await database.close()


def test_forgetting_ids_costs_what_is_due(raw: sqlite3.Connection) -> None:
    """Ids that are not due are not read."""
    for _ in range(3):
        retain.delete(sqlite.SqliteConnection(raw), ROWS)
    found, steps = scans.counted(raw, functools.partial(retain.drop_keys, before_us=51))
    assert found == 50
    assert steps < STEPS_MAX


def test_erasing_costs_what_is_of_the_entity(raw: sqlite3.Connection) -> None:
    """What consumers keep of others is not read, while everybody who appends waits."""
    found, steps = scans.counted(raw, functools.partial(progress.erase, entity_key="p7"))
    assert found == 1
    assert steps < STEPS_MAX


def _log_of(
    *, state: int = 0, event_id: str = ""
) -> Callable[[storage.Connection], list[webhook_log.Delivery]]:
    return functools.partial(
        webhook_log.deliveries,
        endpoint_id="whe_1",
        state=state,
        event_id=event_id,
        before=ROWS + 1,
        rows=50,
    )


def test_looks_cost_what_they_find(raw: sqlite3.Connection) -> None:
    """Consumers that somebody runs, keys that are young and deliveries of other states and events
    are not read one by one.
    """
    for run, expected in (
        (functools.partial(consumers.unowned, kind="webhook", rows=20), ["c9"]),
        (functools.partial(commands.forget_old, aged_us=commands.KEPT_US + 2), 1),
        (_log_of(state=3), [9]),
        (_log_of(event_id="evt_9"), [9]),
        (_log_of(state=3, event_id="evt_9"), [9]),
        (_log_of(state=2, event_id="evt_9"), []),
    ):
        found: Any
        found, steps = scans.counted(raw, run)
        if isinstance(found, list):
            found = [getattr(each, "name", None) or each.position for each in found]
        assert found == expected
        assert steps < STEPS_MAX, run


def test_redriving_an_entity_takes_a_few_statements(raw: sqlite3.Connection) -> None:
    """What waits behind a parked event is put back as a whole, without a look at what it says."""
    statements: list[str] = []
    conn = sqlite.SqliteConnection(raw)
    stored = consumers.lock(conn, "t", "c9")
    assert stored is not None
    raw.set_trace_callback(statements.append)
    chosen = parking.at(conn, "t", "c9", [9, 12])
    assert [each.event for each in chosen] == [None, None]
    resolved = parking.resolve(conn, stored, chosen, again=True)
    assert (sorted(resolved.positions), resolved.released) == ([9, 12], ROWS - 10)
    raw.set_trace_callback(None)
    assert len(statements) < 20
    counts = progress.counts(conn, "t", "c9")
    assert (counts.retrying, counts.passed, counts.parked) == (ROWS - 8, ROWS - 8, 0)
