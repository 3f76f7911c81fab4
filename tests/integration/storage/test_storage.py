"""Storage on both databases: what a caller may rely on."""

import asyncio
import pathlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Collection
from typing import Any

import pytest

from servicekit import storage
from tests.integration.storage import items


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[storage.Database]:
    """An open database with one empty table."""
    db = await storage.open_database(database_url)
    await db.write(lambda conn: conn.query(items.CREATE))
    yield db
    await db.close()


async def test_what_a_write_returned_is_read_back(db: storage.Database) -> None:
    """A write that returned is visible to every read after it."""
    await db.write(lambda conn: conn.run(items.INSERT, {"id": "a", "amount": 5}))
    assert await db.read(lambda conn: conn.one(items.SELECT, {"id": "a"})) == (5,)


async def test_rows_that_are_taken_one_by_one_outlive_other_statements(
    db: storage.Database,
) -> None:
    """Every row comes, whatever else is asked before the last of them was taken."""
    for key in ("a", "b", "c"):
        await db.write(lambda conn, key=key: conn.run(items.INSERT, {"id": key, "amount": 1}))  # type: ignore[misc]

    def look(conn: storage.Connection) -> list[str]:
        seen = []
        for row in conn.each(items.IDS):
            seen.append(row[0])
            conn.one(items.COUNT)
        return seen

    assert await db.read(look) == ["a", "b", "c"]


async def test_a_list_is_one_parameter(db: storage.Database) -> None:
    """A statement compares with every element of a list, whatever it holds and however long."""
    odd = """e'"],\\}ü"""
    for key, amount in (("a", 1), ("b", 2), ("c", 3), (odd, 2**53 + 1)):
        params = {"id": key, "amount": amount}
        await db.write(lambda conn, params=params: conn.run(items.INSERT, params))  # type: ignore[misc]

    async def among(amounts: Collection[int], ids: Collection[str]) -> list[str]:
        def read(conn: storage.Connection) -> list[storage.Row]:
            lists = {"amounts": storage.array(conn, amounts), "ids": storage.array(conn, ids)}
            return conn.all(items.AMONG, lists)

        return [row[0] for row in await db.read(read)]

    assert await among([], []) == []
    assert await among((1, 2), ()) == ["a", "b"]
    assert await among({3: None}, ["b", odd]) == ["c"]
    assert await among(range(2**53 - 1000, 2**53 + 1000), {"a"}) == [odd]
    assert await among([2**53 + 1], [odd]) == []


async def test_lists_side_by_side_are_rows(db: storage.Database) -> None:
    """A statement reads and writes by the rows that several lists make, whatever they hold."""
    odd = """e'"],\\}ü"""

    def story(conn: storage.Connection) -> list[tuple[int, list[storage.Row]]]:
        for key, amount in (("a", 1), ("b", 2), (odd, 2**53 + 1)):
            conn.run(items.INSERT, {"id": key, "amount": amount})
        told = []
        for names, amounts in (
            (["a", "b", odd], [1, 3, 2**53 + 1]),
            (("b",), (1,)),
            ([], []),
        ):
            lists = storage.columns(conn, names=names, amounts=amounts)
            found = conn.all(items.MATCHING, lists)
            told.append((conn.run(items.RAISE, lists), found))
        return told

    assert await db.write(story) == [
        (3, [("a", 1), (odd, 2**53 + 1)]),
        (1, [("b", 5)]),
        (0, []),
    ]
    assert await db.read(lambda conn: conn.one(items.SELECT, {"id": "b"})) == (6,)


async def test_an_exception_rolls_back_its_caller_only(db: storage.Database) -> None:
    """What one function wrote before it raised is gone; its neighbours in the group stay."""

    def failing(conn: storage.Connection) -> None:
        conn.run(items.INSERT, {"id": "bad", "amount": 1})
        raise ValueError("no")

    def working(key: str) -> Awaitable[Any]:
        return db.write(lambda conn: conn.run(items.INSERT, {"id": key, "amount": 1}))

    outcomes = await asyncio.gather(
        *[working(f"good{i}") for i in range(10)],
        db.write(failing),
        *[working(f"late{i}") for i in range(10)],
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, ValueError) for outcome in outcomes) == 1
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (20,)


async def test_what_is_under_way_is_counted(db: storage.Database) -> None:
    """Reads and writes count from the call until its result, also if it raised."""
    assert db.under_way == 0

    counted = threading.Event()

    def waiting(conn: storage.Connection) -> None:
        assert counted.wait(10)

    def failing(conn: storage.Connection) -> None:
        raise ValueError("no")

    calls = [
        asyncio.ensure_future(db.read(waiting)),
        asyncio.ensure_future(db.write(failing)),
    ]
    await asyncio.sleep(0)
    assert db.under_way == 2
    counted.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert db.under_way == 0


