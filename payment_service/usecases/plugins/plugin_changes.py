"""What every change of a plugin has in common.

Owns the transaction around it: its time, its event ids, and what follows the commit.
The base of the lifecycle's use cases. Never decides.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from payment_service.db import plugins as rows
from payment_service.domain import plugins
from payment_service.usecases import context
from payment_service.usecases.plugins import plugin_events, plugin_refusals
from servicekit import logs, storage

T = TypeVar("T")
Transaction = Callable[[storage.Connection, plugin_events.Ids, int], T]

# Another replica may write the same new row at the same time; the second look finds it.
_ATTEMPTS = 3

_log = logs.get_logger(__name__)


class Changes:
    """Writes changes of plugins."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._background: set[asyncio.Task[Any]] = set()

    async def _change(self, change: Transaction[T]) -> T:
        """Runs *change* in a transaction; the catalog and the relay know of it afterwards."""
        result = await self._write(change)
        await self._ctx.catalog.refresh()
        return result

    async def _write(self, change: Transaction[T]) -> T:
        now_us = self._ctx.clock.now_us()
        again = plugin_events.fresh_ids(self._ctx.new_id)
        for attempt in range(_ATTEMPTS):
            try:
                result = await self._ctx.db.write(lambda conn: change(conn, again(), now_us))
                break
            except plugin_events.Concurrent:
                if attempt == _ATTEMPTS - 1:
                    raise
        self._ctx.outbox_written.set()
        return result

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Does *work* beside what goes on; what it raises is logged."""

        async def guarded() -> None:
            try:
                await self._ctx.tracker.shielded(work)
            except Exception as problem:
                _log.warning("telling a plugin failed", problem=str(problem))

        task = asyncio.create_task(guarded())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def locked(conn: storage.Connection, plugin_id: str) -> plugins.Plugin:
    """Returns a plugin of the allowlist, locked until the transaction ends.

    Raises:
        errors.RpcError: PLUGIN_UNKNOWN.
    """
    found = rows.load(conn, plugin_id, lock=True)
    if found is None or not found.entry.allowed:
        raise plugin_refusals.unknown(plugin_id, rows.load_all(conn))
    return found


def step(plugin: plugins.Plugin, transition: plugins.Transition) -> plugins.Step:
    """Returns where *transition* leads.

    Raises:
        errors.RpcError: PLUGIN_STATE_CONFLICT.
    """
    judged = plugins.judge(plugin, transition)
    if isinstance(judged, plugins.Refusal):
        raise plugin_refusals.state_conflict(plugin, judged)
    return judged
