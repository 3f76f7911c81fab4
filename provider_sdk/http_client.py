"""One HTTP request over one connection, and what became of it for certain.

Owns telling "nothing was sent" from "no complete answer". Called by providers.
Keeps no connections: a kept one may turn out closed while a request is written,
and then nobody knows whether the request arrived.
"""

import asyncio
import ssl
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h11

from provider_sdk import errors

READ_BYTES = 65_536
BODY_BYTES_MAX = 262_144
CONNECT_MAX_S = 5.0

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete answer.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: At most 256 KiB.
    """

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Sends requests to one system.

    Args:
        url: `http://host:port` or `https://host`, with a path or without.

    Raises:
        ValueError: *url* is not of that form.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("give a URL like http://127.0.0.1:8090")
        # Made once: it reads all certificates, and nothing else runs meanwhile.
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._netloc = parts.netloc.rpartition("@")[2]
        self._base = parts.path.rstrip("/")

    async def send(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        headers: Headers = (),
        body: bytes = b"",
        before_sending: Callable[[], None] | None = None,
    ) -> Response:
        """Sends one request and reads the whole answer.

        Args:
            method: HTTP method.
            path: Quoted, starting with a slash.
            timeout_s: Longest from connecting to the end of the answer.
            headers: Besides Host, Connection and Content-Length.
            body: Sent as it is.
            before_sending: Called when the connection stands; if it raises, nothing is sent.

        Raises:
            InvalidRequest: HTTP has no such path or header; nothing was sent.
            Unreachable: No connection came about, so nothing was sent.
            NoAnswer: It was sent, at least in part, and no complete answer came.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + timeout_s
        request = self._request(method, path, headers, body)
        reader, writer = await self._connect(min(timeout_s, CONNECT_MAX_S))
        try:
            if before_sending is not None:
                before_sending()
            async with asyncio.timeout_at(ends_s):
                return await _exchange(reader, writer, request, body)
        except TimeoutError as error:
            raise errors.NoAnswer("the upstream system did not answer in time") from error
        except OSError as error:
            raise errors.NoAnswer("the connection broke before the answer was complete") from error
        except h11.ProtocolError as error:
            raise errors.NoAnswer("the upstream system's answer is not proper HTTP") from error
        finally:
            writer.close()

    async def _connect(self, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        except ssl.SSLCertVerificationError as error:
            text = f"the upstream system's certificate is not accepted: {error.verify_message}"
            raise errors.Unreachable(text) from error
        except (OSError, TimeoutError, UnicodeError) as error:
            raise errors.Unreachable("no connection to the upstream system") from error

    def _request(self, method: str, path: str, headers: Headers, body: bytes) -> h11.Request:
        own = [
            ("host", self._netloc),
            ("connection", "close"),
            ("content-length", str(len(body))),
        ]
        try:
            return h11.Request(method=method, target=self._base + path, headers=[*own, *headers])
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # Without its cause, which quotes the value: that may be a secret.
            text = "HTTP forbids a path or a header of the request; look for line ends in secrets"
            raise errors.InvalidRequest(text) from None


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: h11.Request,
    body: bytes,
) -> Response:
    parser = h11.Connection(h11.CLIENT)
    parts = (parser.send(part) for part in (request, h11.Data(body), h11.EndOfMessage()))
    writer.write(b"".join(part or b"" for part in parts))
    await writer.drain()
    response: h11.Response | None = None
    received = bytearray()
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            received += event.data
            if len(received) > BODY_BYTES_MAX:
                raise errors.NoAnswer("the upstream system's answer is too large")
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            return Response(
                status=response.status_code,
                headers={
                    name.decode("latin-1"): value.decode("latin-1")
                    for name, value in response.headers
                },
                body=bytes(received),
            )
        elif not isinstance(event, h11.InformationalResponse):
            raise errors.NoAnswer("the connection was closed before the answer was complete")