async def test_a_guarded_update_wins_once(db: storage.Database) -> None:
    """Of two concurrent guarded updates that can't both fit, exactly one takes effect."""
    await db.write(lambda conn: conn.run(items.INSERT, {"id": "a", "amount": 100}))
    taken = await asyncio.gather(
        *[db.write(lambda conn: conn.run(items.TAKE, {"id": "a", "by": 60})) for _ in range(2)]
    )
    assert sorted(taken) == [0, 1]
    assert await db.read(lambda conn: conn.one(items.SELECT, {"id": "a"})) == (40,)


async def test_one_statement_is_durable_too(db: storage.Database) -> None:
    """A one-statement write is a transaction of its own."""
    await db.write(
        lambda conn: conn.run(items.INSERT, {"id": "a", "amount": 1}), one_statement=True
    )
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (1,)


async def test_the_database_clock_is_epoch_microseconds(db: storage.Database) -> None:
    """`{now_us}` is the database's clock in epoch microseconds."""
    row = await db.read(lambda conn: conn.one(items.NOW))
    assert row is not None
    assert 1_700_000_000_000_000 < row[0] < 4_000_000_000_000_000


async def test_a_closed_database_refuses(db: storage.Database) -> None:
    """After close, a call fails and says so."""
    await db.close()
    with pytest.raises(storage.StorageUnavailable):
        await db.write(lambda conn: conn.one(items.COUNT))


async def test_more_waiting_writes_than_allowed_are_refused(database_url: str) -> None:
    """The queue of waiting calls has a limit; beyond it nothing is written."""
    db = await storage.open_database(database_url, waiting_max=3, pool_size=1)
    try:
        outcomes = await asyncio.gather(
            *[db.write(lambda conn: conn.one(items.NOW)) for _ in range(10)], return_exceptions=True
        )
    finally:
        await db.close()
    refused = [o for o in outcomes if isinstance(o, storage.StorageOverloaded)]
    assert len(refused) == 7


async def test_more_waiting_reads_than_allowed_are_refused(database_url: str) -> None:
    """Reads wait in a queue with the same limit, and one that has ended makes room."""
    db = await storage.open_database(database_url, waiting_max=3, pool_size=1)
    try:
        for _ in range(2):
            outcomes = await asyncio.gather(
                *[db.read(lambda conn: conn.one(items.NOW)) for _ in range(10)],
                return_exceptions=True,
            )
            refused = [o for o in outcomes if isinstance(o, storage.StorageOverloaded)]
            assert len(refused) == 7
    finally:
        await db.close()


async def test_a_read_that_nobody_waits_for_any_more_is_not_made(database_url: str) -> None:
    """What callers have left before its turn takes no connection from those who still wait."""
    db = await storage.open_database(database_url, pool_size=1)
    begun, go_on = threading.Event(), threading.Event()
    ran: list[str] = []

    def slow(conn: storage.Connection) -> None:
        begun.set()
        go_on.wait(30)

    try:
        # With readers of any number, some begin and the others wait behind them.
        slow_ones = [asyncio.ensure_future(db.read(slow)) for _ in range(8)]
        await asyncio.to_thread(begun.wait, 30)
        left = [asyncio.ensure_future(db.read(lambda conn: ran.append("left"))) for _ in range(3)]
        stayed = asyncio.ensure_future(db.read(lambda conn: ran.append("stayed")))
        await asyncio.sleep(0)
        for one in left:
            one.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        go_on.set()
        await asyncio.gather(*slow_ones, stayed)
        assert ran == ["stayed"]
        assert db.under_way == 0
    finally:
        go_on.set()
        await db.close()


async def test_a_statement_that_takes_too_long_is_stopped(database_url: str) -> None:
    """Every statement has a timeout, after which nothing of it remains."""
    slow = storage.Statement(
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n",
        postgresql="select pg_sleep(30)",
    )
    db = await storage.open_database(database_url, statement_timeout_s=0.2)
    try:
        for run in (db.read, db.write):
            with pytest.raises(storage.StorageUnavailable):
                await run(lambda conn: conn.all(slow))
    finally:
        await db.close()


async def test_a_second_process_cannot_open_the_same_file(tmp_path: pathlib.Path) -> None:
    """One SQLite file belongs to one process; the second is told what to do."""
    url = f"sqlite:///{tmp_path}/one.db"
    db = await storage.open_database(url)
    script = (
        "import asyncio\nfrom servicekit import storage\n"
        f"try:\n    asyncio.run(storage.open_database({url!r}))\n"
        "except storage.DatabaseInUse as error:\n    print(error)\n"
    )
    try:
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
        )
    finally:
        await db.close()
    assert "open in another process" in result.stdout


async def test_a_folder_that_cannot_be_made_is_told_as_a_storage_error(
    tmp_path: pathlib.Path,
) -> None:
    """A file in the folder's place, or a folder in the lock's, names the path and is no crash."""
    (tmp_path / "var").write_text("")
    (tmp_path / "held.db.lock").mkdir()
    for name in ("var/one.db", "held.db"):
        url = f"sqlite:///{tmp_path}/{name}"
        with pytest.raises(storage.StorageUnavailable, match=f"can't open {tmp_path}/{name}"):
            await storage.open_database(url)
        with pytest.raises(storage.StorageUnavailable, match=f"can't open {tmp_path}/{name}"):
            storage.migrate(url, tmp_path)


