"""Bindings: what tenants are configured with, for operators.

Owns the shape of these calls for Python. Called by operators' tools through
`Client.bindings`. Secrets go in and never come out; none is kept or logged here.
"""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message
from payhub.admin.v1 import binding_admin_service_pb2 as pb
from payhub.admin.v1 import binding_admin_service_pb2_grpc, value_change_pb2
from payhub.plugin.v1 import binding_pb2

from payhub_client import calls, contract, requests

if TYPE_CHECKING:
    from payhub.admin.v1.binding_admin_service_pb2_grpc import BindingAdminServiceAsyncStub

R = TypeVar("R", bound=Message)

_SERVICE = "BindingAdminService"
_METHODS = {
    name: contract.method(pb.DESCRIPTOR, _SERVICE, name)
    for name in pb.DESCRIPTOR.services_by_name[_SERVICE].methods_by_name
}
SHARED = "*"
"""Tenant of the binding that serves every tenant without one of its own."""
# As the contract has it.
_IDS = uuid.UUID("6f0f4c0e-31a5-4f2f-9b6c-7d1f5d2f4a10")


def binding_id(tenant_id: str, plugin_id: str) -> str:
    """Return the id of a tenant's binding to a plugin, also if the shared binding serves it."""
    return str(uuid.uuid5(_IDS, f"{tenant_id}/{plugin_id}"))


def webhook_path(tenant_id: str, plugin_id: str) -> str:
    """Return where a provider's webhooks for a tenant come in, on the service's HTTP port.

    '' for the shared tenant: webhooks come in by the tenants that it serves.
    """
    if tenant_id == SHARED:
        return ""
    return f"/webhooks/{plugin_id}/{binding_id(tenant_id, plugin_id)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret to set or rotate; `previous_until` is how long the old value is still good."""

    slot: str
    value: bytes = field(repr=False)
    expires: datetime.datetime | None = None
    previous_until: datetime.datetime | None = None

    def message(self) -> pb.SecretInput:
        """Return it as the contract spells it."""
        return pb.SecretInput(
            slot=self.slot,
            value=self.value,
            expire_time=requests.timestamp(self.expires, field="expires"),
            previous_expire_time=requests.timestamp(self.previous_until, field="previous_until"),
        )


