"""Plugins as the contract shows them.

Owns the messages of plugins, their versions and kill switches, and which fields of two
snapshots differ. Called by the API and by events. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from payhub.admin.v1 import plugin_admin_pb2
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import manifest_pb2, plugin_pb2, plugin_service_pb2

from payment_service.domain import dependencies, plugins
from payment_service.usecases import snapshots

# They change with every change, so they tell nothing.
_ALWAYS = frozenset({"revision", "update_time"})
_STATUS = {
    True: plugin_pb2.PluginCondition.STATUS_TRUE,
    False: plugin_pb2.PluginCondition.STATUS_FALSE,
    None: plugin_pb2.PluginCondition.STATUS_UNKNOWN,
}


def plugin(found: plugins.Plugin) -> plugin_pb2.Plugin:
    """Returns a plugin as callers see it."""
    manifest = found.manifest
    message = plugin_pb2.Plugin(
        id=found.id,
        allowance=allowance(found.entry),
        state=snapshots.number(found.state),
        conditions=[condition(c, found.conditions[c]) for c in sorted(found.conditions)],
        revision=found.revision,
        metadata=manifest_pb2.PluginMetadata(
            name=manifest.name, description=manifest.description, author=manifest.author
        ),
        requested_permissions=manifest.permissions,
        dependencies=[
            _dependency(each)
            for each in dependencies.merge(manifest.dependencies, found.entry.dependencies)
        ],
        current_version=found.current_version,
        previous_version=found.previous_version,
        canary_version=found.canary_version,
        canary_percent=found.canary_percent,
        create_time=snapshots.timestamp(found.created_us),
        update_time=snapshots.timestamp(found.updated_us),
    )
    if found.failure is not None:
        name = f"TRANSITION_{found.failure.transition.name}"
        message.failure.CopyFrom(
            plugin_pb2.PluginFailure(
                transition=snapshots.number(plugin_pb2.Plugin.Transition.Value(name)),
                reason=found.failure.reason,
                detail=found.failure.detail,
                fail_time=snapshots.timestamp(found.failure.failed_us),
            )
        )
    return message


def allowance(entry: plugins.Entry) -> plugin_pb2.PluginAllowance:
    """Returns an entry of the allowlist; an empty one for a plugin that is not on it."""
    if not entry.allowed:
        return plugin_pb2.PluginAllowance(plugin_id=entry.plugin_id)
    return plugin_pb2.PluginAllowance(
        plugin_id=entry.plugin_id,
        kind=snapshots.number(entry.kind),
        version_specifier=entry.version_specifier,
        endpoint_pattern=entry.endpoint_pattern,
        permissions=entry.permissions,
        priority=entry.priority,
        dependencies=[_dependency(each) for each in entry.dependencies],
        static_endpoint=entry.static_endpoint,
        requires_report=entry.requires_report,
    )


def entry(message: plugin_pb2.PluginAllowance) -> plugins.Entry:
    """Returns what an operator wants an entry of the allowlist to be."""
    return plugins.Entry(
        plugin_id=message.plugin_id,
        kind=message.kind,
        version_specifier=message.version_specifier,
        endpoint_pattern=message.endpoint_pattern,
        permissions=tuple(message.permissions),
        priority=message.priority,
        dependencies=tuple(map(dependency, message.dependencies)),
        static_endpoint=message.static_endpoint,
        requires_report=message.requires_report,
    )


def _dependency(each: plugins.Dependency) -> manifest_pb2.PluginDependency:
    return manifest_pb2.PluginDependency(
        plugin_id=each.plugin_id,
        version_specifier=each.version_specifier,
        required=each.required,
    )


def dependency(message: manifest_pb2.PluginDependency) -> plugins.Dependency:
    """Returns a dependency as the domain has it."""
    return plugins.Dependency(
        plugin_id=message.plugin_id,
        version_specifier=message.version_specifier,
        required=message.required,
    )


def manifest(handshake: plugin_service_pb2.HandshakeResponse) -> plugins.Manifest:
    """Returns what a plugin said of itself in a handshake."""
    return plugins.Manifest(
        name=handshake.metadata.name,
        author=handshake.metadata.author,
        description=handshake.metadata.description,
        permissions=tuple(handshake.requested_permissions),
        dependencies=tuple(map(dependency, handshake.dependencies)),
    )


def condition(
    kind: plugins.Condition, status: plugins.ConditionStatus
) -> plugin_pb2.PluginCondition:
    """Returns a condition as callers see it."""
    return plugin_pb2.PluginCondition(
        type=snapshots.number(kind),
        status=_STATUS[status.holds],
        reason=status.reason,
        detail=status.detail,
        change_time=snapshots.timestamp(status.since_us) if status.since_us else None,
    )


def version(
    found: plugins.Version, report: plugins.Report | None
) -> plugin_admin_pb2.PluginVersion:
    """Returns a version with the newest report on it."""
    message = plugin_admin_pb2.PluginVersion(
        version=found.version,
        handshake=plugin_service_pb2.HandshakeResponse.FromString(found.handshake),
        first_seen_time=snapshots.timestamp(found.first_seen_us),
        quarantine_reason=found.quarantine_reason,
    )
    if found.quarantined_us:
        message.quarantine_time.CopyFrom(snapshots.timestamp(found.quarantined_us))
    if report is not None:
        message.report.CopyFrom(report_summary(report))
    return message


def report_summary(report: plugins.Report) -> plugin_admin_pb2.ReportSummary:
    """Returns a report in short."""
    return plugin_admin_pb2.ReportSummary(
        passed=report.passed,
        schema_digest=report.schema_digest,
        actor=report.actor,
        store_time=snapshots.timestamp(report.stored_us),
    )


def kill_switch(switch: plugins.KillSwitch) -> plugin_admin_pb2.KillSwitch:
    """Returns a kill switch as callers see it."""
    return plugin_admin_pb2.KillSwitch(
        tenant_id=switch.tenant_id,
        plugin_id=switch.plugin_id,
        operation=_operation(switch.operation),
        actor=switch.actor,
        reason=switch.reason,
        set_time=snapshots.timestamp(switch.set_us),
    )


def _operation(name: str) -> Any:
    return payment_pb2.Operation.Kind.Value(f"KIND_{name.upper()}" if name else "KIND_UNSPECIFIED")


def changed(before: plugin_pb2.Plugin, after: plugin_pb2.Plugin) -> list[str]:
    """Returns the fields that differ, in the order of the contract."""
    return [
        field.name
        for field in after.DESCRIPTOR.fields
        if field.name not in _ALWAYS and getattr(before, field.name) != getattr(after, field.name)
    ]


def differences(
    before: plugin_pb2.Plugin, after: plugin_pb2.Plugin
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Returns what differs, by JSON pointer: the values before and those after.

    A list is one value. What one side does not have is missing there.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    pointers = sorted(p for p in old.keys() | new.keys() if old.get(p) != new.get(p))
    return (
        {pointer: old[pointer] for pointer in pointers if pointer in old},
        {pointer: new[pointer] for pointer in pointers if pointer in new},
    )


def _leaves(message: plugin_pb2.Plugin) -> Iterator[tuple[str, object]]:
    content = json_format.MessageToDict(message, preserving_proto_field_name=True)
    # A condition is found by its type, wherever in the list it is.
    conditions = {each.pop("type"): each for each in content.pop("conditions", [])}
    for name, value in ({**content, "conditions": conditions}).items():
        if name not in _ALWAYS:
            yield from _walk(f"/{name}", value)


def _walk(pointer: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(f"{pointer}/{name}", inner)
    else:
        yield pointer, value
