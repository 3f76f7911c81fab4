"""The client of a Payhub installation.

Owns putting the API modules on one channel per target. Called by services and by payctl.
Never opens a connection before the first call.
"""

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from payhub_client import (
    admin,
    bindings,
    calls,
    channel,
    checkouts,
    consumers,
    consumption,
    customers,
    disputes,
    doubts,
    events,
    inbound_webhooks,
    invoices,
    payment_methods,
    payments,
    plans,
    plugins,
    refunds,
    retries,
    retry_policies,
    streams,
    subscriptions,
    webhooks,
)

_T = TypeVar("_T")


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
        credentials: channel.Credentials | None = None,
        connect_timeout_s: float = 5.0,
        backoff: retries.Backoff | None = None,
        timing: retries.Timing | None = None,
    ) -> None:
        """Prepare a client; nothing is connected yet.

        Args:
            target: host:port of the payment service.
            key: API key; None only for calls that need none.
            events_target: host:port of the event gateway, if events are to be read.
            credentials: TLS credentials, or `TlsFiles`, whose renewals are followed, or any
                function that returns those to connect with, called while there is no connection:
                the same object as long as they are the same. None means an unencrypted connection.
            connect_timeout_s: how long a call waits for a connection before it fails with
                Unavailable, certain that nothing was sent.
            backoff: waits between attempts.
            timing: seams for tests.

        Raises:
            ValueError: a target that is empty or has blanks around it, or a key that can't be
                sent as a header.
        """
        self._links: dict[str, channel.Link] = {}
        self._key, self._credentials = key, credentials
        self._connect_timeout_s = connect_timeout_s
        self._backoff, self._timing = backoff or retries.Backoff(), timing or retries.Timing()
        caller = self._caller(target)
        self.payments = payments.Payments(caller=caller)
        self.refunds = refunds.Refunds(caller=caller)
        self.customers = customers.Customers(caller=caller)
        self.payment_methods = payment_methods.PaymentMethods(caller=caller)
        self.plans = plans.Plans(caller=caller)
        self.subscriptions = subscriptions.Subscriptions(caller=caller)
        self.invoices = invoices.Invoices(caller=caller)
        self.checkouts = checkouts.Checkouts(caller=caller)
        self.disputes = disputes.Disputes(caller=caller)
        self.retry_policy = retry_policies.RetryPolicies(caller=caller)
        self.keys = admin.Keys(caller=caller)
        self.status = admin.Status(caller=caller)
        self.plugins = plugins.Plugins(caller=caller)
        self.bindings = bindings.Bindings(caller=caller)
        self.doubts = doubts.Doubts(caller=caller)
        self.inbound_webhooks = inbound_webhooks.InboundWebhooks(caller=caller)
        gateway = None if events_target is None else self._caller(events_target)
        self._events = None if gateway is None else events.Events(caller=gateway)
        self._webhooks = None if gateway is None else webhooks.Webhooks(caller=gateway)
        self._consumers = None if gateway is None else consumers.Consumers(caller=gateway)

    @property
    def events(self) -> events.Events:
        """The event log. Raises RuntimeError if the client was made without `events_target`."""
        return _with_gateway(self._events)

    @property
    def consumers(self) -> consumers.Consumers:
        """Durable consumers. Raises RuntimeError if the client was made without
        `events_target`.
        """
        return _with_gateway(self._consumers)

    @property
    def webhooks(self) -> webhooks.Webhooks:
        """Webhook endpoints. Raises RuntimeError if the client was made without
        `events_target`.
        """
        return _with_gateway(self._webhooks)

    def consume(
        self,
        consumer: str,
        *,
        member: str = "",
        max_in_flight: int = 100,
        heartbeat_s: float = 15.0,
        extend_for_s: float = 600.0,
        on_lost: Callable[[str, str], None] | None = None,
        on_notice: Callable[[streams.Notice], None] | None = None,
    ) -> consumption.Consumption:
        """Receive the events of a durable consumer, across reconnects.

        Use it as `async with client.consume("ledger") as work: async for each in work: ...` and
        settle each event: `await each.ack()`, or `reject`, `park`, `release`. An event comes
        again if its settlement was lost, so deal with each by its id or version once.

        Args:
            consumer: name of a consumer that `consumers.create` made.
            member: stable name of this process among the members; by default a new one.
            max_in_flight: most events handed over and not settled, 1 to 10000.
            heartbeat_s: wished interval of signs of life, 1 to 60 s.
            extend_for_s: for how long the lease of an event is extended while nobody settles it,
                from when it was handed over, or, if it still waits here, from when the last event
                was; then the gateway delivers it again.
            on_lost: called with lease and reason of a settlement that had no effect.
            on_notice: called with each notice, from the receiving task; must not block.

        Raises:
            ValueError: `max_in_flight` is out of range.
        """
        if not 1 <= max_in_flight <= 10_000:
            text = f"max_in_flight must be 1 to 10000, not {max_in_flight}"
            raise ValueError(text)
        caller = self.consumers.caller
        return consumption.Consumption(
            link=caller.link,
            backoff=caller.backoff,
            timing=caller.timing,
            consumer=consumer,
            member=member or f"{socket.gethostname()}-{calls.new_key()}"[:128],
            max_in_flight=max_in_flight,
            heartbeat_s=heartbeat_s,
            extend_for_s=extend_for_s,
            on_lost=on_lost,
            on_notice=on_notice,
        )

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
        """Cancel what is under way and close the connections. May be called again.

        A call that is cut off raises Unavailable, or OutcomeUnknown if it may have taken effect.
        """
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


def _with_gateway(part: _T | None) -> _T:
    if part is None:
        text = "the client was made without events_target, such as 127.0.0.1:50052"
        raise RuntimeError(text)
    return part
