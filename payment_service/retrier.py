"""The retrier: makes the tries that tenants' retry policies ask for.

Owns the loop over due tries. Run inside payment_service; several replicas share the work
without leases: each try is used up by the transaction that begins it. Never decides when
or whether to try.
"""

import asyncio
import contextlib

from payment_service.usecases import retrying, standing
from servicekit import logs, loop, storage

_log = logs.get_logger(__name__)

# Tries that go on at once.
BATCH_MAX = 32
# How long the next batch waits for this one.
PATIENCE_S = 0.2


class Retrier:
    """Makes due tries; see the module."""

    def __init__(self, retrying_: retrying.Retrying, standing_: standing.Standing) -> None:
        self._retrying = retrying_
        self._standing = standing_
        self._under_way: dict[str, asyncio.Task[bool]] = {}

    async def run(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Makes what is due until *stop* is set."""
        try:
            await loop.run_forever(self.run_once, idle_s=idle_s, stop=stop, name="retrier")
        finally:
            # What they have begun to write is finished by the tracker.
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def run_once(self) -> int:
        """Begins due tries, BATCH_MAX at once; returns how many were made before its
        patience was over.
        """
        if len(self._under_way) >= BATCH_MAX or not self._standing.is_open:
            return 0
        begun = []
        for tenant_id, payment_id, slot_us in await self._retrying.due(2 * BATCH_MAX):
            if payment_id not in self._under_way and len(self._under_way) < BATCH_MAX:
                begun.append(self._begin(tenant_id, payment_id, slot_us))
        if not begun:
            return 0
        done, _ = await asyncio.wait(begun, timeout=PATIENCE_S)
        return sum(task.result() for task in done)

    def _begin(self, tenant_id: str, payment_id: str, slot_us: int) -> asyncio.Task[bool]:
        work = self._guarded(tenant_id, payment_id, slot_us)
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[payment_id] = task
        task.add_done_callback(lambda _: self._under_way.pop(payment_id, None))
        return task

    async def _guarded(self, tenant_id: str, payment_id: str, slot_us: int) -> bool:
        """One payment that can't be tried does not keep others from it."""
        try:
            return await self._retrying.carry_out(tenant_id, payment_id, slot_us)
        except Exception:
            _log.exception("could not try again", payment_id=payment_id)
        # Where nothing can be written now, it stays due.
        with contextlib.suppress(storage.StorageError):
            await self._retrying.put_off(tenant_id, payment_id, slot_us)
        return False
