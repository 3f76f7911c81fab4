"""The life of plugins as operators want it: from the allowlist to the end.

Owns who may go from one state to the next, in which order, and what a plugin is told of
it. Called by the API and at start. A state is committed before a plugin hears of it;
what it answers then changes nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import instances, operations, versions
from payment_service.db import plugins as rows
from payment_service.domain import dependencies, plugins
from payment_service.usecases import context as contexts
from payment_service.usecases.bindings import bindings as binding_cases
from payment_service.usecases.bindings import configurations as configuration_cases
from payment_service.usecases.plugins import (
    allowing,
    observing,
    plugin_changes,
    plugin_events,
    plugin_refusals,
    registering,
    trying,
)
from servicekit import logs, storage

State = plugins.PluginState
Transition = plugins.Transition
_Change = plugin_service_pb2.NotifyLifecycleRequest.Change

NOTIFY_TIMEOUT_S = 5.0
# After its time a call is abandoned, which the resolver sees soon after.
_IDLE_EXTRA_S = 2.0
_IDLE_POLL_S = 0.1
_DRAIN_EXTRA_S = 5.0

_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A plugin as it stands, and which plugins a call changed, in that order."""

    plugin: plugins.Plugin
    changed: tuple[str, ...] = ()
    remaining_calls: int = 0


