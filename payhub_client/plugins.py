"""Plugins, their upgrades and the switches against them, for operators.

Owns the shape of these calls for Python. Called by operators' tools through
`Client.plugins`. Never repeats what was not meant to be repeated: `calls` decides that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf import duration_pb2
from google.protobuf.message import Message
from payhub.admin.v1 import plugin_admin_pb2, plugin_admin_service_pb2_grpc
from payhub.admin.v1 import plugin_admin_service_pb2 as pb
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import plugin_pb2

from payhub_client import calls, contract

if TYPE_CHECKING:
    from payhub.admin.v1.plugin_admin_service_pb2_grpc import PluginAdminServiceAsyncStub

R = TypeVar("R", bound=Message)

_SERVICE = "PluginAdminService"
_METHODS = {
    name: contract.method(pb.DESCRIPTOR, _SERVICE, name)
    for name in pb.DESCRIPTOR.services_by_name[_SERVICE].methods_by_name
}
_ALL_KINDS = payment_pb2.Operation.KIND_UNSPECIFIED


@dataclass(slots=True, kw_only=True)
class Plugins:
    """Keeps plugins; needs the admin scope. Every change takes a reason for its history."""

    caller: calls.Caller
    _made: "PluginAdminServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def allow(
        self,
        allowance: plugin_pb2.PluginAllowance,
        *,
        reason: str,
        must_be_new: bool = False,
        expected_revision: int = 0,
        timeout_s: float | None = None,
    ) -> plugin_pb2.Plugin:
        """Put a plugin on the allowlist, or replace its whole entry.

        `expected_revision` is the revision that was seen, 0 for any.
        """
        request = pb.AllowPluginRequest(
            allowance=allowance,
            reason=reason,
            must_be_new=must_be_new,
            expected_revision=expected_revision,
        )
        return (await self._call("AllowPlugin", request, pb.AllowPluginResponse, timeout_s)).plugin

    async def get(self, plugin_id: str, *, timeout_s: float | None = None) -> pb.GetPluginResponse:
        """Return a plugin and its versions."""
        request = pb.GetPluginRequest(plugin_id=plugin_id)
        return await self._call("GetPlugin", request, pb.GetPluginResponse, timeout_s)

    async def list_page(
        self,
        *,
        states: Iterable[plugin_pb2.Plugin.State] = (),
        enabled_only: bool = False,
        active_only: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListPluginsResponse:
        """Return one page by id, of at most `page_size` (1 to 200; 0 means 50)."""
        request = pb.ListPluginsRequest(
            states=states,
            enabled_only=enabled_only,
            active_only=active_only,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call("ListPlugins", request, pb.ListPluginsResponse, timeout_s)

    async def initialize(
        self, plugin_id: str, *, reason: str, timeout_s: float | None = None
    ) -> plugin_pb2.Plugin:
        """Configure a plugin's bindings and wait until it is ready."""
        request = pb.InitializePluginRequest(plugin_id=plugin_id, reason=reason)
        response = await self._call(
            "InitializePlugin", request, pb.InitializePluginResponse, timeout_s
        )
        return response.plugin

    async def enable(
        self,
        plugin_id: str,
        *,
        reason: str,
        with_dependencies: bool = False,
        timeout_s: float | None = None,
    ) -> pb.EnablePluginResponse:
        """Let operations through to a plugin."""
        request = pb.EnablePluginRequest(
            plugin_id=plugin_id, reason=reason, with_dependencies=with_dependencies
        )
        return await self._call("EnablePlugin", request, pb.EnablePluginResponse, timeout_s)

    async def disable(
        self, plugin_id: str, *, reason: str, cascade: bool = False, timeout_s: float | None = None
    ) -> pb.DisablePluginResponse:
        """Take a plugin out of routing and wait for its calls."""
        request = pb.DisablePluginRequest(plugin_id=plugin_id, reason=reason, cascade=cascade)
        return await self._call("DisablePlugin", request, pb.DisablePluginResponse, timeout_s)

    async def stop(
        self,
        plugin_id: str,
        *,
        reason: str,
        cascade: bool = False,
        grace_s: float | None = None,
        timeout_s: float | None = None,
    ) -> pb.StopPluginResponse:
        """Disable a plugin and drain its instances; `grace_s` is 30 if not given.

        `timeout_s` None allows for `grace_s`.
        """
        request = pb.StopPluginRequest(plugin_id=plugin_id, reason=reason, cascade=cascade)
        if grace_s is not None:
            grace = duration_pb2.Duration()
            grace.FromMicroseconds(round(grace_s * 1e6))
            request.grace_period.CopyFrom(grace)
        method = _METHODS["StopPlugin"]
        longest_s = min((grace_s or 0.0) + method.deadline_s, method.longest_s)
        timeout_s = longest_s if timeout_s is None else timeout_s
        return await self._call("StopPlugin", request, pb.StopPluginResponse, timeout_s, longest_s)

    async def uninstall(
        self, plugin_id: str, *, reason: str, timeout_s: float | None = None
    ) -> plugin_pb2.Plugin:
        """Take a plugin off the allowlist, with its bindings and their secrets."""
        request = pb.UninstallPluginRequest(plugin_id=plugin_id, reason=reason)
        response = await self._call(
            "UninstallPlugin", request, pb.UninstallPluginResponse, timeout_s
        )
        return response.plugin

    async def health(
        self, plugin_id: str, *, timeout_s: float | None = None
    ) -> pb.GetPluginHealthResponse:
        """Return how a plugin is doing now."""
        request = pb.GetPluginHealthRequest(plugin_id=plugin_id)
        return await self._call("GetPluginHealth", request, pb.GetPluginHealthResponse, timeout_s)

    async def history_page(
        self,
        plugin_id: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListPluginHistoryResponse:
        """Return one page of what happened to a plugin, newest first."""
        request = pb.ListPluginHistoryRequest(
            plugin_id=plugin_id, page_size=page_size, page_token=page_token
        )
        return await self._call(
            "ListPluginHistory", request, pb.ListPluginHistoryResponse, timeout_s
        )

    async def start_upgrade(
        self,
        plugin_id: str,
        version: str,
        *,
        percent: int,
        reason: str,
        dry_run: bool = False,
        timeout_s: float | None = None,
    ) -> pb.StartUpgradeResponse:
        """Send `percent` (1 to 100) of new operations to another version."""
        request = pb.StartUpgradeRequest(
            plugin_id=plugin_id, version=version, percent=percent, reason=reason, dry_run=dry_run
        )
        return await self._call("StartUpgrade", request, pb.StartUpgradeResponse, timeout_s)

    async def promote_upgrade(
        self, plugin_id: str, *, reason: str, timeout_s: float | None = None
    ) -> plugin_pb2.Plugin:
        """Make the version on trial the current one."""
        request = pb.PromoteUpgradeRequest(plugin_id=plugin_id, reason=reason)
        response = await self._call("PromoteUpgrade", request, pb.PromoteUpgradeResponse, timeout_s)
        return response.plugin

    async def roll_back_upgrade(
        self, plugin_id: str, version: str, *, reason: str, timeout_s: float | None = None
    ) -> plugin_pb2.Plugin:
        """Leave `version`: the one on trial or, after promotion, the current one."""
        request = pb.RollBackUpgradeRequest(plugin_id=plugin_id, version=version, reason=reason)
        response = await self._call(
            "RollBackUpgrade", request, pb.RollBackUpgradeResponse, timeout_s
        )
        return response.plugin

    async def quarantine(
        self, plugin_id: str, version: str, *, reason: str, timeout_s: float | None = None
    ) -> plugin_pb2.Plugin:
        """Take a version out of use until it is released."""
        request = pb.QuarantineVersionRequest(plugin_id=plugin_id, version=version, reason=reason)
        response = await self._call(
            "QuarantineVersion", request, pb.QuarantineVersionResponse, timeout_s
        )
        return response.plugin

    async def release(
        self, plugin_id: str, version: str, *, reason: str, timeout_s: float | None = None
    ) -> plugin_pb2.Plugin:
        """Take a version back into use."""
        request = pb.ReleaseVersionRequest(plugin_id=plugin_id, version=version, reason=reason)
        response = await self._call("ReleaseVersion", request, pb.ReleaseVersionResponse, timeout_s)
        return response.plugin

    async def store_report(
        self,
        plugin_id: str,
        *,
        version: str,
        schema_digest: str,
        report_json: str,
        reason: str,
        timeout_s: float | None = None,
    ) -> plugin_admin_pb2.ReportSummary:
        """Store a conformance report for exactly that version and schema."""
        request = pb.StoreConformanceReportRequest(
            plugin_id=plugin_id,
            version=version,
            schema_digest=schema_digest,
            report_json=report_json,
            reason=reason,
        )
        response = await self._call(
            "StoreConformanceReport", request, pb.StoreConformanceReportResponse, timeout_s
        )
        return response.report

    async def kill(
        self,
        plugin_id: str,
        *,
        reason: str,
        tenant_id: str = "",
        operation: payment_pb2.Operation.Kind = _ALL_KINDS,
        timeout_s: float | None = None,
    ) -> plugin_admin_pb2.KillSwitch:
        """Stop operations at once, of everybody and of every kind unless told otherwise."""
        request = pb.SetKillSwitchRequest(
            plugin_id=plugin_id, tenant_id=tenant_id, operation=operation, reason=reason
        )
        response = await self._call("SetKillSwitch", request, pb.SetKillSwitchResponse, timeout_s)
        return response.kill_switch

    async def unkill(
        self,
        plugin_id: str,
        *,
        reason: str,
        tenant_id: str = "",
        operation: payment_pb2.Operation.Kind = _ALL_KINDS,
        timeout_s: float | None = None,
    ) -> bool:
        """Clear exactly that switch; return whether it was set."""
        request = pb.ClearKillSwitchRequest(
            plugin_id=plugin_id, tenant_id=tenant_id, operation=operation, reason=reason
        )
        response = await self._call(
            "ClearKillSwitch", request, pb.ClearKillSwitchResponse, timeout_s
        )
        return response.cleared

    async def kills_page(
        self,
        *,
        plugin_id: str = "",
        tenant_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListKillSwitchesResponse:
        """Return one page of the switches that are set."""
        request = pb.ListKillSwitchesRequest(
            plugin_id=plugin_id, tenant_id=tenant_id, page_size=page_size, page_token=page_token
        )
        return await self._call("ListKillSwitches", request, pb.ListKillSwitchesResponse, timeout_s)

    async def _call(
        self,
        name: str,
        request: Message,
        kind: type[R],
        timeout_s: float | None,
        attempt_s: float | None = None,
    ) -> R:
        rpc: Any = getattr(self._stub, name)
        response = await self.caller.call(
            rpc, _METHODS[name], request, timeout_s=timeout_s, attempt_s=attempt_s
        )
        assert isinstance(response, kind)
        return response

    @property
    def _stub(self) -> "PluginAdminServiceAsyncStub":
        if self._made is None:
            self._made = plugin_admin_service_pb2_grpc.PluginAdminServiceStub(
                self.caller.link.channel
            )
        return self._made
