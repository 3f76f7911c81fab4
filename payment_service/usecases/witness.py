"""What this process knows to be committed, and whether the database still has it.

Owns the memory of the newest intents, and ending the process once one of them is gone, as
after a failover to a standby that lagged. Fed by `settling`; asked for each new connection.
Never takes anything back: that is `recovery`.
"""

import asyncio
import collections
from typing import Any

from payment_service.db import losses
from payment_service.usecases import snapshots
from servicekit import storage

# A standby has all up to some commit, so the newest are what it lacks. Commits that ran side by
# side may have been confirmed in another order, so more than the last is kept.
KEPT_MAX = 256
EVERY_S = 2.0


class CommitsLost(storage.StorageUnavailable):
    """The database lacks what it had confirmed. Whoever served it would charge again."""


class Witness:
    """Remembers intents that were committed, of one process."""

    def __init__(self) -> None:
        self._kept: collections.deque[str] = collections.deque(maxlen=KEPT_MAX)

    def saw(self, operation_id: str) -> None:
        """Remembers an operation whose intent the database has confirmed."""
        self._kept.append(operation_id)

    def check(self, conn: storage.Connection) -> None:
        """Looks whether a new connection leads to a database that has kept everything.

        Raises:
            CommitsLost: It has not, or another process has found that. All are told.
        """
        _refuse(losses.find(conn))
        # A copy: the event loop goes on adding meanwhile.
        if missing := losses.missing(conn, tuple(self._kept.copy())):
            losses.note(conn, f"operation {missing[0]} and {len(missing) - 1} more are missing")
            _refuse(losses.find(conn))

    async def run(self, db: storage.Database, stop: asyncio.Event) -> None:
        """Looks until *stop* whether this or another process has found a loss.

        Raises:
            CommitsLost: One has.
        """
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                _refuse(await _found(db))
                await asyncio.wait([stopping], timeout=EVERY_S)
        finally:
            stopping.cancel()


async def _found(db: storage.Database) -> losses.Loss | None:
    try:
        return await db.read(losses.find)
    except CommitsLost:
        raise
    except storage.StorageError:
        # Others tell of that.
        return None


def _refuse(loss: losses.Loss | None) -> None:
    if loss is None:
        return
    when = snapshots.timestamp(loss.found_us).ToJsonString()
    raise CommitsLost(
        f"PostgreSQL has lost what it had confirmed: {loss.detail} (found {when}). A standby that "
        "lagged took over, or a back-up was restored. Nothing is served, so that nothing is "
        'charged twice: do "Payment database restored" in docs/operations.md, with '
        "`python -m payment_service recover`"
    )