class Lifecycle(registering.Registrations, observing.Observations, allowing.Allowlist):
    """Every use case of a plugin's life."""

    def __init__(
        self,
        ctx: contexts.Context,
        bindings: binding_cases.Bindings,
        configurations: configuration_cases.Configurations,
    ) -> None:
        super().__init__(ctx)
        self._bindings = bindings
        self._trials = trying.Trials(ctx, configurations)

    async def initialize(self, plugin_id: str, *, why: plugin_events.Why) -> plugins.Plugin:
        """Configures a plugin's bindings and waits until it is ready.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_STATE_CONFLICT, BINDING_UNKNOWN; and
                PLUGIN_FAILED, which leaves it in ERROR.
        """
        view = await self._ctx.catalog.refresh()
        plugin = view.plugin(plugin_id)
        if plugin is None or not plugin.entry.allowed:
            raise plugin_refusals.unknown(plugin_id, view.plugins)
        if plugin_changes.step(plugin, Transition.INITIALIZE).repeat:
            return plugin
        return await self._ctx.tracker.shielded(self._initialize(plugin, why))

    async def _initialize(self, plugin: plugins.Plugin, why: plugin_events.Why) -> plugins.Plugin:
        try:
            await self._trials.run(plugin)
        except trying.Failed as problem:
            failed = await self.failed(
                plugin.id,
                Transition.INITIALIZE,
                reason=problem.reason,
                detail=problem.detail,
                why=why,
            )
            if failed.failure is None:
                return failed
            raise plugin_refusals.failed(failed, diagnostics=problem.diagnostics) from None

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Plugin:
            before = plugin_changes.locked(conn, plugin.id)
            return _enter(conn, before, Transition.INITIALIZE, why, ids, now_us)

        return await self._change(keep)

    async def enable(
        self, plugin_id: str, *, with_dependencies: bool, why: plugin_events.Why
    ) -> Outcome:
        """Lets operations through to a plugin, after what it needs.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_STATE_CONFLICT, PLUGIN_DEPENDENCY,
                PLUGIN_QUARANTINED, REPORT_REQUIRED.
        """

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> Outcome:
            known, plugin = _all_locked(conn, plugin_id)
            if plugin_changes.step(plugin, Transition.ENABLE).repeat:
                return Outcome(plugin=plugin)
            graph = allowing.graph_of(known.values())
            order = dependencies.to_enable(graph, plugin_id)
            if isinstance(order, dependencies.Problem):
                raise plugin_refusals.dependency(order)
            if len(order) > 1 and not with_dependencies:
                raise plugin_refusals.dependency(dependencies.not_enabled(order, graph))
            for each in order:
                plugin_changes.step(known[each], Transition.ENABLE)
                _require_fit(conn, known[each])
            for each in order:
                plugin = _enter(conn, known[each], Transition.ENABLE, why, ids, now_us)
            return Outcome(plugin=plugin, changed=order)

        outcome = await self._ctx.tracker.shielded(self._change(keep))
        for each in outcome.changed:
            self._later(self._tell(each, _Change.CHANGE_ENABLED, why.reason))
        return outcome

    async def disable(self, plugin_id: str, *, cascade: bool, why: plugin_events.Why) -> Outcome:
        """Takes a plugin out of routing, after those that need it, and waits for its calls.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_STATE_CONFLICT, PLUGIN_DEPENDENCY.
        """
        return await self._ctx.tracker.shielded(
            self._take_out(plugin_id, Transition.DISABLE, cascade, why)
        )

    async def stop(
        self, plugin_id: str, *, cascade: bool, grace_s: float, why: plugin_events.Why
    ) -> Outcome:
        """Disables a plugin and drains its instances, which stand by from then on.

        Args:
            plugin_id: Which plugin.
            cascade: Whether to disable those that need it first.
            grace_s: Longest time for calls that run.
            why: Who and why.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_STATE_CONFLICT, PLUGIN_DEPENDENCY.
        """

        async def stop() -> Outcome:
            outcome = await self._take_out(plugin_id, Transition.STOP, cascade, why)
            return replace(outcome, remaining_calls=await self._drain(plugin_id, grace_s))

        return await self._ctx.tracker.shielded(stop())

    async def _take_out(
        self, plugin_id: str, transition: Transition, cascade: bool, why: plugin_events.Why
    ) -> Outcome:
        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> Outcome:
            known, plugin = _all_locked(conn, plugin_id)
            if plugin_changes.step(plugin, transition).repeat:
                return Outcome(plugin=plugin)
            graph = allowing.graph_of(known.values())
            enabled = plugin.state is State.ENABLED
            order = dependencies.to_disable(graph, plugin_id) if enabled else (plugin_id,)
            if len(order) > 1 and not cascade:
                raise plugin_refusals.dependency(dependencies.needed(order, graph))
            for each in order[:-1]:
                _enter(conn, known[each], Transition.DISABLE, why, ids, now_us)
            if transition is Transition.STOP:
                told = _stand_by(conn, plugin)
                if plugin.state is State.DISABLED and not told:
                    return Outcome(plugin=plugin)
            plugin = _enter(conn, plugin, transition, why, ids, now_us)
            return Outcome(plugin=plugin, changed=order if enabled else ())

        outcome = await self._change(keep)
        for each in outcome.changed:
            self._later(self._tell(each, _Change.CHANGE_DISABLED, why.reason))
        await self._idle(outcome.changed)
        return outcome

    async def uninstall(self, plugin_id: str, *, why: plugin_events.Why) -> plugins.Plugin:
        """Takes a plugin off the allowlist, with its bindings, secrets and leases.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_STATE_CONFLICT, BINDING_IN_USE.
        """
        return await self._ctx.tracker.shielded(self._uninstall(plugin_id, why))

    async def _uninstall(self, plugin_id: str, why: plugin_events.Why) -> plugins.Plugin:
        def keep(
            conn: storage.Connection, ids: plugin_events.Ids, now_us: int
        ) -> tuple[plugins.Plugin, list[str]]:
            before = rows.load(conn, plugin_id, lock=True)
            if before is None:
                raise plugin_refusals.unknown(plugin_id, rows.load_all(conn))
            if plugin_changes.step(before, Transition.UNINSTALL).repeat:
                return before, []
            if still_open := operations.open_at(conn, plugin_id):
                raise plugin_refusals.in_use(plugin_id, still_open)
            removed = self._bindings.remove_all(conn, plugin_id, why=why, ids=ids, now_us=now_us)
            instances.remove_all(conn, plugin_id)
            after = plugins.Plugin(
                entry=plugins.Entry(plugin_id=plugin_id, allowed=False),
                state=State.UNINSTALLED,
                revision=before.revision,
                created_us=before.created_us,
            )
            # Removing its bindings has changed it too.
            last = rows.load(conn, plugin_id) or before
            return plugin_events.write(
                conn,
                last,
                after,
                event_type="plugin.uninstalled",
                why=why,
                event_id=ids(),
                now_us=now_us,
            ), list(removed)

        # Told before the catalog is read again, which ends the connections.
        plugin, removed = await self._write(keep)
        await self._forget(plugin_id, removed, why.reason)
        await self._ctx.catalog.refresh()
        return plugin

    async def _forget(self, plugin_id: str, binding_ids: Iterable[str], reason: str) -> None:
        await self._tell(plugin_id, _Change.CHANGE_UNINSTALLED, reason)
        provider = self._ctx.providers.find(plugin_id)
        if provider is None:
            return
        try:
            async with asyncio.timeout(NOTIFY_TIMEOUT_S):
                for binding_id in binding_ids:
                    await provider.remove_binding(binding_id)
        except Exception as problem:
            _log.warning("a plugin did not forget", plugin_id=plugin_id, problem=str(problem))

    async def _tell(self, plugin_id: str, change: _Change, reason: str) -> None:
        """Best effort: the plugin must not need it, and core does not wait for long."""
        provider = self._ctx.providers.find(plugin_id)
        if provider is None:
            return
        request = plugin_service_pb2.NotifyLifecycleRequest(change=change, reason=reason)
        try:
            async with asyncio.timeout(NOTIFY_TIMEOUT_S):
                await provider.notify(request)
        except Exception as problem:
            _log.warning("a plugin was not told", plugin_id=plugin_id, problem=str(problem))

    async def _drain(self, plugin_id: str, grace_s: float) -> int:
        provider = self._ctx.providers.find(plugin_id)
        if provider is None:
            return 0
        try:
            async with asyncio.timeout(grace_s + _DRAIN_EXTRA_S):
                return await provider.drain(grace_s)
        except TimeoutError:
            _log.warning("a plugin did not drain", plugin_id=plugin_id, grace_s=grace_s)
            return 0

    async def _idle(self, plugin_ids: tuple[str, ...]) -> None:
        """Waits until no call of any process is under way there, for the time of one call."""
        if not plugin_ids:
            return
        longest_s = self._ctx.provider_timeout_s + _IDLE_EXTRA_S
        deadline_s = self._ctx.clock.monotonic_s() + longest_s
        while self._ctx.clock.monotonic_s() < deadline_s:
            running = await self._ctx.db.read(
                lambda conn: sum(operations.in_flight_at(conn, each) for each in plugin_ids)
            )
            if not running:
                return
            await self._ctx.clock.sleep(_IDLE_POLL_S)


