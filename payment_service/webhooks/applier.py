"""The loop that applies what waits: webhooks that hint at money, and those put off.

Owns pacing and forgetting. Run inside payment_service; several replicas share the work by
leases. Never decides what a webhook does.

What takes long goes on by itself: a provider that hangs keeps nobody waiting whose webhooks
are of another one.
"""

import asyncio
import contextlib
from collections import Counter

import prometheus_client

from payment_service.domain import webhooks
from payment_service.usecases import standing
from payment_service.usecases.webhooks import applying, replaying
from servicekit import logs, loop, storage

_log = logs.get_logger(__name__)

PRUNE_EVERY_S = 60.0
# Taken in one go.
BATCH_MAX = 32
# Worked on at once, those of providers that hang included.
UNDER_WAY_MAX = 256
# A provider that has so many under way gets no more until some of them end.
STALLED_MIN = 8
# How long the next batch waits for this one.
PATIENCE_S = 0.2


class Daemon:
    """Applies what is due; see the module.

    Args:
        cases: The use cases.
        applier: Says when something came.
        standing_: Says whether anything may be done.
        registry: For metrics.
    """

    def __init__(
        self,
        cases: replaying.Webhooks,
        applier: applying.Applier,
        standing_: standing.Standing,
        registry: prometheus_client.CollectorRegistry,
    ) -> None:
        self._cases = cases
        self._standing = standing_
        self._wake = applier.wake
        self._under_way: dict[asyncio.Task[None], webhooks.Webhook] = {}
        self._of_provider: Counter[str] = Counter()
        # Whether something may be due that was left alone for what is under way.
        self._held_back = False
        self._pruned_s = 0.0
        self._applied = prometheus_client.Counter(
            "payhub_webhooks_worked_total",
            "Inbound webhooks worked on after they were answered, by what came of it.",
            ("state",),
            registry=registry,
        )

    async def run(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Works until *stop* is set, then gives back what is under way."""
        try:
            await loop.run_forever(
                self.run_once, idle_s=idle_s, stop=stop, wake=self._wake, name="webhooks"
            )
        finally:
            # What they have begun to write is finished by the tracker; the rest is due again.
            under_way = dict(self._under_way)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            broken_off = [one for task, one in under_way.items() if task.cancelled()]
            with contextlib.suppress(storage.StorageError):
                await self._cases.give_back(broken_off)

    async def run_once(self) -> int:
        """Begins to work on what is due, each by itself; returns how many there were."""
        if not self._standing.is_open:
            return 0
        room = min(BATCH_MAX, UNDER_WAY_MAX - len(self._under_way))
        busy = [name for name, count in self._of_provider.items() if count >= STALLED_MIN]
        self._held_back = room <= 0 or bool(busy)
        held = [one.id for one in self._under_way.values()]
        due = await self._cases.claim_due(busy, held, room) if room > 0 else []
        begun = [self._begin(one) for one in due]
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE_S)
        now_s = asyncio.get_running_loop().time()
        if now_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now_s
            await self._cases.pull_in()
            await self._cases.prune()
        return len(due)

    def _begin(self, webhook: webhooks.Webhook) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guarded(webhook))
        self._under_way[task] = webhook
        self._of_provider[webhook.provider] += 1
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        webhook = self._under_way.pop(task)
        self._of_provider[webhook.provider] -= 1
        if not self._of_provider[webhook.provider]:
            del self._of_provider[webhook.provider]
        if self._held_back:
            self._wake.set()

    async def _guarded(self, webhook: webhooks.Webhook) -> None:
        try:
            came = await self._cases.work(webhook)
        except Exception:
            # Its lease runs out, and it is tried again.
            _log.exception("webhook not worked on", webhook_id=webhook.id)
            return
        self._applied.labels(came.state.name.lower()).inc()
