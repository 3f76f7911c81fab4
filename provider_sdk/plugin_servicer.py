"""Serves PluginService: who the plugin is, its configuration, its orderly stop.

Owns the handshake, that Configure is whole or nothing and never goes back a
generation, and the time limits of what the provider is asked. Called by gRPC.
Never keeps a configuration beyond the process.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import grpc
from payhub.plugin.v1 import capability_pb2, manifest_pb2, plugin_service_pb2_grpc
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk import configuration, errors, host, provider, readiness, soundness, times
from servicekit import errors as kit_errors
from servicekit import interceptor, logs, sanitizer, validation

# Kept back of a call's own deadline, so that the answer still arrives.
RESERVE_S = 0.2
# Probe owes an answer within two seconds, whatever is upstream.
PROBE_MAX_S = 1.5

_log = logs.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class PluginServicer(plugin_service_pb2_grpc.PluginServiceServicer):
    """Adapts a Provider to what every plugin owes core.

    Args:
        host: State of this process.
    """

    def __init__(self, host: host.Host) -> None:
        self._host = host
        self._provider = host.provider
        self._schema, self._digest = configuration.schema_of(self._provider.config_model)
        self._last_change = ps.NotifyLifecycleRequest.CHANGE_UNSPECIFIED
        soundness.require_sound(self._provider)
        _require_valid(self._introduction())

    async def Handshake(  # noqa: D102
        self, request: ps.HandshakeRequest, context: Context
    ) -> ps.HandshakeResponse:
        self._host.customer_action_offered = (
            ps.CORE_CAPABILITY_CUSTOMER_ACTION in request.core_capabilities
        )
        return self._introduction()

    def _introduction(self) -> ps.HandshakeResponse:
        plugin = self._provider
        response = ps.HandshakeResponse(
            identity=ps.PluginIdentity(
                plugin_id=plugin.plugin_id,
                plugin_version=plugin.plugin_version,
                instance_id=self._host.instance_id,
                kind=ps.PLUGIN_KIND_PROVIDER,
            ),
            services=soundness.services(plugin.capabilities),
            currency_codes=sorted(plugin.currencies),
            schema_digest=self._digest,
            max_concurrent_calls=plugin.max_concurrent_calls,
            metadata=manifest_pb2.PluginMetadata(
                name=plugin.name, description=plugin.description, author=plugin.author
            ),
            dependencies=[
                manifest_pb2.PluginDependency(
                    plugin_id=one.plugin_id,
                    version_specifier=one.version_specifier,
                    required=one.required,
                )
                for one in plugin.dependencies
            ],
            requested_permissions=plugin.requested_permissions,
            config_schema_version=plugin.config_schema_version,
        )
        hidden = host.secret_texts(self._host.bindings()) if plugin.disabled else ()
        for capability in sorted(plugin.capabilities):
            status = response.capabilities.add(capability=capability, enabled=True)
            if capability in plugin.disabled:
                status.enabled = False
                reason = sanitizer.without(errors.whole(plugin.disabled[capability]), hidden)
                status.disabled_reason = reason or "no reason is given"
        for field, seconds in (
            (response.upstream_idempotency_retention, plugin.upstream_idempotency_retention_s),
            (response.upstream_request_max, plugin.upstream_request_max_s),
        ):
            if seconds:
                field.FromMicroseconds(round(seconds * 1e6))
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
        self._host.hide_secrets(sent=_secrets(request.config))
        parsed = await configuration.parse(self._provider, request.config)
        found = list(parsed.diagnostics)
        checks = self._host.offers(capability_pb2.CAPABILITY_CREDENTIAL_CHECK)
        if request.check_credentials and parsed.is_valid and checks:
            found += await self._credentials(parsed, context)
        return ps.ValidateConfigResponse(diagnostics=_diagnostics(found))

    async def _credentials(
        self, parsed: configuration.Parsed, context: Context
    ) -> Sequence[provider.Diagnostic]:
        """Returns what upstream says of the credentials; fails if it says nothing."""
        try:
            async with asyncio.timeout(_timeout_s(context)):
                return await self._provider.check_credentials(parsed.config, parsed.secrets)
        except errors.CredentialsRejected as refused:
            return [provider.Diagnostic(summary=refused.message)]
        except TimeoutError as error:
            text = "upstream did not say in time whether it takes the credentials"
            raise errors.NoAnswer(text) from error

    async def Configure(  # noqa: D102
        self, request: ps.ConfigureRequest, context: Context
    ) -> ps.ConfigureResponse:
        self._host.hide_secrets(sent=_secrets(request.config))
        async with self._host.changing(request.binding_id):
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
            applied_generation=request.generation, diagnostics=_diagnostics(parsed.diagnostics)
        )

    async def RemoveBinding(  # noqa: D102
        self, request: ps.RemoveBindingRequest, context: Context
    ) -> ps.RemoveBindingResponse:
        self._host.hide_secrets()
        async with self._host.changing(request.binding_id):
            self._host.drop_binding(request.binding_id)
            await self._provider.remove_binding(request.binding_id)
        _log.info("binding removed", binding_id=request.binding_id)
        return ps.RemoveBindingResponse()

    async def MigrateConfig(  # noqa: D102
        self, request: ps.MigrateConfigRequest, context: Context
    ) -> ps.MigrateConfigResponse:
        path, text = "config_json", "must be a JSON object"
        try:
            config = json.loads(request.config_json or "{}")
        except (ValueError, RecursionError) as error:
            raise errors.InvalidRequest(text, [(path, text)]) from error
        if not isinstance(config, dict):
            raise errors.InvalidRequest(text, [(path, text)])
        migrated = await self._provider.migrate_config(request.from_config_schema_version, config)
        found = list(migrated.diagnostics)
        refused = any(diagnostic.is_error for diagnostic in found)
        if migrated.config is None and not refused:
            found.append(provider.Diagnostic(summary="the configuration can't be migrated"))
        made = "" if refused or migrated.config is None else json.dumps(dict(migrated.config))
        return ps.MigrateConfigResponse(config_json=made, diagnostics=_diagnostics(found))

    async def NotifyLifecycle(  # noqa: D102
        self, request: ps.NotifyLifecycleRequest, context: Context
    ) -> ps.NotifyLifecycleResponse:
        self._host.hide_secrets()
        change = request.change
        hooks = {
            ps.NotifyLifecycleRequest.CHANGE_ENABLED: self._provider.on_enable,
            ps.NotifyLifecycleRequest.CHANGE_DISABLED: self._provider.on_disable,
            ps.NotifyLifecycleRequest.CHANGE_UNINSTALLED: self._provider.on_uninstall,
        }
        if change in hooks and change != self._last_change:
            _log.info("told by core", change=ps.NotifyLifecycleRequest.Change.Name(change))
            try:
                async with asyncio.timeout(_timeout_s(context)):
                    await hooks[change](request.reason)
            finally:
                # Whatever the hook does: core tells it once.
                if change == ps.NotifyLifecycleRequest.CHANGE_UNINSTALLED:
                    await self._forget_bindings()
            self._last_change = change
        return ps.NotifyLifecycleResponse()

    async def _forget_bindings(self) -> None:
        held = self._host.bindings()
        for binding in held:
            self._host.drop_binding(binding.binding_id)
        for binding in held:
            async with self._host.changing(binding.binding_id):
                self._host.drop_binding(binding.binding_id)
                await self._provider.remove_binding(binding.binding_id)

    async def Probe(  # noqa: D102
        self, request: ps.ProbeRequest, context: Context
    ) -> ps.ProbeResponse:
        told: readiness.Told
        self._host.hide_secrets()
        if self._host.draining:
            told = ps.ProbeResponse.READINESS_DRAINING
        elif not self._host.ready:
            told = ps.ProbeResponse.READINESS_INITIALIZING
        else:
            told = await self._asked()
        return readiness.response(self._host, told)

    async def _asked(self) -> readiness.Told:
        """Returns what the provider says of itself; that it says nothing is worth a reason."""
        try:
            async with asyncio.timeout(PROBE_MAX_S):
                return await self._provider.probe()
        except TimeoutError:
            return provider.Health(reasons=["upstream did not answer the plugin's probe in time"])
        except BaseException as failure:
            if interceptor.is_meant(failure):
                raise
            _log.exception("the provider's probe failed")
            return provider.Health(reasons=["the plugin's own probe failed; see its log"])

    async def Drain(  # noqa: D102
        self, request: ps.DrainRequest, context: Context
    ) -> ps.DrainResponse:
        grace_us = times.micros(request.grace_period, field="grace_period")
        grace_s = min(grace_us / 1e6, _timeout_s(context))
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
        found = _diagnostics([each for each in parsed.diagnostics if each.is_error])
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


def _diagnostics(diagnostics: Sequence[provider.Diagnostic]) -> list[ps.Diagnostic]:
    """Returns what was found, without the secrets that the call is about."""
    severity, hidden = ps.Diagnostic, logs.hidden() if diagnostics else ()
    return [
        ps.Diagnostic(
            severity=severity.SEVERITY_ERROR if found.is_error else severity.SEVERITY_WARNING,
            summary=sanitizer.without(errors.whole(found.summary), hidden),
            json_pointer=sanitizer.without(errors.whole(found.json_pointer), hidden),
        )
        for found in diagnostics
    ]


def _secrets(config: ps.BindingConfig) -> list[bytes]:
    return [secret.value for secret in config.secrets]


def _timeout_s(context: Context) -> float:
    """Returns how long the work of a call may take, seconds."""
    left_s = context.time_remaining()
    return 0.0 if left_s is None else max(0.0, left_s - RESERVE_S)


def _require_valid(introduction: ps.HandshakeResponse) -> None:
    """Fails at the start if core would refuse the handshake.

    Raises:
        ValueError: Says which attributes of the provider are wrong.
    """
    try:
        validation.validate(introduction)
    except kit_errors.RpcError as refused:
        raise ValueError(
            f"{introduction.identity.plugin_id}: its handshake would be refused: {refused.message}"
        ) from refused
