"""What reads of the log cost PostgreSQL, whatever was read before on the same connection."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest
from payhub.events.v1 import event_pb2

from event_gateway import gateway, matching
from event_gateway.db import read
from servicekit import storage

EVENTS = 30_000
# Every third event is of one entity, of each other entity there are a few; every thousandth is
# of another tenant.
_FILL = f"""
insert into event_log
select number, 'evt_' || number, case when number % 1000 = 1 then 'small' else 'large' end,
    'balance.changed', 'balance',
    case when number % 3 = 0 then 'busy' else 'ent_' || number / 5 end, number, 'event'
from generate_series(1, {EVENTS}) as number
"""
_LOOKED_AT = (
    "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'event_log'"
)
TYPES = pytest.mark.parametrize("types", [(), ("balance.*",)], ids=("by rows", "by facts"))


@pytest.fixture
async def log(new_postgres_database: Callable[[], str]) -> AsyncIterator[storage.Database]:
    """A log that PostgreSQL knows, on one connection."""
    url = new_postgres_database()
    storage.migrate(url, gateway.MIGRATIONS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL)
        connection.execute(f"update log_head set head = {EVENTS}")
        connection.execute("analyze event_log")
    database = await storage.open_database(url, pool_size=1)
    yield database
    await database.close()


async def cost(database: storage.Database, tenant_id: str, **spec: Any) -> tuple[int, int]:
    """Returns how many of the first 100 events were found, and how many rows were looked at."""
    selection = matching.Matcher([tenant_id], event_pb2.Filter(**spec)).selection

    def look(conn: storage.Connection) -> tuple[int, int]:
        before = conn.query(_LOOKED_AT)[0][0]
        found = read.stretch(conn, selection, after=0, upto=EVENTS, events_max=100, bytes_max=2**20)
        return len(list(found.events)), conn.query(_LOOKED_AT)[0][0] - before

    return await database.read(look)


@TYPES
async def test_a_quiet_entity_costs_little_after_a_busy_one(
    log: storage.Database, types: tuple[str, ...]
) -> None:
    """No plan that was good for an entity of many events is kept for one of a few."""
    for _ in range(10):
        assert (await cost(log, "large", entity_ids=["busy"], types=types))[0] == 100
    found, looked_at = await cost(log, "large", entity_ids=["ent_7"], types=types)
    assert found == 3
    assert looked_at < 20


@TYPES
async def test_a_tenant_does_not_pay_for_another(
    log: storage.Database, types: tuple[str, ...]
) -> None:
    """A read looks at the events of its tenant alone, and at no more than its limit."""
    for _ in range(10):
        found, looked_at = await cost(log, "large", types=types)
        assert found == 100
        assert looked_at < read.ROWS_MAX + 200
    found, looked_at = await cost(log, "small", types=types)
    assert found == EVENTS // 1000
    assert looked_at < 100
