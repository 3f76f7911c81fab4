"""Storage behind a pooler: it is refused if it hands connections on, and bounded if not."""

import asyncio
import pathlib
from collections.abc import Callable

import psycopg
import pytest

from event_gateway import gateway
from servicekit import storage
from servicekit.storage import revisions
from tests.integration.storage import pooler

bouncer = pytest.mark.skipif(not pooler.BOUNCER, reason="PgBouncer is not installed")
REFUSED = "hands connections on between transactions.*`pool_mode = session`"
LIMITS = (
    "select current_setting('statement_timeout'), current_setting('lock_timeout'), "
    "current_setting('idle_in_transaction_session_timeout'), current_setting('TimeZone')"
)


def _check_refused(pooled: str, url: str) -> None:
    for ask in (storage.migrate, storage.migrate_at_start):
        with pytest.raises(storage.DatabaseUnsuitable, match=REFUSED):
            ask(pooled, gateway.MIGRATIONS)
    with pytest.raises(storage.DatabaseUnsuitable, match=REFUSED):
        storage.check_migrated(pooled, gateway.MIGRATIONS, command="migrate")
    assert revisions.applied(url) == set()


async def _limits(url: str) -> list[storage.Row]:
    db = await storage.open_database(url, pool_size=2, statement_timeout_s=3)
    try:
        return await db.read(lambda conn: conn.query(LIMITS))
    finally:
        await db.close()


async def test_a_pooler_that_shares_a_connection_is_refused(
    new_postgres_database: Callable[[], str],
) -> None:
    """Nothing starts and nothing is migrated where one session is several clients' in turn."""
    url = new_postgres_database()
    async with pooler.sharing(url) as pooled:
        await asyncio.to_thread(_check_refused, pooled, url)


@bouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_pgbouncer_that_hands_connections_on_is_refused(
    new_postgres_database: Callable[[], str], tmp_path: pathlib.Path, mode: str
) -> None:
    """As of 1.21 statements prepared there are found again: nothing else would tell."""
    url = new_postgres_database()
    with pooler.bouncer(url, tmp_path, pool_mode=mode) as pooled:
        _check_refused(pooled, url)


@bouncer
def test_pgbouncer_that_keeps_connections_keeps_limits(
    new_postgres_database: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """Behind `pool_mode = session` statements are bounded as without, and nothing is to be set."""
    url = new_postgres_database()
    with pooler.bouncer(url, tmp_path, pool_mode="session") as pooled:
        storage.migrate(pooled, gateway.MIGRATIONS)
        assert asyncio.run(_limits(pooled)) == [("3s", "3s", "6s", "UTC")]


async def test_limits_of_the_role_give_way_to_ours(
    new_postgres_database: Callable[[], str],
) -> None:
    """What bounds a statement is what this process is set up with, unless its URL says it."""
    url = new_postgres_database()
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f'alter database "{name}" set statement_timeout = 77'.encode())
    given = f"{url}{'&' if '?' in url else '?'}options=-c%20lock_timeout%3D8s"
    assert await _limits(given) == [("3s", "8s", "6s", "UTC")]
