"""Sends what one endpoint is to get: a member of its consumer that speaks HTTP.

Owns the requests under way for one endpoint, their limit and the pauses that the
receiver asks for, so that a dead endpoint holds up nobody else. Started by the
pool. When to try again is decided by the consumer's machine.
"""

import asyncio
import dataclasses
from collections.abc import Callable

import prometheus_client
from payhub.events.v1 import consumer_pb2, webhook_pb2
from payhub.events.v1 import consumer_service_pb2 as service_pb

from event_gateway import telling
from event_gateway.consumers import group, policy
from event_gateway.db import copies, webhook_log, webhooks
from event_gateway.webhooks_out import changes, definition, payload, secrets, sender, signing
from servicekit import auth, clock, errors, logs, storage

# At most this long between two looks at whether the endpoint is still enabled.
_LOOK_EVERY_S = 5.0
_NOBODY = auth.Principal(tenant_id="system", scopes=frozenset(), key_id="")
_ACTOR = "webhooks"

_State = webhook_pb2.WebhookDelivery
_log = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every worker of a process uses.

    Attributes:
        ageing: The time by which endpoints fail for long, and their log is old.
        disable_after_s: An endpoint is disabled when nothing was delivered for so long.
        on_event: Called after an event was appended to the log.
        counter: Of attempts, by what came of them.
    """

    database: storage.Database
    send: sender.Sender
    vault: secrets.Vault
    time: clock.Clock
    ageing: storage.Ageing
    disable_after_s: float
    on_event: Callable[[], None]
    counter: prometheus_client.Counter


class Worker:
    """The member of one endpoint's consumer.

    Args:
        around: What it uses.
        running: The consumer, which runs in this process.
    """

    def __init__(self, around: Surroundings, running: group.Group) -> None:
        self._around = around
        self._group = running
        self.tenant_id = running.stored.tenant_id
        self.endpoint_id = running.stored.name
        self._resume_s = 0.0
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def given_up(self) -> int:
        """How many events are kept that were given up."""
        return self._group.parked

    async def run(self) -> None:
        """Sends until the consumer ends here or the endpoint is not enabled."""
        joined = self._group.join(
            "http",
            self._group.message.rules.max_outstanding,
            principal=_NOBODY,
            key_digest=b"",
            tenants=(self.tenant_id,),
        )
        throttled = False
        try:
            while joined.error is None and not joined.closing:
                in_flight = self._group.message.rules.max_outstanding
                now_s = self._around.time.monotonic_s()
                if now_s < self._resume_s and not throttled:
                    throttled = True
                    self._group.stop_credit(joined)
                elif throttled and now_s >= self._resume_s:
                    throttled = False
                    self._group.grant(joined, max(in_flight - len(self._sending), 1))
                for data in joined.take(in_flight):
                    delivery = service_pb.FetchResponse.FromString(data).deliveries[0]
                    task = asyncio.create_task(self._deal_with(delivery))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)
                    task.add_done_callback(lambda _: joined.rouse())
                wanted = in_flight - len(self._sending) - joined.session.credit
                if not throttled and wanted > 0 and not joined.waiting_bytes:
                    self._group.grant(joined, wanted)
                if self._group.message.rules.paused:
                    break
                await joined.wait(self._resume_s - now_s if throttled else _LOOK_EVERY_S)
            await self.finish()
        finally:
            self._group.leave(joined, give_back=True)

    async def finish(self) -> None:
        """Returns when every request under way has ended."""
        if self._sending:
            await asyncio.wait(set(self._sending))

    async def _deal_with(self, delivery: consumer_pb2.Delivery) -> None:
        try:
            await self._deliver(delivery)
        except errors.RpcError as failure:
            # The consumer moved or its secrets can't be read: somebody else tries it, or later.
            self._around.counter.labels(failure.reason).inc()
            _log.warning(
                "a webhook was not sent", endpoint_id=self.endpoint_id, problem=failure.reason
            )
            self._settle(delivery, policy.Verdict.RELEASE)
            self._pause(30.0)
        except storage.StorageError as failure:
            _log.warning("can't log a webhook", endpoint_id=self.endpoint_id, problem=str(failure))
            self._settle(delivery, policy.Verdict.REJECT)
        except Exception:
            _log.exception("sending a webhook failed", endpoint_id=self.endpoint_id)
            self._settle(delivery, policy.Verdict.REJECT)

    async def _deliver(self, delivery: consumer_pb2.Delivery) -> None:
        try:
            stored = await self._around.database.read(
                lambda conn: webhooks.get(conn, self.tenant_id, self.endpoint_id)
            )
        except storage.StorageError as failure:
            # Nothing was sent, so that it is no attempt.
            _log.warning(
                "a webhook was not sent", endpoint_id=self.endpoint_id, problem=str(failure)
            )
            self._settle(delivery, policy.Verdict.RELEASE)
            self._pause(_LOOK_EVERY_S)
            return
        if stored is None or definition.kind(definition.read(stored)) != definition.KIND:
            self._settle(delivery, policy.Verdict.RELEASE)
            self._pause(_LOOK_EVERY_S)
            return
        endpoint = definition.read(stored)
        held = self._around.vault.open(self.endpoint_id, stored.secrets)
        answer = await self._around.send.send(
            endpoint.url,
            secrets=secrets.live(held, self._around.time.now_us()),
            message_id=signing.message_id(delivery.event.id),
            body=payload.body(delivery.event, thin=endpoint.thin),
            timeout_s=endpoint.timeout.ToMicroseconds() / 1e6,
        )
        self._around.counter.labels(answer.outcome).inc()
        await self._record(delivery, endpoint, answer, await self._aged_us(stored, answer))
        if answer.delivered:
            self._settle(delivery, policy.Verdict.ACK)
            return
        if answer.retry_after_s:
            self._pause(answer.retry_after_s)
        verdict = policy.Verdict.PARK if answer.gone else policy.Verdict.REJECT
        self._settle(delivery, verdict, delay_s=answer.retry_after_s, reason=answer.text)

    async def _record(
        self,
        delivery: consumer_pb2.Delivery,
        endpoint: definition.Endpoint,
        answer: sender.Answer,
        aged_us: int,
    ) -> None:
        """Logs an attempt, and disables the endpoint if it is time for that by *aged_us*."""
        now_us = self._around.time.now_us()
        state, next_us = _after(delivery, endpoint, answer, now_us)
        logged = webhook_log.Delivery(
            position=delivery.event.position,
            event_id=delivery.event.id,
            event_type=delivery.event.type,
            state=state,
            next_us=next_us,
        )
        attempt = webhook_log.Attempt(
            number=0,
            sent_us=answer.sent_us,
            elapsed_us=answer.elapsed_us,
            status=answer.status,
            problem=answer.problem,
            excerpt=answer.excerpt,
        )

        # This process stood still, and another one sends to the endpoint by now.
        late = not self._group.stands(delivery.lease)

        def record(conn: storage.Connection) -> bool:
            stored = webhooks.lock(conn, self.tenant_id, self.endpoint_id)
            if stored is None:
                return False
            found = definition.read(stored)
            why = self._why_disable(stored, answer, aged_us)
            disabling = bool(why) and found.state == found.STATE_ENABLED
            if disabling:
                # Erasure waits for what is locked from here on, and this for the log.
                copies.keep_erasure_out(conn)
            webhook_log.record(
                conn,
                self.endpoint_id,
                logged,
                attempt,
                redacted=delivery.event.redacted,
                now_us=now_us,
                late=late,
            )
            if answer.delivered or not late:
                webhooks.answered(
                    conn,
                    self.tenant_id,
                    self.endpoint_id,
                    delivered=answer.delivered,
                    now_us=now_us,
                )
            if disabling:
                changes.change(
                    conn,
                    stored,
                    definition.disabled(found, why),
                    verb="disabled",
                    by=telling.By(actor=_ACTOR, now_us=now_us),
                )
            return disabling

        if await self._around.database.write(record):
            _log.warning("a webhook endpoint was disabled", endpoint_id=self.endpoint_id)
            self._around.on_event()
            self._group.changed(-1, -1)

    async def _aged_us(self, stored: webhooks.Endpoint, answer: sender.Answer) -> int:
        """Returns the time for `_why_disable`: what the clock says is believed as long as it
        disables nothing.

        Raises:
            storage.StorageError: It can't be told.
        """
        now_us = self._around.time.now_us()
        if not self._why_disable(stored, answer, now_us):
            return now_us
        return min(await self._around.ageing.now_us(), now_us)

    def _why_disable(self, stored: webhooks.Endpoint, answer: sender.Answer, now_us: int) -> str:
        if answer.delivered:
            return ""
        if answer.gone:
            return "it answered 410 Gone"
        failing_s = (now_us - stored.failing_since_us) / 1e6 if stored.failing_since_us else 0.0
        if failing_s < self._around.disable_after_s:
            return ""
        return f"nothing was delivered for {failing_s / 86_400:.1f} days; last: {answer.text}"

    def _settle(
        self,
        delivery: consumer_pb2.Delivery,
        verdict: policy.Verdict,
        *,
        delay_s: float = 0.0,
        reason: str = "",
    ) -> None:
        try:
            self._group.settle(
                delivery.lease, verdict, delay_us=round(delay_s * 1e6), reason=reason
            )
        except errors.RpcError as failure:
            _log.info("a webhook will be sent again", problem=failure.reason)

    def _pause(self, seconds: float) -> None:
        """Sends nothing more to this endpoint for a while."""
        self._resume_s = max(self._resume_s, self._around.time.monotonic_s() + seconds)


def _after(
    delivery: consumer_pb2.Delivery,
    endpoint: definition.Endpoint,
    answer: sender.Answer,
    now_us: int,
) -> tuple[int, int]:
    """Returns the state of a delivery after an answer, and when it is tried next; 0 for never."""
    if answer.delivered:
        return _State.STATE_DELIVERED, 0
    if answer.gone or delivery.attempt > len(endpoint.retry_schedule):
        return _State.STATE_FAILED, 0
    wait_us = endpoint.retry_schedule[delivery.attempt - 1].ToMicroseconds()
    return _State.STATE_PENDING, now_us + max(wait_us, round(answer.retry_after_s * 1e6))
