"""SQLite with group commit: one writer thread, many callers per transaction.

Owns the file, its lock and the writer. Called through `storage.Database`.
Never lets two processes write one file, and never reruns what a failed COMMIT
may have written.
"""

import asyncio
import collections
import concurrent.futures
import fcntl
import pathlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from servicekit.storage import calls, database, errors, statement

T = TypeVar("T")

# More callers per transaction gain nothing measurable above 64, and the first
# of them waits for the last.
GROUP_MAX = 64
# Instructions between two looks at the clock: about a millisecond.
_PROGRESS_STEPS = 50_000


class SqliteConnection:
    """A `storage.Connection` over sqlite3."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._execute = raw.execute
        self._executemany = raw.executemany

    def all(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> list[database.Row]:
        """Returns every row."""
        return self._execute(sql.sqlite, params).fetchall()

    def one(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> database.Row | None:
        """Returns the first row, or None."""
        cursor = self._execute(sql.sqlite, params)
        row: database.Row | None = cursor.fetchone()
        cursor.close()
        return row

    def run(self, sql: statement.Statement, params: database.Params = database.NO_PARAMS) -> int:
        """Returns how many rows were written."""
        return self._execute(sql.sqlite, params).rowcount

    def run_many(self, sql: statement.Statement, params: Sequence[database.Params]) -> None:
        """Runs it once per element."""
        self._executemany(sql.sqlite, params)

    def run_all(
        self,
        batch: Sequence[tuple[statement.Statement, database.Params]],
        *,
        first_decides: bool = False,
    ) -> list[int]:
        """Runs them one after the other; see `storage.Connection.run_all`."""
        counts: list[int] = []
        for sql, params in batch:
            counts.append(self._execute(sql.sqlite, params).rowcount)
            if first_decides and counts[0] == 0:
                return [0] * len(batch)
        return counts

    def query(self, text: str, params: database.Params = database.NO_PARAMS) -> list[database.Row]:
        """Runs text built at run time."""
        return self._execute(text, params).fetchall()


class SqliteDatabase:
    """A `storage.Database` on one file.

    Args:
        path: The file; its folder is made if missing.
        readers: Threads with a reading connection each.
        statement_timeout_s: Longest time of one transaction function, seconds.
        waiting_max: Most writes that may wait.

    Raises:
        DatabaseInUse: Another process has the file open.
    """

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(
        self, path: str, *, readers: int, statement_timeout_s: float, waiting_max: int
    ) -> None:
        self._path = path
        self._timeout_s = statement_timeout_s
        self._waiting_max = waiting_max
        self._lock = lock_file(path)
        self._loop = asyncio.get_running_loop()
        self._queue: calls.Calls = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._deadlines: dict[int, float] = {}
        writer = self._connect(writer=True)
        self._thread = threading.Thread(
            target=self._write_groups, args=(writer,), name="sqlite-writer", daemon=True
        )
        self._thread.start()
        self._local = threading.local()
        self._reading: collections.deque[sqlite3.Connection] = collections.deque()
        self._readers = concurrent.futures.ThreadPoolExecutor(readers, "sqlite-reader")

    def _connect(self, *, writer: bool) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(
                self._path,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
                timeout=self._timeout_s,
            )
            raw.execute("pragma journal_mode=wal")
            raw.execute("pragma synchronous=full")
            raw.execute("pragma foreign_keys=on")
            if not writer:
                # Only the writer checkpoints: several checkpointing connections can
                # corrupt the WAL of SQLite before 3.51.3 (sqlite.org/wal.html, "the
                # WAL-reset bug").
                raw.execute("pragma wal_autocheckpoint=0")
                raw.execute("pragma query_only=on")
        except sqlite3.Error as error:
            raise errors.StorageUnavailable(f"can't open {self._path}: {error}") from error
        key = id(raw)

        def expired() -> bool:
            return time.monotonic() > self._deadlines.get(key, float("inf"))

        raw.set_progress_handler(expired, _PROGRESS_STEPS)
        return raw

    async def write(
        self, fn: Callable[[database.Connection], T], *, one_statement: bool = False
    ) -> T:
        """Runs *fn* in the writer's next group; see `storage.Database.write`."""
        if self._closed:
            raise errors.StorageUnavailable("the database is closed")
        if self._waiting >= self._waiting_max:
            raise errors.StorageOverloaded(f"{self._waiting} writes wait already")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._queue.put(calls.Call(fn, future))
        return await future

    async def read(self, fn: Callable[[database.Connection], T]) -> T:
        """Runs *fn* in a snapshot; see `storage.Database.read`."""
        if self._closed:
            raise errors.StorageUnavailable("the database is closed")
        return await self._loop.run_in_executor(self._readers, self._read, fn)

    async def close(self) -> None:
        """Writes what waits, then closes."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        await self._loop.run_in_executor(None, self._readers.shutdown)
        while self._reading:
            self._reading.pop().close()
        self._lock.close()

    def _read(self, fn: Callable[[database.Connection], T]) -> T:
        raw: sqlite3.Connection | None = getattr(self._local, "raw", None)
        if raw is None:
            raw = self._local.raw = self._connect(writer=False)
            self._reading.append(raw)
        self._deadlines[id(raw)] = time.monotonic() + self._timeout_s
        raw.execute("begin")
        try:
            return fn(SqliteConnection(raw))
        except sqlite3.OperationalError as error:
            raise errors.StorageUnavailable(f"{self._path}: {error}") from error
        finally:
            raw.execute("rollback")

    def _write_groups(self, raw: sqlite3.Connection) -> None:
        connection = SqliteConnection(raw)
        while group := calls.take(self._queue, GROUP_MAX):
            results = self._commit(raw, connection, group)
            self._loop.call_soon_threadsafe(self._settle, results)
        raw.close()

    def _commit(
        self, raw: sqlite3.Connection, connection: SqliteConnection, group: list[calls.Call]
    ) -> list[calls.Result]:
        results: list[calls.Result] = []
        try:
            raw.execute("begin immediate")
            for call in group:
                self._deadlines[id(raw)] = time.monotonic() + self._timeout_s
                results.append(self._call(raw, connection, call))
            self._deadlines[id(raw)] = float("inf")
            raw.execute("commit")
        except sqlite3.Error as error:
            failure = self._failure(raw, error)
            return [calls.Result(future, None, failure) for _, future in group]
        return results

    def _call(
        self, raw: sqlite3.Connection, connection: SqliteConnection, call: calls.Call
    ) -> calls.Result:
        raw.execute("savepoint caller")
        try:
            result = calls.Result(call.future, call.fn(connection), None)
        except Exception as error:
            raw.execute("rollback to caller")
            result = calls.Result(call.future, None, error)
        raw.execute("release caller")
        return result

    def _failure(self, raw: sqlite3.Connection, error: sqlite3.Error) -> errors.StorageError:
        """Returns what is known of a group that did not commit."""
        if raw.in_transaction:
            raw.execute("rollback")
            return errors.StorageUnavailable(f"{self._path}: {error}")
        return errors.CommitUnknown(f"{self._path}: {error}")

    def _settle(self, results: list[calls.Result]) -> None:
        self._waiting -= len(results)
        calls.settle(results)


class FileLock:
    """An advisory lock beside a file, held until `close` or the end of the process."""

    def __init__(self, path: pathlib.Path) -> None:
        self._file = path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise errors.DatabaseInUse(
                f"{path.with_suffix('')} is open in another process; stop that one first, "
                "or use PostgreSQL, which several processes can share"
            ) from None

    def close(self) -> None:
        """Gives the lock back."""
        self._file.close()


def lock_file(path: str) -> FileLock:
    """Locks the database file at *path* for this process; makes its folder if missing."""
    database_file = pathlib.Path(path)
    database_file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(database_file.with_name(database_file.name + ".lock"))
