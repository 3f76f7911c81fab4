"""A database that runs every transaction twice, so that none depends on how often it runs.

Owns noting what each run asks for and comparing both. Wrapped around a service's database by
most rigs of this folder; their tests fail where the second run asks for something else, or where
a `witness` sees something change untold.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from servicekit import storage
from tests.integration.payment_service import witness, wrapped

T = TypeVar("T")
SAVEPOINT = "savepoint rehearsal"


class Recording:
    """A connection that notes every statement with its values.

    Args:
        conn: What runs them.
    """

    def __init__(self, conn: storage.Connection) -> None:
        self._conn = conn
        self.asked: list[Any] = []

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which database it is."""
        return self._conn.dialect

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._conn, name)

        def ask(sql: Any, *values: Any, **named: Any) -> Any:
            self.asked.append((name, sql, values, named))
            return method(sql, *values, **named)

        return ask


class Rehearsing(wrapped.Wrapped):
    """A database that runs every write function twice, the first time undone.

    Args:
        db: What it stands for.
    """

    def __init__(self, db: storage.Database) -> None:
        super().__init__(witness.Witness(db))
        # PostgreSQL gives up row locks with the savepoint they were taken in.
        self._alone = asyncio.Lock()
        self.rehearsed = 0

    async def write(
        self, fn: Callable[[storage.Connection], T], *, one_statement: bool = False
    ) -> T:
        """Runs *fn* in a savepoint that is rolled back, and then for good."""

        def twice(conn: storage.Connection) -> T:
            first = Recording(conn)
            conn.query(SAVEPOINT)
            expected: Sequence[Any] = ()
            with contextlib.suppress(storage.StorageError):
                expected = (fn(first),)
            conn.query(f"rollback to {SAVEPOINT}")
            conn.query(f"release {SAVEPOINT}")
            second = Recording(conn)
            result = fn(second)
            self.rehearsed += 1
            assert second.asked == first.asked
            assert (result,) == expected
            return result

        async with self._alone:
            return await self._db.write(twice)

    async def read(self, fn: Callable[[storage.Connection], T]) -> T:
        """Runs *fn* twice in one snapshot."""

        def twice(conn: storage.Connection) -> T:
            assert fn(conn) == fn(conn)
            return fn(conn)

        return await self._db.read(twice)
