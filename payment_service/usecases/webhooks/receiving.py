"""Receiving: from a request of whoever to a webhook that is kept, believed or not.

Owns what a request is answered with: 2xx only once everything that is needed to apply it is
on disk. Called by the HTTP endpoint. Never answers with anything of what was sent.
"""

from dataclasses import dataclass, replace

from payhub.provider.v1 import notice_provider_service_pb2 as nps

from payment_service.db import outbox
from payment_service.db import webhooks as rows
from payment_service.domain import webhooks
from payment_service.usecases import context
from payment_service.usecases.webhooks import addresses, applying, telling, verifying
from servicekit import bounded, failpoints, logs, storage

_log = logs.get_logger(__name__)

OK, BAD, UNAUTHORIZED, UNKNOWN, LARGE, LATER = 200, 400, 401, 404, 413, 503
# One event per address and time is enough to see that somebody tries keys.
REJECTED_EVERY_S = 10.0
_TOLD_MAX = 1_000
# Never kept: they are credentials of whoever is in between.
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization", "x-forwarded-client-cert"})
# As long as they can't be verified, anybody's are kept with their bodies.
UNVERIFIED_MAX = 1_000
HEADERS_MAX = 100
HEADER_CHARS_MAX = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request of a provider; `body` is None if it was larger than allowed."""

    provider: str
    binding_id: str
    headers: webhooks.Headers
    body: bytes | None
    body_bytes: int


class Receiver:
    """Takes requests.

    Args:
        ctx: What lies outside.
        applier: Applies what is believed.
        tolerance_s: Oldest signature accepted.
    """

    def __init__(
        self, ctx: context.Context, applier: applying.Applier, *, tolerance_s: float
    ) -> None:
        self._ctx = ctx
        self._applier = applier
        self._addresses = addresses.Addresses(ctx)
        self._tolerance_s = tolerance_s
        self._rejected_s: bounded.Bounded[str, float] = bounded.Bounded(_TOLD_MAX)

    async def receive(self, request: Request) -> webhooks.Webhook:
        """Keeps a request and does what it tells, if it is believed.

        Returns:
            The webhook; its `http_status` is the answer.

        Raises:
            errors.RpcError: OVERLOADED; nothing is kept.
            storage.StorageError: It could not be kept.
        """
        now_us = self._ctx.clock.now_us()
        tenant_id = ""
        if self._ctx.providers.find(request.provider) is not None:
            tenant_id = await self._addresses.tenant(request.provider, request.binding_id)
        webhook = webhooks.Webhook(
            id=self._ctx.new_id("whk"),
            provider=request.provider,
            binding_id=request.binding_id,
            tenant_id=tenant_id,
            state=webhooks.State.RECEIVED,
            headers=_kept(request.headers),
            body=request.body or b"",
            body_bytes=request.body_bytes,
            received_us=now_us,
            updated_us=now_us,
        )
        if not tenant_id:
            return await self._refuse(webhook, UNKNOWN, "there is no such binding", is_new=True)
        if request.body is None:
            return await self._refuse(webhook, LARGE, "its body is too large", is_new=True)
        return await self._ctx.tracker.shielded(self._keep(webhook))

    async def _keep(self, webhook: webhooks.Webhook) -> webhooks.Webhook:
        await self._ctx.db.write(lambda conn: rows.insert(conn, webhook))
        failpoints.hit("payment_service.after_webhook_stored")
        return await self._judge(webhook)

    async def _judge(self, webhook: webhooks.Webhook) -> webhooks.Webhook:
        verified = await verifying.verify(self._ctx, webhook, tolerance_s=self._tolerance_s)
        if verified.told is None:
            # The provider sends it again; what came of that counts once all the same.
            return await self._later(webhook, verified.problem)
        if not verified.authentic:
            status = BAD if verified.malformed else UNAUTHORIZED
            return await self._refuse(webhook, status, verified.told.detail or "not authentic")
        believed = believe(webhook, verified.told)
        if not verified.told.refetch:
            done = await self._applier.apply(believed, verified.told)
            return replace(done, http_status=OK)
        # Asking the provider may take longer than it waits for an answer.
        now_us = self._ctx.clock.now_us()
        kept = replace(believed, next_attempt_us=now_us, updated_us=now_us)
        await self._ctx.db.write(lambda conn: rows.update(conn, kept))
        self._applier.wake.set()
        return kept

    async def _later(self, webhook: webhooks.Webhook, problem: str) -> webhooks.Webhook:
        later = replace(
            webhooks.put_off(replace(webhook, attempts=1), problem, self._ctx.clock.now_us()),
            state=webhooks.State.RECEIVED,
            http_status=LATER,
        )
        _log.warning("webhook not verified", webhook_id=webhook.id, detail=problem)
        refused = webhooks.rejected(
            webhook, LATER, "too many wait to be verified", self._ctx.clock.now_us()
        )

        def write(conn: storage.Connection) -> webhooks.Webhook:
            full = rows.unverified(conn, UNVERIFIED_MAX) >= UNVERIFIED_MAX
            written = refused if full else later
            rows.update(conn, written)
            return written

        return await self._ctx.db.write(write)

    async def _refuse(
        self, webhook: webhooks.Webhook, status: int, detail: str, *, is_new: bool = False
    ) -> webhooks.Webhook:
        refused = webhooks.rejected(webhook, status, detail, self._ctx.clock.now_us())
        _log.warning(
            "webhook rejected",
            webhook_id=refused.id,
            provider=refused.provider[:63],
            http_status=status,
            detail=detail,
        )
        tells = bool(refused.tenant_id) and self._is_news(refused)
        ids = context.fresh_ids(self._ctx.new_id)

        def write(conn: storage.Connection) -> None:
            if is_new:
                rows.insert(conn, refused)
            else:
                rows.update(conn, refused)
            if tells:
                told = [telling.entry(refused, "webhook.rejected", ids())]
                conn.run(*outbox.append(told))

        await self._ctx.db.write(write)
        if tells:
            self._ctx.outbox_written.set()
        return refused

    def _is_news(self, webhook: webhooks.Webhook) -> bool:
        """Whether an event says so; anybody may send, and not fill everybody's log."""
        now_s = self._ctx.clock.monotonic_s()
        if now_s - self._rejected_s.get(webhook.binding_id, float("-inf")) < REJECTED_EVERY_S:
            return False
        self._rejected_s[webhook.binding_id] = now_s
        return True


def believe(webhook: webhooks.Webhook, told: nps.VerifyWebhookResponse) -> webhooks.Webhook:
    """Returns a webhook with what its plugin made of it; 200 is what it is answered with."""
    return replace(
        webhook,
        told=told.SerializeToString(),
        event_type=told.event_type,
        # One without an identifier is an event of its own.
        provider_event_id=told.provider_event_id or webhook.id,
        attempts=max(webhook.attempts, 1),
        http_status=OK,
    )


def _kept(headers: webhooks.Headers) -> webhooks.Headers:
    return tuple(
        (name, value[:HEADER_CHARS_MAX])
        for name, value in headers[:HEADERS_MAX]
        if name not in _PRIVATE
    )
