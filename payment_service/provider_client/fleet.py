"""Every instance of every plugin, kept as the catalog says.

Owns making and ending connections, and telling what is observed. Called by use cases to
find a provider, by the catalog with every new view, and at start and stop. Never reads the
database, never blocks a follower of the catalog.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.domain import admission, catalog, plugins, routing
from payment_service.provider_client import (
    asking,
    choosing,
    introduction,
    link,
    loading,
    pool,
    probing,
    roster,
)
from servicekit import loop

# How long calls under way may go on over a connection that is no longer wanted, at the least.
CLOSE_GRACE_S = 60.0
OBSERVE_S = 1.0
INSTANCES_MAX = 100
# Versions of which is remembered what they said; the catalog has it still.
KNOWN_MAX = 1_000

Provider = pool.Provider
Unreachable = asking.Unreachable
Unsupported = asking.Unsupported
Rejected = asking.Rejected

Adopt = Callable[[str, introduction.Introduction], Awaitable[str]]
Observe = Callable[[str, probing.Conditions], Awaitable[None]]
Configuration = Callable[
    [str, str, str, str], Awaitable[tuple[int, plugin_service_pb2.BindingConfig]]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the fleet asks of the use cases.

    Args:
        configuration: Returns generation and content of (binding, tenant, plugin, version).
        adopt: Registers whoever answers at a plugin's static endpoint; returns why it may
            not be used, or ''.
        observe: Hears of every change of a plugin's conditions.
    """

    configuration: Configuration
    adopt: Adopt
    observe: Observe


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    endpoint: str
    instance: plugins.Instance | None


