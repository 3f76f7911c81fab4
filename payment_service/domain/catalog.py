"""Everything core knows of plugins at one moment, in memory.

Owns the look-ups that payments make of it. Made by `db.catalog`, kept fresh by
`usecases.catalog`, read by routing, limits and the fleet. Never changes: a later
moment is another view.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from payment_service.domain import bindings as rules
from payment_service.domain import plugins as lifecycle

_OUT = frozenset({lifecycle.PluginState.DISABLED, lifecycle.PluginState.UNINSTALLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Plugins with their versions, instances, bindings and switches.

    `bindings` is by (tenant, plugin), deleted ones included, which only their generation
    matters of. `defaults` is by tenant, '' for the installation. `environment` names the
    plugins that this process was started with.
    """

    plugins: Mapping[str, lifecycle.Plugin] = field(default_factory=dict)
    versions: Mapping[str, tuple[lifecycle.Version, ...]] = field(default_factory=dict)
    instances: Mapping[str, tuple[lifecycle.Instance, ...]] = field(default_factory=dict)
    bindings: Mapping[tuple[str, str], rules.Binding] = field(default_factory=dict)
    kills: Mapping[tuple[str, str, str], lifecycle.KillSwitch] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    environment: frozenset[str] = frozenset()

    def plugin(self, plugin_id: str) -> lifecycle.Plugin | None:
        """Returns a plugin, or None."""
        return self.plugins.get(plugin_id)

    def routable(self, plugin_id: str) -> bool:
        """Whether new operations may be sent to a plugin: it is ENABLED.

        One of the environment is routed from the start, before it has been reached for
        the first time, until an operator takes it out: nobody needs to enable it.
        """
        found = self.plugins.get(plugin_id)
        if found is None:
            return False
        if found.state is lifecycle.PluginState.ENABLED:
            return True
        return plugin_id in self.environment and found.state not in _OUT

    def version(self, plugin_id: str, version: str) -> lifecycle.Version | None:
        """Returns one version of a plugin, or None."""
        for each in self.versions.get(plugin_id, ()):
            if each.version == version:
                return each
        return None

    def quarantined(self, plugin_id: str, version: str) -> bool:
        """Whether a version is quarantined; one never seen is not."""
        found = self.version(plugin_id, version)
        return found is not None and found.quarantined_us > 0

    def binding(self, tenant_id: str, plugin_id: str) -> rules.Binding | None:
        """Returns a tenant's own binding, else the shared one, else None."""
        for tenant in (tenant_id, rules.SHARED):
            found = self.bindings.get((tenant, plugin_id))
            if found is not None and not found.deleted:
                return found
        return None

    def default(self, tenant_id: str) -> str:
        """Returns the provider used when a request names none; '' if there is none."""
        return self.defaults.get(tenant_id) or self.defaults.get("", "")

    def killed(self, tenant_id: str, plugin_id: str, operation: str) -> lifecycle.KillSwitch | None:
        """Returns the switch that refuses an operation, or None; the widest one first."""
        if not self.kills:
            return None
        for tenant in ("", tenant_id):
            for kind in ("", operation):
                if (found := self.kills.get((tenant, plugin_id, kind))) is not None:
                    return found
        return None
