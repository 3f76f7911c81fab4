"""What one running plugin knows: bindings in force, work in progress, draining.

Owns the state that PluginService changes and the service of the plugin's kind
reads. Called by both servicers and by `serve`. Never survives a restart: core
is the only store and configures again.
"""

import asyncio
from typing import Any

from provider_sdk import errors, provider
from servicekit import clock as clocks
from servicekit import tasks


class Host:
    """State of one plugin process.

    Args:
        provider: What is served.
        clock: Where the fence reads the time.
    """

    def __init__(self, provider: provider.Provider[Any], *, clock: clocks.Clock) -> None:
        if provider.max_concurrent_calls < 1:
            raise ValueError(f"{provider.plugin_id}: max_concurrent_calls must be at least 1")
        self.provider = provider
        self.clock = clock
        self.tracker = tasks.Tracker(limit=provider.max_concurrent_calls)
        self.customer_action_offered = False
        self.draining = False
        self.ready = False
        self.configuring = asyncio.Lock()
        self._bindings: dict[str, Any] = {}

    @property
    def domain(self) -> str:
        """ErrorInfo.domain of every failure: the plugin id."""
        return self.provider.plugin_id

    def binding(self, binding_id: str) -> provider.Binding[Any]:
        """Returns the binding in force.

        Raises:
            BindingNotConfigured: There is none; core has to send Configure.
        """
        found: provider.Binding[Any] | None = self._bindings.get(binding_id)
        if found is None:
            raise errors.BindingNotConfigured(
                f"binding {binding_id[:64]} is not configured in this process; send Configure"
            )
        return found

    def applied_generation(self, binding_id: str) -> int:
        """Returns the generation in force; 0 if there is none."""
        found: provider.Binding[Any] | None = self._bindings.get(binding_id)
        return found.generation if found is not None else 0

    def generations(self) -> dict[str, int]:
        """Returns the generation of every binding in force."""
        return {key: binding.generation for key, binding in self._bindings.items()}

    def put_binding(self, binding: provider.Binding[Any]) -> None:
        """Makes *binding* the one in force; running calls keep the one they have."""
        self._bindings[binding.binding_id] = binding

    def drop_binding(self, binding_id: str) -> None:
        """Forgets a binding and its secrets."""
        self._bindings.pop(binding_id, None)

    async def drain(self, grace_s: float) -> int:
        """Refuses new work, waits for what runs; returns how many calls still do."""
        self.draining = True
        return await self.tracker.drain(grace_s)
