"""How plugins and the installation are doing, as this process sees it.

Owns what counts as degraded. Called by the API, by the status of the installation and by
the reporter of `grpc.health.v1`. Reads memory only, but for what its callers pass in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from payhub.admin.v1 import (
    health_pb2,
    plugin_admin_pb2,
    plugin_admin_service_pb2,
    status_service_pb2,
)

from payment_service.domain import plugins
from payment_service.provider_client import breaker, fleet, link
from payment_service.usecases import context, snapshots, standing
from payment_service.usecases.plugins import plugin_refusals, plugin_snapshots
from servicekit import loop

INSTANCES_MAX = 100
BREAKERS_MAX = 1000
PLUGINS_MAX = 1000
REPORT_EVERY_S = 1.0
SHARED = "other processes answer at this address too; this replica of core uses one at a time"
# What `grpc.health.v1` calls the installation as a whole, and one provider.
OVERALL = "payhub"
PROVIDER = "provider/"

_MUST_HOLD = (
    plugins.Condition.AVAILABLE,
    plugins.Condition.READY,
    plugins.Condition.CONFIG_CURRENT,
    plugins.Condition.CREDENTIALS_ACCEPTED,
)
_CLASSES = {
    breaker.CallClass.PAY: plugin_admin_pb2.PluginBreaker.RPC_CLASS_AUTHORIZE,
    breaker.CallClass.FOLLOW_UP: plugin_admin_pb2.PluginBreaker.RPC_CLASS_FOLLOW_UP,
    breaker.CallClass.CUSTOMER: plugin_admin_pb2.PluginBreaker.RPC_CLASS_CUSTOMER,
    breaker.CallClass.BILLING: plugin_admin_pb2.PluginBreaker.RPC_CLASS_BILLING,
}
_HEALTH = {True: health_pb2.HEALTH_HEALTHY, False: health_pb2.HEALTH_DEGRADED}

Set = Callable[[str, bool], Awaitable[None]]
Conditions = Mapping[plugins.Condition, plugins.ConditionStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One plugin as it is doing; `problems` is empty while it does all it should, `routed` says
    whether operations are sent to it.
    """

    plugin: plugins.Plugin
    conditions: Conditions
    routed: bool
    problems: tuple[str, ...] = ()
    ready: bool = False
    open_breakers: int = 0


