"""The HTTP side of a process, as seen by clients that are slow or gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette import requests, responses, routing

from servicekit import http, metrics
from tests import polling

# More than the buffers of a connection hold.
LARGE = bytes(16 << 20)
WHOLE = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve one slow route and what every process has; yield the port."""

    async def slow(_: requests.Request) -> responses.Response:
        await asyncio.sleep(3 * http.HEAD_TIMEOUT_S)
        return responses.Response("at last")

    async def large(_: requests.Request) -> responses.Response:
        return responses.Response(LARGE)

    async def size(request: requests.Request) -> responses.Response:
        return responses.Response(str(len(await request.body())))

    app = http.application(
        registry=metrics.Metrics(),
        readiness=http.Readiness(),
        routes=[
            routing.Route("/slow", slow),
            routing.Route("/large", large),
            routing.Route("/size", size, methods=["POST"]),
        ],
    )
    server = http.Server(app, host="127.0.0.1", port=0)
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


async def test_who_sends_no_whole_request_holds_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections are few: idle ones, of peers that are gone for example, would use them up."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.2)
    async with serving() as port, asyncio.timeout(10):
        for sent in (b"", b"GET /slow HTTP/1.1\r\nX: ", WHOLE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            if sent is WHOLE:
                # Its answer takes longer than a request may; then a next one begins.
                assert (await reader.readuntil(b"at last")).startswith(b"HTTP/1.1 200")
                writer.write(b"GET")
            dripping = asyncio.create_task(_drip(writer))
            assert await reader.read() == b""
            dripping.cancel()
            writer.close()


async def test_who_takes_no_answer_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads nothing, or a little now and then, is cut off, whether it wants the
    connection kept or closed; one that reads on gets all of a long answer.
    """
    monkeypatch.setattr(http, "TAKE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 5)
    async with serving() as port, asyncio.timeout(20):
        slow, sipping = [], []
        for more in (b"", b"", b"Connection: close\r\n", b"Connection: close\r\n"):
            reader, writer = await _asking(port, more)
            slow.append(writer)
            await reader.readexactly(1)
            if len(slow) % 2:
                sipping.append(asyncio.create_task(_sip(reader)))

        async def status() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer.split()[1]

        async def is_free() -> bool:
            return await status() == b"200"

        assert await status() == b"503"
        await polling.until(is_free)
        reader, writer = await _asking(port, b"")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(LARGE)) == LARGE
        for task in sipping:
            task.cancel()
        for one in (writer, *slow):
            one.transport.abort()


async def test_a_body_in_crumbs_is_refused(complaints: list[object]) -> None:
    """Chunks of a byte cost the loop thousands of times their price; of a kilobyte they are taken,
    and who is refused after it was answered is cut off without a fault in the log.
    """
    async with serving() as port, asyncio.timeout(20):
        for path, chunk, expected in (
            ("/size", b"x" * 1024, b"1048576"),
            ("/size", b"x", b"400 Bad Request"),
            ("/nothing", b"x", b"404 Not Found"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_CHUNKED.replace(b"/size", path.encode()))
            if path == "/nothing":
                await reader.readuntil(b"404 Not Found")
            pieces = (1 << 20) // len(chunk) if len(chunk) > 1 else 5_000
            writer.write((b"%x\r\n" % len(chunk) + chunk + b"\r\n") * pieces + b"0\r\n\r\n")
            if path == "/nothing":
                # The connection is gone before anybody looks at the next request.
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    assert b"alive" not in await reader.read()
            else:
                await reader.readuntil(expected)
            writer.transport.abort()
    assert complaints == []


async def test_the_rest_of_what_is_answered_is_not_read_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a short rest the next request is answered; with a long one the connection ends."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.2)
    async with serving() as port, asyncio.timeout(20):
        for rest, answered in ((1_000, True), (http.ANSWERED_BYTES_MAX + 1, False)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % rest)
            await reader.readuntil(b"404 Not Found")
            writer.write(bytes(rest) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            if answered:
                await reader.readuntil(b"alive")
            else:
                with contextlib.suppress(ConnectionError):
                    assert b"alive" not in await reader.read()
            writer.transport.abort()


_CHUNKED = b"POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest_asyncio.fixture
async def complaints() -> AsyncIterator[list[object]]:
    """What the loop tells of failures that nobody handled."""
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, what: told.append(what))
    yield told
    loop.set_exception_handler(None)


async def _asking(port: int, more: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a large answer, with `more` headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
    return reader, writer


async def _sip(reader: asyncio.StreamReader) -> None:
    """Read a little of an answer now and then, to its end."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            await reader.readexactly(1)
            await asyncio.sleep(0.05)


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte of a header now and then."""
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"x")
            await writer.drain()
