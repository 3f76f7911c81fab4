"""Serves PluginService: who the plugin is, its configuration, its orderly stop.

Owns the handshake and that Configure is whole or nothing and never goes back a
generation. Called by gRPC. Never keeps a configuration beyond the process.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import duration_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.plugin.v1 import plugin_service_pb2_grpc

from provider_sdk import configuration, host, provider
from servicekit import errors as kit_errors
from servicekit import logs

# Kept back of Drain's own deadline, so that its answer still arrives.
DRAIN_RESERVE_S = 0.2

_log = logs.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class PluginServicer(plugin_service_pb2_grpc.PluginServiceServicer):
    """Adapts a Provider to what every plugin owes core.

    Args:
        host: State of this process.
        services: Full names of the gRPC services it serves.
    """

    def __init__(self, host: host.Host, *, services: Sequence[str]) -> None:
        self._host = host
        self._provider = host.provider
        self._services = tuple(services)
        self._instance_id = provider.new_instance_id()
        self._schema, self._digest = configuration.schema_of(self._provider.config_model)

    async def Handshake(  # noqa: D102
        self, request: ps.HandshakeRequest, context: Context
    ) -> ps.HandshakeResponse:
        self._host.customer_action_offered = (
            ps.CORE_CAPABILITY_CUSTOMER_ACTION in request.core_capabilities
        )
        plugin = self._provider
        response = ps.HandshakeResponse(
            identity=ps.PluginIdentity(
                plugin_id=plugin.plugin_id,
                plugin_version=plugin.plugin_version,
                instance_id=self._instance_id,
                kind=ps.PLUGIN_KIND_PROVIDER,
            ),
            services=self._services,
            currency_codes=sorted(plugin.currencies),
            schema_digest=self._digest,
            max_concurrent_calls=plugin.max_concurrent_calls,
        )
        for capability in sorted(plugin.capabilities):
            reason = plugin.disabled.get(capability, "")
            response.capabilities.add(
                capability=capability, enabled=not reason, disabled_reason=reason
            )
        if plugin.upstream_idempotency_retention_s:
            retention = duration_pb2.Duration()
            retention.FromMicroseconds(round(plugin.upstream_idempotency_retention_s * 1e6))
            response.upstream_idempotency_retention.CopyFrom(retention)
        return response

    async def GetConfigSchema(  # noqa: D102
        self, request: ps.GetConfigSchemaRequest, context: Context
    ) -> ps.GetConfigSchemaResponse:
        return ps.GetConfigSchemaResponse(
            json_schema=self._schema,
            schema_digest=self._digest,
            secret_slots=[
                ps.SecretSlot(slot=slot.slot, description=slot.description, required=slot.required)
                for slot in self._provider.secret_slots
            ],
        )

    async def ValidateConfig(  # noqa: D102
        self, request: ps.ValidateConfigRequest, context: Context
    ) -> ps.ValidateConfigResponse:
        parsed = await configuration.parse(self._provider, request.config)
        return ps.ValidateConfigResponse(diagnostics=_diagnostics(parsed))

    async def Configure(  # noqa: D102
        self, request: ps.ConfigureRequest, context: Context
    ) -> ps.ConfigureResponse:
        async with self._host.configuring:
            applied = self._host.applied_generation(request.binding_id)
            if request.generation < applied:
                raise self._stale(request.generation, applied)
            if request.generation == applied:
                return ps.ConfigureResponse(applied_generation=applied)
            parsed = await configuration.parse(self._provider, request.config)
            if not parsed.is_valid or parsed.config is None:
                raise self._invalid(parsed)
            binding = provider.Binding(
                binding_id=request.binding_id,
                generation=request.generation,
                config=parsed.config,
                secrets=parsed.secrets,
            )
            await self._provider.configure(binding)
            self._host.put_binding(binding)
        _log.info(
            "binding configured", binding_id=request.binding_id, generation=request.generation
        )
        return ps.ConfigureResponse(
            applied_generation=request.generation, diagnostics=_diagnostics(parsed)
        )

    async def RemoveBinding(  # noqa: D102
        self, request: ps.RemoveBindingRequest, context: Context
    ) -> ps.RemoveBindingResponse:
        async with self._host.configuring:
            self._host.drop_binding(request.binding_id)
            await self._provider.remove_binding(request.binding_id)
        _log.info("binding removed", binding_id=request.binding_id)
        return ps.RemoveBindingResponse()

    async def Probe(  # noqa: D102
        self, request: ps.ProbeRequest, context: Context
    ) -> ps.ProbeResponse:
        if self._host.draining:
            readiness = ps.ProbeResponse.READINESS_DRAINING
        elif not self._host.ready:
            readiness = ps.ProbeResponse.READINESS_INITIALIZING
        else:
            readiness = await self._provider.probe()
        return ps.ProbeResponse(
            readiness=readiness,
            bindings=[
                ps.BindingStatus(binding_id=binding_id, applied_generation=generation)
                for binding_id, generation in sorted(self._host.generations().items())
            ],
            active_calls=self._host.tracker.active,
        )

    async def Drain(  # noqa: D102
        self, request: ps.DrainRequest, context: Context
    ) -> ps.DrainResponse:
        left_s = context.time_remaining()
        grace_s = request.grace_period.ToMicroseconds() / 1e6
        if left_s is not None:
            grace_s = max(0.0, min(grace_s, left_s - DRAIN_RESERVE_S))
        _log.info("draining", grace_s=grace_s)
        return ps.DrainResponse(remaining_calls=await self._host.drain(grace_s))

    def _stale(self, sent: int, applied: int) -> kit_errors.RpcError:
        return kit_errors.RpcError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "STALE_GENERATION",
            f"generation {applied} is in force, which is newer than {sent}",
            metadata={"sent": str(sent), "applied": str(applied)},
            domain=self._host.domain,
        )

    def _invalid(self, parsed: configuration.Parsed) -> kit_errors.RpcError:
        found = [diagnostic for diagnostic in parsed.diagnostics if diagnostic.is_error]
        return kit_errors.RpcError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "CONFIG_INVALID",
            f"the configuration has {len(found)} error(s); the former stays in force",
            violations=[
                (f"config.config_json{diagnostic.json_pointer}", diagnostic.summary)
                for diagnostic in found
            ],
            domain=self._host.domain,
        )


def _diagnostics(parsed: configuration.Parsed) -> list[ps.Diagnostic]:
    severity = ps.Diagnostic
    return [
        ps.Diagnostic(
            severity=severity.SEVERITY_ERROR if found.is_error else severity.SEVERITY_WARNING,
            summary=found.summary,
            json_pointer=found.json_pointer,
        )
        for found in parsed.diagnostics
    ]
