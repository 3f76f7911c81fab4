"""Trying a plugin out: does it take a configuration, and is it ready then.

Owns the steps of initializing that need the plugin. Called by the lifecycle. Never
changes what is stored.
"""

from collections.abc import Sequence

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.domain import plugins
from payment_service.provider_client import fleet
from payment_service.usecases import context
from payment_service.usecases.bindings import configurations as configuration_cases
from payment_service.usecases.bindings import gates
from payment_service.usecases.plugins import plugin_refusals

READY_TIMEOUT_S = 10.0
_POLL_S = 0.05
# The others are configured when they are needed; one that is accepted proves enough.
BINDINGS_MAX = 20


class Failed(Exception):
    """The plugin did not do it.

    Args:
        reason: One of the contract's error reasons.
        detail: The same for people; no secret.
        diagnostics: (field path, text) of what is wrong with a configuration.
    """

    def __init__(
        self, reason: str, detail: str, diagnostics: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.diagnostics = diagnostics


class Trials:
    """Tries plugins out."""

    def __init__(
        self, ctx: context.Context, configurations: configuration_cases.Configurations
    ) -> None:
        self._ctx = ctx
        self._configurations = configurations

    async def run(self, plugin: plugins.Plugin) -> None:
        """Returns once a binding was accepted and an instance takes calls.

        Raises:
            Failed: It does not get so far.
            errors.RpcError: PLUGIN_STATE_CONFLICT: it has no binding.
        """
        found = await self._configurations.configurations(plugin.id)
        if not found:
            raise plugin_refusals.conflict(
                plugin,
                f"{plugin.id} has no binding to be initialized with: make one first, "
                "for one tenant or as the shared one (*)",
            )
        provider = self._ctx.providers.find(plugin.id)
        if provider is None:
            raise Failed("INSTANCE_UNREACHABLE", "no instance of it is connected")
        accepted, refused = 0, []
        for binding, binding_id, generation, config in found[:BINDINGS_MAX]:
            try:
                await provider.configure(binding_id, generation, config)
                accepted += 1
            except fleet.Unreachable as problem:
                raise Failed("INSTANCE_UNREACHABLE", f"no instance answers: {problem}") from None
            except fleet.Rejected as problem:
                said = problem.diagnostics or [plugin_service_pb2.Diagnostic(summary=str(problem))]
                hidden = gates.unsaid(gates.shown(config))
                refused += [_told(binding.tenant_id, each, hidden) for each in said]
        if not accepted:
            first = f"{refused[0][0]}: {refused[0][1]}"
            raise Failed("CONFIG_INVALID", f"it accepts no configuration: {first}", refused)
        await self._ready(provider)

    async def _ready(self, provider: fleet.Provider) -> None:
        deadline_s = self._ctx.clock.monotonic_s() + READY_TIMEOUT_S
        while not provider.ready:
            if self._ctx.clock.monotonic_s() >= deadline_s:
                detail = provider.detail or "it does not say why"
                raise Failed(
                    "INSTANCE_UNREACHABLE",
                    f"it is configured and not ready after {READY_TIMEOUT_S:g} s: {detail}",
                )
            await self._ctx.clock.sleep(_POLL_S)


def _told(
    tenant_id: str,
    diagnostic: plugin_service_pb2.Diagnostic,
    hidden: Sequence[str],
) -> tuple[str, str]:
    """Returns a field path and what is wrong there, without the secrets the plugin was shown."""
    said = gates.Found(summary=diagnostic.summary, json_pointer=diagnostic.json_pointer)
    told = gates.scrubbed(said, hidden)
    return f"{tenant_id}/{told.field}", told.summary
