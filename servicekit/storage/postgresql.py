"""PostgreSQL: threads with a psycopg connection each.

Owns the connections and which call runs on which. A caller of several statements
has a transaction of its own; callers of one statement that wait together share
a commit. Called through `storage.Database`. Never reruns what a lost COMMIT may
have written.
"""

import asyncio
import contextlib
import functools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, cast

import psycopg
from psycopg import conninfo
from psycopg.types import numeric

from servicekit.storage import calls, database, errors, reaching, statement

T = TypeVar("T")

# Conflicts between transactions end after one of them commits; five tries
# cover any load at which waiting is still better than an error.
_TRIES_MAX = 5

# A server that vanished without a word answers none of these; the system's own take hours.
_LIVENESS = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

# Two threads keep the server busy while one of them waits for its commit; a group
# holds its rows' locks until it commits, so it stays small.
WRITERS = 2
GROUP_MAX = 16
# As on SQLite: where callers come together, fewer and larger groups are faster.
GATHER_CALL_S = 0.001
GATHER_LONGEST_S = 0.004


class PostgresConnection:
    """A `storage.Connection` over psycopg."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(self, raw: psycopg.Connection[database.Row]) -> None:
        self._cursor = _cursor(raw)

    def _run(
        self, text: bytes, values: list[Any], *, prepare: bool
    ) -> psycopg.Cursor[database.Row]:
        return self._cursor.execute(text, values, prepare=prepare)

    def _execute(
        self, native: statement.Native, params: database.Params
    ) -> psycopg.Cursor[database.Row]:
        values = [params[name] for name in native.names]
        return self._run(native.text, values, prepare=native.prepared)

    def all(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> list[database.Row]:
        """Returns every row."""
        return self._execute(sql.postgresql, params).fetchall()

    def each(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> Iterable[database.Row]:
        """Returns every row; all are here by then."""
        native = sql.postgresql
        values = [params[name] for name in native.names]
        # On a cursor of their own: the next statement takes away the rows of the others'.
        return _cursor(self._cursor.connection).execute(
            native.text, values, prepare=native.prepared
        )

    def one(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> database.Row | None:
        """Returns the first row, or None."""
        return self._execute(sql.postgresql, params).fetchone()

    def run(self, sql: statement.Statement, params: database.Params = database.NO_PARAMS) -> int:
        """Returns how many rows were written."""
        return self._execute(sql.postgresql, params).rowcount

    def run_many(self, sql: statement.Statement, params: Sequence[database.Params]) -> None:
        """Runs it once per element."""
        native = sql.postgresql
        rows = [[one[name] for name in native.names] for one in params]
        self._cursor.executemany(native.text, rows)

    def run_all(
        self,
        batch: Sequence[tuple[statement.Statement, database.Params]],
        *,
        first_decides: bool = False,
    ) -> list[int]:
        """Runs them as one statement; see `storage.Connection.run_all`."""
        if len(batch) == 1:
            return [self.run(*batch[0])]
        merged = _merged(tuple(sql for sql, _ in batch), first_decides=first_decides)
        values = [batch[number][1][name] for number, name in merged.places]
        row = self._run(merged.text, values, prepare=True).fetchone()
        return list(row or ())

    def query(self, text: str, params: database.Params = database.NO_PARAMS) -> list[database.Row]:
        """Runs text built at run time."""
        cursor = self._execute(statement.Native(text, prepared=False), params)
        return cursor.fetchall() if cursor.description else []


class _Noted(Exception):
    """The statement that a function would run now."""

    def __init__(self, text: bytes, values: list[Any]) -> None:
        super().__init__()
        self.text = text
        self.values = values


class _NotOne(Exception):
    """A function of one statement ran none, several, or one of another kind."""


class _Asking(PostgresConnection):
    """Runs a function as far as its statement."""

    def __init__(self) -> None:
        """Needs no connection."""

    def _run(
        self, text: bytes, values: list[Any], *, prepare: bool
    ) -> psycopg.Cursor[database.Row]:
        raise _Noted(text, values)

    def run_many(self, sql: statement.Statement, params: Sequence[database.Params]) -> None:
        raise _NotOne

    def statement(self, fn: Callable[[database.Connection], Any]) -> _Noted:
        """Returns the statement of *fn*."""
        try:
            fn(cast(database.Connection, self))
        except _Noted as noted:
            return noted
        raise _NotOne


class _Answering(PostgresConnection):
    """Runs a function whose statement has been run, with what that gave."""

    def __init__(self, answer: psycopg.Cursor[database.Row]) -> None:
        self._answer: psycopg.Cursor[database.Row] | None = answer

    def _run(
        self, text: bytes, values: list[Any], *, prepare: bool
    ) -> psycopg.Cursor[database.Row]:
        answer, self._answer = self._answer, None
        if answer is None:
            raise _NotOne
        return answer


def _cursor(raw: psycopg.Connection[database.Row]) -> psycopg.RawCursor[database.Row]:
    cursor = psycopg.RawCursor(raw)
    cursor.format = psycopg.pq.Format.BINARY
    return cursor


class _Merged:
    """Several statements as one; `places` are the (statement, name) of its parameters."""

    __slots__ = ("places", "text")

    def __init__(self, text: str) -> None:
        native = statement.Native(text)
        self.text = native.text
        self.places = [
            (int(number), name)
            for number, _, name in (place[1:].partition("_") for place in native.names)
        ]


@functools.cache
def _merged(statements: tuple[statement.Statement, ...], *, first_decides: bool) -> _Merged:
    """Returns one statement that runs all of *statements* and counts what each wrote."""
    others = "exists (select 1 from s0)" if first_decides else "true"
    parts = [
        f"s{number} as ({sql.merged(f's{number}_', others if number else 'true')} returning 1)"
        for number, sql in enumerate(statements)
    ]
    counts = [f"(select count(*) from s{number})" for number in range(len(statements))]
    return _Merged(f"with {', '.join(parts)} select {', '.join(counts)}")


class _Job(NamedTuple):
    runner: Callable[[Callable[[database.Connection], Any]], Any]
    call: calls.Call


def _outcome(
    runner: Callable[[Callable[[database.Connection], Any]], Any], call: calls.Call
) -> calls.Result:
    try:
        return calls.Result(call.future, runner(call.fn), None)
    except Exception as error:
        return calls.Result(call.future, None, error)


class PostgresDatabase:
    """A `storage.Database` on a PostgreSQL server."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(
        self, url: str, *, size: int, statement_timeout_s: float, waiting_max: int
    ) -> None:
        self._url = url
        self._timeout_s = statement_timeout_s
        self._waiting_max = waiting_max
        self._waiting = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._open: set[psycopg.Connection[database.Row]] = set()
        self._lone: calls.Calls = queue.SimpleQueue()
        self._others: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        grouping = min(WRITERS, max(size - 1, 1))
        self._threads = [
            *[threading.Thread(target=self._write_groups) for _ in range(grouping)],
            *[threading.Thread(target=self._serve) for _ in range(max(size - grouping, 1))],
        ]
        self._local = threading.local()
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    async def write(
        self, fn: Callable[[database.Connection], T], *, one_statement: bool = False
    ) -> T:
        """Runs *fn* in a transaction; see `storage.Database.write`."""
        future: asyncio.Future[T] = self._admit()
        if one_statement:
            self._lone.put(calls.Call(fn, future))
        else:
            self._others.put(_Job(self._write, calls.Call(fn, future)))
        return await future

    async def read(self, fn: Callable[[database.Connection], T]) -> T:
        """Runs *fn* in a snapshot; see `storage.Database.read`."""
        future: asyncio.Future[T] = self._admit()
        self._others.put(_Job(self._read, calls.Call(fn, future)))
        return await future

    async def close(self) -> None:
        """Waits for what runs and waits, then closes every connection."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._lone.put(None)
            self._others.put(None)
        for thread in self._threads:
            await self._loop.run_in_executor(None, thread.join)
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

    def _serve(self) -> None:
        while (job := self._others.get()) is not None:
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
            noted = [_Asking().statement(call.fn) for call in group]
            with raw.pipeline():
                raw.execute("begin")
                answers = [_cursor(raw).execute(n.text, n.values, prepare=True) for n in noted]
            results = [
                calls.Result(future, fn(cast(database.Connection, _Answering(answer))), None)
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
        try:
            raw = psycopg.connect(self._url, autocommit=True, **self._options())
        except psycopg.Error as error:
            raise reaching.failed(self._url, error) from None
        # One SQL type for every int, whatever its size, so that a statement is
        # prepared once and not once per combination of sizes.
        raw.adapters.register_dumper(int, numeric.Int8Dumper)
        raw.adapters.register_dumper(int, numeric.Int8BinaryDumper)
        raw.prepared_max = 500
        self._local.raw = raw
        self._open.add(raw)
        return raw

    def _options(self) -> dict[str, Any]:
        """Returns what bounds a connection, beside and below what the URL says."""
        timeout_ms = int(self._timeout_s * 1000)
        given = conninfo.conninfo_to_dict(self._url)
        ours: dict[str, Any] = {
            **_LIVENESS,
            "connect_timeout": max(1, int(self._timeout_s)),
            "tcp_user_timeout": 2 * timeout_ms,
        }
        options = (
            f"-c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms} "
            f"-c idle_in_transaction_session_timeout={2 * timeout_ms} -c timezone=UTC "
            f"{given.get('options') or ''}"
        )
        return {k: v for k, v in ours.items() if k not in given} | {"options": options.strip()}

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
                value = fn(cast(database.Connection, PostgresConnection(raw)))
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
                return fn(cast(database.Connection, PostgresConnection(raw)))
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
                return fn(cast(database.Connection, PostgresConnection(raw)))
            finally:
                if not raw.closed:
                    raw.execute("rollback")

        return self._retrying(attempt)


async def open_pool(
    url: str, *, size: int, statement_timeout_s: float, waiting_max: int
) -> PostgresDatabase:
    """Opens a pool and proves that the server answers.

    Raises:
        StorageUnavailable: It does not.
    """
    pool = PostgresDatabase(
        url, size=size, statement_timeout_s=statement_timeout_s, waiting_max=waiting_max
    )
    try:
        await pool.read(lambda conn: conn.query("select 1"))
    except errors.StorageError:
        await pool.close()
        raise
    return pool
