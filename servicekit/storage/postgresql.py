"""PostgreSQL: threads with a psycopg connection each.

Owns the connections and which call runs on which. A caller of several statements
has a transaction of its own; callers of one statement that wait together share
a commit. Called through `storage.Database`. Never reruns what a lost COMMIT may
have written.
"""

import asyncio
import contextlib
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar, cast

import psycopg
from psycopg import conninfo
from psycopg.types import numeric

from servicekit.storage import calls, database, errors, liveness, pooling, reaching
from servicekit.storage import postgresql_statements as statements

T = TypeVar("T")

# Conflicts between transactions end after one of them commits; five tries
# cover any load at which waiting is still better than an error.
_TRIES_MAX = 5

# How long to wait for another thread's connection after one was not to be had.
_TURN_S = 0.1
_POOLED = f"where a pooler stands before it, {pooling.SESSION_ONLY}"

# Two threads keep the server busy while one of them waits for its commit; a group
# holds its rows' locks until it commits, so it stays small.
WRITERS = 2
GROUP_MAX = 16
# As on SQLite: where callers come together, fewer and larger groups are faster.
GATHER_CALL_S = 0.001
GATHER_LONGEST_S = 0.004


class _Job(NamedTuple):
    runner: Callable[[Callable[[database.Connection], Any]], Any]
    call: calls.Call
    writes: bool

    @property
    def is_needed(self) -> bool:
        """Whether it is still to be done: a write is, whoever has left meanwhile."""
        return self.writes or not self.call.future.cancelled()


def _outcome(
    runner: Callable[[Callable[[database.Connection], Any]], Any], call: calls.Call
) -> calls.Result:
    try:
        return calls.Result(call.future, runner(call.fn), None)
    except Exception as error:
        return calls.Result(call.future, None, error)


def _seen(raw: psycopg.Connection[database.Row]) -> database.Connection:
    return cast(database.Connection, statements.PostgresConnection(raw))


