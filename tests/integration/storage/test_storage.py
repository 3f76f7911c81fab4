"""Storage on both databases: what a caller may rely on."""

import asyncio
import contextlib
import pathlib
import sqlite3
import subprocess
import sys
import time
import traceback
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest

from servicekit import storage
from servicekit.storage import revisions

CREATE = "create table item (id text primary key, amount bigint not null check (amount >= 0))"
INSERT = storage.Statement("insert into item (id, amount) values (:id, :amount)")
SELECT = storage.Statement("select amount from item where id = :id")
IDS = storage.Statement("select id from item order by id")
COUNT = storage.Statement("select count(*) from item")
TAKE = storage.Statement("update item set amount = amount - :by where id = :id and amount >= :by")
NOW = storage.Statement("select {now_us}")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[storage.Database]:
    """An open database with one empty table."""
    db = await storage.open_database(database_url)
    await db.write(lambda conn: conn.query(CREATE))
    yield db
    await db.close()


async def test_what_a_write_returned_is_read_back(db: storage.Database) -> None:
    """A write that returned is visible to every read after it."""
    await db.write(lambda conn: conn.run(INSERT, {"id": "a", "amount": 5}))
    assert await db.read(lambda conn: conn.one(SELECT, {"id": "a"})) == (5,)


async def test_rows_that_are_taken_one_by_one_outlive_other_statements(
    db: storage.Database,
) -> None:
    """Every row comes, whatever else is asked before the last of them was taken."""
    for key in ("a", "b", "c"):
        await db.write(lambda conn, key=key: conn.run(INSERT, {"id": key, "amount": 1}))  # type: ignore[misc]

    def look(conn: storage.Connection) -> list[str]:
        seen = []
        for row in conn.each(IDS):
            seen.append(row[0])
            conn.one(COUNT)
        return seen

    assert await db.read(look) == ["a", "b", "c"]


async def test_an_exception_rolls_back_its_caller_only(db: storage.Database) -> None:
    """What one function wrote before it raised is gone; its neighbours in the group stay."""

    def failing(conn: storage.Connection) -> None:
        conn.run(INSERT, {"id": "bad", "amount": 1})
        raise ValueError("no")

    def working(key: str) -> Awaitable[Any]:
        return db.write(lambda conn: conn.run(INSERT, {"id": key, "amount": 1}))

    outcomes = await asyncio.gather(
        *[working(f"good{i}") for i in range(10)],
        db.write(failing),
        *[working(f"late{i}") for i in range(10)],
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, ValueError) for outcome in outcomes) == 1
    assert await db.read(lambda conn: conn.one(COUNT)) == (20,)


async def test_a_guarded_update_wins_once(db: storage.Database) -> None:
    """Of two concurrent guarded updates that can't both fit, exactly one takes effect."""
    await db.write(lambda conn: conn.run(INSERT, {"id": "a", "amount": 100}))
    taken = await asyncio.gather(
        *[db.write(lambda conn: conn.run(TAKE, {"id": "a", "by": 60})) for _ in range(2)]
    )
    assert sorted(taken) == [0, 1]
    assert await db.read(lambda conn: conn.one(SELECT, {"id": "a"})) == (40,)


async def test_one_statement_is_durable_too(db: storage.Database) -> None:
    """A one-statement write is a transaction of its own."""
    await db.write(lambda conn: conn.run(INSERT, {"id": "a", "amount": 1}), one_statement=True)
    assert await db.read(lambda conn: conn.one(COUNT)) == (1,)


async def test_the_database_clock_is_epoch_microseconds(db: storage.Database) -> None:
    """`{now_us}` is the database's clock in epoch microseconds."""
    row = await db.read(lambda conn: conn.one(NOW))
    assert row is not None
    assert 1_700_000_000_000_000 < row[0] < 4_000_000_000_000_000


async def test_a_closed_database_refuses(db: storage.Database) -> None:
    """After close, a call fails and says so."""
    await db.close()
    with pytest.raises(storage.StorageUnavailable):
        await db.write(lambda conn: conn.one(COUNT))


