"""PluginAdminService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payhub.admin.v1 import (
    plugin_admin_pb2,
    plugin_admin_service_pb2_grpc,
    value_change_pb2,
)
from payhub.admin.v1 import plugin_admin_service_pb2 as pb
from payhub.payments.v1 import payment_pb2

from payment_service.api import reading
from payment_service.domain import plugins
from payment_service.usecases import snapshots
from payment_service.usecases.plugins import (
    health,
    kills,
    lifecycle,
    plugin_events,
    plugin_lists,
    plugin_snapshots,
    reports,
    upgrades,
)

GRACE_DEFAULT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The use cases behind the service."""

    lifecycle: lifecycle.Lifecycle
    lists: plugin_lists.Lists
    upgrades: upgrades.Upgrades
    health: health.Health
    reports: reports.Reports
    kills: kills.Kills


class PluginAdminServicer(plugin_admin_service_pb2_grpc.PluginAdminServiceServicer):
    """Serves the administration of plugins."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    async def AllowPlugin(
        self, request: pb.AllowPluginRequest, context: Any
    ) -> pb.AllowPluginResponse:
        """Puts a plugin on the allowlist, or replaces its entry."""
        plugin = await self._cases.lifecycle.allow(
            plugin_snapshots.entry(request.allowance),
            why=_why(request),
            must_be_new=request.must_be_new,
            expected_revision=request.expected_revision,
        )
        return pb.AllowPluginResponse(plugin=plugin_snapshots.plugin(plugin))

    async def GetPlugin(self, request: pb.GetPluginRequest, context: Any) -> pb.GetPluginResponse:
        """Returns a plugin and its versions."""
        plugin, versions = await self._cases.lists.get(request.plugin_id)
        return pb.GetPluginResponse(
            plugin=plugin_snapshots.plugin(plugin),
            versions=[plugin_snapshots.version(each, report) for each, report in versions],
        )

    async def ListPlugins(
        self, request: pb.ListPluginsRequest, context: Any
    ) -> pb.ListPluginsResponse:
        """Lists plugins by id."""
        size = reading.page_size(request)
        (after,) = reading.page_start(request, str) or ("",)
        found = await self._cases.lists.listed(
            states=frozenset(plugins.PluginState(each) for each in request.states),
            enabled_only=request.enabled_only,
            active_only=request.active_only,
            after=after,
            most=size + 1,
        )
        response = pb.ListPluginsResponse(plugins=map(plugin_snapshots.plugin, found[:size]))
        if len(found) > size:
            response.next_page_token = reading.next_page_token(request, found[size - 1].id)
        return response

    async def InitializePlugin(
        self, request: pb.InitializePluginRequest, context: Any
    ) -> pb.InitializePluginResponse:
        """Configures a plugin's bindings and waits until it is ready."""
        plugin = await self._cases.lifecycle.initialize(request.plugin_id, why=_why(request))
        return pb.InitializePluginResponse(plugin=plugin_snapshots.plugin(plugin))

    async def EnablePlugin(
        self, request: pb.EnablePluginRequest, context: Any
    ) -> pb.EnablePluginResponse:
        """Lets operations through."""
        done = await self._cases.lifecycle.enable(
            request.plugin_id, with_dependencies=request.with_dependencies, why=_why(request)
        )
        return pb.EnablePluginResponse(
            plugin=plugin_snapshots.plugin(done.plugin), changed_plugin_ids=done.changed
        )

    async def DisablePlugin(
        self, request: pb.DisablePluginRequest, context: Any
    ) -> pb.DisablePluginResponse:
        """Takes a plugin out of routing."""
        done = await self._cases.lifecycle.disable(
            request.plugin_id, cascade=request.cascade, why=_why(request)
        )
        return pb.DisablePluginResponse(
            plugin=plugin_snapshots.plugin(done.plugin), changed_plugin_ids=done.changed
        )

    async def StopPlugin(
        self, request: pb.StopPluginRequest, context: Any
    ) -> pb.StopPluginResponse:
        """Disables a plugin and drains its instances."""
        grace_s = GRACE_DEFAULT_S
        if request.HasField("grace_period"):
            grace_s = request.grace_period.ToTimedelta().total_seconds()
        done = await self._cases.lifecycle.stop(
            request.plugin_id, cascade=request.cascade, grace_s=grace_s, why=_why(request)
        )
        return pb.StopPluginResponse(
            plugin=plugin_snapshots.plugin(done.plugin),
            changed_plugin_ids=done.changed,
            remaining_calls=done.remaining_calls,
        )

    async def UninstallPlugin(
        self, request: pb.UninstallPluginRequest, context: Any
    ) -> pb.UninstallPluginResponse:
        """Takes a plugin off the allowlist."""
        plugin = await self._cases.lifecycle.uninstall(request.plugin_id, why=_why(request))
        return pb.UninstallPluginResponse(plugin=plugin_snapshots.plugin(plugin))

    async def GetPluginHealth(
        self, request: pb.GetPluginHealthRequest, context: Any
    ) -> pb.GetPluginHealthResponse:
        """Reports how a plugin is doing now."""
        return await self._cases.health.plugin(request.plugin_id)

    async def ListPluginHistory(
        self, request: pb.ListPluginHistoryRequest, context: Any
    ) -> pb.ListPluginHistoryResponse:
        """Lists what happened to a plugin, newest first."""
        size = reading.page_size(request)
        (below,) = reading.page_start(request, int) or (reading.INT64_MAX,)
        found = await self._cases.lists.history(request.plugin_id, below=below, most=size + 1)
        response = pb.ListPluginHistoryResponse(entries=map(_history, found[:size]))
        if len(found) > size:
            last = found[size - 1].revision
            response.next_page_token = reading.next_page_token(request, last)
        return response

    async def StartUpgrade(
        self, request: pb.StartUpgradeRequest, context: Any
    ) -> pb.StartUpgradeResponse:
        """Starts an upgrade to another version, or changes its share."""
        plugin, migrations = await self._cases.upgrades.start(
            request.plugin_id,
            request.version,
            request.percent,
            dry_run=request.dry_run,
            why=_why(request),
        )
        return pb.StartUpgradeResponse(
            plugin=plugin_snapshots.plugin(plugin), migrations=migrations
        )

    async def PromoteUpgrade(
        self, request: pb.PromoteUpgradeRequest, context: Any
    ) -> pb.PromoteUpgradeResponse:
        """Makes the version on trial the current one."""
        plugin = await self._cases.upgrades.promote(request.plugin_id, why=_why(request))
        return pb.PromoteUpgradeResponse(plugin=plugin_snapshots.plugin(plugin))

    async def RollBackUpgrade(
        self, request: pb.RollBackUpgradeRequest, context: Any
    ) -> pb.RollBackUpgradeResponse:
        """Ends a trial, or goes back to the previous version."""
        plugin = await self._cases.upgrades.roll_back(
            request.plugin_id, request.version, why=_why(request)
        )
        return pb.RollBackUpgradeResponse(plugin=plugin_snapshots.plugin(plugin))

    async def QuarantineVersion(
        self, request: pb.QuarantineVersionRequest, context: Any
    ) -> pb.QuarantineVersionResponse:
        """Takes a version out of use until it is released."""
        plugin = await self._cases.lifecycle.quarantine(
            request.plugin_id, request.version, why=_why(request)
        )
        return pb.QuarantineVersionResponse(plugin=plugin_snapshots.plugin(plugin))

    async def ReleaseVersion(
        self, request: pb.ReleaseVersionRequest, context: Any
    ) -> pb.ReleaseVersionResponse:
        """Takes a version back into use."""
        plugin = await self._cases.lifecycle.release(
            request.plugin_id, request.version, why=_why(request)
        )
        return pb.ReleaseVersionResponse(plugin=plugin_snapshots.plugin(plugin))

    async def StoreConformanceReport(
        self, request: pb.StoreConformanceReportRequest, context: Any
    ) -> pb.StoreConformanceReportResponse:
        """Stores a conformance report."""
        report = await self._cases.reports.store(
            request.plugin_id,
            request.version,
            request.schema_digest,
            request.report_json,
            why=_why(request),
        )
        summary = plugin_snapshots.report_summary(report)
        return pb.StoreConformanceReportResponse(report=summary)

    async def SetKillSwitch(
        self, request: pb.SetKillSwitchRequest, context: Any
    ) -> pb.SetKillSwitchResponse:
        """Stops operations at once."""
        switch = await self._cases.kills.set(
            tenant_id=request.tenant_id,
            plugin_id=request.plugin_id,
            operation=_kind(request.operation),
            why=_why(request),
        )
        return pb.SetKillSwitchResponse(kill_switch=plugin_snapshots.kill_switch(switch))

    async def ClearKillSwitch(
        self, request: pb.ClearKillSwitchRequest, context: Any
    ) -> pb.ClearKillSwitchResponse:
        """Lets operations through again."""
        cleared = await self._cases.kills.clear(
            tenant_id=request.tenant_id,
            plugin_id=request.plugin_id,
            operation=_kind(request.operation),
            why=_why(request),
        )
        return pb.ClearKillSwitchResponse(cleared=cleared)

    async def ListKillSwitches(
        self, request: pb.ListKillSwitchesRequest, context: Any
    ) -> pb.ListKillSwitchesResponse:
        """Lists the kill switches that are set."""
        size = reading.page_size(request)
        start = reading.page_start(request, str)
        place = start[0].split(" ") if start else ["", "", ""]
        if len(place) != 3:
            raise reading.page_token_invalid()
        plugin_id, tenant_id, operation = place
        found = await self._cases.kills.list(
            plugin_id=request.plugin_id,
            tenant_id=request.tenant_id,
            after=(plugin_id, tenant_id, operation),
            most=size + 1,
        )
        response = pb.ListKillSwitchesResponse(
            kill_switches=map(plugin_snapshots.kill_switch, found[:size])
        )
        if len(found) > size:
            last = found[size - 1]
            # One text, because a part of it may be empty and none holds a blank.
            text = f"{last.plugin_id} {last.tenant_id} {last.operation}"
            response.next_page_token = reading.next_page_token(request, text)
        return response


def _why(request: Any) -> plugin_events.Why:
    return plugin_events.by(reading.caller(), request.reason)


def _kind(operation: payment_pb2.Operation.Kind) -> str:
    if operation == payment_pb2.Operation.KIND_UNSPECIFIED:
        return ""
    return payment_pb2.Operation.Kind.Name(operation).removeprefix("KIND_").lower()


def _history(row: plugins.HistoryRow) -> plugin_admin_pb2.PluginHistoryEntry:
    pointers = sorted(row.before.keys() | row.after.keys())
    return plugin_admin_pb2.PluginHistoryEntry(
        plugin_id=row.plugin_id,
        revision=row.revision,
        actor=row.actor,
        reason=row.reason,
        event_type=row.event_type,
        changes=[
            value_change_pb2.ValueChange(
                json_pointer=pointer,
                old_json=_json(row.before, pointer),
                new_json=_json(row.after, pointer),
            )
            for pointer in pointers
        ],
        change_time=snapshots.timestamp(row.changed_us),
    )


def _json(values: Mapping[str, object], pointer: str) -> str:
    return json.dumps(values[pointer], ensure_ascii=False) if pointer in values else ""