async def test_a_group_is_durable_before_its_callers_go_on(tmp_path: pathlib.Path) -> None:
    """When a write returns, another connection sees it: COMMIT came first."""
    path = tmp_path / "one.db"
    db = await storage.open_database(f"sqlite:///{path}")
    try:
        await db.write(lambda conn: conn.query(items.CREATE))
        for number in range(20):
            key = str(number)
            await db.write(lambda conn, key=key: conn.run(items.INSERT, {"id": key, "amount": 1}))  # type: ignore[misc]
            with sqlite3.connect(path) as other:
                assert other.execute("select count(*) from item").fetchone() == (number + 1,)
            other.close()
    finally:
        await db.close()


def test_an_unknown_url_is_refused() -> None:
    """A URL of neither kind is refused without its password."""
    with pytest.raises(ValueError, match="neither") as caught:
        asyncio.run(storage.open_database("mysql://me:secret@host/db"))
    assert "secret" not in str(caught.value)


GUARDED = storage.Statement(
    "update item set amount = amount - :by where id = :id and amount >= :by and {if_first}"
)
CLAIM = storage.Statement(
    "insert into item (id, amount) values (:id, :amount) on conflict do nothing"
)
FOLLOW = storage.Statement(
    "insert into item (id, amount) select :id, cast(:amount as bigint) where {if_first}"
)


async def test_statements_run_together_count_what_each_wrote(db: storage.Database) -> None:
    """`run_all` writes every statement and returns its rows, in order."""
    counts = await db.write(
        lambda conn: conn.run_all(
            [
                (items.INSERT, {"id": "a", "amount": 9}),
                (items.TAKE, {"id": "missing", "by": 1}),
                (items.INSERT, {"id": "b", "amount": 1}),
            ]
        ),
        one_statement=True,
    )
    assert counts == [1, 0, 1]
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (2,)


async def test_the_first_statement_decides_over_the_others(db: storage.Database) -> None:
    """If a claim writes nothing, what hangs on it writes nothing either."""

    def claim(conn: storage.Connection, follow: str) -> list[int]:
        return conn.run_all(
            [
                (CLAIM, {"id": "key", "amount": 1}),
                (FOLLOW, {"id": follow, "amount": 2}),
            ],
            first_decides=True,
        )

    assert await db.write(lambda conn: claim(conn, "one"), one_statement=True) == [1, 1]
    assert await db.write(lambda conn: claim(conn, "two"), one_statement=True) == [0, 0]
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (2,)


async def test_a_guarded_update_may_come_first(db: storage.Database) -> None:
    """A statement with the condition may itself be the first, and then decides."""
    await db.write(lambda conn: conn.run(items.INSERT, {"id": "a", "amount": 100}))

    def take(conn: storage.Connection, follow: str) -> list[int]:
        return conn.run_all(
            [(GUARDED, {"id": "a", "by": 60}), (FOLLOW, {"id": follow, "amount": 2})],
            first_decides=True,
        )

    assert await db.write(lambda conn: take(conn, "one"), one_statement=True) == [1, 1]
    assert await db.write(lambda conn: take(conn, "two"), one_statement=True) == [0, 0]
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (2,)


async def test_callers_that_share_a_commit_do_not_share_their_errors(
    db: storage.Database,
) -> None:
    """Of many one-statement writes at once, a failing one fails alone and the others are kept."""

    def working(key: str) -> Awaitable[Any]:
        return db.write(
            lambda conn: conn.run(items.INSERT, {"id": key, "amount": 1}), one_statement=True
        )

    wrong = db.write(
        lambda conn: conn.run(items.INSERT, {"id": "wrong", "amount": -1}), one_statement=True
    )
    outcomes = await asyncio.gather(
        *[working(f"a{i}") for i in range(40)],
        wrong,
        *[working(f"b{i}") for i in range(40)],
        return_exceptions=True,
    )
    assert [o for o in outcomes if o != 1] == [outcomes[40]]
    assert isinstance(outcomes[40], Exception)
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (80,)


async def test_close_waits_for_what_was_begun(database_url: str) -> None:
    """Writes that wait when the database is closed are still made."""
    db = await storage.open_database(database_url)
    await db.write(lambda conn: conn.query(items.CREATE))
    waiting = [
        asyncio.ensure_future(
            db.write(
                lambda conn, i=i: conn.run(items.INSERT, {"id": str(i), "amount": 1}),  # type: ignore[misc]
                one_statement=bool(i % 2),
            )
        )
        for i in range(50)
    ]
    await asyncio.sleep(0)
    await db.close()
    assert await asyncio.gather(*waiting) == [1] * 50
