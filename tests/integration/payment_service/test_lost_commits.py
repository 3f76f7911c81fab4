"""A database that has lost what it had confirmed: who notices, and who is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from payment_service import composition
from payment_service.db import losses, operations
from payment_service.domain import model
from payment_service.usecases import witness
from servicekit import storage
from tests import polling
from tests.unit.payment_service import build

KEPT, LOST, NEXT = (
    build.operation(model.Kind.SALE, number, entity_id=f"pay_{number}") for number in (1, 2, 3)
)


@pytest.fixture
def url(new_postgres_database: Callable[[], str]) -> str:
    """An empty payment database, as a server has it that may fail over."""
    made = new_postgres_database()
    storage.migrate(made, composition.MIGRATIONS)
    return made


@contextlib.asynccontextmanager
async def opened(url: str, seen: witness.Witness) -> AsyncIterator[storage.Database]:
    """The database as a process opens it."""
    db = await storage.open_database(url, pool_size=2, on_connect=seen.check)
    try:
        yield db
    finally:
        await db.close()


async def begin(db: storage.Database, seen: witness.Witness, operation: model.Operation) -> None:
    """Commits an intent as a process does that calls the provider then."""
    await db.write(lambda conn: conn.run(operations.INSERT, operations.params(operation)))
    seen.saw(operation.id)


def fail_over(url: str, *losing: model.Operation) -> None:
    """Ends every connection; what was committed last is gone."""
    with psycopg.connect(url, autocommit=True) as server:
        for each in losing:
            server.execute("delete from operations where id = %s", (each.id,))
        server.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where pid <> pg_backend_pid() and datname = current_database()"
        )


async def settled(db: storage.Database) -> None:
    """Lets calls fail that find their connections ended."""
    for _ in range(3):
        with contextlib.suppress(storage.StorageUnavailable):
            await db.read(losses.find)


async def test_a_failover_that_loses_nothing_stops_nobody(url: str) -> None:
    """New connections are as good as those that ended while all that was confirmed is there."""
    seen = witness.Witness()
    async with opened(url, seen) as db:
        await begin(db, seen, KEPT)
        fail_over(url)
        await settled(db)
        assert await db.read(losses.find) is None
        await begin(db, seen, NEXT)


async def test_whoever_misses_a_commit_refuses_for_all(url: str) -> None:
    """Nothing is read or written any more, and no other process opens the database."""
    seen = witness.Witness()
    async with opened(url, seen) as db:
        await begin(db, seen, KEPT)
        await begin(db, seen, LOST)
        fail_over(url, LOST)
        await settled(db)
        with pytest.raises(witness.CommitsLost, match=f"{LOST.id}.*payment_service recover"):
            await db.read(losses.find)
        with pytest.raises(witness.CommitsLost, match=LOST.id):
            await begin(db, seen, NEXT)
        with pytest.raises(witness.CommitsLost, match=LOST.id):
            await seen.run(db, asyncio.Event())
    with pytest.raises(witness.CommitsLost, match=LOST.id):
        await storage.open_database(url, on_connect=witness.Witness().check)


async def test_a_process_that_misses_nothing_itself_ends_too(url: str) -> None:
    """It looks for what others have found, whatever else fails, and goes on until then."""
    seen = witness.Witness()
    async with opened(url, seen) as db:
        running = asyncio.create_task(seen.run(db, asyncio.Event()))
        fail_over(url)
        await settled(db)
        assert not running.done()
        await db.write(lambda conn: losses.note(conn, "found by another"))
        await polling.until(running.done)
        assert isinstance(running.exception(), witness.CommitsLost)


def test_the_memory_is_of_the_newest() -> None:
    """Those are what a standby that lagged lacks; what was long ago costs nothing."""
    seen = witness.Witness()
    for number in range(witness.KEPT_MAX + 1):
        seen.saw(f"op_{number}")
    asked: list[str] = []

    class Asked:
        dialect = "postgresql"

        def one(self, *_: Any) -> None:
            return None

        def all(self, _: Any, params: Any) -> list[tuple[str]]:
            asked.extend(params["operation_ids"])
            return [(each,) for each in asked]

    seen.check(Asked())  # type: ignore[arg-type]
    assert len(asked) == witness.KEPT_MAX
    assert asked[-1] == f"op_{witness.KEPT_MAX}"
