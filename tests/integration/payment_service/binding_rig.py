"""An administrator of bindings, and what they hear.

Owns the calls of BindingAdminService as tests make them. Called by the tests of bindings.
Never reaches into the service.
"""

import json
import time
from typing import Any

from payhub.admin.v1 import binding_admin_service_pb2 as pb
from payhub.plugin.v1 import binding_pb2

from tests.integration.payment_service import rig

REASON = "a test"
Options = binding_pb2.BindingOptions
Binding = binding_pb2.Binding


def limit(currency: str = "EUR", **most: int) -> binding_pb2.CurrencyLimit:
    """Returns limits of one currency."""
    return binding_pb2.CurrencyLimit(currency_code=currency, **most)


def without(*kinds: str, **more: Any) -> binding_pb2.BindingOptions:
    """Returns options that switch operations off."""
    off = [f"KIND_{kind}" for kind in kinds]
    return Options(disabled_operations=off, **more)


def secret(slot: str, value: bytes, **times: float) -> pb.SecretInput:
    """Returns a secret; times are seconds from now."""
    made = pb.SecretInput(slot=slot, value=value)
    for name, after_s in times.items():
        getattr(made, name).FromSeconds(round(time.time() + after_s))
    return made


def severities(diagnostics: Any) -> list[str]:
    """Returns how grave each is."""
    return [
        type(each).Severity.Name(each.severity).removeprefix("SEVERITY_") for each in diagnostics
    ]


class Admin:
    """Somebody who may change bindings.

    Args:
        caller: With the admin scope.
    """

    def __init__(self, caller: rig.Caller) -> None:
        self.caller = caller
        self._stub = caller.bindings

    async def _call(self, name: str, request: Any) -> Any:
        return await self.caller.call(getattr(self._stub, name), request)

    async def create(
        self,
        tenant: str,
        config: Any = None,
        *,
        plugin: str = "mock",
        options: binding_pb2.BindingOptions | None = None,
        secrets: Any = (),
    ) -> binding_pb2.Binding:
        """Makes a binding."""
        request = pb.CreateBindingRequest(
            tenant_id=tenant,
            plugin_id=plugin,
            config_json="" if config is None else json.dumps(config),
            options=options,
            secrets=secrets,
            reason=REASON,
        )
        binding: binding_pb2.Binding = (await self._call("CreateBinding", request)).binding
        return binding

    async def update(
        self,
        binding: binding_pb2.Binding,
        config: Any = None,
        *,
        options: binding_pb2.BindingOptions | None = None,
        secrets: Any = (),
        removed: Any = (),
    ) -> binding_pb2.Binding:
        """Changes a binding that was seen."""
        request = pb.UpdateBindingRequest(
            binding_id=binding.id,
            expected_generation=binding.generation,
            config_json=None if config is None else json.dumps(config),
            options=options,
            secrets=secrets,
            removed_secret_slots=removed,
            reason=REASON,
        )
        changed: binding_pb2.Binding = (await self._call("UpdateBinding", request)).binding
        return changed

    async def get(self, binding_id: str, generation: int = 0) -> pb.GetBindingResponse:
        """Returns a binding with its configuration."""
        request = pb.GetBindingRequest(binding_id=binding_id, generation=generation)
        found: pb.GetBindingResponse = await self._call("GetBinding", request)
        return found

    async def list(self, **filters: Any) -> pb.ListBindingsResponse:
        """Returns one page of bindings."""
        found: pb.ListBindingsResponse = await self._call(
            "ListBindings", pb.ListBindingsRequest(**filters)
        )
        return found

    async def delete(self, binding: binding_pb2.Binding, generation: int = 0) -> Any:
        """Deletes a binding."""
        request = pb.DeleteBindingRequest(
            binding_id=binding.id, expected_generation=generation, reason=REASON
        )
        return (await self._call("DeleteBinding", request)).binding

    async def validate(self, tenant: str, config: Any, **fields: Any) -> Any:
        """Checks a configuration."""
        fields.setdefault("plugin_id", "mock")
        request = pb.ValidateBindingRequest(
            tenant_id=tenant, config_json=json.dumps(config), **fields
        )
        return await self._call("ValidateBinding", request)

    async def versions(self, binding_id: str, **paging: Any) -> pb.ListBindingVersionsResponse:
        """Returns one page of versions."""
        found: pb.ListBindingVersionsResponse = await self._call(
            "ListBindingVersions", pb.ListBindingVersionsRequest(binding_id=binding_id, **paging)
        )
        return found

    async def diff(self, binding_id: str, old: int, new: int = 0) -> dict[str, tuple[str, str]]:
        """Returns old and new value of what differs, by pointer."""
        request = pb.DiffBindingVersionsRequest(
            binding_id=binding_id, from_generation=old, to_generation=new
        )
        answer = await self._call("DiffBindingVersions", request)
        return {
            each.json_pointer: ("secret", "secret")
            if each.secret
            else (each.old_json, each.new_json)
            for each in answer.changes
        }

    async def roll_back(self, binding: binding_pb2.Binding, to: int) -> binding_pb2.Binding:
        """Goes back to what an earlier generation held."""
        request = pb.RollBackBindingRequest(
            binding_id=binding.id,
            to_generation=to,
            expected_generation=binding.generation,
            reason=REASON,
        )
        changed: binding_pb2.Binding = (await self._call("RollBackBinding", request)).binding
        return changed

    async def set_default(self, tenant: str, plugin: str) -> pb.DefaultProvider:
        """Sets a default provider."""
        request = pb.SetDefaultProviderRequest(tenant_id=tenant, plugin_id=plugin, reason=REASON)
        found: pb.DefaultProvider = (
            await self._call("SetDefaultProvider", request)
        ).default_provider
        return found

    async def default(self, tenant: str) -> pb.DefaultProvider:
        """Returns a default provider."""
        request = pb.GetDefaultProviderRequest(tenant_id=tenant)
        found: pb.DefaultProvider = (
            await self._call("GetDefaultProvider", request)
        ).default_provider
        return found

    async def export(self, **fields: Any) -> pb.ExportBindingsResponse:
        """Returns one page of an export."""
        found: pb.ExportBindingsResponse = await self._call(
            "ExportBindings", pb.ExportBindingsRequest(**fields)
        )
        return found

    async def take_in(self, exported: Any, **fields: Any) -> pb.ImportBindingsResponse:
        """Imports bindings."""
        request = pb.ImportBindingsRequest(bindings=exported, reason=REASON, **fields)
        found: pb.ImportBindingsResponse = await self._call("ImportBindings", request)
        return found

    async def rotate(self) -> tuple[int, int]:
        """Rotates the encryption key; returns how many rows were renewed, how many current."""
        request = pb.RotateEncryptionKeyRequest(reason=REASON)
        done = await self._call("RotateEncryptionKey", request)
        return done.rotated_count, done.current_count

    async def schema(self, plugin: str = "mock", version: str = "") -> pb.GetConfigSchemaResponse:
        """Returns a plugin's schema."""
        found: pb.GetConfigSchemaResponse = await self._call(
            "GetConfigSchema", pb.GetConfigSchemaRequest(plugin_id=plugin, version=version)
        )
        return found


def outcomes(answer: pb.ImportBindingsResponse) -> list[str]:
    """Returns what became of each imported binding."""
    names = pb.ImportResult.Outcome
    return [names.Name(each.outcome).removeprefix("OUTCOME_") for each in answer.results]
