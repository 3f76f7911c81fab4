"""One gRPC channel per target, with the options that every Payhub caller needs.

Owns connecting, the credential metadata and closing. Called by `calls`, `subscription` and
`consumption`. Never repeats a call: retries at channel level are off, because the transport
can't know whether a payment was made.
"""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from grpc import aio

from servicekit import renewal

_T = TypeVar("_T")

MESSAGE_BYTES_MAX = 4 * 1024 * 1024

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.enable_retries", 0),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted server is found again within a second or two, not after gRPC's 20 s and more.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Also at another address, though gRPC would ask for a name again only after 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)

# TLS credentials, or what returns those to connect with: the same object as long as they are the
# same.
Credentials = grpc.ChannelCredentials | renewal.Credentials

_KEY_PATTERN = re.compile(r"[\x21-\x7e]+")


@dataclass(slots=True, kw_only=True)
class Link:
    """A channel to one target that is opened on first use and reused by every call."""

    target: str
    key: str | None = field(repr=False)
    credentials: Credentials | None = None
    connect_timeout_s: float = 5.0
    _channel: aio.Channel | None = field(default=None, init=False, repr=False)
    _closed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.target:
            message = "a target is needed, such as 127.0.0.1:50051"
            raise ValueError(message)
        if self.target != self.target.strip():
            message = f"the target {self.target!r} has blanks or line ends around it"
            raise ValueError(message)
        if self.key is not None and not _KEY_PATTERN.fullmatch(self.key):
            message = "the API key must be one line of visible characters, without blanks"
            raise ValueError(message)
        if self.connect_timeout_s <= 0:
            message = "connect_timeout_s must be above 0"
            raise ValueError(message)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    @property
    def channel(self) -> aio.Channel:
        """The channel; needs a running event loop. Raises RuntimeError once closed."""
        if self.closed:
            message = "the client is closed"
            raise RuntimeError(message)
        if self._channel is None:
            self._channel = self._dial()
        return self._channel

    def _dial(self) -> aio.Channel:
        if self.credentials is None:
            return aio.insecure_channel(self.target, options=OPTIONS)
        if isinstance(self.credentials, grpc.ChannelCredentials):
            return aio.secure_channel(self.target, self.credentials, options=OPTIONS)
        return renewal.Channel(self.target, self.credentials, OPTIONS)

    def metadata(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """Return the metadata of one call: who asks, and the id that names it in logs."""
        named = (("x-request-id", request_id),)
        return named if self.key is None else (("authorization", f"Bearer {self.key}"), *named)

    def not_reached(self, within_s: float) -> str:
        """Return what to say of a server that `connected` did not find."""
        text = f"{self.target} was not reached within {max(within_s, 0):.1f} s"
        if self.credentials is None:
            return text
        # gRPC keeps to itself why a connection was not made.
        return (
            f"{text}, or its certificate was not accepted: has it expired, or is it of another "
            "name or authority"
        )

    async def connected(self, within_s: float) -> bool:
        """Return whether the channel is connected, waiting up to `within_s` for it.

        While it is not, nothing can have been sent: that is what makes a call to a server
        that is down a certain failure instead of an unknown outcome.
        """
        channel = self.channel
        state = channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return True
        try:
            async with asyncio.timeout(max(within_s, 0)):
                while state is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.SHUTDOWN:
                        return False
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        except TimeoutError:
            return False
        return True

    async def unless_closed(
        self, work: Coroutine[object, object, _T], *stops: asyncio.Event
    ) -> _T | None:
        """Return what `work` returns; None, and `work` ended, once this is closed or a stop set."""
        events = (self._closed, *stops)
        task = asyncio.ensure_future(work)
        waiting = [asyncio.ensure_future(each.wait()) for each in events]
        try:
            await asyncio.wait((task, *waiting), return_when=asyncio.FIRST_COMPLETED)
            return None if any(each.is_set() for each in events) else task.result()
        finally:
            for each in (task, *waiting):
                each.cancel()
            await asyncio.gather(task, *waiting, return_exceptions=True)

    async def close(self) -> None:
        """End every call and stream, and close the channel. May be called again."""
        self._closed.set()
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


def task_is_canceled() -> bool:
    """Whether the running task is to end; a call of its that is canceled raises the same error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
