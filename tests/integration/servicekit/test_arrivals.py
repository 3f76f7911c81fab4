"""Callers who send headers and no message, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from servicekit import arrivals, errors
from tests.integration.servicekit import calling, echo

CODE = grpc.StatusCode
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def nothing() -> AsyncIterator[Any]:
    """Sends no message, and does not end either."""
    await asyncio.Event().wait()
    yield b""


async def refused(method: str, metadata: Any) -> Any:
    """Knows no key."""
    raise errors.key_invalid("no API key; send authorization: Bearer <API key>")


async def ended(rig: calling.Rig, path: str, *, streams: bool = False) -> grpc.StatusCode:
    """Returns how a call ends of which headers alone are sent."""
    if streams:
        answers: Any = rig.channel.stream_stream(path)(nothing())
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await answers.read()
    else:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await rig.channel.stream_unary(path)(nothing())
    return failed.value.code()


@pytest.mark.parametrize(("method", "streams"), [("Say", False), ("Count", True)])
async def test_who_has_no_key_is_refused_before_a_message(
    serving: calling.Serving, method: str, *, streams: bool
) -> None:
    """Whoever sends none would be held for as long as the connection lasts."""
    async with (
        serving(authenticate=refused, require_deadline=lambda _: False) as rig,
        asyncio.timeout(20),
    ):
        path = f"/{echo.NAME}/{method}"
        assert await ended(rig, path, streams=streams) is CODE.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("path", "streams"),
    [
        (f"/{echo.NAME}/Say", False),
        (f"/{echo.NAME}/Count", True),
        (CHECK, False),
        (WATCH, True),
    ],
)
async def test_a_message_that_does_not_come_is_not_waited_for(
    serving: calling.Serving, monkeypatch: pytest.MonkeyPatch, path: str, *, streams: bool
) -> None:
    """The call ends, its headers or key being good; those whose message comes go on."""
    monkeypatch.setattr(arrivals, "MESSAGE_WITHIN_S", 0.1)
    monkeypatch.setattr(arrivals, "LOOK_EVERY_S", 0.05)
    async with serving(require_deadline=lambda _: False) as rig, asyncio.timeout(20):
        waiting = asyncio.ensure_future(rig.unary("Wait")(echo.Text(value="0.5"), timeout=20))
        assert await ended(rig, path, streams=streams) is CODE.DEADLINE_EXCEEDED
        assert (await waiting).value is not None
        assert (await rig.unary("Say")(echo.Text(value="x"), timeout=5)).value == "x"


async def test_a_call_without_its_message_is_malformed(serving: calling.Serving) -> None:
    """Headers and an end."""

    async def end() -> AsyncIterator[Any]:
        for message in list[bytes]():
            yield message

    async with serving() as rig:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await rig.channel.stream_unary(f"/{echo.NAME}/Say")(end(), timeout=5)
        assert failed.value.code() is CODE.INVALID_ARGUMENT


async def test_a_caller_who_is_gone_before_its_message_did_nothing_wrong(
    serving: calling.Serving,
) -> None:
    """It is counted as canceled, or as out of time."""
    begun = asyncio.Event()

    async def seen(method: str, metadata: Any) -> None:
        begun.set()

    async with serving(authenticate=seen, require_deadline=lambda _: False) as rig:
        say: Any = rig.channel.stream_unary(f"/{echo.NAME}/Say")
        call = say(nothing())
        await begun.wait()
        call.cancel()
        with pytest.raises(grpc.aio.AioRpcError):
            await say(nothing(), timeout=0.2)

        async def counted() -> bool:
            return rig.count("Say", "CANCELLED") + rig.count("Say", "DEADLINE_EXCEEDED") == 2

        await calling.until(counted)
        assert rig.count("Say", "CANCELLED") >= 1
        assert rig.count("Say", "INVALID_ARGUMENT") == 0


async def test_streams_that_need_no_key_are_bounded(
    serving: calling.Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches of health and reflection; one that ends makes room."""
    monkeypatch.setattr(arrivals, "KEYLESS_MAX", 2)
    wanted = health_pb2.HealthCheckRequest()
    async with serving() as rig, asyncio.timeout(20):
        watch: Any = rig.channel.unary_stream(
            WATCH, health_pb2.HealthCheckRequest.SerializeToString
        )
        open_ = [watch(wanted) for _ in range(2)]
        for each in open_:
            await each.read()
        reflect: Any = rig.channel.stream_stream(
            REFLECTION, reflection_pb2.ServerReflectionRequest.SerializeToString
        )
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await reflect(iter([listing])).read()
        assert failed.value.code() is CODE.RESOURCE_EXHAUSTED
        open_[0].cancel()

        async def reflects() -> bool:
            try:
                return echo.NAME.encode() in await reflect(iter([listing])).read()
            except grpc.aio.AioRpcError:
                return False

        await calling.until(reflects)


@pytest.mark.parametrize("path", [CHECK, WATCH])
async def test_bytes_that_are_no_message_need_no_key_to_be_refused(
    serving: calling.Serving, path: str
) -> None:
    """What can't be read is the caller's fault, and no exception's text goes out."""
    async with serving() as rig, asyncio.timeout(20):
        asked: Any = rig.channel.unary_stream(path)
        call = asked(b"\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call.read()
    assert failed.value.code() is CODE.INVALID_ARGUMENT
    assert "DecodeError" not in str(failed.value.details())
