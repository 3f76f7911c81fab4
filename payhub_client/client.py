"""The client of a Payhub installation.

Owns putting the API modules on one channel per target. Called by services and by payctl.
Never opens a connection before the first call.
"""

from types import TracebackType
from typing import Self

import grpc

from payhub_client import (
    admin,
    bindings,
    calls,
    channel,
    customers,
    events,
    inbound_webhooks,
    payments,
    plugins,
    refunds,
    retries,
)


class Client:
    """Everything a calling service may do, on reused connections.

    To be used in one event loop, best as `async with Client(...) as client`; any number of
    tasks may share it.
    """

    def __init__(
        self,
        target: str,
        *,
        key: str | None,
        events_target: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        connect_timeout_s: float = 5.0,
        backoff: retries.Backoff | None = None,
        timing: retries.Timing | None = None,
    ) -> None:
        """Prepare a client; nothing is connected yet.

        Args:
            target: host:port of the payment service.
            key: API key; None only for calls that need none.
            events_target: host:port of the event gateway, if events are to be read.
            credentials: TLS credentials; None means an unencrypted connection.
            connect_timeout_s: how long a call waits for a connection before it fails with
                Unavailable, certain that nothing was sent.
            backoff: waits between attempts.
            timing: seams for tests.

        Raises:
            ValueError: an empty target, or a key that can't be sent as a header.
        """
        self._links: dict[str, channel.Link] = {}
        self._key, self._credentials = key, credentials
        self._connect_timeout_s = connect_timeout_s
        self._backoff, self._timing = backoff or retries.Backoff(), timing or retries.Timing()
        caller = self._caller(target)
        self.payments = payments.Payments(caller=caller)
        self.refunds = refunds.Refunds(caller=caller)
        self.customers = customers.Customers(caller=caller)
        self.keys = admin.Keys(caller=caller)
        self.status = admin.Status(caller=caller)
        self.plugins = plugins.Plugins(caller=caller)
        self.bindings = bindings.Bindings(caller=caller)
        self.inbound_webhooks = inbound_webhooks.InboundWebhooks(caller=caller)
        self._events = (
            None if events_target is None else events.Events(caller=self._caller(events_target))
        )

    @property
    def events(self) -> events.Events:
        """The event log. Raises RuntimeError if the client was made without `events_target`."""
        if self._events is None:
            text = "the client was made without events_target, such as 127.0.0.1:50052"
            raise RuntimeError(text)
        return self._events

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Cancel what is under way and close the connections. May be called again."""
        for link in self._links.values():
            await link.close()

    def _caller(self, target: str) -> calls.Caller:
        if target not in self._links:
            self._links[target] = channel.Link(
                target=target,
                key=self._key,
                credentials=self._credentials,
                connect_timeout_s=self._connect_timeout_s,
            )
        return calls.Caller(link=self._links[target], backoff=self._backoff, timing=self._timing)