def _all_locked(
    conn: storage.Connection, plugin_id: str
) -> tuple[Mapping[str, plugins.Plugin], plugins.Plugin]:
    """Returns every plugin, locked, and the one that is meant."""
    known = rows.load_all(conn, lock=True)
    plugin = known.get(plugin_id)
    if plugin is None or not plugin.entry.allowed:
        raise plugin_refusals.unknown(plugin_id, known)
    return known, plugin


def _enter(
    conn: storage.Connection,
    before: plugins.Plugin,
    transition: Transition,
    why: plugin_events.Why,
    ids: plugin_events.Ids,
    now_us: int,
) -> plugins.Plugin:
    """Writes where *transition* leads, unless it has nothing left to do."""
    step = plugin_changes.step(before, transition)
    if step.repeat:
        return before
    word = "stopped" if transition is Transition.STOP else step.state.name.lower()
    return plugin_events.write(
        conn,
        before,
        replace(before, state=step.state, failure=None),
        event_type=f"plugin.{word}",
        why=why,
        event_id=ids(),
        now_us=now_us,
    )


def _require_fit(conn: storage.Connection, plugin: plugins.Plugin) -> None:
    """Raises unless the current version may be enabled."""
    version = versions.load(conn, plugin.id, plugin.current_version)
    if version is None:
        raise plugin_refusals.version_unknown(plugin.id, plugin.current_version, ())
    if version.quarantined_us:
        raise plugin_refusals.quarantined(version)
    if plugin.entry.requires_report:
        report = versions.load_report(conn, plugin.id, version.version, version.schema_digest)
        if report is None or not report.passed:
            raise plugin_refusals.report_required(version)


def _stand_by(conn: storage.Connection, plugin: plugins.Plugin) -> bool:
    """Tells every instance to stand by; returns whether one heard it for the first time."""
    running = [each for each in instances.load_all(conn) if each.plugin_id == plugin.id]
    told = [
        instances.direct(conn, plugin.id, version, plugins.Directive.STAND_BY)
        for version in sorted({each.version for each in running})
    ]
    return any(told)
