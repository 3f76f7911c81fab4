"""Closes the streams of keys that lost their rights.

Owns the repeated question about each key with open streams. Runs in the
background of the gateway. Never closes a stream because the key service is
down.
"""

import asyncio
import collections
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import access, grants
from servicekit import auth, logs

# Questions under way at a time.
_ASKING_MAX = 8

_log = logs.get_logger(__name__)

Lookup = Callable[[str, bytes], Awaitable[auth.Principal | None]]


class Held(Protocol):
    """A stream, as far as its key is concerned."""

    @property
    def principal(self) -> auth.Principal:
        """What the key could do when the stream was opened."""

    @property
    def key_digest(self) -> bytes:
        """Of the key."""

    @property
    def tenants(self) -> tuple[str, ...]:
        """Whose events it reads."""


class Holder(Protocol):
    """Whoever has open streams."""

    @property
    def streams(self) -> Collection[Any]:
        """The open streams, each a `Held`."""

    def close(self, stream: Any, reason: pb.Notice.Closing.Reason) -> None:
        """Tells one of them to end."""


class Recheck:
    """Asks about the keys of open streams again and again.

    Args:
        streams: All open streams.
        lookup: Returns what a key may do now, None if nothing; raises if it can't tell.
        every_s: Time between two rounds, seconds.
    """

    def __init__(self, streams: Holder, lookup: Lookup, *, every_s: float) -> None:
        self._hub = streams
        self._lookup = lookup
        self._every_s = every_s
        self._asking = asyncio.Semaphore(_ASKING_MAX)

    async def run(self, stop: asyncio.Event) -> None:
        """Asks every `every_s` until *stop* is set."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), self._every_s)
            except TimeoutError:
                await self.run_once()

    async def run_once(self) -> int:
        """Asks about each key once; returns how many streams it told to close."""
        by_key: dict[tuple[str, bytes], list[Held]] = collections.defaultdict(list)
        for stream in self._hub.streams:
            by_key[stream.principal.key_id, stream.key_digest].append(stream)
        closed = await asyncio.gather(
            *(self._check(key_id, digest, held) for (key_id, digest), held in by_key.items())
        )
        return sum(closed)

    async def _check(self, key_id: str, digest: bytes, held: list[Held]) -> int:
        async with self._asking:
            try:
                principal = await self._lookup(key_id, digest)
            except Exception as failure:
                _log.warning(
                    "can't check the key of open streams; they go on",
                    key_id=key_id,
                    problem=type(failure).__name__,
                )
                return 0
        closed = 0
        for stream in held:
            if principal is None or not _may_read(principal, stream):
                _log.info("closing a stream whose key lost its rights", key_id=key_id)
                self._hub.close(stream, pb.Notice.Closing.REASON_AUTH_EXPIRED)
                closed += 1
        return closed


def _may_read(principal: auth.Principal, stream: Held) -> bool:
    """Whether a key may still read what it could when *stream* was opened."""
    if access.READ not in principal.scopes or not grants.still_reads(stream.principal, principal):
        return False
    return stream.tenants == (principal.tenant_id,) or access.ADMIN in principal.scopes
