"""A gRPC channel whose credentials may be renewed.

gRPC for Python fixes credentials when a channel is made. Owns putting another channel in its place:
only once it is not connected, so that connections that stand, and the calls on them, are left
alone. Called by `tls`, and by `payhub_client`, which is why it needs nothing but gRPC. Never ends
a call, and never begins one twice.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from servicekit import tls_files

# Between two looks at the credentials while there is no connection.
LOOK_S = 1.0
# The longest that calls go on over a channel that was replaced.
REPLACED_MAX_S = 3_600.0

Credentials = Callable[[], grpc.ChannelCredentials]


def credentials(files: tls_files.Files) -> grpc.ChannelCredentials:
    """Returns what a caller with *files* connects with.

    Raises:
        tls_files.Unusable: One of them can't be read.
    """
    given = (files.ca, files.cert, files.key)
    ca, cert, key = (None if each is None else tls_files.read(each) for each in given)
    return grpc.ssl_channel_credentials(ca, private_key=key, certificate_chain=cert)


class Channel(grpc.aio.Channel):
    """A channel to one target; see the module.

    Args:
        target: As gRPC takes it.
        credentials: Returns those to connect with, the same object as long as they are the same.
        options: As gRPC takes them.
    """

    def __init__(
        self, target: str, credentials: Credentials, options: Sequence[tuple[str, Any]]
    ) -> None:
        self._target, self._ask, self._options = target, credentials, options
        self._used = credentials()
        self._channel = self._dial()
        # Channels that were replaced, with what closes each once its calls are over.
        self._replaced: dict[grpc.aio.Channel, asyncio.Task[None]] = {}
        self._look_s = 0.0
        self._closed = False

    def current(self) -> grpc.aio.Channel:
        """Returns the channel to use now."""
        if self._channel.get_state() is not grpc.ChannelConnectivity.READY and not self._closed:
            self._look()
        return self._channel

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns how the connection is."""
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns once the connection is not as it was, or another channel has taken its place.

        A channel that is refused stays in one state for as long as that lasts.
        """
        channel = self.current()
        changed = asyncio.ensure_future(channel.wait_for_state_change(last_observed_state))
        try:
            while not changed.done() and self.current() is channel:
                await asyncio.wait([changed], timeout=LOOK_S)
            if changed.done():
                changed.result()
        finally:
            changed.cancel()

    async def channel_ready(self) -> None:
        """Returns once it is connected."""
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.wait_for_state_change(state)

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """Returns what calls a method, as any channel does; so do the other three."""
        return _Method(self, "unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """See `unary_unary`."""
        return _Method(self, "unary_stream", args, kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """See `unary_unary`."""
        return _Method(self, "stream_unary", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """See `unary_unary`."""
        return _Method(self, "stream_stream", args, kwargs)

    async def close(self, grace: float | None = None) -> None:
        """Takes no new call; those under way have *grace* seconds."""
        self._closed = True
        for task in self._replaced.values():
            task.cancel()
        channels = [self._channel, *self._replaced]
        await asyncio.gather(*(each.close(grace) for each in channels))

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _dial(self) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(self._target, self._used, options=self._options)

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_S
        credentials = self._ask()
        if credentials is self._used:
            return
        former, self._used = self._channel, credentials
        self._channel = self._dial()
        # Whoever waits for a change of its state has told the former one to connect.
        self._channel.get_state(try_to_connect=True)
        closing = asyncio.create_task(former.close(REPLACED_MAX_S), context=contextvars.Context())
        self._replaced[former] = closing
        closing.add_done_callback(lambda _: self._replaced.pop(former, None))


class _Method:
    """What calls a method, over whichever channel there is when it is called."""

    def __init__(self, owner: Channel, kind: str, args: Any, kwargs: Any) -> None:
        self._owner, self._kind, self._args, self._kwargs = owner, kind, args, kwargs
        self._channel: grpc.aio.Channel | None = None
        self._call: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        channel = self._owner.current()
        if channel is not self._channel:
            self._call = getattr(channel, self._kind)(*self._args, **self._kwargs)
            self._channel = channel
        return self._call(*args, **kwargs)
