"""The SDK over one pool of connections, a client per binding.

Owns making clients, the pinned API version and the pace of calls. Called by `provider`. Keeps
no module global of the SDK: keys never meet.
"""

import asyncio
import contextlib
import contextvars
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import stripe

from provider_sdk import errors, tracing
from provider_stripe import config

# The version whose shapes `objects` reads; the SDK declares the same.
API_VERSION = "2026-10-28.endive"
# A call that would wait longer for its turn is told to come back.
PACE_WAIT_MAX_S = 1.0
PROBE_MAX_S = 1.0


_connect_max_s: contextvars.ContextVar[float | None] = contextvars.ContextVar(
    "connect_max_s", default=None
)


@contextlib.contextmanager
def connecting(max_s: float | None) -> Iterator[None]:
    """Limits how long requests inside wait for a connection, in the pool too; None does not."""
    token = _connect_max_s.set(max_s)
    try:
        yield
    finally:
        _connect_max_s.reset(token)


class _Http(stripe.AIOHTTPClient):
    """The SDK's own transport, which also carries the trace of the call on.

    Args:
        session: The pool.
        connect_timeout_s: Longest wait for a new connection.
    """

    def __init__(self, *, session: aiohttp.ClientSession | None, connect_timeout_s: float) -> None:
        super().__init__(session=session)
        self._connect_timeout_s = connect_timeout_s

    def _get_request_args_kwargs(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> Any:
        args, kwargs = super()._get_request_args_kwargs(method, url, headers, post_data)
        # A redirection that leads nowhere would look as if nothing had been sent.
        kwargs["allow_redirects"] = False
        # Deadlines are the operation's; only connecting has its own, because what was not
        # connected was not sent.
        kwargs["timeout"] = aiohttp.ClientTimeout(
            total=None,
            connect=_connect_max_s.get(),
            sock_connect=self._connect_timeout_s,
            ceil_threshold=math.inf,
        )
        return args, kwargs

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> Any:
        if trace := tracing.current():
            headers = {**headers, tracing.HEADER: trace}
        return await super().request_stream_async(method, url, headers, post_data)


class Transport:
    """The connections of this process.

    Args:
        api_base: Where Stripe's API is.
        connect_timeout_s: Longest wait for a connection.
        connections_max: Most connections.
    """

    def __init__(self, api_base: str, *, connect_timeout_s: float, connections_max: int) -> None:
        self._api_base = api_base
        self._connect_timeout_s = connect_timeout_s
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the pool; needs a running loop."""
        # The SDK logs what Stripe says of an error, which quotes tokens and addresses.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        connector = aiohttp.TCPConnector(limit=self._connections_max)
        # A cookie of one account is not to reach another.
        jar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar)

    async def reachable(self) -> bool:
        """Whether whoever is at Stripe's address answers at all; needs no key."""
        if self._session is None:
            return False
        timeout = aiohttp.ClientTimeout(total=PROBE_MAX_S)
        try:
            async with self._session.get(f"{self._api_base}/healthcheck", timeout=timeout):
                return True
        except (aiohttp.ClientError, OSError):
            return False

    async def close(self) -> None:
        """Ends every connection."""
        if self._session is not None:
            await self._session.close()

    def client(self, key: str, account: str) -> stripe.StripeClient:
        """Returns a client with a key and, if not empty, a connected account.

        It never repeats a request by itself: each attempt is one that core knows of, or one
        that Stripe asked for (see `calling`).
        """
        http = _Http(session=self._session, connect_timeout_s=self._connect_timeout_s)
        return stripe.StripeClient(
            key,
            stripe_account=account or None,
            stripe_version=API_VERSION,
            base_addresses={"api": self._api_base},
            max_network_retries=0,
            http_client=http,
        )


class Pace:
    """At most so many calls a second, evenly, with a second's worth in reserve."""

    def __init__(self, calls_per_s: int) -> None:
        self._step_s = 1.0 / calls_per_s
        self._next_s = 0.0

    async def turn(self) -> None:
        """Waits for its turn.

        Raises:
            RateLimited: It would take too long; nothing was sent.
        """
        now_s = asyncio.get_running_loop().time()
        at_s = max(self._next_s, now_s - 1.0)
        wait_s = at_s - now_s
        if wait_s > PACE_WAIT_MAX_S:
            raise errors.RateLimited("more calls than Stripe would take", retry_after_s=wait_s)
        self._next_s = at_s + self._step_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)


class Account:
    """One binding's way to Stripe."""

    def __init__(self, transport: Transport, key: str, configured: config.StripeConfig) -> None:
        self.config = configured
        self.pace = Pace(configured.calls_per_s)
        self.api: Any = transport.client(key, configured.account).v1
