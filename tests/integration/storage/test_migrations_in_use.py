"""Schemas on PostgreSQL that are migrated while callers and back-ups use them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import alembic.command
import alembic.config
import psycopg
import pytest
import sqlalchemy

from payment_service import composition
from servicekit import storage
from servicekit.storage import revisions, upgrade
from tests import polling

BEFORE = "0014"
ADD_COLUMN = "alter table payments add column%"
BUILD_INDEX = "create index concurrently%"


@pytest.fixture
def url(new_postgres_database: Callable[[], str]) -> str:
    """A payment database as the version before `payments_to_retry` was made anew has it."""
    made = new_postgres_database()
    config = alembic.config.Config()
    config.set_main_option("script_location", str(composition.MIGRATIONS))
    engine = sqlalchemy.create_engine(
        made.replace("://", "+psycopg://", 1), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, BEFORE)
        connection.commit()
    return made


def migrate(url: str) -> str:
    """Brings the database to the newest revision."""
    return storage.migrate(url, composition.MIGRATIONS)


@contextlib.contextmanager
def open_transaction(url: str, statement: str) -> Iterator[None]:
    """Keeps a transaction open in which a statement was run."""
    with psycopg.connect(url) as session:
        session.execute(statement.encode())
        yield
        session.rollback()


def call(url: str) -> None:
    """Writes to payments as a caller does, who waits for nobody long."""
    with psycopg.connect(url) as caller:
        caller.execute("set lock_timeout = '10s'")
        caller.execute("update payments set version = version")


def waits(url: str, statement: str) -> bool:
    """Whether a session waits for a lock with a statement like that."""
    with psycopg.connect(url) as session:
        found = session.execute(
            "select 1 from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid() and wait_event_type = 'Lock' and query ilike %s",
            (statement,),
        ).fetchone()
    return found is not None


async def test_calls_pass_a_migration_that_waits_for_a_table(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a table that a back-up reads holds up everybody behind: a migration lets
    them pass again and again, and is made once the back-up is over.
    """
    monkeypatch.setattr(upgrade, "LOCK_WAIT_MS", 200)
    with open_transaction(url, "lock table payments in access share mode"):
        migrating = asyncio.create_task(asyncio.to_thread(migrate, url))
        await polling.until(lambda: waits(url, ADD_COLUMN))
        await asyncio.to_thread(call, url)
        assert not migrating.done()
    assert await migrating == storage.head_revision(composition.MIGRATIONS)


def test_a_migration_that_gets_no_table_says_what_to_look_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up in the end, leaves everything as it was and tells where the other one is seen."""
    monkeypatch.setattr(upgrade, "LOCK_WAIT_MS", 50)
    monkeypatch.setattr(upgrade, "LOCK_PAUSE_S", 0.01)
    with (
        open_transaction(url, "lock table payments in access share mode"),
        pytest.raises(storage.MigrationRefused, match=r"lock timeout.*pg_stat_activity"),
    ):
        migrate(url)
    assert revisions.applied(url) == {BEFORE}


async def test_payments_go_on_while_an_index_of_theirs_is_made(url: str) -> None:
    """However long an index takes, callers write meanwhile, limits of the role do not end it, a
    second `migrate` waits beside, and what an interrupted one left is taken up again.
    """
    with psycopg.connect(url) as server:
        server.execute("alter table payments add put_off_until_us bigint not null default 0")
        server.execute("create index payments_to_retry_new on payments (created_us)")
        limit = f'alter role current_user in database "{server.info.dbname}" set '
        server.execute(f"{limit} statement_timeout = '200ms'".encode())
        server.execute(f"{limit} lock_timeout = '200ms'".encode())
    reads = "set transaction isolation level repeatable read; select count(*) from api_keys"
    with open_transaction(url, reads):
        one = asyncio.create_task(asyncio.to_thread(migrate, url))
        await polling.until(lambda: waits(url, BUILD_INDEX))
        other = asyncio.create_task(asyncio.to_thread(migrate, url))
        await asyncio.to_thread(call, url)
        await polling.until(lambda: waits(url, BUILD_INDEX))
        assert not one.done()
    assert await one == await other
    with psycopg.connect(url) as server:
        made = server.execute(
            "select indexdef from pg_indexes where indexname like 'payments_to_retry%'"
        ).fetchall()
    assert len(made) == 1
    assert "GREATEST" in made[0][0]