async def test_more_waiting_writes_than_allowed_are_refused(database_url: str) -> None:
    """The queue of waiting calls has a limit; beyond it nothing is written."""
    db = await storage.open_database(database_url, waiting_max=3, pool_size=1)
    try:
        outcomes = await asyncio.gather(
            *[db.write(lambda conn: conn.one(NOW)) for _ in range(10)], return_exceptions=True
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
                *[db.read(lambda conn: conn.one(NOW)) for _ in range(10)], return_exceptions=True
            )
            refused = [o for o in outcomes if isinstance(o, storage.StorageOverloaded)]
            assert len(refused) == 7
    finally:
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


async def test_a_group_is_durable_before_its_callers_go_on(tmp_path: pathlib.Path) -> None:
    """When a write returns, another connection sees it: COMMIT came first."""
    path = tmp_path / "one.db"
    db = await storage.open_database(f"sqlite:///{path}")
    try:
        await db.write(lambda conn: conn.query(CREATE))
        for number in range(20):
            key = str(number)
            await db.write(lambda conn, key=key: conn.run(INSERT, {"id": key, "amount": 1}))  # type: ignore[misc]
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
                (INSERT, {"id": "a", "amount": 9}),
                (TAKE, {"id": "missing", "by": 1}),
                (INSERT, {"id": "b", "amount": 1}),
            ]
        ),
        one_statement=True,
    )
    assert counts == [1, 0, 1]
    assert await db.read(lambda conn: conn.one(COUNT)) == (2,)


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
    assert await db.read(lambda conn: conn.one(COUNT)) == (2,)


async def test_a_guarded_update_may_come_first(db: storage.Database) -> None:
    """A statement with the condition may itself be the first, and then decides."""
    await db.write(lambda conn: conn.run(INSERT, {"id": "a", "amount": 100}))

    def take(conn: storage.Connection, follow: str) -> list[int]:
        return conn.run_all(
            [(GUARDED, {"id": "a", "by": 60}), (FOLLOW, {"id": follow, "amount": 2})],
            first_decides=True,
        )

    assert await db.write(lambda conn: take(conn, "one"), one_statement=True) == [1, 1]
    assert await db.write(lambda conn: take(conn, "two"), one_statement=True) == [0, 0]
    assert await db.read(lambda conn: conn.one(COUNT)) == (2,)


async def test_callers_that_share_a_commit_do_not_share_their_errors(
    db: storage.Database,
) -> None:
    """Of many one-statement writes at once, a failing one fails alone and the others are kept."""

    def working(key: str) -> Awaitable[Any]:
        return db.write(lambda conn: conn.run(INSERT, {"id": key, "amount": 1}), one_statement=True)

    wrong = db.write(
        lambda conn: conn.run(INSERT, {"id": "wrong", "amount": -1}), one_statement=True
    )
    outcomes = await asyncio.gather(
        *[working(f"a{i}") for i in range(40)],
        wrong,
        *[working(f"b{i}") for i in range(40)],
        return_exceptions=True,
    )
    assert [o for o in outcomes if o != 1] == [outcomes[40]]
    assert isinstance(outcomes[40], Exception)
    assert await db.read(lambda conn: conn.one(COUNT)) == (80,)


async def test_close_waits_for_what_was_begun(database_url: str) -> None:
    """Writes that wait when the database is closed are still made."""
    db = await storage.open_database(database_url)
    await db.write(lambda conn: conn.query(CREATE))
    waiting = [
        asyncio.ensure_future(
            db.write(
                lambda conn, i=i: conn.run(INSERT, {"id": str(i), "amount": 1}),  # type: ignore[misc]
                one_statement=bool(i % 2),
            )
        )
        for i in range(50)
    ]
    await asyncio.sleep(0)
    await db.close()
    assert await asyncio.gather(*waiting) == [1] * 50


