"""Finds endpoints that nobody sends to, and sends to them from this process.

Owns the workers. Runs in the background of every gateway; the consumers' row leases
share the endpoints among replicas, and pass them on when one dies.
"""

import asyncio
import functools

from event_gateway.consumers import group, groups
from event_gateway.db import consumers, parking, webhook_log
from event_gateway.webhooks_out import definition, worker
from servicekit import errors, logs, storage

# Endpoints taken in one look: several replicas that start at once get a share each.
TAKEN_MAX = 20
LOOK_EVERY_S = 1.0
TIDY_EVERY_S = 60.0
# Transactions of one tidying.
TIDIED_MAX = 100
# Events of one endpoint that were given up and are kept. Far below what stops a consumer.
GIVEN_UP_MAX = 50_000

_log = logs.get_logger(__name__)


class Pool:
    """The workers of this process.

    Args:
        around: What workers use.
        running: The consumers of this process.
        log_s: How long the delivery log and what was given up are kept, seconds.
    """

    def __init__(
        self, around: worker.Surroundings, running: groups.Groups, *, log_s: float
    ) -> None:
        self._around = around
        self._groups = running
        self._log_s = log_s
        self._workers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._sending: set[worker.Worker] = set()
        self._wake = asyncio.Event()

    @property
    def count(self) -> int:
        """How many endpoints this process sends to."""
        return len(self._workers)

    def look(self) -> None:
        """Says that there may be a new endpoint."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Takes endpoints until *stop* is set."""
        stopping = asyncio.ensure_future(stop.wait())
        tidied_s = 0.0
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self._take()
                    if self._around.time.monotonic_s() - tidied_s > TIDY_EVERY_S:
                        tidied_s = self._around.time.monotonic_s()
                        await self._tidy()
                except storage.StorageError as failure:
                    _log.warning("can't look for webhook endpoints", problem=str(failure))
                waking = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait(
                    {stopping, waking},
                    timeout=LOOK_EVERY_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                waking.cancel()
        finally:
            stopping.cancel()

    async def drain(self) -> None:
        """Returns when the requests under way have ended."""
        await asyncio.gather(*(each.finish() for each in self._sending))

    async def _take(self) -> None:
        found = await self._around.database.read(
            lambda conn: consumers.unowned(conn, definition.KIND, rows=TAKEN_MAX)
        )
        for each in found:
            key = (each.tenant_id, each.name)
            if key in self._workers:
                continue
            try:
                running = await self._groups.find(*key)
            except errors.RpcError as refusal:
                _log.info("an endpoint is not taken", endpoint_id=each.name, problem=refusal.reason)
                continue
            if isinstance(running, groups.Elsewhere):
                continue
            made = worker.Worker(self._around, running)
            self._sending.add(made)
            self._workers[key] = asyncio.create_task(self._work(key, made, running))

    async def _tidy(self) -> None:
        before_us = await self._around.ageing.now_us() - round(self._log_s * 1e6)
        for _ in range(TIDIED_MAX):
            gone = await self._around.database.write(
                functools.partial(webhook_log.forget_old, before_us=before_us)
            )
            if not gone:
                break
        for each in [each for each in self._sending if each.given_up]:
            for _ in range(TIDIED_MAX):
                gone = await self._around.database.write(
                    functools.partial(
                        parking.forget,
                        tenant_id=each.tenant_id,
                        name=each.endpoint_id,
                        before_us=before_us,
                        most=GIVEN_UP_MAX,
                    )
                )
                if gone:
                    self._groups.poke(each.tenant_id, each.endpoint_id)
                    _log.info("given up for good", endpoint_id=each.endpoint_id, count=gone)
                if gone < parking.FORGOTTEN_MAX:
                    break

    async def _work(self, key: tuple[str, str], made: worker.Worker, running: group.Group) -> None:
        try:
            await made.run()
        except errors.RpcError as refusal:
            _log.info("an endpoint was not taken", endpoint_id=key[1], problem=refusal.reason)
        except Exception:
            _log.exception("a webhook worker failed", endpoint_id=key[1])
        finally:
            self._sending.discard(made)
            try:
                await self._groups.give_back(running)
            finally:
                self._workers.pop(key, None)