@dataclass(slots=True, kw_only=True)
class Bindings:
    """Keeps bindings; needs the admin scope. Every change takes a reason for its history."""

    caller: calls.Caller
    _made: "BindingAdminServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(
        self,
        tenant_id: str,
        plugin_id: str,
        *,
        reason: str,
        config_json: str = "",
        options: binding_pb2.BindingOptions | None = None,
        secrets: Iterable[Secret] = (),
        timeout_s: float | None = None,
    ) -> pb.CreateBindingResponse:
        """Make the binding of a tenant to a plugin, with its warnings."""
        request = pb.CreateBindingRequest(
            tenant_id=tenant_id,
            plugin_id=plugin_id,
            config_json=config_json,
            options=options,
            secrets=[each.message() for each in secrets],
            reason=reason,
        )
        return await self._call("CreateBinding", request, pb.CreateBindingResponse, timeout_s)

    async def update(
        self,
        binding_id: str,
        *,
        expected_generation: int,
        reason: str,
        config_json: str | None = None,
        options: binding_pb2.BindingOptions | None = None,
        secrets: Iterable[Secret] = (),
        removed_secret_slots: Iterable[str] = (),
        timeout_s: float | None = None,
    ) -> pb.UpdateBindingResponse:
        """Change a binding, whole or not at all; what is None stays."""
        request = pb.UpdateBindingRequest(
            binding_id=binding_id,
            expected_generation=expected_generation,
            config_json=config_json,
            options=options,
            secrets=[each.message() for each in secrets],
            removed_secret_slots=removed_secret_slots,
            reason=reason,
        )
        return await self._call("UpdateBinding", request, pb.UpdateBindingResponse, timeout_s)

    async def get(
        self, binding_id: str, *, generation: int = 0, timeout_s: float | None = None
    ) -> pb.GetBindingResponse:
        """Return a binding with its configuration; at `generation`, 0 for the newest."""
        request = pb.GetBindingRequest(binding_id=binding_id, generation=generation)
        return await self._call("GetBinding", request, pb.GetBindingResponse, timeout_s)

    async def list_page(
        self,
        *,
        tenant_id: str = "",
        plugin_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListBindingsResponse:
        """Return one page of at most `page_size` (1 to 200; 0 means 50)."""
        request = pb.ListBindingsRequest(
            tenant_id=tenant_id, plugin_id=plugin_id, page_size=page_size, page_token=page_token
        )
        return await self._call("ListBindings", request, pb.ListBindingsResponse, timeout_s)

    async def delete(
        self,
        binding_id: str,
        *,
        reason: str,
        expected_generation: int = 0,
        timeout_s: float | None = None,
    ) -> binding_pb2.Binding:
        """Delete a binding with all its versions and destroy its secrets."""
        request = pb.DeleteBindingRequest(
            binding_id=binding_id, expected_generation=expected_generation, reason=reason
        )
        response = await self._call("DeleteBinding", request, pb.DeleteBindingResponse, timeout_s)
        return response.binding

    async def validate(
        self,
        tenant_id: str,
        plugin_id: str,
        *,
        config_json: str = "",
        options: binding_pb2.BindingOptions | None = None,
        secrets: Iterable[Secret] = (),
        version: str = "",
        check_credentials: bool = False,
        timeout_s: float | None = None,
    ) -> pb.ValidateBindingResponse:
        """Check what create or update would store, and store nothing."""
        request = pb.ValidateBindingRequest(
            tenant_id=tenant_id,
            plugin_id=plugin_id,
            config_json=config_json,
            options=options,
            secrets=[each.message() for each in secrets],
            version=version,
            check_credentials=check_credentials,
        )
        return await self._call("ValidateBinding", request, pb.ValidateBindingResponse, timeout_s)

    async def versions_page(
        self,
        binding_id: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListBindingVersionsResponse:
        """Return one page of a binding's versions, newest first."""
        request = pb.ListBindingVersionsRequest(
            binding_id=binding_id, page_size=page_size, page_token=page_token
        )
        return await self._call(
            "ListBindingVersions", request, pb.ListBindingVersionsResponse, timeout_s
        )

    async def diff(
        self,
        binding_id: str,
        from_generation: int,
        to_generation: int = 0,
        *,
        timeout_s: float | None = None,
    ) -> Sequence[value_change_pb2.ValueChange]:
        """Return what two generations hold differently; 0 is the newest."""
        request = pb.DiffBindingVersionsRequest(
            binding_id=binding_id, from_generation=from_generation, to_generation=to_generation
        )
        response = await self._call(
            "DiffBindingVersions", request, pb.DiffBindingVersionsResponse, timeout_s
        )
        return response.changes

    async def roll_back(
        self,
        binding_id: str,
        to_generation: int,
        *,
        expected_generation: int,
        reason: str,
        timeout_s: float | None = None,
    ) -> pb.RollBackBindingResponse:
        """Make a new generation with what an earlier one held."""
        request = pb.RollBackBindingRequest(
            binding_id=binding_id,
            to_generation=to_generation,
            expected_generation=expected_generation,
            reason=reason,
        )
        return await self._call("RollBackBinding", request, pb.RollBackBindingResponse, timeout_s)

    async def set_default(
        self, tenant_id: str, plugin_id: str, *, reason: str, timeout_s: float | None = None
    ) -> pb.DefaultProvider:
        """Say which provider serves payments that name none; "" is installation, or none."""
        request = pb.SetDefaultProviderRequest(
            tenant_id=tenant_id, plugin_id=plugin_id, reason=reason
        )
        response = await self._call(
            "SetDefaultProvider", request, pb.SetDefaultProviderResponse, timeout_s
        )
        return response.default_provider

    async def default(
        self, tenant_id: str, *, timeout_s: float | None = None
    ) -> pb.DefaultProvider:
        """Return which provider serves payments that name none."""
        request = pb.GetDefaultProviderRequest(tenant_id=tenant_id)
        response = await self._call(
            "GetDefaultProvider", request, pb.GetDefaultProviderResponse, timeout_s
        )
        return response.default_provider

    async def export_page(
        self,
        *,
        tenant_id: str = "",
        plugin_id: str = "",
        passphrase: str | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ExportBindingsResponse:
        """Return one page of an export; secrets are in it, sealed, if a passphrase is given."""
        request = pb.ExportBindingsRequest(
            tenant_id=tenant_id,
            plugin_id=plugin_id,
            include_secrets=passphrase is not None,
            passphrase=passphrase or "",
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call("ExportBindings", request, pb.ExportBindingsResponse, timeout_s)

    async def import_(
        self,
        exported: Iterable[pb.ExportedBinding],
        *,
        reason: str,
        passphrase: str = "",
        dry_run: bool = False,
        overwrite: bool = False,
        timeout_s: float | None = None,
    ) -> pb.ImportBindingsResponse:
        """Make or update at most 50 bindings from an export: all of them, or none."""
        request = pb.ImportBindingsRequest(
            bindings=exported,
            passphrase=passphrase,
            dry_run=dry_run,
            overwrite=overwrite,
            reason=reason,
        )
        return await self._call("ImportBindings", request, pb.ImportBindingsResponse, timeout_s)

    async def rotate_key(
        self, *, reason: str, timeout_s: float | None = None
    ) -> pb.RotateEncryptionKeyResponse:
        """Encrypt all stored secrets with the newest encryption key."""
        request = pb.RotateEncryptionKeyRequest(reason=reason)
        return await self._call(
            "RotateEncryptionKey", request, pb.RotateEncryptionKeyResponse, timeout_s
        )

    async def schema(
        self, plugin_id: str, *, version: str = "", timeout_s: float | None = None
    ) -> pb.GetConfigSchemaResponse:
        """Return the configuration schema of a plugin; also while no instance runs."""
        request = pb.GetConfigSchemaRequest(plugin_id=plugin_id, version=version)
        return await self._call("GetConfigSchema", request, pb.GetConfigSchemaResponse, timeout_s)

    async def _call(self, name: str, request: Any, _answer: type[R], timeout_s: float | None) -> R:
        if self._made is None:
            channel = self.caller.link.channel
            self._made = binding_admin_service_pb2_grpc.BindingAdminServiceStub(channel)
        rpc: calls.Rpc[Any, R] = getattr(self._made, name)
        return await self.caller.call(rpc, _METHODS[name], request, timeout_s=timeout_s)