async def test_a_server_that_ends_connections_stops_nobody(
    new_postgres_database: Callable[[], str],
) -> None:
    """Writers whose connections were ended in the middle fail or succeed, and go on afterwards."""
    url = new_postgres_database()
    db = await storage.open_database(url, pool_size=4)
    end = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
    try:
        await db.write(lambda conn: conn.query(CREATE))
        for round_ in range(5):
            writes = [
                asyncio.ensure_future(
                    db.write(
                        lambda conn, key=f"{round_}-{i}": conn.run(  # type: ignore[misc]
                            INSERT, {"id": key, "amount": 1}
                        ),
                        one_statement=True,
                    )
                )
                for i in range(60)
            ]
            await asyncio.sleep(0)
            with psycopg.connect(url, autocommit=True) as other:
                other.execute(f"{end} and datname = current_database()")
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert all(o == 1 or isinstance(o, storage.StorageError) for o in outcomes)
        for one_statement in (True, False):
            # Each connection may fail once more before it is replaced.
            for _ in range(8):
                with contextlib.suppress(storage.StorageError):
                    await db.write(lambda conn: conn.one(NOW), one_statement=one_statement)
            assert await db.write(lambda conn: conn.one(COUNT), one_statement=one_statement)
    finally:
        await db.close()


@pytest.mark.parametrize("ends", ["statement", "commit"])
async def test_a_process_that_stood_still_in_a_transaction_may_repeat_it(
    new_postgres_database: Callable[[], str], ends: str
) -> None:
    """The server gives such a transaction up: nothing of it was written, and callers are told."""
    url = new_postgres_database()
    db = await storage.open_database(url, statement_timeout_s=0.5)

    def stands_still(conn: storage.Connection) -> None:
        conn.run(INSERT, {"id": "a", "amount": 1})
        ((pid,),) = conn.query("select pg_backend_pid()")
        with psycopg.connect(url, autocommit=True) as other:
            there = "select 1 from pg_stat_activity where pid = %s"
            while other.execute(there, (pid,)).fetchone():
                time.sleep(0.02)
        if ends == "statement":
            conn.one(COUNT)

    try:
        await db.write(lambda conn: conn.query(CREATE))
        with pytest.raises(storage.StorageError):
            await db.write(stands_still)
        assert await db.write(lambda conn: conn.one(COUNT)) == (0,)
    finally:
        await db.close()


async def test_what_an_operator_puts_into_the_url_holds(
    new_postgres_database: Callable[[], str],
) -> None:
    """Options of the URL stand beside our own, which bound a server that vanished too."""
    url = new_postgres_database()
    added = "options=-c%20search_path%3Dpg_catalog&keepalives_idle=77"
    db = await storage.open_database(f"{url}{'&' if '?' in url else '?'}{added}")
    show = "select current_setting('search_path'), current_setting('statement_timeout')"
    try:
        assert await db.read(lambda conn: conn.query(show)) == [("pg_catalog", "10s")]
    finally:
        await db.close()


async def test_a_server_that_only_reads_can_not_be_used(
    new_postgres_database: Callable[[], str],
) -> None:
    """As the former primary after a failover: the next write asks who is the primary now."""
    url = new_postgres_database()
    name = urllib.parse.urlsplit(url).path.lstrip("/")
    mode = f'alter database "{name}" set default_transaction_read_only = '
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(CREATE)
        other.execute(f"{mode} on")
        db = await storage.open_database(url, pool_size=2)
        try:
            for one_statement in (True, False):
                with pytest.raises(storage.StorageUnavailable):
                    await _insert(db, "a", one_statement=one_statement)
            other.execute(f"{mode} off")
            for one_statement in (True, False):
                assert await _insert(db, f"{one_statement}", one_statement=one_statement) == 1
        finally:
            await db.close()


async def _insert(db: storage.Database, key: str, *, one_statement: bool) -> int:
    return await db.write(
        lambda conn: conn.run(INSERT, {"id": key, "amount": 1}), one_statement=one_statement
    )


@pytest.mark.parametrize(
    "password", ["canary%zz", "x@canary", "canary/x", "x/canary", "canary@[::1", "1/?canary"]
)
async def test_a_password_is_in_no_error(password: str) -> None:
    """Also one that makes the URL unreadable, which libpq quotes."""
    url = f"postgresql://user:{password}@127.0.0.1:1/db"
    failures = []
    with pytest.raises(storage.StorageError) as opened:
        await storage.open_database(url)
    with pytest.raises(storage.StorageError) as read:
        revisions.applied(url)
    for failure in (opened, read):
        failures += traceback.format_exception(failure.value)
    shown = [line for line in failures if "canary" in line]
    assert shown == []
