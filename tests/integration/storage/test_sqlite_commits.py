"""Where SQLite commits: a stall of the disk must not stop the event loop."""

import asyncio
import pathlib
import threading

import pytest

from servicekit import storage
from servicekit.storage import calls, sqlite
from tests.integration.storage import items


class Watched(sqlite.SqliteDatabase):
    """Notes which thread commits how many callers."""

    def __init__(self, path: pathlib.Path) -> None:
        self.seen: list[tuple[str, int]] = []
        super().__init__(str(path), readers=1, statement_timeout_s=5, waiting_max=100)

    def _commit(self, results: list[calls.Result]) -> list[calls.Result]:
        self.seen.append((threading.current_thread().name, len(results)))
        return super()._commit(results)

    async def insert(self, *keys: str) -> list[tuple[str, int]]:
        """Inserts at once; returns where that was committed."""
        self.seen.clear()
        await asyncio.gather(*(self._insert(key) for key in keys))
        return list(self.seen)

    async def _insert(self, key: str) -> int:
        row = {"id": key, "amount": 1}
        return await self.write(lambda conn: conn.run(items.INSERT, row), one_statement=True)


async def test_only_a_lone_caller_at_a_swift_disk_commits_on_the_loop(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before the disk is known, nor with others, nor once a commit was slow."""
    here, writer = threading.current_thread().name, "sqlite-writer"
    db = Watched(tmp_path / "db")
    await db.write(lambda conn: conn.query(items.CREATE))
    assert await db.insert("unknown") == [(writer, 1)]
    monkeypatch.setattr(sqlite, "SWIFT_COMMIT_S", 10.0)
    assert await db.insert("alone") == [(here, 1)]
    assert await db.insert("two", "more") == [(writer, 2)]
    monkeypatch.setattr(sqlite, "SWIFT_COMMIT_S", 0.0)
    assert await db.insert("slow") == [(writer, 1)]
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (5,)
    await db.close()


async def test_nobody_else_reads_a_new_database(tmp_path: pathlib.Path) -> None:
    """Its files are its owner's alone, as keys are; one that is there keeps the mode it was given,
    by whoever has its back-ups read it.
    """
    kept = tmp_path / "kept.db"
    kept.touch(0o640)
    for path, mode in ((tmp_path / "new.db", 0o600), (kept, 0o640)):
        db = await storage.open_database(f"sqlite:///{path}")
        try:
            await db.write(lambda conn: conn.query("create table t (id int)"))
            for file in (path, path.with_name(f"{path.name}-wal")):
                assert file.stat().st_mode & 0o777 == mode, file
        finally:
            await db.close()


async def test_a_full_disk_is_called_by_its_name(tmp_path: pathlib.Path) -> None:
    """SQLite undoes everything by itself then; the reason is told, and space heals it."""
    db = Watched(tmp_path / "db")
    await db.write(lambda conn: conn.query(items.CREATE))
    raw = db._raw
    pages = raw.execute("pragma page_count").fetchone()[0]
    raw.execute(f"pragma max_page_count={pages}")
    with pytest.raises(storage.StorageUnavailable, match="disk is full"):
        await db._insert("k" * 100_000)
    await db.insert("small")
    raw.execute("pragma max_page_count=100000")
    await db._insert("k" * 100_000)
    assert await db.read(lambda conn: conn.one(items.COUNT)) == (2,)
    await db.close()
