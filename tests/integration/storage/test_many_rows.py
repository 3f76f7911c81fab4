"""Statements that run once per element, on both databases."""

from collections.abc import AsyncIterator

import pytest

from servicekit import storage
from servicekit.storage import sqlite
from tests.integration.storage import items

PUT = storage.Statement(
    "insert into item (id, amount) values (:id, :amount) "
    "on conflict (id) do update set amount = item.amount + excluded.amount"
)
PUT_FIVE = storage.Statement("insert into item (id, amount) values (:id, 5)")
RAISED = storage.Statement("update item set amount = amount + :by where id = :id")
ALL = storage.Statement("select id, amount from item order by id")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[storage.Database]:
    """An open database with one empty table."""
    opened = await storage.open_database(database_url)
    await opened.write(lambda conn: conn.query(items.CREATE))
    yield opened
    await opened.close()


@pytest.mark.parametrize("count", [0, 1, 2, 4, 21, 64, 85, 150])
async def test_each_element_is_one_row_in_their_order(db: storage.Database, count: int) -> None:
    """However many there are: what one row brings is there for the rows behind it."""
    rows = [{"amount": n, "id": f"{n:03}", "unused": 1} for n in range(count)]
    await db.write(lambda conn: conn.run_many(PUT, [dict(row) for row in rows]))
    await db.write(lambda conn: conn.run_many(PUT, [*rows, *rows]))
    found = await db.read(lambda conn: conn.all(ALL))
    assert found == [(f"{n:03}", 3 * n) for n in range(count)]


async def test_of_many_rows_one_that_is_refused_leaves_none(db: storage.Database) -> None:
    """A row against the table's rules fails the transaction, those before it included."""
    rows = [{"id": str(n), "amount": n} for n in range(100)]
    await db.write(lambda conn: conn.run(items.INSERT, {"id": "99", "amount": 1}))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await db.write(lambda conn: conn.run_many(items.INSERT, rows))
    assert await db.read(lambda conn: conn.all(ALL)) == [("99", 1)]


async def test_other_statements_run_once_per_element(db: storage.Database) -> None:
    """What inserts other values than its parameters, or no row, is not joined."""
    await db.write(lambda conn: conn.run_many(PUT_FIVE, [{"id": "a"}, {"id": "b"}]))
    await db.write(lambda conn: conn.run_many(RAISED, [{"id": "a", "by": n} for n in (1, 2, 3)]))
    assert await db.read(lambda conn: conn.all(ALL)) == [("a", 11), ("b", 5)]


def test_rows_that_are_inserted_go_many_at_once() -> None:
    """On SQLite few statements take many rows: each waits anew for the interpreter's lock."""
    ran: list[int] = []

    class Raw:
        """Notes how many values each statement was given."""

        def execute(self, _: str, values: list[object]) -> None:
            """Takes one statement."""
            ran.append(len(values))

        executemany = None

    conn = sqlite.SqliteConnection(Raw())  # type: ignore[arg-type]
    conn.run_many(items.INSERT, [{"id": str(n), "amount": n} for n in range(150)])
    assert ran == [128, 128, 32, 8, 2, 2]
