"""The plugins of core's own environment: allowed, bound and enabled without an operator.

Owns bringing them from an address in the environment to ENABLED. Called at start, and in
the background until they are. What an operator decided about one since stays decided.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from payment_service.domain import plugins
from payment_service.usecases import context
from payment_service.usecases.bindings import binding_store
from payment_service.usecases.plugins import lifecycle, plugin_events
from servicekit import errors, logs, loop

WHY = plugin_events.Why(reason="set up in the environment")
State = plugins.PluginState

IDLE_S = 0.2
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0

_log = logs.get_logger(__name__)


class Seeds:
    """Plants the plugins of the environment."""

    def __init__(
        self,
        ctx: context.Context,
        cases: lifecycle.Lifecycle,
        environment: binding_store.Environment,
    ) -> None:
        self._ctx = ctx
        self._cases = cases
        self._environment = environment
        self._growing: set[str] = set()
        # When each may be tried again, and how long it waits after that.
        self._retry: dict[str, tuple[float, float]] = {}

    async def plant(
        self,
        providers: Mapping[str, str],
        configs: Mapping[str, Mapping[str, Any]],
        default: str,
        secrets: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        """Allows plugins and makes their shared bindings; nothing is called yet.

        Args:
            providers: Static endpoint by plugin id.
            configs: Configuration by plugin id, {} where there is none.
            default: The installation's default provider, if it has none yet.
            secrets: Secret by slot by plugin id.
        """
        view = await self._ctx.catalog.refresh()
        for plugin_id, endpoint in providers.items():
            known = view.plugin(plugin_id)
            if known is not None and known.state is State.UNINSTALLED:
                _log.warning("uninstalled, though the environment names it", plugin_id=plugin_id)
                continue
            entry = plugins.Entry(plugin_id=plugin_id)
            if known is not None and known.entry.allowed:
                entry = known.entry
            await self._cases.allow(replace(entry, static_endpoint=endpoint), why=WHY)
            await self._environment.ensure_shared(
                plugin_id, configs.get(plugin_id, {}), secrets.get(plugin_id, {})
            )
            self._growing.add(plugin_id)
        if default in self._growing:
            await self._environment.ensure_default(default)
        await self._ctx.catalog.refresh()

    async def run(self, stop: asyncio.Event) -> None:
        """Enables each as soon as it is ready, until all are or *stop*."""
        done = asyncio.Event()

        async def once() -> int:
            for plugin_id in sorted(self._growing):
                if not await self._grow(plugin_id):
                    self._growing.discard(plugin_id)
            if not self._growing:
                done.set()
            return 0

        stopping = asyncio.create_task(_either(stop, done))
        try:
            await loop.run_forever(once, idle_s=IDLE_S, stop=done, name="seeds")
        finally:
            stopping.cancel()

    async def _grow(self, plugin_id: str) -> bool:
        """Takes the next step of a plugin; returns whether there is one after it."""
        plugin = self._ctx.catalog.view.plugin(plugin_id)
        if plugin is None or plugin.state in (State.ENABLED, State.DISABLED, State.UNINSTALLED):
            return False
        now_s = self._ctx.clock.monotonic_s()
        not_before_s, wait_s = self._retry.get(plugin_id, (0.0, RETRY_FIRST_S))
        provider = self._ctx.providers.find(plugin_id)
        connected = provider is not None and provider.ready
        if plugin.state is State.DISCOVERED or not connected or now_s < not_before_s:
            return True
        try:
            await self._cases.initialize(plugin_id, why=WHY)
            await self._cases.enable(plugin_id, with_dependencies=True, why=WHY)
        except errors.RpcError as refusal:
            _log.warning("not enabled yet", plugin_id=plugin_id, problem=refusal.message)
            self._retry[plugin_id] = (now_s + wait_s, min(2 * wait_s, RETRY_MAX_S))
            return True
        return False


async def _either(stop: asyncio.Event, done: asyncio.Event) -> None:
    await stop.wait()
    done.set()
