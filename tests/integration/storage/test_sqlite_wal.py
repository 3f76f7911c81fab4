"""The write-ahead log of SQLite under reads that overlap."""

import asyncio
import pathlib
import threading

import pytest

from servicekit import storage
from servicekit.storage import wal

# Reads the table, so that it needs what is written, and takes some milliseconds.
SLOW = storage.Statement(
    "with recursive n (i) as (select 1 union all select i + 1 from n where i < 10000) "
    "select (select count(*) from filled), count(*) from n"
)
FILL = storage.Statement("insert into filled (body) values (zeroblob(:size))")
SIZE = 100_000
WRITES = 40


async def test_reads_that_overlap_do_not_let_it_grow(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite begins it anew once nobody reads, and somebody always does."""
    monkeypatch.setattr(wal, "BYTES_MAX", 5 * SIZE)
    monkeypatch.setattr(wal, "LOOK_EVERY", 5)
    monkeypatch.setattr(wal, "PAUSE_S", 0)
    # However busy the machine is.
    monkeypatch.setattr(wal, "WAIT_S", 30)
    path = tmp_path / "x.db"
    db = await storage.open_database(f"sqlite:///{path}")
    written = 0

    async def read_on() -> None:
        while written < WRITES:
            await db.read(lambda conn: conn.one(SLOW))

    try:
        # After so many pages SQLite writes back what it may; a thousand otherwise.
        await db.write(lambda conn: conn.query("pragma wal_autocheckpoint = 5"))
        await db.write(lambda conn: conn.query("create table filled (body blob)"))
        reading = [asyncio.ensure_future(read_on()) for _ in range(4)]
        longest = 0
        for _ in range(WRITES):
            await db.write(lambda conn: conn.run(FILL, {"size": SIZE}))
            written += 1
            longest = max(longest, path.with_name("x.db-wal").stat().st_size)
        await asyncio.gather(*reading)
        assert longest < 15 * SIZE
        assert await db.read(lambda conn: conn.query("select count(*) from filled")) == [(WRITES,)]
    finally:
        await db.close()


async def test_what_was_deleted_stays_as_long_as_somebody_reads_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting says whether it could, and holds no write up for good."""
    monkeypatch.setattr(wal, "WAIT_S", 0.05)
    wal_file = tmp_path / "x.db-wal"
    db = await storage.open_database(f"sqlite:///{tmp_path}/x.db")
    begun, ended = threading.Event(), threading.Event()

    def read(conn: storage.Connection) -> None:
        conn.query("select count(*) from filled")
        begun.set()
        assert ended.wait(30)

    try:
        await db.write(lambda conn: conn.query("create table filled (body blob)"))
        reading = asyncio.create_task(db.read(read))
        assert await asyncio.to_thread(begun.wait, 30)
        await db.write(lambda conn: conn.run(FILL, {"size": 10}))
        forgot, _ = await asyncio.gather(
            db.forget(), db.write(lambda conn: conn.run(FILL, {"size": 10}))
        )
        assert (forgot, wal_file.stat().st_size > 0) == (False, True)
        ended.set()
        await reading
        assert await db.forget()
        assert wal_file.stat().st_size == 0
        assert await db.read(lambda conn: conn.query("select count(*) from filled")) == [(2,)]
    finally:
        ended.set()
        await db.close()
