"""The loop: an event, its mail, its settlement.

Owns the durable consumer and the verdict on each event. Called by `__main__`. Acknowledges only
what the SMTP server has accepted or nobody is to be told; between the two a crash may lead to a
second copy, with the same Message-ID. Never logs an address or a name.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import prometheus_client
from payhub.payments.v1 import customer_service_pb2

import payhub_client
from payhub_client import consumption, errors, streams
from servicekit import logs, metrics
from subscribers import ending
from subscribers.email_notifier import contents, mails, settings, smtp

CREATE_AGAIN_S = 2.0
_LATER = (errors.Unavailable, errors.DeadlineExceeded, errors.RateLimited, errors.Internal)
# Whoever runs this has to give the key its scopes back; the events wait meanwhile.
_KEY = (errors.Unauthenticated, errors.PermissionDenied)

_log = logs.get_logger(__name__)


class _Skip(Exception):
    """Nobody is to be told; the text says why, for the metric."""


def counter(registry: metrics.Metrics) -> prometheus_client.Counter:
    """Return what counts events by what became of them."""
    return registry.counter(
        "payhub_email_notifier_mails_total",
        "Events dealt with: sent, skipped, rejected (tried again) or parked.",
        ["type", "outcome"],
    )


@dataclass(slots=True, kw_only=True)
class Notifier:
    """Mails about the events of one durable consumer.

    Args:
        told: Settings.
        client: Of payment_service and event_gateway.
        composer: Makes the mails.
        mailer: Sends them.
        mails: Counter by `type` and `outcome`.
    """

    told: settings.Settings
    client: payhub_client.Client
    composer: mails.Composer
    mailer: smtp.Mailer
    mails: prometheus_client.Counter
    _joined: bool = field(default=False, init=False)

    async def ready(self) -> None:
        """Raise RuntimeError unless the consumer is joined."""
        if not self._joined:
            raise RuntimeError("not joined")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish the mails under way and give back the rest.

        Raises:
            server.CannotGoOn: Coming back would not cure it, such as a missing scope.
        """
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            with ending.explained():
                if await self._create(stopping):
                    await self._consume(stopping)
        finally:
            stopping.cancel()

    async def _create(self, stopping: "asyncio.Future[Any]") -> bool:
        """Make or find the consumer; False if told to stop before the gateway was reached."""
        while not stopping.done():
            try:
                await self.client.consumers.create(
                    self.told.consumer,
                    payhub_client.EventFilter(types=sorted(self.told.event_types)),
                    start=self.told.start,
                    # A receipt that can't be delivered says nothing about the next mail.
                    park_scope="event",
                    max_deliveries=self.told.max_deliveries,
                    retry_backoff_s=self.told.retry_backoff_s,
                )
            except (*_LATER, errors.OutcomeUnknown) as failure:
                _log.warning("the consumer can't be made yet", problem=failure.message)
                await asyncio.wait([stopping], timeout=CREATE_AGAIN_S)
            else:
                return True
        return False

    async def _consume(self, stopping: "asyncio.Future[Any]") -> None:
        async with self.client.consume(
            self.told.consumer,
            max_in_flight=self.told.concurrency,
            on_lost=_lost,
            on_notice=self._noticed,
        ) as work:
            try:
                await self._work(work, stopping)
            except ExceptionGroup as failures:
                # Of the tasks none raises, so this is what ended the consumption.
                raise failures.exceptions[0] from None

    async def _work(self, work: consumption.Consumption, stopping: "asyncio.Future[Any]") -> None:
        # The consumer hands out `concurrency` events at most, so there are no more tasks.
        async with asyncio.TaskGroup() as tasks:
            while True:
                following: asyncio.Future[Any] = asyncio.ensure_future(work.__anext__())
                await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                    return
                tasks.create_task(self._deal_with(following.result()))

    async def _deal_with(self, received: consumption.Received) -> None:
        """Mail about one event and settle it."""
        event = received.event
        about = {"event_id": event.id, "type": event.type, "attempt": received.attempt}
        try:
            await self._mail(received)
        except _Skip as reason:
            outcome = "skipped"
            _log.info("nobody to mail to", reason=str(reason), **about)
            await received.ack()
        except smtp.TryLater as failure:
            outcome = "rejected"
            _log.warning("mail not sent yet", problem=str(failure), **about)
            await received.reject(str(failure))
        except _LATER as failure:
            outcome = "rejected"
            _log.warning("customer not looked up yet", problem=failure.reason, **about)
            await received.reject(
                f"customer look-up: {failure.reason or type(failure).__name__}",
                delay_s=failure.retry_after_s or 0.0,
            )
        except _KEY as failure:
            outcome = "rejected"
            _log.error("the API key may not read customers", problem=failure.reason, **about)
            await received.reject(f"customer look-up: {failure.reason}")
        except (smtp.Refused, mails.BadAddress, contents.Unreadable) as failure:
            outcome = "parked"
            _log.error("mail can't be delivered", problem=str(failure), **about)
            await received.park(str(failure))
        except Exception as failure:
            outcome = "rejected"
            # The kind alone: the text may hold what a customer wrote.
            _log.error("mail failed", problem=type(failure).__name__, **about)
            await received.reject(type(failure).__name__)
        else:
            outcome = "sent"
            _log.info("mail sent", **about)
            await received.ack()
        self.mails.labels(event.type, outcome).inc()

    async def _mail(self, received: consumption.Received) -> None:
        """Compose and send; return once the SMTP server has accepted it."""
        event = received.event
        if event.redacted:
            raise _Skip("erased")
        content = contents.of(event)
        if content is None:
            raise _Skip("not mailed about")
        customer = await self._customer(content.customer_id)
        address = customer.profile.email
        if not address:
            raise _Skip("no address")
        mail = self.composer.compose(event, content, name=customer.profile.name, address=address)
        await self.mailer.send(mail, address)

    async def _customer(self, customer_id: str) -> customer_service_pb2.Customer:
        """Return the customer as of now, so that a corrected address counts at the next try."""
        if not customer_id:
            raise _Skip("no customer")
        try:
            return await self.client.customers.get(customer_id)
        except errors.NotFound:
            raise _Skip("unknown customer") from None
        except errors.InvalidRequest:
            raise contents.Unreadable("the event names no valid customer") from None

    def _noticed(self, notice: streams.Notice) -> None:
        self._joined = notice.kind is streams.NoticeKind.STARTED
        _log.info("consumer", notice=notice.kind.name, text=notice.text)


def _lost(_: str, reason: str) -> None:
    _log.warning("a settlement came too late; its mail may be sent again", reason=reason)
