"""Commands that look at plugins: list, show, health, history, kills.

Owns their options and their display, and the application that the commands of
`payctl.plugin_changes` are added to. Called through `payctl.commands`.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from google.protobuf import timestamp_pb2
from payhub.admin.v1 import health_pb2, plugin_admin_pb2
from payhub.admin.v1 import plugin_admin_service_pb2 as pb
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import capability_pb2, plugin_pb2
from payhub.registry.v1 import registry_service_pb2

import payhub_client
from payctl import render, session

app = typer.Typer(
    no_args_is_help=True, help="Plugins: which may come, what is wanted of them, how they do."
)

PluginId = Annotated[str, typer.Argument(metavar="PLUGIN", help="Plugin id, such as mock.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the plugin's history.")]
LimitOption = Annotated[int, typer.Option(min=1, max=200, help="Most entries to show.")]

_Condition = plugin_pb2.PluginCondition
_Breaker = plugin_admin_pb2.PluginBreaker


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only this state, such as enabled or uninstalled; may be repeated."),
    ] = None,
    active: Annotated[bool, typer.Option("--active", help="Only enabled and ready ones.")] = False,
    limit: LimitOption = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List plugins and what is wanted and observed of them."""
    states = [_state(each) for each in state or []]

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.plugins.list_page(
            states=states,
            active_only=active,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["plugin", "state", "version", "ready", "trouble", "endpoint", "since"],
            (
                [
                    each.id,
                    render.state(state_name(each)),
                    versions(each),
                    _holds(each, _Condition.TYPE_READY),
                    trouble(each),
                    each.allowance.static_endpoint or each.allowance.endpoint_pattern,
                    render.moment(each.update_time),
                ]
                for each in page.plugins
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def show(ctx: typer.Context, plugin_id: PluginId, as_json: session.JsonFlag = False) -> None:
    """Show a plugin, its allowance, its conditions, its versions and what they can do."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.plugins.get(plugin_id, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(found))
            return session.Exit.OK
        write(found.plugin)
        render.table(
            ["version", "first seen", "capabilities", "quarantined", "report", "schema"],
            [
                [
                    each.version,
                    render.moment(each.first_seen_time),
                    _capabilities(each),
                    _quarantine(each),
                    _report(each),
                    each.handshake.schema_digest[:19],
                ]
                for each in found.versions
            ],
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def health(ctx: typer.Context, plugin_id: PluginId, as_json: session.JsonFlag = False) -> None:
    """Show how a plugin is doing now; exit code 1 if it is degraded."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.plugins.health(plugin_id, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(found))
        else:
            _write_health(found)
        degraded = found.health == health_pb2.HEALTH_DEGRADED
        return session.Exit.ERROR if degraded else session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def history(
    ctx: typer.Context,
    plugin_id: PluginId,
    *,
    limit: LimitOption = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Show what happened to a plugin, who did it and why, newest first."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.plugins.history_page(
            plugin_id,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            [">revision", "when", "what", "who", "why", "changes"],
            (
                [
                    str(each.revision),
                    render.moment(each.change_time),
                    each.event_type,
                    each.actor,
                    each.reason,
                    "; ".join(
                        f"{change.json_pointer}: {change.old_json or '-'} → "
                        f"{change.new_json or '-'}"
                        for change in each.changes
                        # `when` says it.
                        if not change.json_pointer.endswith(("/change_time", "/create_time"))
                    ),
                ]
                for each in page.entries
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def kills(
    ctx: typer.Context,
    *,
    plugin: Annotated[str, typer.Option(help="Only this plugin.")] = "",
    tenant: Annotated[str, typer.Option(help="Only switches of exactly this tenant.")] = "",
    limit: LimitOption = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List the kill switches that are set."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.plugins.kills_page(
            plugin_id=plugin,
            tenant_id=tenant,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(page))
            return session.Exit.OK
        write_kills(page.kill_switches)
        render.more(page.next_page_token)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def state_name(plugin: plugin_pb2.Plugin) -> str:
    """Return a plugin's state without its prefix."""
    return plugin_pb2.Plugin.State.Name(plugin.state).removeprefix("STATE_")


def versions(plugin: plugin_pb2.Plugin) -> str:
    """Return which versions take new operations."""
    if not plugin.canary_version:
        return plugin.current_version
    return f"{plugin.current_version}, {plugin.canary_percent} % {plugin.canary_version}"


def trouble(plugin: plugin_pb2.Plugin) -> str:
    """Return what is wrong with a plugin, '' if nothing is known to be."""
    if plugin.state == plugin_pb2.Plugin.STATE_ERROR:
        return plugin.failure.detail
    return "; ".join(each.detail or each.reason for each in plugin.conditions if _is_trouble(each))


def _is_trouble(condition: plugin_pb2.PluginCondition) -> bool:
    if condition.type == _Condition.TYPE_QUARANTINED:
        return condition.status == _Condition.STATUS_TRUE
    if condition.type == _Condition.TYPE_UPGRADING:
        return False
    return condition.status == _Condition.STATUS_FALSE


def write(plugin: plugin_pb2.Plugin) -> None:
    """Write a plugin for people."""
    allowance, told = plugin.allowance, plugin.metadata
    failed = plugin_pb2.Plugin.Transition.Name(plugin.failure.transition)
    step = failed.removeprefix("TRANSITION_").lower()
    granted = set(allowance.permissions)
    not_granted = [each for each in plugin.requested_permissions if each not in granted]
    render.fields(
        {
            "plugin": plugin.id,
            "name": told.name,
            "author": told.author,
            "description": told.description,
            "state": render.state(state_name(plugin)),
            "failed": f"{step}: {plugin.failure.detail}" if plugin.failure.reason else "",
            "version": versions(plugin),
            "previous version": plugin.previous_version,
            "versions allowed": allowance.version_specifier,
            "static endpoint": allowance.static_endpoint,
            "endpoints allowed": allowance.endpoint_pattern,
            "permissions": ", ".join(allowance.permissions),
            "asked for, not granted": ", ".join(not_granted),
            "needs": ", ".join(
                f"{each.plugin_id}{each.version_specifier}{'' if each.required else ' (optional)'}"
                for each in plugin.dependencies
            ),
            "report required": "yes" if allowance.requires_report else "",
            "revision": str(plugin.revision),
            "changed": render.moment(plugin.update_time),
        }
    )
    write_conditions(plugin.conditions)


def write_conditions(conditions: Iterable[plugin_pb2.PluginCondition]) -> None:
    """Write conditions as a table."""
    render.table(
        ["condition", "holds", "reason", "detail", "since"],
        [
            [
                _Condition.Type.Name(each.type).removeprefix("TYPE_").lower(),
                _status(each),
                each.reason,
                each.detail,
                render.moment(each.change_time),
            ]
            for each in conditions
        ],
    )


def write_kills(switches: Iterable[plugin_admin_pb2.KillSwitch]) -> None:
    """Write kill switches as a table."""
    render.table(
        ["plugin", "tenant", "operation", "who", "why", "since"],
        [
            [
                each.plugin_id,
                each.tenant_id or "all",
                _operation(each.operation),
                each.actor,
                each.reason,
                render.moment(each.set_time),
            ]
            for each in switches
        ],
    )


def _write_health(found: pb.GetPluginHealthResponse) -> None:
    word = health_pb2.Health.Name(found.health).removeprefix("HEALTH_").lower()
    state = plugin_pb2.Plugin.State.Name(found.state).removeprefix("STATE_")
    render.fields({"health": word, "state": render.state(state)})
    write_conditions(found.conditions)
    render.table(
        ["instance", "version", "endpoint", "ready", "core wants", "lease until", "detail"],
        [
            [
                each.instance_id,
                each.version,
                each.endpoint,
                "yes" if each.ready else "NO",
                registry_service_pb2.Directive.Name(each.directive).removeprefix("DIRECTIVE_"),
                "static" if each.static else render.moment(each.lease_expire_time),
                each.detail,
            ]
            for each in found.instances
        ],
    )
    if found.breakers:
        render.table(
            ["breaker of tenant", "calls", "state", ">failures", "tries again", "reason"],
            [
                [
                    each.tenant_id,
                    _Breaker.RpcClass.Name(each.rpc_class).removeprefix("RPC_CLASS_").lower(),
                    _Breaker.State.Name(each.state).removeprefix("STATE_"),
                    str(each.failures),
                    render.moment(each.retry_time),
                    each.last_reason,
                ]
                for each in found.breakers
            ],
        )
    if found.kill_switches:
        write_kills(found.kill_switches)


def _state(name: str) -> Any:
    try:
        return plugin_pb2.Plugin.State.Value(f"STATE_{name.upper()}")
    except ValueError:
        states = plugin_pb2.Plugin.DESCRIPTOR.enum_types_by_name["State"].values
        known = [each.name.removeprefix("STATE_").lower() for each in states]
        message = f"{name!r} is no state; states are {', '.join(known[1:])}"
        raise typer.BadParameter(message) from None


def _holds(plugin: plugin_pb2.Plugin, kind: plugin_pb2.PluginCondition.Type) -> str:
    return next((_status(each) for each in plugin.conditions if each.type == kind), "?")


def _status(condition: plugin_pb2.PluginCondition) -> str:
    match condition.status:
        case _Condition.STATUS_TRUE:
            return "yes"
        case _Condition.STATUS_FALSE:
            return "no"
        case _:
            return "?"


def _operation(kind: payment_pb2.Operation.Kind) -> str:
    if kind == payment_pb2.Operation.KIND_UNSPECIFIED:
        return "all"
    return payment_pb2.Operation.Kind.Name(kind).removeprefix("KIND_").lower()


def _quarantine(version: plugin_admin_pb2.PluginVersion) -> str:
    since: timestamp_pb2.Timestamp = version.quarantine_time
    return f"{render.moment(since)} {version.quarantine_reason}".strip()


def _capabilities(version: plugin_admin_pb2.PluginVersion) -> str:
    names = capability_pb2.Capability.DESCRIPTOR.values_by_number
    return ", ".join(
        (names[each.capability].name if each.capability in names else str(each.capability))
        .removeprefix("CAPABILITY_")
        .lower()
        + ("" if each.enabled else f" (off: {each.disabled_reason})")
        for each in version.handshake.capabilities
    )


def _report(version: plugin_admin_pb2.PluginVersion) -> str:
    if not version.HasField("report"):
        return ""
    word = "passed" if version.report.passed else "FAILED"
    return f"{word} {render.moment(version.report.store_time)}"
