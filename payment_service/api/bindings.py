"""BindingAdminService: see the contract.

Owns reading and answering its RPCs, and the checks of options that the contract's rules
can't express. Called by gRPC. Never decides, and never answers with a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import timestamp_pb2
from payhub.admin.v1 import binding_admin_service_pb2 as pb
from payhub.admin.v1 import binding_admin_service_pb2_grpc
from payhub.plugin.v1 import binding_pb2, plugin_service_pb2

from payment_service.api import reading
from payment_service.domain import bindings as model
from payment_service.domain import money
from payment_service.usecases.bindings import (
    binding_reading,
    binding_snapshots,
    bindings,
    default_providers,
    export,
    gates,
    rotation,
    sealing,
    secrets,
)
from servicekit import errors

_SECONDS_MAX = 253_402_300_799


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The use cases behind the service."""

    bindings: bindings.Bindings
    defaults: default_providers.DefaultProviders
    exports: export.Exports
    gates: gates.Gates
    rotation: rotation.Rotation


class BindingAdminServicer(binding_admin_service_pb2_grpc.BindingAdminServiceServicer):
    """Serves the administration of bindings."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases.bindings
        self._defaults = cases.defaults
        self._reader = cases.bindings.reader
        self._exports = cases.exports
        self._gates = cases.gates
        self._rotation = cases.rotation

    async def CreateBinding(
        self, request: pb.CreateBindingRequest, context: Any
    ) -> pb.CreateBindingResponse:
        """Makes the binding of a tenant to a plugin."""
        wanted = bindings.Wanted(
            config_json=request.config_json or "{}",
            options=_options(request),
            given=_given(request.secrets),
        )
        done = await self._cases.create(
            reading.caller(), request.tenant_id, request.plugin_id, wanted, request.reason
        )
        return pb.CreateBindingResponse(binding=_binding(done.opened), diagnostics=done.diagnostics)

    async def UpdateBinding(
        self, request: pb.UpdateBindingRequest, context: Any
    ) -> pb.UpdateBindingResponse:
        """Changes a binding, whole or not at all."""
        given = _given(request.secrets)
        for number, slot in enumerate(request.removed_secret_slots):
            if any(each.slot == slot for each in given):
                path = f"removed_secret_slots[{number}]"
                raise errors.invalid_field(path, "is among secrets too; keep one of them")
        wanted = bindings.Wanted(
            config_json=request.config_json if request.HasField("config_json") else None,
            options=_options(request),
            given=given,
            removed=frozenset(request.removed_secret_slots),
        )
        done = await self._cases.update(
            reading.caller(),
            request.binding_id,
            request.expected_generation,
            wanted,
            request.reason,
        )
        return pb.UpdateBindingResponse(binding=_binding(done.opened), diagnostics=done.diagnostics)

    async def GetBinding(
        self, request: pb.GetBindingRequest, context: Any
    ) -> pb.GetBindingResponse:
        """Returns a binding with its configuration."""
        opened = await self._reader.get(request.binding_id, _number(request, "generation"))
        return pb.GetBindingResponse(
            binding=_binding(opened), config_json=opened.stored.content.config_json
        )

    async def ListBindings(
        self, request: pb.ListBindingsRequest, context: Any
    ) -> pb.ListBindingsResponse:
        """Lists bindings without configurations."""
        size = reading.page_size(request)
        (after_id,) = reading.page_start(request, str) or ("",)
        found = await self._reader.list_by_id(
            tenant_id=request.tenant_id,
            plugin_id=request.plugin_id,
            after_id=after_id,
            most=size + 1,
        )
        response = pb.ListBindingsResponse(bindings=map(_binding, found[:size]))
        if len(found) > size:
            last = found[size - 1].stored.binding.id
            response.next_page_token = reading.next_page_token(request, last)
        return response

    async def DeleteBinding(
        self, request: pb.DeleteBindingRequest, context: Any
    ) -> pb.DeleteBindingResponse:
        """Deletes a binding with all its versions and destroys its secrets."""
        deleted = await self._cases.delete(
            reading.caller(),
            request.binding_id,
            _number(request, "expected_generation"),
            request.reason,
        )
        return pb.DeleteBindingResponse(binding=_binding(deleted))

    async def ValidateBinding(
        self, request: pb.ValidateBindingRequest, context: Any
    ) -> pb.ValidateBindingResponse:
        """Checks what Create or Update would store, and stores nothing."""
        wanted = bindings.Wanted(
            config_json=request.config_json or None,
            options=_options(request),
            given=_given(request.secrets),
        )
        checked = await self._cases.validate(
            request.tenant_id,
            request.plugin_id,
            wanted,
            version=request.version,
            check_credentials=request.check_credentials,
        )
        return pb.ValidateBindingResponse(
            diagnostics=checked.messages(),
            version=checked.version,
            checked_by_plugin=checked.by_plugin,
        )

    async def ListBindingVersions(
        self, request: pb.ListBindingVersionsRequest, context: Any
    ) -> pb.ListBindingVersionsResponse:
        """Lists the versions of a binding, newest first."""
        size = reading.page_size(request)
        (below,) = reading.page_start(request, int) or (reading.INT64_MAX,)
        found = await self._reader.versions(request.binding_id, below=below, most=size + 1)
        response = pb.ListBindingVersionsResponse(
            versions=[binding_snapshots.version(each, held) for each, held in found[:size]]
        )
        if len(found) > size:
            last, _ = found[size - 1]
            response.next_page_token = reading.next_page_token(request, last.generation)
        return response

    async def DiffBindingVersions(
        self, request: pb.DiffBindingVersionsRequest, context: Any
    ) -> pb.DiffBindingVersionsResponse:
        """Tells two versions of a binding apart, value by value."""
        changes = await self._reader.diff(
            request.binding_id,
            _number(request, "from_generation"),
            _number(request, "to_generation"),
        )
        return pb.DiffBindingVersionsResponse(changes=changes)

    async def RollBackBinding(
        self, request: pb.RollBackBindingRequest, context: Any
    ) -> pb.RollBackBindingResponse:
        """Makes a new version with what an earlier one held."""
        done = await self._cases.roll_back(
            reading.caller(),
            request.binding_id,
            _number(request, "to_generation"),
            request.expected_generation,
            request.reason,
        )
        return pb.RollBackBindingResponse(
            binding=_binding(done.opened), diagnostics=done.diagnostics
        )

    async def SetDefaultProvider(
        self, request: pb.SetDefaultProviderRequest, context: Any
    ) -> pb.SetDefaultProviderResponse:
        """Says which provider serves payments that name none."""
        await self._defaults.set(
            reading.caller(), request.tenant_id, request.plugin_id, request.reason
        )
        return pb.SetDefaultProviderResponse(default_provider=self._default(request.tenant_id))

    async def GetDefaultProvider(
        self, request: pb.GetDefaultProviderRequest, context: Any
    ) -> pb.GetDefaultProviderResponse:
        """Returns which provider serves payments that name none."""
        return pb.GetDefaultProviderResponse(default_provider=self._default(request.tenant_id))

    def _default(self, tenant_id: str) -> pb.DefaultProvider:
        plugin_id, inherited = self._defaults.get(tenant_id)
        return pb.DefaultProvider(tenant_id=tenant_id, plugin_id=plugin_id, inherited=inherited)

    async def ExportBindings(
        self, request: pb.ExportBindingsRequest, context: Any
    ) -> pb.ExportBindingsResponse:
        """Returns bindings in a form that ImportBindings takes."""
        _check_passphrase(request)
        passphrase = request.passphrase if request.include_secrets else None
        # A page token holds a digest of its request, which must tell nothing of this.
        request.ClearField("passphrase")
        (after_id,) = reading.page_start(request, str) or ("",)
        made, last_id = await self._exports.page(
            tenant_id=request.tenant_id,
            plugin_id=request.plugin_id,
            after_id=after_id,
            most=request.page_size or export.PAGE_MAX,
            passphrase=passphrase,
        )
        response = pb.ExportBindingsResponse(bindings=made)
        if last_id:
            response.next_page_token = reading.next_page_token(request, last_id)
        return response

    async def ImportBindings(
        self, request: pb.ImportBindingsRequest, context: Any
    ) -> pb.ImportBindingsResponse:
        """Makes or updates bindings from an export: all of them, or none."""
        for number, each in enumerate(request.bindings):
            check_options(each.options, f"bindings[{number}].options")
            if each.sealed_secrets and not request.passphrase:
                raise errors.invalid_field(
                    "passphrase", f"is needed: bindings[{number}] has sealed secrets"
                )
        results, applied = await self._exports.take_in(
            reading.caller(),
            request.bindings,
            passphrase=request.passphrase,
            dry_run=request.dry_run,
            overwrite=request.overwrite,
            reason=request.reason,
        )
        return pb.ImportBindingsResponse(results=results, applied=applied)

    async def RotateEncryptionKey(
        self, request: pb.RotateEncryptionKeyRequest, context: Any
    ) -> pb.RotateEncryptionKeyResponse:
        """Encrypts all stored secrets with the newest encryption key."""
        done = await self._rotation.run(reading.caller(), request.reason)
        return pb.RotateEncryptionKeyResponse(
            rotated_count=done.renewed, current_count=done.current
        )

    async def GetConfigSchema(
        self, request: pb.GetConfigSchemaRequest, context: Any
    ) -> pb.GetConfigSchemaResponse:
        """Returns the configuration schema of a plugin as core keeps it."""
        version = await self._gates.version(request.plugin_id, request.version)
        schema = await self._gates.schema(version.schema_digest)
        shaken = plugin_service_pb2.HandshakeResponse.FromString(version.handshake)
        return pb.GetConfigSchemaResponse(
            version=version.version,
            json_schema=schema.json_schema,
            schema_digest=schema.digest,
            config_schema_version=shaken.config_schema_version,
            secret_slots=[
                plugin_service_pb2.SecretSlot(
                    slot=each.slot, description=each.description, required=each.required
                )
                for each in schema.slots
            ],
        )


def _binding(opened: binding_reading.Opened) -> binding_pb2.Binding:
    return binding_snapshots.binding(opened.stored, opened.held)


def _options(request: Any) -> model.Options | None:
    if not request.HasField("options"):
        return None
    check_options(request.options, "options")
    return binding_snapshots.options_of(request.options)


def check_options(options: binding_pb2.BindingOptions, path: str) -> None:
    """Refuses limits and zones that can't be kept.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, each in enumerate(options.limits):
        place = f"{path}.limits[{number}]"
        if each.currency_code in seen:
            found.append((f"{place}.currency_code", "is listed twice"))
        seen.add(each.currency_code)
        if not money.is_currency(each.currency_code):
            text = "must be an ISO 4217 currency in circulation, like EUR"
            found.append((f"{place}.currency_code", text))
        if each.max_minor and each.min_minor > each.max_minor:
            found.append((f"{place}.min_minor", f"must not be above max_minor, {each.max_minor}"))
        if each.daily_minor and each.min_minor > each.daily_minor:
            text = f"must not be above daily_minor, {each.daily_minor}"
            found.append((f"{place}.min_minor", text))
    if options.time_zone and not model.is_zone(options.time_zone):
        text = "must be an IANA time zone, like Europe/Berlin"
        found.append((f"{path}.time_zone", text))
    if found:
        raise errors.invalid_fields(found)


