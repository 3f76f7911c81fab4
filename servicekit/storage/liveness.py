"""Connections to PostgreSQL that end where their server stands still.

Owns asking whether it does: a machine whose disk hangs, or that was paused, keeps its
connections open and answers nothing, and the server's own limits don't hold there. Called by
`postgresql` for every connection it makes. Never ends one whose server answers others: that
waits for a synchronous standby.
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg

from servicekit.storage import database

# Beyond the longest statement, which the server breaks off by itself.
GRACE_S = 5.0
_INTERVAL_S = 0.1
_READY_NONE = 0
_STARTED = "select pg_postmaster_start_time()"


class Connection(psycopg.Connection[database.Row]):
    """A connection that asks after its server when an answer is overdue."""

    overdue_s: float | None = None
    _reached: tuple[str, dict[str, Any]] | None = None
    _started: database.Row | None = None

    def watch(self, url: str, options: dict[str, Any], *, overdue_s: float) -> None:
        """Begins to: after *overdue_s* without an answer *url* is connected to once more.

        Raises:
            psycopg.Error: The server is not there any more.
        """
        self.overdue_s = overdue_s
        self._started = self.execute(_STARTED).fetchone()
        self._reached = url, options

    def wait(self, gen: Any, interval: float = _INTERVAL_S, timeout: float | None = None) -> Any:
        """Returns what *gen* does once the server has answered.

        Raises:
            psycopg.OperationalError: It stands still; the connection is closed.
        """
        try:
            return super().wait(gen, interval, timeout or self.overdue_s)
        except psycopg.errors._WaitTimeout:
            return super().wait(self._patient(gen), interval)

    def _patient(self, gen: Any) -> Generator[Any, Any, Any]:
        self._ask()
        asked_s = time.monotonic()
        try:
            state = gen.send(_READY_NONE)
            while True:
                ready = yield state
                if not ready and time.monotonic() - asked_s > (self.overdue_s or 0):
                    self._ask()
                    asked_s = time.monotonic()
                state = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _ask(self) -> None:
        """Closes this connection unless its server is the one that is reached now."""
        problem = "can't be reached any more"
        if self._reached is not None:
            url, options = self._reached
            try:
                with Connection.connect(url, autocommit=True, **options) as other:
                    other.watch(url, options, overdue_s=GRACE_S)
                    if other._started == self._started:
                        return
                problem = "is not the one that is reached now"
            except psycopg.Error as error:
                problem = f"can't be reached any more: {error}"
        self.close()
        raise psycopg.OperationalError(f"the server has not answered and {problem}")
