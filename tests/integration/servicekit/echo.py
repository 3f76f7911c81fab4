"""A small service of well-known types, to be served in this or another process.

Owns methods that succeed, fail, wait and stream. Called by the tests of this
folder; `python -m tests.integration.servicekit.echo` runs it like a deployable.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pydantic_settings
from google.protobuf import wrappers_pb2

from servicekit import errors, interceptor, logs, metrics, rpc, server, settings, tasks

NAME = "test.Echo"

Text = wrappers_pb2.StringValue

_log = logs.get_logger(__name__)


class Settings(settings.ServiceSettings):
    """Settings of the process."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="ECHO_SERVICE_")


class Echo:
    """Each method does what its name says with the text it is given."""

    def __init__(self) -> None:
        self.tracker = tasks.Tracker()
        self.draining = asyncio.Event()
        self.waiting = 0
        self.canceled: list[str] = []
        self.calls: list[rpc.Call] = []

    async def say(self, request: Text, context: Any) -> Text:
        """Answer with the same text."""
        self.calls.append(rpc.current())
        return Text(value=request.value)

    async def crash(self, request: Text, context: Any) -> Text:
        """Raise what nobody expects, with the request in its text."""
        raise ZeroDivisionError(f"secret sk_live_123 of {request.value}")

    async def refuse(self, request: Text, context: Any) -> Text:
        """Raise an error that is meant for the caller."""
        raise errors.not_found("echo", request.value)

    async def abort(self, request: Text, context: Any) -> Text:
        """End the call by gRPC's own means."""
        await context.abort(grpc.StatusCode.DATA_LOSS, "by hand")
        raise AssertionError

    async def code(self, request: Text, context: Any) -> Text:
        """Set a status code and return."""
        context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        return Text()

    async def nonsense(self, request: Text, context: Any) -> Any:
        """Return what can't be serialized."""
        return {"secret": "sk_live_123"}

    async def wait(self, request: Text, context: Any) -> Text:
        """Wait for the given seconds."""
        self.waiting += 1
        try:
            await asyncio.sleep(float(request.value))
        except asyncio.CancelledError:
            self.canceled.append("wait")
            raise
        return Text(value="waited")

    async def charge(self, request: Text, context: Any) -> Text:
        """Do work that must not stop in the middle, and ends in the course of a drain."""
        return await self.tracker.shielded(self._charge())

    async def _charge(self) -> Text:
        _log.info("charging")
        await self.draining.wait()
        # Whoever doesn't wait for it now is quicker.
        for _ in range(10):
            await asyncio.sleep(0)
        _log.info("charged")
        return Text(value="charged")

    async def count(self, request: Text, context: Any) -> AsyncIterator[Text]:
        """Stream numbers up to the given one, then: nothing, an error, or a wait."""
        last, _, ending = request.value.partition(" ")
        try:
            for number in range(int(last)):
                yield Text(value=str(number))
            if ending == "crash":
                raise ZeroDivisionError("secret sk_live_123")
            if ending == "refuse":
                raise errors.unavailable("no more", retry_after_s=1)
            if ending == "wait":
                self.waiting += 1
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.canceled.append("count")
            raise
        finally:
            self.calls.append(rpc.current())

    async def write(self, request: Text, context: Any) -> None:
        """Stream by writing to the context."""
        for _ in range(int(request.value)):
            await context.write(Text(value="written"))

    async def join(self, requests: AsyncIterator[Text], context: Any) -> Text:
        """Answer with all texts joined."""
        return Text(value="".join([request.value async for request in requests]))

    async def chat(self, requests: AsyncIterator[Text], context: Any) -> AsyncIterator[Text]:
        """Answer each text with itself."""
        async for request in requests:
            yield request

    def register(self, target: grpc.aio.Server) -> None:
        """Add the methods, named as a contract would name them."""
        unary = (
            self.say, self.crash, self.refuse, self.abort,
            self.code, self.nonsense, self.wait, self.charge,
        )  # fmt: skip
        codec: Any = {
            "request_deserializer": Text.FromString,
            "response_serializer": Text.SerializeToString,
        }
        handlers: dict[str, Any] = {
            method.__name__.capitalize(): grpc.unary_unary_rpc_method_handler(method, **codec)
            for method in unary
        }
        for method in (self.count, self.write):
            handlers[method.__name__.capitalize()] = grpc.unary_stream_rpc_method_handler(
                method, **codec
            )
        handlers["Join"] = grpc.stream_unary_rpc_method_handler(self.join, **codec)
        handlers["Chat"] = grpc.stream_stream_rpc_method_handler(self.chat, **codec)
        target.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))


async def main() -> int:
    """Serve until told to stop; PROBLEM makes a background task or a step fail."""
    loaded = settings.load(Settings)
    logs.configure(service="echo", level=loaded.log_level, fmt=loaded.log_format)
    problem = os.environ.get("PROBLEM")
    echo = Echo()
    registry = metrics.Metrics()

    async def background(stop: asyncio.Event) -> None:
        if problem == "background":
            raise ZeroDivisionError("the background broke")
        if problem == "refusal":
            raise server.CannotGoOn("the key was revoked", advice="give it another one")
        if problem == "cancellation":
            raise asyncio.CancelledError("the cancellation broke")
        await stop.wait()
        _log.info("background ended")

    async def drain() -> int:
        if problem != "unfinished":
            echo.draining.set()
        left = await echo.tracker.drain(loaded.drain_grace_s)
        _log.info("drained", left=left)
        if problem == "drain":
            raise ZeroDivisionError("the drain broke")
        if problem == "stuck":
            await asyncio.Event().wait()
        return left

    async def close() -> None:
        _log.info("closed")

    async def ready() -> None:
        if problem == "ready":
            raise ConnectionError("no database")

    return await server.serve(
        settings=loaded,
        service_name="echo",
        servicers=[echo.register],
        reflection_names=[NAME],
        interceptors=[interceptor.Pipeline(metrics=registry)],
        background=[background],
        on_drain=[drain],
        closing=[close],
        registry=registry,
        ready_checks={"database": ready},
    )


if __name__ == "__main__":
    sys.exit(server.run(main()))
