"""Forgetting idempotency keys whose time is over.

Owns pacing: the table is walked in the order of its keys, a little every minute, so that no
index has to be kept for it by every payment. Run inside payment_service; of several replicas
one walks. Never forgets a key of what has not come to its end.
"""

import asyncio
import functools

from payment_service.db import idempotency, leases
from payment_service.usecases import context
from servicekit import logs, loop, storage

_log = logs.get_logger(__name__)

LEASE = "idempotency_keys"
LEASE_S = 300.0
STEP_EVERY_S = 60.0
# Keys of one transaction, and transactions of one step: a hundred million keys a day.
CHUNK = idempotency.PAGE_MAX
CHUNKS = 150
# From the end of one walk to the next.
WALK_EVERY_S = 3600.0


class Forgetting:
    """Forgets keys; see the module.

    Args:
        ctx: What lies outside.
        owner: Names this process in the lease.
        keep_s: How long keys are kept at least, from the first call on; 0 for ever.
    """

    def __init__(self, ctx: context.Context, owner: str, keep_s: float) -> None:
        self._ctx = ctx
        self._owner = owner
        self._keep_us = round(keep_s * 1_000_000)
        self._ageing = storage.Ageing(ctx.db, ctx.clock, "idempotency_keys")
        self._after = idempotency.FROM_THE_FIRST
        self._walk_at_s = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Walks until *stop*."""
        await loop.run_forever(
            self.run_once, idle_s=STEP_EVERY_S, stop=stop, name="idempotency keys"
        )

    async def run_once(self) -> int:
        """Takes the next step of a walk, if one is due here; returns 0."""
        now_s = self._ctx.clock.monotonic_s()
        if not self._keep_us or now_s < self._walk_at_s:
            return 0
        length_us = round(LEASE_S * 1_000_000)
        leased = await self._ctx.db.write(
            lambda conn: leases.take(conn, name=LEASE, owner=self._owner, length_us=length_us)
        )
        if not leased:
            return 0
        before_us = await self._ageing.now_us() - self._keep_us
        forgotten = 0
        for _ in range(CHUNKS):
            after = self._after
            page = await self._ctx.db.read(
                functools.partial(
                    idempotency.next_keys, after=after, before_us=before_us, most=CHUNK
                )
            )
            if page.old:
                prune = functools.partial(
                    idempotency.prune, after=after, upto=page.last, before_us=before_us
                )
                forgotten += await self._ctx.db.write(prune)
            self._after = page.last
            if page.count < CHUNK:
                self._after = idempotency.FROM_THE_FIRST
                self._walk_at_s = now_s + WALK_EVERY_S
                break
        if forgotten:
            _log.info("old idempotency keys were forgotten", keys=forgotten)
        return 0
