"""The loop that applies what waits: webhooks that hint at money, and those put off.

Owns pacing and forgetting. Run inside payment_service; several replicas share the work by
leases. Never decides what a webhook does.
"""

import asyncio

import prometheus_client

from payment_service.usecases.webhooks import applying, replaying
from servicekit import logs, loop

_log = logs.get_logger(__name__)

PRUNE_EVERY_S = 60.0


class Daemon:
    """Applies what is due; see the module.

    Args:
        cases: The use cases.
        applier: Says when something came.
        registry: For metrics.
    """

    def __init__(
        self,
        cases: replaying.Webhooks,
        applier: applying.Applier,
        registry: prometheus_client.CollectorRegistry,
    ) -> None:
        self._cases = cases
        self._wake = applier.wake
        self._pruned_s = 0.0
        self._applied = prometheus_client.Counter(
            "payhub_webhooks_worked_total",
            "Inbound webhooks worked on after they were answered, by what came of it.",
            ("state",),
            registry=registry,
        )

    async def run(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Works until *stop* is set."""
        await loop.run_forever(
            self.run_once, idle_s=idle_s, stop=stop, wake=self._wake, name="webhooks"
        )

    async def run_once(self) -> int:
        """Works on what is due, each by itself; returns how many there were."""
        due = await self._cases.claim_due()
        done = await asyncio.gather(*map(self._cases.work, due), return_exceptions=True)
        for webhook, came in zip(due, done, strict=True):
            if isinstance(came, BaseException):
                # Its lease runs out, and it is tried again.
                _log.error("webhook not worked on", webhook_id=webhook.id, exc_info=came)
                continue
            self._applied.labels(came.state.name.lower()).inc()
        now_s = asyncio.get_running_loop().time()
        if now_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now_s
            await self._cases.prune()
        return len(due)