class Health:
    """The use case of health."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    def judge(self) -> list[Judged]:
        """Returns every plugin on the allowlist as it is doing, by id."""
        found = self._ctx.catalog.view.plugins.values()
        listed = sorted((each for each in found if each.entry.allowed), key=lambda each: each.id)
        return [self._judge(plugin) for plugin in listed]

    def _judge(self, plugin: plugins.Plugin) -> Judged:
        provider = self._ctx.providers.find(plugin.id)
        conditions = dict(plugin.conditions)
        if provider is not None:
            conditions |= _dated(self._ctx.providers.conditions(provider), plugin.conditions)
        problems = []
        opened = len(_opened(provider, self._now_s())) if provider is not None else 0
        # One of the environment gets operations before it has been reached for the first time.
        routed = self._ctx.catalog.view.routable(plugin.id)
        if routed and plugin.failure is None:
            problems = _problems(conditions)
            if opened:
                problems.append(f"{opened} of its breakers are open")
        elif plugin.state is plugins.PluginState.ERROR and plugin.failure is not None:
            problems = [f"{plugin.failure.transition} failed: {plugin.failure.detail}"]
        return Judged(
            plugin=plugin,
            conditions=conditions,
            routed=routed,
            problems=tuple(f"{plugin.id}: {each}" for each in problems),
            ready=provider is not None and provider.ready,
            open_breakers=opened,
        )

    async def plugin(self, plugin_id: str) -> plugin_admin_service_pb2.GetPluginHealthResponse:
        """Returns a plugin's conditions, instances, breakers and kill switches.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN.
        """
        view = self._ctx.catalog.view
        plugin = view.plugin(plugin_id)
        if plugin is None:
            plugin = (await self._ctx.catalog.refresh()).plugin(plugin_id)
        if plugin is None or not plugin.entry.allowed:
            raise plugin_refusals.unknown(plugin_id, view.plugins)
        judged = self._judge(plugin)
        response = plugin_admin_service_pb2.GetPluginHealthResponse(
            health=_HEALTH[not judged.problems],
            state=snapshots.number(plugin.state),
            conditions=[
                plugin_snapshots.condition(kind, status)
                for kind, status in sorted(judged.conditions.items())
            ],
        )
        kills = [kill for kill in view.kills.values() if kill.plugin_id == plugin_id]
        response.kill_switches.extend(
            plugin_snapshots.kill_switch(each) for each in kills[:BREAKERS_MAX]
        )
        provider = self._ctx.providers.find(plugin_id)
        if provider is None:
            return response
        leases = {each.instance_id: each for each in view.instances.get(plugin_id, ())}
        newest = sorted(
            provider.links.values(),
            key=lambda each: _started_us(leases.get(each.instance_id)),
            reverse=True,
        )
        response.instances.extend(_instance(each, leases) for each in newest[:INSTANCES_MAX])
        now_us = self._ctx.clock.now_us()
        response.breakers.extend(
            _breaker(each, now_us) for each in provider.breakers.seen(self._now_s(), BREAKERS_MAX)
        )
        return response

    def fill(self, response: status_service_pb2.GetStatusResponse) -> None:
        """Adds plugins and the health of the whole to the status of the installation."""
        judged = self.judge()
        problems = self._problems(judged)
        response.health = _HEALTH[not problems]
        response.health_reasons.extend(problems[:PLUGINS_MAX])
        response.kill_switches = len(self._ctx.catalog.view.kills)
        for each in judged[:PLUGINS_MAX]:
            plugin = each.plugin
            provider = self._ctx.providers.find(plugin.id)
            links = list(provider.links.values()) if provider is not None else []
            response.plugins.add(
                plugin_id=plugin.id,
                state=snapshots.number(plugin.state),
                conditions=[
                    plugin_snapshots.condition(kind, status)
                    for kind, status in sorted(each.conditions.items())
                ],
                health=_HEALTH[not each.problems],
                current_version=plugin.current_version,
                canary_version=plugin.canary_version,
                instances=len(links),
                ready_instances=sum(one.ready and not one.draining for one in links),
                open_breakers=each.open_breakers,
            )

    async def report(self, stop: asyncio.Event, tell: Set) -> None:
        """Keeps `grpc.health.v1` as it is, until *stop* is set.

        Args:
            stop: Ends it.
            tell: Says of a name whether it is serving; a provider is if an instance takes
                operations, the installation if nothing is degraded.
        """
        told: dict[str, bool] = {}

        async def once() -> int:
            judged = self.judge()
            serving = {f"{PROVIDER}{each.plugin.id}": each.ready for each in judged}
            serving[OVERALL] = not self._problems(judged)
            # One that is gone is not forgotten by those who watch it.
            serving |= {name: False for name in told if name not in serving}
            for name, is_serving in serving.items():
                if told.get(name) != is_serving:
                    told[name] = is_serving
                    await tell(name, is_serving)
            return 0

        await loop.run_forever(once, idle_s=REPORT_EVERY_S, stop=stop, name="health")

    def _problems(self, judged: Sequence[Judged]) -> list[str]:
        own = [standing.BEHIND] if self._ctx.standing.is_behind else []
        return own + [problem for each in judged for problem in each.problems]

    def _now_s(self) -> float:
        return self._ctx.clock.monotonic_s()


def _dated(seen: Conditions, kept: Conditions) -> Conditions:
    """Returns the conditions seen now, each with the time since which it is *kept* so, if it is."""
    return {
        kind: replace(status, since_us=kept[kind].since_us)
        if kind in kept and kept[kind].holds == status.holds
        else status
        for kind, status in seen.items()
    }


def _problems(conditions: Conditions) -> list[str]:
    found = []
    for condition in _MUST_HOLD:
        status = conditions.get(condition)
        if status is not None and status.holds is False:
            found.append(f"{condition.name}: {status.detail or status.reason}")
    ready = conditions.get(plugins.Condition.READY)
    if ready is not None and ready.holds and ready.reason:
        found.append(f"{ready.reason}: {ready.detail}")
    quarantined = conditions.get(plugins.Condition.QUARANTINED)
    if quarantined is not None and quarantined.holds:
        found.append(f"QUARANTINED: {quarantined.detail or quarantined.reason}")
    return found


def _opened(provider: fleet.Provider, now_s: float) -> list[breaker.Seen]:
    if not provider.breakers:
        return []
    seen = provider.breakers.seen(now_s, BREAKERS_MAX)
    return [each for each in seen if each.state is not breaker.State.CLOSED]


def _started_us(instance: plugins.Instance | None) -> int:
    return instance.started_us if instance is not None else 0


def _is_shared(each: link.Link, stored: Mapping[str, plugins.Instance]) -> bool:
    """Whether others answer where a static one does: to this process, or to another replica."""
    if not each.static or not each.ready:
        return False
    return each.shared or any(
        other.static and other.endpoint == each.endpoint and other.instance_id != each.instance_id
        for other in stored.values()
    )


def _instance(
    each: link.Link, leases: Mapping[str, plugins.Instance]
) -> plugin_admin_pb2.PluginInstance:
    stored = leases.get(each.instance_id)
    message = plugin_admin_pb2.PluginInstance(
        instance_id=each.instance_id,
        version=each.version,
        endpoint=each.endpoint,
        static=each.static,
        directive=snapshots.number(each.directive),
        connected=not each.client.detail,
        ready=each.ready and not each.draining,
        detail=SHARED if _is_shared(each, leases) else each.detail,
        probe=each.probe,
    )
    if each.probe_us:
        message.probe_time.CopyFrom(snapshots.timestamp(each.probe_us))
    if stored is not None:
        message.start_time.CopyFrom(snapshots.timestamp(stored.started_us))
        if not stored.static:
            message.lease_expire_time.CopyFrom(snapshots.timestamp(stored.lease_until_us))
    return message


def _breaker(each: breaker.Seen, now_us: int) -> plugin_admin_pb2.PluginBreaker:
    message = plugin_admin_pb2.PluginBreaker(
        binding_id=each.binding_id,
        tenant_id=each.tenant_id,
        rpc_class=_CLASSES[each.call_class],
        state=snapshots.number(each.state.value),
        failures=each.failures,
        last_reason=each.last_reason,
    )
    if each.wait_s:
        message.retry_time.CopyFrom(snapshots.timestamp(now_us + round(each.wait_s * 1_000_000)))
    return message
