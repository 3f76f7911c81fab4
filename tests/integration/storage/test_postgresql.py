"""Storage on PostgreSQL alone: servers that end, stand still, only read or are never reached."""

import asyncio
import contextlib
import subprocess
import sys
import time
import traceback
import urllib.parse
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from servicekit import storage
from servicekit.storage import liveness, notices, revisions
from tests.integration.storage import items, stalling

# What makes of a connection the one that somebody else has used.
OTHER_CONNECTIONS = {
    "lacks it": "do $$ begin execute 'deallocate all'; end $$",
    "has another": "do $$ begin for i in 1..9 loop "
    "execute format('prepare _pg3_%s as select 1', i); end loop; end $$",
}


async def test_a_server_that_ends_connections_stops_nobody(
    new_postgres_database: Callable[[], str],
) -> None:
    """Writers whose connections were ended in the middle fail or succeed, and go on afterwards."""
    url = new_postgres_database()
    db = await storage.open_database(url, pool_size=4)
    end = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
    try:
        await db.write(lambda conn: conn.query(items.CREATE))
        for round_ in range(5):
            writes = [
                asyncio.ensure_future(
                    db.write(
                        lambda conn, key=f"{round_}-{i}": conn.run(  # type: ignore[misc]
                            items.INSERT, {"id": key, "amount": 1}
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
                    await db.write(lambda conn: conn.one(items.NOW), one_statement=one_statement)
            assert await db.write(lambda conn: conn.one(items.COUNT), one_statement=one_statement)
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
        conn.run(items.INSERT, {"id": "a", "amount": 1})
        ((pid,),) = conn.query("select pg_backend_pid()")
        with psycopg.connect(url, autocommit=True) as other:
            there = "select 1 from pg_stat_activity where pid = %s"
            while other.execute(there, (pid,)).fetchone():
                time.sleep(0.02)
        if ends == "statement":
            conn.one(items.COUNT)

    try:
        await db.write(lambda conn: conn.query(items.CREATE))
        with pytest.raises(storage.StorageError):
            await db.write(stands_still)
        assert await db.write(lambda conn: conn.one(items.COUNT)) == (0,)
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
    """As a standby: it is no more reached than one that is away, for reading as little."""
    url = new_postgres_database()
    name = urllib.parse.urlsplit(url).path.lstrip("/")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f'alter database "{name}" set default_transaction_read_only = on'.encode())
    with pytest.raises(storage.StorageUnavailable, match="read-only"):
        await storage.open_database(url)
    with pytest.raises(storage.StorageUnavailable, match="read-only"):
        revisions.applied(url)


async def test_a_server_that_only_reads_from_now_on_is_left(
    new_postgres_database: Callable[[], str],
) -> None:
    """As the former primary after a failover: the next write asks who is the primary now."""
    url = new_postgres_database()
    db = await storage.open_database(url, pool_size=2)
    try:
        await db.write(lambda conn: conn.query(items.CREATE))
        for one_statement in (True, False):
            await db.write(
                lambda conn: conn.query("set default_transaction_read_only = on"),
                one_statement=one_statement,
            )
            with pytest.raises(storage.StorageUnavailable, match="read-only"):
                await _insert(db, "a", one_statement=one_statement)
            assert await _insert(db, f"{one_statement}", one_statement=one_statement) == 1
    finally:
        await db.close()


@pytest.mark.parametrize("one_statement", [True, False])
async def test_nothing_runs_on_a_connection_that_is_refused(
    new_postgres_database: Callable[[], str], one_statement: bool
) -> None:
    """A new connection is shown first, and what is raised then is what calls end with."""
    url = new_postgres_database()
    refusing = False

    def show(conn: storage.Connection) -> None:
        conn.one(items.COUNT)
        if refusing:
            raise storage.StorageUnavailable("not this one")

    with psycopg.connect(url, autocommit=True) as other:
        other.execute(items.CREATE)
        db = await storage.open_database(url, pool_size=2, on_connect=show)
        try:
            refusing = True
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )
            with contextlib.suppress(storage.StorageUnavailable):
                await db.read(lambda conn: conn.one(items.COUNT))
            for _ in range(3):
                with pytest.raises(storage.StorageUnavailable, match="not this one"):
                    await _insert(db, "a", one_statement=one_statement)
            refusing = False
            assert await _insert(db, "b", one_statement=one_statement) == 1
            assert await db.read(lambda conn: conn.one(items.COUNT)) == (1,)
        finally:
            await db.close()


@pytest.mark.parametrize("one_statement", [True, False])
async def test_a_server_that_stands_still_is_left(
    new_postgres_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    one_statement: bool,
) -> None:
    """Its connections stay open, and its own limits don't hold: calls end all the same, and the
    next ones find who answers.
    """
    monkeypatch.setattr(liveness, "GRACE_S", 0.2)
    async with stalling.Way(new_postgres_database()).open() as way:
        db = await storage.open_database(way.url, pool_size=2, statement_timeout_s=0.5)
        try:
            await db.write(lambda conn: conn.query(items.CREATE))
            assert await _insert(db, "before", one_statement=one_statement) == 1
            way.block()
            for _ in range(2):
                with pytest.raises(storage.StorageError):
                    async with asyncio.timeout(30):
                        await _insert(db, "meanwhile", one_statement=one_statement)
            way.free()
            assert await _insert(db, "after", one_statement=one_statement) == 1
        finally:
            await db.close()


@pytest.mark.parametrize("one_statement", [True, False])
@pytest.mark.parametrize("other_connection", OTHER_CONNECTIONS.values(), ids=OTHER_CONNECTIONS)
async def test_a_pooler_that_hands_connections_on_is_told_as_such(
    new_postgres_database: Callable[[], str], one_statement: bool, other_connection: str
) -> None:
    """Statements are prepared on one connection and missed on another: the error says what to
    do, and nothing stays broken.
    """
    db = await storage.open_database(new_postgres_database(), pool_size=2)

    async def write(fn: Callable[[storage.Connection], Any]) -> Any:
        return await db.write(fn, one_statement=one_statement)

    async def one_after_the_other() -> None:
        for each in (items.COUNT, items.NOW):
            await write(lambda conn, sql=each: conn.one(sql))  # type: ignore[misc]

    try:
        await db.write(lambda conn: conn.query(items.CREATE))
        assert await write(lambda conn: conn.one(items.COUNT)) == (0,)
        await write(lambda conn: conn.query(other_connection))
        with pytest.raises(storage.StorageUnavailable, match="pool_mode"):
            await one_after_the_other()
        assert await write(lambda conn: conn.one(items.COUNT)) == (0,)
    finally:
        await db.close()


async def test_a_server_that_answers_nobody_keeps_few_waiting(
    new_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call at a time finds out whether it is back; the others end at once, as long as not."""
    monkeypatch.setattr(liveness, "GRACE_S", 0.2)
    async with stalling.Way(new_postgres_database()).open() as way:
        db = await storage.open_database(way.url, pool_size=4, statement_timeout_s=0.5)
        try:
            way.block()
            began_s = time.monotonic()
            ends = await asyncio.gather(
                *(db.read(lambda conn: conn.one(items.NOW)) for _ in range(60)),
                return_exceptions=True,
            )
            assert all(isinstance(each, storage.StorageUnavailable) for each in ends)
            # Each alone would wait for two seconds.
            assert time.monotonic() - began_s < 20
            way.free()
            assert await db.read(lambda conn: conn.one(items.NOW))
        finally:
            await db.close()


async def test_a_server_that_answers_others_is_waited_for(
    new_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at a commit whose synchronous standby is away: the answer counts however late it is."""
    monkeypatch.setattr(liveness, "GRACE_S", 0.2)
    async with stalling.Way(new_postgres_database()).open() as way:
        unlimited = f"{way.url}&options=-c%20statement_timeout%3D0"
        db = await storage.open_database(unlimited, pool_size=2, statement_timeout_s=0.5)
        try:
            slow = "select 1 from pg_sleep(2)"
            assert await db.read(lambda conn: conn.query(slow)) == [(1,)]
        finally:
            await db.close()


async def test_a_listener_leaves_a_server_that_stands_still(
    new_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears nothing from there, which is what a server sounds like that has nothing to tell."""
    monkeypatch.setattr(notices, "_QUIET_S", 0.2)
    monkeypatch.setattr(notices, "_CONNECT_TIMEOUT_S", 2)
    url = new_postgres_database()
    stop, begun, heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with stalling.Way(url).open() as way:
        listening = asyncio.create_task(
            notices.listen(way.url, "news", lambda _: heard.set(), stop, on_connected=begun.set)
        )
        async with asyncio.timeout(60):
            await begun.wait()
            begun.clear()
            way.block()
            way.free()
            await begun.wait()
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("notify news")
            await heard.wait()
        stop.set()
        await listening


def test_a_process_ends_whatever_its_database_does(postgres_url: str) -> None:
    """Who gives up closing while a statement runs is not kept by it."""
    code = f"""
import asyncio, contextlib
from servicekit import storage

async def main():
    db = await storage.open_database({postgres_url!r}, statement_timeout_s=300)
    slow = asyncio.create_task(db.read(lambda conn: conn.query("select pg_sleep(200)")))
    await asyncio.sleep(0.1)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await db.close()

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


async def _insert(db: storage.Database, key: str, *, one_statement: bool) -> int:
    return await db.write(
        lambda conn: conn.run(items.INSERT, {"id": key, "amount": 1}), one_statement=one_statement
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