class PostgresDatabase:
    """A `storage.Database` on a PostgreSQL server."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        size: int,
        statement_timeout_s: float,
        waiting_max: int,
        on_connect: Callable[[database.Connection], None] | None = None,
    ) -> None:
        self._url = url
        self._on_connect = on_connect
        self._timeout_s = statement_timeout_s
        self._limits = reaching.limits(int(statement_timeout_s * 1000))
        self._waiting_max = waiting_max
        self._waiting = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._open: set[psycopg.Connection[database.Row]] = set()
        self._lone: calls.Calls = queue.SimpleQueue()
        self._others: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        grouping = min(WRITERS, max(size - 1, 1))
        work = [self._write_groups] * grouping + [self._serve] * max(size - grouping, 1)
        self._working = len(work)
        self._ended = asyncio.Event()
        self._local = threading.local()
        self._turn = threading.Lock()
        self._failed: errors.StorageUnavailable | None = None
        for each in work:
            threading.Thread(target=self._run, args=(each,), daemon=True).start()

    @property
    def under_way(self) -> int:
        """How many reads and writes run or wait."""
        return self._waiting

    async def write(
        self, fn: Callable[[database.Connection], T], *, one_statement: bool = False
    ) -> T:
        """Runs *fn* in a transaction; see `storage.Database.write`."""
        future: asyncio.Future[T] = self._admit()
        if one_statement:
            self._lone.put(calls.Call(fn, future))
        else:
            self._others.put(_Job(self._write, calls.Call(fn, future), True))
        return await future

    async def read(self, fn: Callable[[database.Connection], T]) -> T:
        """Runs *fn* in a snapshot; see `storage.Database.read`."""
        future: asyncio.Future[T] = self._admit()
        self._others.put(_Job(self._read, calls.Call(fn, future), False))
        return await future

    async def forget(self) -> bool:
        """Does nothing; see `storage.Database.forget`."""
        return True

    async def close(self) -> None:
        """Waits for what runs and waits, then closes every connection."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._working):
            self._lone.put(None)
            self._others.put(None)
        # Not by joining them in the loop's executor: a loop that ends waits for that without a
        # limit, and a server may never answer.
        await self._ended.wait()
        for raw in self._open:
            raw.close()
        self._open.clear()

    def _admit(self) -> asyncio.Future[Any]:
        if self._closed:
            raise errors.StorageUnavailable("the database is closed")
        if self._waiting >= self._waiting_max:
            raise errors.StorageOverloaded(f"{self._waiting} calls wait already")
        self._waiting += 1
        return self._loop.create_future()

    def _settle(self, results: list[calls.Result]) -> None:
        self._waiting -= len(results)
        calls.settle(results)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
            self._loop.call_soon_threadsafe(self._one_ended)
        except RuntimeError:
            # The loop is closed where the process ends without waiting for this.
            if not self._loop.is_closed():
                raise

    def _one_ended(self) -> None:
        self._working -= 1
        if not self._working:
            self._ended.set()

    def _serve(self) -> None:
        while (job := self._others.get()) is not None:
            result = calls.Result(job.call.future, None, None)
            # Else callers that come again once they have waited too long keep all waiting too long.
            if job.is_needed:
                result = _outcome(job.runner, job.call)
            self._loop.call_soon_threadsafe(self._settle, [result])

    def _write_groups(self) -> None:
        while group := calls.take(self._lone, GROUP_MAX):
            results = self._write_together(group) if len(group) > 1 else None
            if results is None:
                results = [_outcome(self._write_alone, call) for call in group]
            self._loop.call_soon_threadsafe(self._settle, results)
            if len(group) > 1:
                time.sleep(min(len(group) * GATHER_CALL_S, GATHER_LONGEST_S))

    def _write_together(self, group: list[calls.Call]) -> list[calls.Result] | None:
        """Commits several callers' statements as one; None if that did not work out.

        Then nothing was written, and each is to run alone: what one caller did wrong is
        not the others' business. All statements are sent before the first answer is read:
        a round trip wakes three threads, and a group needs two of them, however large.
        """
        try:
            raw = self._connection()
            noted = [statements.noted(call.fn) for call in group]
            with raw.pipeline():
                raw.execute("begin")
                answers = [
                    statements.cursor(raw).execute(n.text, n.values, prepare=True) for n in noted
                ]
            results = [
                calls.Result(future, statements.answered(fn, answer), None)
                for (fn, future), answer in zip(group, answers, strict=True)
            ]
        except Exception:
            raw_now: psycopg.Connection[database.Row] | None = getattr(self._local, "raw", None)
            if raw_now is not None and not raw_now.closed:
                # A broken connection has rolled back already; this thread must go on.
                with contextlib.suppress(psycopg.Error):
                    raw_now.execute("rollback")
            return None
        try:
            self._commit(raw)
        except errors.CommitUnknown as error:
            return [calls.Result(call.future, None, error) for call in group]
        except (psycopg.Error, errors.StorageUnavailable):
            return None
        return results

    def _connection(self) -> psycopg.Connection[database.Row]:
        raw: psycopg.Connection[database.Row] | None = getattr(self._local, "raw", None)
        if raw is not None and not raw.closed:
            return raw
        if raw is not None:
            self._open.discard(raw)
        raw = self._local.raw = self._connect_in_turn()
        self._open.add(raw)
        return raw

    def _connect_in_turn(self) -> psycopg.Connection[database.Row]:
        """Connects, one thread at a time; while that fails, and takes long, others fail at once.

        Else all of them would wait for a server that does not answer, and calls behind them.
        """
        before = self._failed
        if not self._turn.acquire(timeout=-1 if before is None else _TURN_S):
            assert before is not None
            raise type(before)(str(before))
        try:
            if before is None and self._failed is not None:
                raise type(self._failed)(str(self._failed))
            connected = self._connect()
        except errors.StorageUnavailable as failure:
            self._failed = failure
            raise
        else:
            self._failed = None
            return connected
        finally:
            self._turn.release()

    def _connect(self) -> psycopg.Connection[database.Row]:
        try:
            options = self._options()
            raw = liveness.Connection.connect(self._url, autocommit=True, **options)
        except psycopg.Error as error:
            raise reaching.failed(self._url, error) from None
        try:
            raw.watch(self._url, options, overdue_s=self._timeout_s + liveness.GRACE_S)
            # One SQL type for every int, whatever its size, so that a statement is
            # prepared once and not once per combination of sizes.
            raw.adapters.register_dumper(int, numeric.Int8Dumper)
            raw.adapters.register_dumper(int, numeric.Int8BinaryDumper)
            raw.prepared_max = 500
            raw.execute(self._limits)
            if self._on_connect is not None:
                self._on_connect(_seen(raw))
        except BaseException as error:
            raw.close()
            if isinstance(error, psycopg.OperationalError):
                raise reaching.failed(self._url, error) from None
            raise
        return raw

    def _options(self) -> dict[str, Any]:
        """Returns what bounds a connection, beside and below what the URL says."""
        timeout_ms = int(self._timeout_s * 1000)
        given = conninfo.conninfo_to_dict(self._url)
        bounds = reaching.options(self._url, connect_timeout_s=max(1, int(self._timeout_s)))
        if "tcp_user_timeout" not in given:
            bounds["tcp_user_timeout"] = 2 * timeout_ms
        return bounds

    def _retrying(self, attempt: Callable[[], T]) -> T:
        for number in range(1, _TRIES_MAX + 1):
            try:
                return attempt()
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
                if number == _TRIES_MAX:
                    raise errors.StorageUnavailable(f"gave up after conflicts: {error}") from error
                time.sleep(random.uniform(0, 0.005 * 2**number))
            except psycopg.errors.ReadOnlySqlTransaction as error:
                # It is a standby by now; who is the primary is found by connecting anew.
                self._connection().close()
                raise errors.StorageUnavailable(f"PostgreSQL: {error}") from error
            except (
                psycopg.errors.InvalidSqlStatementName,
                psycopg.errors.DuplicatePreparedStatement,
            ) as error:
                self._connection().close()
                raise errors.StorageUnavailable(f"PostgreSQL: {error}; {_POOLED}") from error
            except psycopg.errors.QueryCanceled as error:
                raise errors.StorageUnavailable(f"took too long: {error}") from error
            except psycopg.errors.IdleInTransactionSessionTimeout as error:
                # This process stood still, and the server gave the transaction up.
                raise errors.StorageUnavailable(f"PostgreSQL: {error}") from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise errors.StorageUnavailable(f"PostgreSQL: {error}") from error
        raise AssertionError("unreachable: the last try returns or raises")

    def _write(self, fn: Callable[[database.Connection], T]) -> T:
        def attempt() -> T:
            raw = self._connection()
            raw.execute("begin")
            try:
                value = fn(_seen(raw))
            except BaseException:
                if not raw.closed:
                    raw.execute("rollback")
                raise
            self._commit(raw)
            return value

        return self._retrying(attempt)

    def _commit(self, raw: psycopg.Connection[database.Row]) -> None:
        try:
            status = raw.execute("commit").statusmessage
        except psycopg.OperationalError as error:
            if isinstance(
                error, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected
            ):
                raise
            raise errors.CommitUnknown(f"PostgreSQL: {error}") from error
        if status != "COMMIT":
            raise errors.StorageUnavailable("the transaction had failed and was rolled back")

    def _write_alone(self, fn: Callable[[database.Connection], T]) -> T:
        def attempt() -> T:
            raw = self._connection()
            try:
                return fn(_seen(raw))
            except psycopg.OperationalError as error:
                if raw.closed:
                    raise errors.CommitUnknown(f"PostgreSQL: {error}") from error
                raise

        return self._retrying(attempt)

    def _read(self, fn: Callable[[database.Connection], T]) -> T:
        def attempt() -> T:
            raw = self._connection()
            raw.execute("begin isolation level repeatable read read only")
            try:
                return fn(_seen(raw))
            finally:
                if not raw.closed:
                    raw.execute("rollback")

        return self._retrying(attempt)


async def open_pool(
    url: str,
    *,
    size: int,
    statement_timeout_s: float,
    waiting_max: int,
    on_connect: Callable[[database.Connection], None] | None = None,
) -> PostgresDatabase:
    """Opens a pool and proves that the server answers.

    Raises:
        StorageUnavailable: It does not.
    """
    pool = PostgresDatabase(
        url,
        size=size,
        statement_timeout_s=statement_timeout_s,
        waiting_max=waiting_max,
        on_connect=on_connect,
    )
    try:
        await pool.read(lambda conn: conn.query("select 1"))
    except errors.StorageError:
        await pool.close()
        raise
    return pool
