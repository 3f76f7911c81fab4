"""SQLite with group commit: many callers per transaction, one transaction at a time.

Owns the file and the writer. Callers of one statement run on the event
loop and only their COMMIT in the writer thread, or on the loop too where the disk is
swift and the caller alone; everything else runs in that thread whole. Called through
`storage.Database`. Never lets two processes write one file, and never reruns what a
failed COMMIT may have written.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import itertools
import operator
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

from servicekit.storage import calls, database, errors, file_lock, statement, wal

T = TypeVar("T")

# More callers per transaction gain nothing measurable above 64, and the first
# of them waits for the last.
GROUP_MAX = 64
# Where callers come together, the next group waits for more of them: the disk
# flushes one group after the other, so fewer and larger ones are faster for all.
# A lone caller never waits.
GATHER_CALL_S = 0.001
GATHER_LONGEST_S = 0.004
# As long as commits take no longer than this, a lone caller's runs on the event loop: to
# reach the writer thread and come back would take half as long again.
SWIFT_COMMIT_S = 0.0005
_LATEST_COUNTS = 0.2
_PROGRESS_STEPS = 50_000  # Between two looks at the clock: about a millisecond.


# Each statement waits anew for the interpreter's lock, which the event loop may hold for long.
ROWS_AT_ONCE = (64, 16, 4, 1)


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

    def each(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> Iterable[database.Row]:
        """Returns every row, fetched as it is taken."""
        return self._execute(sql.sqlite, params)

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
        """Runs it once per element; rows that are inserted go many at once."""
        if sql.inserted is None:
            self._executemany(sql.sqlite, params)
            return
        values = operator.itemgetter(*sql.inserted.names)
        done = 0
        for rows in ROWS_AT_ONCE:
            text = statement.of_rows(sql.inserted, rows)
            while len(params) - done >= rows:
                self._execute(
                    text,
                    list(itertools.chain.from_iterable(map(values, params[done : done + rows]))),
                )
                done += rows

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


class _Raised(Exception):
    """One call of a group raised: the group runs again, each call apart."""


class _Pending(NamedTuple):
    call: calls.Call
    brief: bool


class SqliteDatabase:
    """A `storage.Database` on one file.

    Args:
        path: The file; its folder is made if missing.
        readers: Threads with a reading connection each.
        statement_timeout_s: Longest time of one transaction function, seconds.
        waiting_max: Most writes that may wait, and most reads.

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
        self._lock = file_lock.lock_file(path)
        self._loop = asyncio.get_running_loop()
        self._pending: collections.deque[_Pending] = collections.deque()
        self._work: queue.SimpleQueue[Callable[[], list[calls.Result]] | None] = queue.SimpleQueue()
        self._forgetting: list[asyncio.Future[bool]] = []
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._waiting = 0
        self._reads = 0
        # How long commits took lately; at first nobody knows.
        self._commit_s = 2 * SWIFT_COMMIT_S
        self._closed = False
        self._deadlines: dict[int, float] = {}
        self._wal = wal.Wal(path)
        self._raw = self._connect(writer=True)
        self._connection = SqliteConnection(self._raw)
        self._thread = threading.Thread(target=self._work_off, name="sqlite-writer", daemon=True)
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
            for setting in ("journal_mode=wal", "synchronous=full", "foreign_keys=on"):
                raw.execute(f"pragma {setting}")
            if writer:
                # What is overwritten is gone, as it is on Debian, and not only free.
                raw.execute("pragma secure_delete=on")
            else:
                # Only the writer checkpoints: several checkpointing connections can corrupt the WAL
                # of SQLite before 3.51.3 (sqlite.org/wal.html, "the WAL-reset bug").
                raw.execute("pragma wal_autocheckpoint=0")
                raw.execute("pragma query_only=on")
        except sqlite3.Error as error:
            raise errors.StorageUnavailable(f"can't open {self._path}: {error}") from error
        key = id(raw)

        def expired() -> bool:
            return time.monotonic() > self._deadlines.get(key, float("inf"))

        raw.set_progress_handler(expired, _PROGRESS_STEPS)
        return raw

    @property
    def under_way(self) -> int:
        """How many reads and writes run or wait."""
        return self._waiting + self._reads

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
        self._pending.append(_Pending(calls.Call(fn, future), one_statement))
        self._wake()
        return await future

    async def read(self, fn: Callable[[database.Connection], T]) -> T:
        """Runs *fn* in a snapshot; see `storage.Database.read`."""
        if self._closed:
            raise errors.StorageUnavailable("the database is closed")
        if self._reads >= self._waiting_max:
            raise errors.StorageOverloaded(f"{self._reads} reads wait already")
        self._reads += 1
        try:
            return await self._loop.run_in_executor(self._readers, self._read, fn)
        finally:
            self._reads -= 1

    async def forget(self) -> bool:
        """Begins the write-ahead log anew; see `storage.Database.forget`."""
        if self._closed:
            raise errors.StorageUnavailable("the database is closed")
        future: asyncio.Future[bool] = self._loop.create_future()
        self._waiting += 1
        self._forgetting.append(future)
        self._wake()
        return await future

    async def close(self) -> None:
        """Writes what waits, then closes."""
        if self._closed:
            return
        self._closed = True
        await self._idle.wait()
        self._work.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._raw.close()
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

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._next_group)

    def _next_group(self) -> None:
        """Starts the transaction of what waits; runs on the event loop."""
        if self._forgetting:
            asked, self._forgetting = self._forgetting, []
            self._work.put(functools.partial(self._begin_wal_anew, asked))
            return
        if not self._pending:
            self._busy = False
            self._idle.set()
            return
        count = min(len(self._pending), GROUP_MAX)
        taken = [self._pending.popleft() for _ in range(count)]
        group = [pending.call for pending in taken]
        if not all(pending.brief for pending in taken):
            self._work.put(functools.partial(self._run_and_commit, group))
            return
        # On the loop's own thread: sqlite3 gives up the interpreter's lock at every
        # statement, and a thread that competes with the loop waits for it each time.
        ran = self._run(group)
        if isinstance(ran, errors.StorageError):
            self._finish([calls.Result(future, None, ran) for _, future in group])
        elif count == 1 and self._commit_s <= SWIFT_COMMIT_S:
            self._finish(self._commit(ran))
        else:
            self._work.put(functools.partial(self._commit, ran))

    def _finish(self, results: list[calls.Result]) -> None:
        self._waiting -= len(results)
        calls.settle(results)
        if self._wal.has_grown():
            self._work.put(self._begin_wal_anew)
        elif len(results) > 1:
            gather_s = min(len(results) * GATHER_CALL_S, GATHER_LONGEST_S)
            self._loop.call_later(gather_s, self._next_group)
        else:
            self._next_group()

    def _work_off(self) -> None:
        while (work := self._work.get()) is not None:
            self._loop.call_soon_threadsafe(self._finish, work())

    def _begin_wal_anew(self, asked: Sequence[asyncio.Future[bool]] = ()) -> list[calls.Result]:
        done = self._wal.begin_anew(self._raw, self._timeout_s)
        return [calls.Result(future, done, None) for future in asked]

    def _run_and_commit(self, group: list[calls.Call]) -> list[calls.Result]:
        ran = self._run(group)
        if isinstance(ran, errors.StorageError):
            return [calls.Result(future, None, ran) for _, future in group]
        return self._commit(ran)

    def _run(self, group: list[calls.Call]) -> list[calls.Result] | errors.StorageError:
        """Runs a group's functions in a new transaction, which it leaves open.

        Nearly always all succeed, so savepoints are made only once one of them raised:
        they cost as much as a statement each.
        """
        try:
            try:
                return self._run_each(group, self._call)
            except _Raised:
                self._roll_back()
            return self._run_each(group, self._call_apart)
        except sqlite3.Error as error:
            # COMMIT was not sent, so nothing of the group is written.
            self._roll_back()
            return errors.StorageUnavailable(f"{self._path}: {error}")
        finally:
            self._deadlines[id(self._raw)] = float("inf")

    def _run_each(
        self, group: list[calls.Call], run: Callable[[calls.Call], calls.Result]
    ) -> list[calls.Result]:
        self._raw.execute("begin immediate")
        results: list[calls.Result] = []
        for call in group:
            self._deadlines[id(self._raw)] = time.monotonic() + self._timeout_s
            results.append(run(call))
        return results

    def _commit(self, results: list[calls.Result]) -> list[calls.Result]:
        started_s = time.monotonic()
        try:
            self._raw.execute("commit")
        except sqlite3.Error as error:
            failure = self._failure(error)
            return [calls.Result(result.future, None, failure) for result in results]
        finally:
            took_s = time.monotonic() - started_s
            self._commit_s += _LATEST_COUNTS * (took_s - self._commit_s)
        return results

    def _call(self, call: calls.Call) -> calls.Result:
        """Runs a call whose writes stand or fall with its group's."""
        try:
            return calls.Result(call.future, call.fn(self._connection), None)
        except Exception as error:
            raise _Raised from error

    def _call_apart(self, call: calls.Call) -> calls.Result:
        """Runs a call whose writes alone are undone if it raises."""
        self._raw.execute("savepoint caller")
        try:
            result = calls.Result(call.future, call.fn(self._connection), None)
        except sqlite3.OperationalError as error:
            if not self._raw.in_transaction:
                raise  # Of a full disk, say: SQLite has undone the whole group already.
            self._raw.execute("rollback to caller")
            failure = errors.StorageUnavailable(f"{self._path}: {error}")
            result = calls.Result(call.future, None, failure)
        except Exception as error:
            self._raw.execute("rollback to caller")
            result = calls.Result(call.future, None, error)
        self._raw.execute("release caller")
        return result

    def _failure(self, error: sqlite3.Error) -> errors.StorageError:
        """Returns what is known of a group whose COMMIT failed."""
        if self._raw.in_transaction:
            self._roll_back()
            return errors.StorageUnavailable(f"{self._path}: {error}")
        return errors.CommitUnknown(f"{self._path}: {error}")

    def _roll_back(self) -> None:
        # Whoever waits must learn of it whatever the file's state is.
        with contextlib.suppress(sqlite3.Error):
            self._raw.execute("rollback")