def _given(inputs: Sequence[pb.SecretInput]) -> tuple[secrets.Given, ...]:
    given: list[secrets.Given] = []
    for number, each in enumerate(inputs):
        if any(other.slot == each.slot for other in given):
            raise errors.invalid_field(f"secrets[{number}].slot", "is given twice")
        given.append(
            secrets.Given(
                slot=each.slot,
                value=each.value,
                expire_us=_time_us(each, "expire_time", number),
                previous_expire_us=_time_us(each, "previous_expire_time", number),
            )
        )
    return tuple(given)


def _time_us(each: pb.SecretInput, name: str, number: int) -> int:
    if not each.HasField(name):
        return 0
    stamp: timestamp_pb2.Timestamp = getattr(each, name)
    if not 0 < stamp.seconds <= _SECONDS_MAX or not 0 <= stamp.nanos < 1_000_000_000:
        text = "must be a time between 1970 and 9999"
        raise errors.invalid_field(f"secrets[{number}].{name}", text)
    return stamp.ToMicroseconds()


def _check_passphrase(request: pb.ExportBindingsRequest) -> None:
    if not request.include_secrets and request.passphrase:
        raise errors.invalid_field("passphrase", "must be empty without include_secrets")
    if request.include_secrets and len(request.passphrase) < sealing.PASSPHRASE_CHARS_MIN:
        text = f"must have at least {sealing.PASSPHRASE_CHARS_MIN} characters"
        raise errors.invalid_field("passphrase", text)


def _number(request: Any, name: str) -> int:
    # A generation is an unsigned 64-bit number on the wire and a signed one in the database.
    value: int = getattr(request, name)
    if value > reading.INT64_MAX:
        raise errors.invalid_field(name, "is no generation: too large")
    return value
