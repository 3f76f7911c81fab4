"""How fast a stream goes and how far behind it is, below the events on a terminal.

Owns the rate over the last seconds and the line that shows it, on stderr. Called by
`payctl.events.tail`. Never writes to stdout.
"""

import asyncio
import collections
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator

from payctl import render
from payhub_client import Subscription

_OVER_S = 5.0
_EVERY_S = 1.0
_CLEAR = "\r\x1b[2K"


class View:
    """Counts events and shows where the reader is.

    On a terminal one line is kept below the output; elsewhere, if `wanted`, a line is
    written now and then.
    """

    def __init__(self, subscription: Subscription, *, wanted: bool | None) -> None:
        self._subscription = subscription
        self._terminal = sys.stderr.isatty()
        self._on = self._terminal if wanted is None else wanted
        self._seen: collections.deque[float] = collections.deque()
        self._count = 0

    def took(self) -> None:
        """Counts one event."""
        self._count += 1
        if self._on:
            self._seen.append(time.monotonic())

    def text(self) -> str:
        """Return what is to be shown now."""
        oldest_s = time.monotonic() - _OVER_S
        while self._seen and self._seen[0] < oldest_s:
            self._seen.popleft()
        lag = self._subscription.lag
        behind = f"{lag.entries} behind"
        if lag.seconds is not None:
            behind += f", {lag.seconds:.1f} s"
        phase = "live" if lag.live else "catching up"
        return f"{self._count} events, {len(self._seen) / _OVER_S:.1f}/s, {phase}, {behind}"

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Keep the line out of what is written meanwhile."""
        shown = self._on and self._terminal
        if shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
        yield
        if shown:
            self._show()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Show the line while the body runs, and once more at its end."""
        if not self._on:
            yield
            return
        task = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            task.cancel()
            if self._terminal:
                sys.stderr.write(_CLEAR)
            render.note(self.text())

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S if self._terminal else _OVER_S)
            if self._terminal:
                self._show()
            else:
                render.note(self.text())

    def _show(self) -> None:
        sys.stderr.write(f"{_CLEAR}{render.plain(self.text())}")
        sys.stderr.flush()
