"""What callers see of a database, whichever it is.

Owns the `Connection` and `Database` protocols and the choice by URL. Called by
process start-up and use cases. Never runs SQL itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from servicekit.storage import statement

T = TypeVar("T")
Params = Mapping[str, Any]
NO_PARAMS: Params = {}
Row = tuple[Any, ...]
Dialect = Literal["sqlite", "postgresql"]


class Connection(Protocol):
    """One transaction. Valid only inside the function it was given to."""

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""

    def all(self, sql: statement.Statement, params: Params = ...) -> list[Row]:
        """Returns every row."""

    def each(self, sql: statement.Statement, params: Params = ...) -> Iterable[Row]:
        """Returns every row, fetched as it is taken where the database can do that."""

    def one(self, sql: statement.Statement, params: Params = ...) -> Row | None:
        """Returns the first row, or None."""

    def run(self, sql: statement.Statement, params: Params = ...) -> int:
        """Returns how many rows were written."""

    def run_many(self, sql: statement.Statement, params: Sequence[Params]) -> None:
        """Runs it once per element."""

    def run_all(
        self, batch: Sequence[tuple[statement.Statement, Params]], *, first_decides: bool = False
    ) -> list[int]:
        """Runs inserts and updates in one round trip; returns the rows each wrote.

        No two of them may write the same row, nor read what another wrote. With
        *first_decides* the others happen only if the first wrote a row; each must
        have `{if_first}` among its conditions.
        """

    def query(self, text: str, params: Params = ...) -> list[Row]:
        """Runs text built at run time, with `:name` parameters; for cold paths only."""


class Database(Protocol):
    """A database of one process."""

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""

    @property
    def under_way(self) -> int:
        """How many reads and writes run or wait."""

    async def write(self, fn: Callable[[Connection], T], *, one_statement: bool = False) -> T:
        """Runs *fn* in a transaction that is durable when this returns.

        Args:
            fn: Plain synchronous function, which may run more than once; what it
                raises rolls back its own writes and reaches the caller.
            one_statement: *fn* runs exactly one statement (or `run_all`) that touches a
                few rows: callers share commits, and SQLite runs it on the event loop.

        Raises:
            StorageUnavailable: Nothing was written.
            CommitUnknown: It was written whole or not at all; read back.
        """

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Runs *fn*, maybe more than once, in one read-only snapshot of what is committed; not at
        all if the caller is cancelled before its turn.
        """

    async def forget(self) -> bool:
        """Leaves nothing in SQLite's own files of what was overwritten or deleted before.

        Returns whether it could: False if somebody reads what was there all the time. PostgreSQL
        does so by itself, when it vacuums the table and begins its log anew.

        Raises:
            StorageUnavailable: The database is closed.
        """

    async def close(self) -> None:
        """Finishes what waits and closes."""


async def open_database(
    url: str,
    *,
    pool_size: int = 4,
    statement_timeout_s: float = 10.0,
    waiting_max: int = 10_000,
    on_connect: Callable[[Connection], None] | None = None,
) -> Database:
    """Opens a database by URL: `sqlite:///relative/path`, `sqlite:////absolute/path` or
    `postgresql://user:password@host:port/name`.

    Args:
        url: Which one.
        pool_size: Connections to PostgreSQL, or reading connections to SQLite.
        statement_timeout_s: Longest time of one statement, seconds.
        waiting_max: Most calls that may wait; one more raises StorageOverloaded.
        on_connect: Called with each new connection to PostgreSQL before anything else runs on
            it, outside a transaction and in a thread of its own. What it raises keeps the
            connection from being used. SQLite's are not lost and made anew.

    Raises:
        DatabaseInUse: Another process has the SQLite file open.
        StorageUnavailable: It can't be reached.
        ValueError: The URL is of neither kind.
    """
    if url.startswith("sqlite:///"):
        from servicekit.storage import sqlite

        path = url.removeprefix("sqlite:///")
        return sqlite.SqliteDatabase(
            path,
            readers=min(pool_size, 4),
            statement_timeout_s=statement_timeout_s,
            waiting_max=waiting_max,
        )
    if url.startswith(("postgresql://", "postgres://")):
        from servicekit.storage import postgresql

        return await postgresql.open_pool(
            url,
            size=pool_size,
            statement_timeout_s=statement_timeout_s,
            waiting_max=waiting_max,
            on_connect=on_connect,
        )
    raise ValueError(
        f"database URL {url.split('@')[-1]!r} starts with neither sqlite:/// nor postgresql://"
    )
