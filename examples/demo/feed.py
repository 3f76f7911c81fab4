"""A subscriber: follows the event stream while orders are paid, and keeps what it saw.

Owns one subscription. Called by the demo. Never asks the log for what it missed, so that
comparing it with the log means something.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from payhub.events.v1 import event_pb2

import payhub_client

START_TIMEOUT_S = 10.0


class FeedError(Exception):
    """The stream did not begin, ended, or did not bring what was waited for."""


class Feed:
    """Follows every event from now on. Use as an async context manager."""

    def __init__(
        self, client: payhub_client.Client, on_event: Callable[[event_pb2.Event], None]
    ) -> None:
        self.seen: list[event_pb2.Event] = []
        self._on_event = on_event
        self._versions: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._started = asyncio.Event()
        self._subscription = client.events.subscribe(
            start="oldest",
            client_name="demo",
            heartbeat_s=1,
            on_notice=lambda _: self._started.set(),
        )
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Returns once the stream has begun."""
        self._reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait_for(self._started.wait(), START_TIMEOUT_S)
        except TimeoutError:
            raise FeedError(f"the event stream did not begin in {START_TIMEOUT_S:g} s") from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the stream."""
        self._subscription.close()
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def caught_up(self, versions: Mapping[str, int], *, timeout_s: float) -> list[str]:
        """Waits until the newest event of every entity was seen; returns those missing."""

        def missing() -> list[str]:
            return [i for i, version in versions.items() if self._versions.get(i, 0) < version]

        deadline = time.monotonic() + timeout_s
        async with self._changed:
            while missing() and time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
        return missing()

    async def _read(self) -> None:
        async for delivery in self._subscription:
            event = delivery.event
            self.seen.append(event)
            self._on_event(event)
            async with self._changed:
                self._versions[event.entity_id] = event.entity_version
                self._changed.notify_all()
