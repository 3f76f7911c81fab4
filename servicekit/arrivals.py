"""Calls whose headers are here, and whose message may never come.

Owns reading the one message of a call, how long it may take, and how many streams may be open
that nobody needs a key for. Used by `interceptor` for every call of one message. Never looks
into a message.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from servicekit import errors

# How long a message may take once its headers are here, seconds; a deadline may end it sooner.
MESSAGE_WITHIN_S = 30.0
LOOK_EVERY_S = 1.0
GONE_WITHIN_S = 0.05
# Health watches and reflection, of a process.
KEYLESS_MAX = 1_000


class Arrivals:
    """See the module. One timer looks at all of them: one for each would cost a call 25 µs."""

    def __init__(self) -> None:
        self._since_s: dict[asyncio.Task[Any], float] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._keyless = 0

    async def message(self, context: Any) -> Any:
        """Returns the message of a call, or raises DEADLINE_EXCEEDED or INVALID_FIELD."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._since_s[task] = loop.time()
        if self._looking is None:
            self._looking = loop.call_later(LOOK_EVERY_S, self._look, loop)
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if task in self._since_s:
                raise
            task.uncancel()
            raise errors.deadline_exceeded() from None
        finally:
            self._since_s.pop(task, None)
        if message is grpc.aio.EOF:
            # A caller who is gone looks the same, and gRPC ends the task a moment later.
            await asyncio.sleep(GONE_WITHIN_S)
            raise errors.malformed_message()
        return message

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looking = None
        for task, since_s in list(self._since_s.items()):
            if loop.time() - since_s < MESSAGE_WITHIN_S:
                break
            # Whoever finds that it is not among them any more knows who ended it.
            del self._since_s[task]
            task.cancel()
        if self._since_s:
            self._looking = loop.call_later(LOOK_EVERY_S, self._look, loop)

    def keyless(self, handler: Any) -> Any:
        """Returns *handler*, of a method that needs no key, within these limits."""
        if handler.unary_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._answering(handler.unary_unary, handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        behavior = handler.stream_stream
        if behavior is None:
            behavior = self._answering(handler.unary_stream, handler.request_deserializer)
        return grpc.stream_stream_rpc_method_handler(
            self._streaming(behavior),
            handler.request_deserializer if handler.request_streaming else None,
            handler.response_serializer,
        )

    def _answering(self, behavior: Any, decode: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(_: Any, context: Any) -> Any:
            try:
                request = _decoded(await self.message(context), decode)
            except errors.RpcError as error:
                await context.abort(error.code, error.message)
            return await behavior(request, context)

        return answer

    def _streaming(self, behavior: Any) -> Callable[[Any, Any], Awaitable[None]]:
        async def stream(requests: Any, context: Any) -> None:
            if self._keyless >= KEYLESS_MAX:
                text = "too many open streams that need no key; try again later"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            self._keyless += 1
            try:
                answers = behavior(requests, context)
                if hasattr(answers, "__aiter__"):
                    async with contextlib.aclosing(answers):
                        async for answer in answers:
                            await context.write(answer)
                else:
                    await answers
            finally:
                self._keyless -= 1

        return stream


def _decoded(raw: bytes, decode: Any) -> Any:
    try:
        return decode(raw)
    except Exception:
        raise errors.malformed_message() from None
