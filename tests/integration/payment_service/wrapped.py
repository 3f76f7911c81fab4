"""A database that stands for another one.

Owns handing on what a test's database does not do in a way of its own. Subclassed by those that
rehearse and watch transactions.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

from servicekit import storage

T = TypeVar("T")


class Wrapped:
    """Everything but `write`.

    Args:
        db: What it stands for.
    """

    def __init__(self, db: storage.Database) -> None:
        self._db = db

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which database it is."""
        return self._db.dialect

    @property
    def under_way(self) -> int:
        """How many calls run or wait."""
        return self._db.under_way

    async def read(self, fn: Callable[[storage.Connection], T]) -> T:
        """Runs *fn*."""
        return await self._db.read(fn)

    async def forget(self) -> bool:
        """Begins the files anew."""
        return await self._db.forget()

    async def close(self) -> None:
        """Closes the database."""
        await self._db.close()
