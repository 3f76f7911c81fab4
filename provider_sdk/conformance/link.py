"""One HTTP connection of the upstream double.

Owns reading requests and writing answers with h11, and noticing that the other
side has hung up. Called by `upstream`. Never judges what a request says.
"""

import asyncio
import contextlib
import http
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import h11

BODY_BYTES_MAX = 1_048_576
READ_BYTES = 65_536
# A connection that says nothing, or is held, is closed after this.
IDLE_MAX_S = 120.0
# A peer that does not read its answer is left alone after this.
WRITE_MAX_S = 10.0


@contextlib.asynccontextmanager
async def accepted(sock: socket.socket) -> AsyncIterator["Link"]:
    """Wraps an accepted connection and closes it at the end, also when cancelled."""
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        # A provider that breaks off, or does not speak HTTP, ends only its connection.
        with contextlib.suppress(OSError, TimeoutError, h11.ProtocolError):
            yield Link(reader, writer)
    finally:
        writer.close()


class Link:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = h11.Connection(h11.SERVER)

    async def request(self) -> tuple[h11.Request, bytes] | None:
        """Returns the next request with its body; None when the other side is done.

        Raises:
            h11.ProtocolError: It is not HTTP, or its body is too large.
            TimeoutError: Nothing came.
        """
        request: h11.Request | None = None
        body = bytearray()
        async with asyncio.timeout(IDLE_MAX_S):
            while True:
                event = self._parser.next_event()
                if event is h11.NEED_DATA:
                    if self._parser.they_are_waiting_for_100_continue:
                        await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                    self._parser.receive_data(await self._reader.read(READ_BYTES))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > BODY_BYTES_MAX:
                        raise h11.RemoteProtocolError("the body is too large")
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    return request, bytes(body)
                else:
                    return None

    async def wait(self, until: Coroutine[Any, Any, Any]) -> bool:
        """Waits for *until*; False if the other side hangs up first, or after two minutes."""
        waiting = asyncio.ensure_future(until)
        reading = asyncio.ensure_future(self._reader.read(READ_BYTES))
        both = (waiting, reading)
        try:
            await asyncio.wait(both, timeout=IDLE_MAX_S, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and reading.done():
                if reading.exception() is not None or not reading.result():
                    return False
                # Bytes of a next request: it has not hung up.
                self._parser.receive_data(reading.result())
                await asyncio.wait((waiting,), timeout=IDLE_MAX_S)
            return waiting.done()
        finally:
            for task in both:
                task.cancel()
            # The reader takes no second read before the first is really over.
            await asyncio.gather(*both, return_exceptions=True)

    async def respond(
        self, status: int, body: bytes, *, headers: Sequence[tuple[str, str]] = ()
    ) -> bool:
        """Writes an answer; False if no further request can follow on this connection."""
        typed = () if any(name == "content-type" for name, _ in headers) else (_JSON,)
        reason = http.HTTPStatus(status).phrase if status in _KNOWN else ""
        head = h11.Response(
            status_code=status,
            headers=[*headers, *typed, ("content-length", str(len(body)))],
            reason=reason,
        )
        sent = (self._parser.send(head) or b"") + (self._parser.send(h11.Data(body)) or b"")
        await self.write(sent + (self._parser.send(h11.EndOfMessage()) or b""))
        if h11.MUST_CLOSE in (self._parser.our_state, self._parser.their_state):
            return False
        self._parser.start_next_cycle()
        return True

    async def write(self, raw: bytes) -> None:
        """Writes bytes as they are."""
        self._writer.write(raw)
        async with asyncio.timeout(WRITE_MAX_S):
            await self._writer.drain()

    async def _send(self, event: h11.InformationalResponse) -> None:
        await self.write(self._parser.send(event) or b"")


_JSON = ("content-type", "application/json")
_KNOWN = {status.value for status in http.HTTPStatus}
