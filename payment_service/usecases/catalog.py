"""The catalog: what is known of plugins, in memory, at most a second old.

Owns reading it again and telling those who follow it. Called by every use case that
chooses a plugin, and at start. The payment path reads `view` and nothing else; never
the database.
"""

import asyncio
from collections.abc import Callable, Iterable

from payment_service.db import catalog as catalog_rows
from payment_service.domain import catalog
from servicekit import loop, storage

CatalogView = catalog.View
Follower = Callable[[CatalogView], None]

RELOAD_S = 1.0


class Catalog:
    """Keeps the newest view.

    Args:
        db: Where it is read.
        environment: The plugins that this process was started with.
    """

    def __init__(self, db: storage.Database, environment: Iterable[str] = ()) -> None:
        self._db = db
        self._followers: list[Follower] = []
        self._reading = asyncio.Lock()
        self._asked = 0
        self._answered = 0
        self.view = CatalogView(environment=frozenset(environment))

    def follow(self, follower: Follower) -> None:
        """Calls *follower* with every new view, from now on; it must not block or raise."""
        self._followers.append(follower)

    async def refresh(self) -> CatalogView:
        """Reads it again and returns it: with everything committed before this call.

        Raises:
            storage.StorageError: It can't be read; the last view stays.
        """
        self._asked += 1
        wanted = self._asked
        async with self._reading:
            # Callers that waited for the same read share it.
            if self._answered < wanted:
                covered = self._asked
                previous = self.view
                self.view = await self._db.read(lambda conn: catalog_rows.load(conn, previous))
                self._answered = covered
                for follower in self._followers:
                    follower(self.view)
        return self.view

    async def run(self, stop: asyncio.Event) -> None:
        """Reads it again every second, until *stop*."""

        async def once() -> int:
            await self.refresh()
            return 0

        await loop.run_forever(once, idle_s=RELOAD_S, stop=stop, name="catalog")