class Fleet:
    """The connections of this process; see the module.

    Args:
        tools: What providers share.
        hooks: What use cases do for it.
    """

    def __init__(self, tools: pool.Tools, hooks: Hooks) -> None:
        self._tools = tools
        self._hooks = hooks
        self._view = catalog.View()
        self._providers: dict[str, pool.Provider] = {}
        self._started = False
        self._is_first = False
        self._closing: set[asyncio.Task[None]] = set()
        self._known: dict[tuple[str, str], tuple[bytes, introduction.Known]] = {}
        self._told: dict[str, probing.Conditions] = {}

    def find(self, plugin_id: str) -> pool.Provider | None:
        """Returns a provider by its plugin id, or None if none of that id is allowed."""
        return self._providers.get(plugin_id)

    def all(self) -> Iterable[pool.Provider]:
        """Returns every provider."""
        return self._providers.values()

    def generation(self, tenant_id: str, plugin_id: str) -> int:
        """Returns the generation that instances must have of a tenant's binding."""
        return routing.generation(self._view, tenant_id, plugin_id)

    async def configuration(
        self, binding_id: str, tenant_id: str, plugin_id: str, version: str
    ) -> tuple[int, plugin_service_pb2.BindingConfig]:
        """Returns generation and content of a binding, for one version of a plugin."""
        return await self._hooks.configuration(binding_id, tenant_id, plugin_id, version)

    def start(self) -> None:
        """Connects to what the catalog holds, and from now on to what it will hold."""
        self._started = True
        # An instance whose lease ran out while core was away may well be there still.
        self._is_first = True
        self.follow(self._view)
        self._is_first = False

    async def close(self) -> None:
        """Ends every connection at once."""
        self._started = False
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        links = [each for provider in self._providers.values() for each in provider.links.values()]
        await asyncio.gather(*[each.close(0.0) for each in links])
        for provider in self._providers.values():
            provider.links.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Tells changes of conditions until *stop* is set."""
        await loop.run_forever(self.observe, idle_s=OBSERVE_S, stop=stop, name="fleet")

    def follow(self, view: catalog.View) -> None:
        """Takes note of what the catalog says now."""
        reconfigured = view.bindings != self._view.bindings
        self._view = view
        for plugin in view.plugins.values():
            if not _may_run(plugin):
                continue
            provider = self._providers.get(plugin.id)
            if provider is None:
                provider = self._providers[plugin.id] = pool.Provider(plugin.id, self._tools)
            self._match(provider, self._wanted(plugin) if self._started else {})
            if reconfigured:
                provider.breakers.keep(functools.partial(_is_bound, view, plugin.id))
                for each in provider.links.values():
                    each.recount()
            provider.settle(self._situation(plugin))
        for name in list(self._providers):
            found = view.plugins.get(name)
            if found is None or not _may_run(found):
                provider = self._providers.pop(name)
                self._match(provider, {})
                self._told.pop(name, None)
                self._tools.metrics.forget(name)

    async def observe(self) -> int:
        """Tells which conditions have changed since they were told last; returns 0."""
        for name, provider in list(self._providers.items()):
            if lost := [key for key, each in provider.links.items() if each.gone]:
                for key in lost:
                    self._end(provider, key)
                # Where an address is the operator's word, another process may answer by now.
                if (plugin := self._view.plugins.get(name)) is not None:
                    self._match(provider, self._wanted(plugin))
                provider.settle(provider.situation)
            if not provider.ready and any(each.is_fresh for each in provider.links.values()):
                # A process that has just started knows nothing yet, and tells nothing.
                continue
            found = self.conditions(provider)
            if self._told.get(name) != found:
                await self._hooks.observe(name, found)
                self._told[name] = found
        return 0

    def conditions(self, provider: pool.Provider) -> probing.Conditions:
        """Returns what is observed of a provider now."""
        seen = [each.seen() for each in provider.links.values()]
        return probing.conditions(seen, provider.situation.barred)

    def _wanted(self, plugin: plugins.Plugin) -> dict[str, _Wanted]:
        found = {
            instance.session_id: _Wanted(endpoint=instance.endpoint, instance=instance)
            for instance in self._view.instances.get(plugin.id, ())[-INSTANCES_MAX:]
            if not instance.static
        }
        if endpoint := plugin.entry.static_endpoint:
            found[f"static:{endpoint}"] = _Wanted(endpoint=endpoint, instance=None)
        return found

    def _match(self, provider: pool.Provider, wanted: Mapping[str, _Wanted]) -> None:
        """Makes and ends connections until they are those that are *wanted*."""
        for key, each in list(provider.links.items()):
            place = wanted.get(key)
            if place is None or place.endpoint != each.endpoint:
                self._end(provider, key)
        for key, place in wanted.items():
            instance = place.instance
            if (existing := provider.links.get(key)) is not None:
                existing.follow(instance)
            elif instance is None or instance.alive or self._is_first:
                self._connect(provider, key, place)

    def _connect(self, provider: pool.Provider, key: str, place: _Wanted) -> None:
        async def adopt(made: link.Link, handshake: introduction.Handshake) -> str:
            provider.breakers.clear()
            schema = await introduction.ask_schema(made.client.plugin, handshake)
            introduced = introduction.Introduction(handshake=handshake, schema=schema)
            return await self._hooks.adopt(made.endpoint, introduced)

        def welcomed() -> None:
            provider.settle(provider.situation)

        made = link.Link(
            plugin_id=provider.name,
            endpoint=place.endpoint,
            instance=place.instance,
            bindings=self,
            limits=self._tools.limits,
            rule=self._tools.probe_rule,
            clock=self._tools.clock,
            dialer=self._tools.dialer,
            adopt=adopt,
            welcomed=welcomed,
            lags=provider.lags,
            load=loading.Load(
                self._tools.clock, functools.partial(self._tools.metrics.loaded, provider.name)
            ),
        )
        # Another process answers: what failed before was not its fault.
        provider.breakers.clear()
        provider.links[key] = made
        made.start()

    def _end(self, provider: pool.Provider, key: str) -> None:
        ended = provider.links.pop(key)
        ended.load.close()
        grace_s = max(CLOSE_GRACE_S, self._tools.limits.call_s)
        task = asyncio.get_running_loop().create_task(ended.close(grace_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _situation(self, plugin: plugins.Plugin) -> roster.Situation:
        plan = choosing.Plan(
            current=plugin.current_version,
            canary=plugin.canary_version,
            previous=plugin.previous_version,
            percent=plugin.canary_percent,
        )
        barred = {
            version.version: why
            for version in self._view.versions.get(plugin.id, ())
            if (why := _barred(plugin, version))
        }
        return roster.Situation(
            endpoint=plugin.entry.static_endpoint,
            plan=plan,
            barred=barred,
            known=self._said(plugin.id, plugin.current_version),
            said=functools.partial(self._said, plugin.id),
        )

    def _said(self, plugin_id: str, version: str) -> introduction.Known | None:
        """What a version said when it was seen last, though nobody answers."""
        found = self._view.version(plugin_id, version)
        if found is None:
            return None
        held = self._known.get((plugin_id, version))
        if held is None or held[0] != found.handshake:
            handshake = introduction.Handshake.FromString(found.handshake)
            held = (found.handshake, introduction.known_of(handshake))
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[plugin_id, version] = held
        return held[1]


def _is_bound(view: catalog.View, plugin_id: str, tenant_id: str) -> bool:
    return view.binding(tenant_id, plugin_id) is not None


def _may_run(plugin: plugins.Plugin) -> bool:
    return (
        plugin.entry.allowed
        and plugin.entry.kind == plugin_service_pb2.PLUGIN_KIND_PROVIDER
        and plugin.state is not plugins.PluginState.UNINSTALLED
    )


def _barred(plugin: plugins.Plugin, version: plugins.Version) -> str:
    """Returns why a version takes no operations, or ''."""
    if version.quarantined_us:
        return f"quarantined: {version.quarantine_reason}"
    if not admission.version_matches(plugin.entry.version_specifier, version.version):
        return f"not admitted by {plugin.entry.version_specifier}"
    planned = (plugin.current_version, plugin.canary_version, plugin.previous_version)
    if plugin.entry.requires_report and version.version not in planned:
        return "an upgrade to it needs a passing conformance report first"
    return ""
