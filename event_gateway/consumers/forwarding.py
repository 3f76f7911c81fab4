"""Calls that belong to the replica that runs the consumer.

Owns the channels to other replicas and the passing on of requests, answers and
errors, unread. Called by the API of consumers. Never forwards a call twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from servicekit import errors, server, tls

# Says that a call was forwarded already.
HEADER = "x-payhub-forwarded"
# A stream that breaks looks like one that its client has ended, until the cancellation comes.
BREAK_S = 0.05
# After it was told that its stream closes, a member has this long to settle what it holds.
CLOSING_S = 3.0
_PASSED_ON = ("authorization", "x-request-id")


class Forwarder:
    """Channels to the other replicas.

    Args:
        dialer: How they are called.
    """

    def __init__(self, dialer: tls.Dialer) -> None:
        self._dialer = dialer
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._draining = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Ends what is passed on, in good order, once *stop* is set."""
        await stop.wait()
        self._draining.set()

    async def unary(
        self,
        endpoint: str,
        method: str,
        request: Message,
        metadata: Iterable[tuple[str, Any]],
        *,
        timeout_s: float | None,
        waits: bool = False,
    ) -> bytes:
        """Returns the answer of *endpoint*, or an empty one to a call that *waits* for something
        to happen when this process stops.

        Raises:
            errors.RpcError: What it said, or UNAVAILABLE if it can't be reached.
        """
        call: Any = self._channel(endpoint).unary_unary(method, request_serializer=_serialize)
        try:
            calling = call(request, metadata=_passed_on(metadata), timeout=timeout_s)
            answer: bytes = await (self._unless_draining(calling) if waits else calling)
        except grpc.aio.AioRpcError as failure:
            raise _as_ours(failure) from None
        return answer

    async def _unless_draining(self, calling: Awaitable[bytes]) -> bytes:
        answering = asyncio.ensure_future(_result(calling))
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({answering, draining}, return_when=asyncio.FIRST_COMPLETED)
            return answering.result() if answering.done() else b""
        finally:
            answering.cancel()
            draining.cancel()
            await asyncio.gather(answering, draining, return_exceptions=True)

    async def stream(
        self,
        endpoint: str,
        method: str,
        first: Message,
        requests: AsyncIterator[Message],
        metadata: Iterable[tuple[str, Any]],
        context: Any,
        *,
        closing: Message,
    ) -> None:
        """Passes a stream on in both directions until either end closes it, or this process
        stops: that is told by *closing*.
        """
        call: Any = self._channel(endpoint).stream_stream(method, request_serializer=_serialize)(
            metadata=_passed_on(metadata)
        )
        # A stream takes one message at a time; who is canceled while writing breaks it.
        down, up = asyncio.Lock(), asyncio.Lock()

        async def send() -> None:
            async with up:
                await call.write(first)
            async for request in requests:
                async with up:
                    await call.write(request)
            await asyncio.sleep(BREAK_S)
            await call.done_writing()

        sending = asyncio.ensure_future(send())

        async def leave() -> None:
            await self._draining.wait()
            async with down:
                await context.write(_serialize(closing))
            await asyncio.sleep(CLOSING_S)
            async with up:
                sending.cancel()
            await call.done_writing()

        leaving = asyncio.ensure_future(leave())
        try:
            async for response in call:
                async with down:
                    await context.write(response)
        except grpc.aio.AioRpcError as failure:
            raise _as_ours(failure) from None
        finally:
            sending.cancel()
            leaving.cancel()
            call.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def close(self) -> None:
        """Closes every channel."""
        for channel in self._channels.values():
            await channel.close()

    def _channel(self, endpoint: str) -> grpc.aio.Channel:
        channel = self._channels.get(endpoint)
        if channel is None:
            channel = self._channels[endpoint] = self._dialer.dial(endpoint, server.CHANNEL_OPTIONS)
        return channel


async def _result(calling: Awaitable[bytes]) -> bytes:
    return await calling


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _passed_on(metadata: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    kept = tuple((name, value) for name, value in metadata if name in _PASSED_ON)
    return (*kept, (HEADER, "1"))


def _as_ours(failure: grpc.aio.AioRpcError) -> errors.RpcError:
    told: Any = failure  # the types of grpcio-status know its synchronous calls only
    status = rpc_status.from_call(told)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    found = bad_found = False
    for packed in status.details if status is not None else ():
        found = packed.Unpack(info) or found
        bad_found = packed.Unpack(bad) or bad_found
    if not found:
        return errors.unavailable(
            "the gateway that runs the consumer does not answer", retry_after_s=1.0
        )
    metadata = dict(info.metadata)
    retry = metadata.pop("retry", "never")
    return errors.RpcError(
        failure.code(),
        info.reason,
        failure.details() or "",
        retry="same_key" if retry == "same_key" else "never",
        metadata=metadata,
        retry_after_s=1.0 if retry == "same_key" else None,
        violations=[(each.field, each.description) for each in bad.field_violations]
        if bad_found
        else (),
    )
