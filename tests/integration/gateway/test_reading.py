"""What reads of the log cost PostgreSQL, whatever was read before on the same connection."""

from collections.abc import Callable

import psycopg
import pytest
from payhub.events.v1 import event_pb2

from event_gateway import gateway, matching
from event_gateway.db import read
from servicekit import storage

EVENTS = 30_000
# Every third event is of one entity, of each other entity there are a few.
_FILL = f"""
insert into event_log
select number, 'evt_' || number, 'one', 'balance.changed', 'balance',
    case when number % 3 = 0 then 'busy' else 'ent_' || number / 5 end, number, 'event'
from generate_series(1, {EVENTS}) as number
"""
_LOOKED_AT = (
    "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'event_log'"
)


@pytest.mark.parametrize("types", [(), ("balance.*",)], ids=("by rows", "by facts"))
async def test_a_quiet_entity_costs_little_after_a_busy_one(
    new_postgres_database: Callable[[], str], types: tuple[str, ...]
) -> None:
    """No plan that was good for an entity of many events is kept for one of a few."""
    url = new_postgres_database()
    storage.migrate(url, gateway.MIGRATIONS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL)
        connection.execute(f"update log_head set head = {EVENTS}")
        connection.execute("analyze event_log")
    database = await storage.open_database(url, pool_size=1)

    def read_one(conn: storage.Connection, entity_id: str) -> tuple[int, int]:
        """Returns how many events were found, and how many rows were looked at."""
        spec = event_pb2.Filter(entity_ids=[entity_id], types=types)
        before = conn.query(_LOOKED_AT)[0][0]
        found = read.stretch(
            conn,
            matching.Matcher(["one"], spec).selection,
            after=0,
            upto=EVENTS,
            events_max=100,
            bytes_max=2**20,
        )
        count = len(list(found.events))
        return count, conn.query(_LOOKED_AT)[0][0] - before

    for _ in range(10):
        assert (await database.read(lambda conn: read_one(conn, "busy")))[0] == 100
    count, looked_at = await database.read(lambda conn: read_one(conn, "ent_7"))
    assert count == 3
    assert looked_at < 20
    await database.close()
