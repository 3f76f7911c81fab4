"""One HTTP request: signed, bounded, to an address that was checked.

Owns the client session, time-outs, the limits of what is read of an answer, and
how a failure is named. Called by workers and by the test of an endpoint. Never
follows a redirect and never tries twice.
"""

import asyncio
import dataclasses
import ssl
import urllib.parse
from collections.abc import Sequence

import aiohttp
import aiohttp.abc

from event_gateway.webhooks_out import answers, guard, signing
from servicekit import clock, http_dates

EXCERPT_CHARS_MAX = 1024
READ_BYTES_MAX = 16 * 1024
RETRY_AFTER_MAX_S = 24 * 3600.0
USER_AGENT = "Payhub-Webhooks/1"
_ASKED_TO_WAIT = (429, 503)
_GONE = 410


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request.

    Attributes:
        sent_us: When it was sent, epoch microseconds.
        status: 0 if there was no answer.
        problem: Why there was none, as the contract names it.
        excerpt: Beginning of the body, without control characters.
        retry_after_s: How long the receiver wants to be left alone; 0: it did not say.
    """

    sent_us: int
    elapsed_us: int
    status: int = 0
    problem: str = ""
    excerpt: str = ""
    retry_after_s: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver never wants anything again."""
        return self.status == _GONE

    @property
    def outcome(self) -> str:
        """What happened, for counting: `2xx` and so on, or the problem."""
        return self.problem.lower() or f"{self.status // 100}xx"

    @property
    def text(self) -> str:
        """What happened, in a few words."""
        return self.problem or f"HTTP {self.status}"


class Sender:
    """Sends webhooks.

    Args:
        private: Whether private, loopback and link-local addresses are allowed.
        time: For timestamps.
        resolver: Who resolves names; the system by default.
    """

    def __init__(
        self,
        *,
        private: bool,
        time: clock.Clock,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._private = private
        self._time = time
        self._session = aiohttp.ClientSession(
            connector=answers.bound(guard.connector(private=private, inner=resolver)),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def send(
        self,
        url: str,
        *,
        secrets: Sequence[str],
        message_id: str,
        body: bytes,
        timeout_s: float,
    ) -> Answer:
        """Posts *body*; every failure is an answer, none is raised."""
        began_us, began_s = self._time.now_us(), self._time.monotonic_s()
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            **signing.headers(
                secrets, message_id=message_id, sent_s=began_us // 1_000_000, body=body
            ),
        }
        status, problem, excerpt, retry_after_s = 0, "", "", 0.0
        try:
            guard.check_literal(urllib.parse.urlsplit(url).hostname or "", private=self._private)
            async with asyncio.timeout(timeout_s):
                async with self._session.post(
                    url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    status = response.status
                    retry_after_s = self._retry_after_s(response)
                    raw = await _beginning(response)
                    excerpt = clean(raw)
        except Exception as failure:
            if not status:
                problem = _named(failure)
        elapsed_us = round((self._time.monotonic_s() - began_s) * 1e6)
        return Answer(
            sent_us=began_us,
            elapsed_us=elapsed_us,
            status=status,
            problem=problem,
            excerpt=excerpt,
            retry_after_s=retry_after_s,
        )

    async def close(self) -> None:
        """Closes connections."""
        await self._session.close()

    def _retry_after_s(self, response: aiohttp.ClientResponse) -> float:
        text = response.headers.get("retry-after", "")
        if response.status not in _ASKED_TO_WAIT:
            return 0.0
        asked_s = http_dates.retry_after_s(text, now_s=self._time.now_us() / 1e6)
        return min(asked_s or 0.0, RETRY_AFTER_MAX_S)


def clean(raw: bytes) -> str:
    """Returns the beginning of an answer as text that is safe to store and show."""
    text = raw[: 4 * EXCERPT_CHARS_MAX].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text)[:EXCERPT_CHARS_MAX].strip()


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Reads the beginning of a body; of a longer one the connection is not used again."""
    raw = b""
    while len(raw) < READ_BYTES_MAX:
        piece = await response.content.read(READ_BYTES_MAX - len(raw))
        if not piece:
            return raw
        raw += piece
    response.close()
    return raw


def _named(failure: Exception) -> str:
    causes: list[BaseException | None] = [failure, failure.__cause__, failure.__context__]
    causes.append(getattr(failure, "os_error", None))
    if any(isinstance(each, guard.BlockedAddress) for each in causes):
        return "BLOCKED_ADDRESS"
    if isinstance(failure, TimeoutError):
        return "TIMEOUT"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "DNS"
    if isinstance(failure, aiohttp.ClientSSLError | ssl.SSLError):
        return "TLS"
    if isinstance(failure, OSError):
        return "CONNECT"
    return "PROTOCOL"
