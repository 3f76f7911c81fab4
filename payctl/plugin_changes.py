"""Commands that change plugins: initialize, enable, disable, stop, uninstall, upgrade,
quarantine, release, kill, unkill.

Owns their options and their display. Called through `payctl.plugins`. Every one of them
asks for a reason, which the plugin's history keeps.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from google.protobuf.message import Message
from payhub.admin.v1 import plugin_admin_service_pb2 as pb
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import plugin_pb2

import payhub_client
from payctl import plugins, render, session
from payhub_client import errors

CascadeOption = Annotated[
    bool, typer.Option("--cascade", help="Disable the plugins that need it first.")
]
TenantOption = Annotated[str, typer.Option(help="Only this tenant; without it all.")]
OperationOption = Annotated[
    str, typer.Option(help="Only this kind, such as authorize or refund; without it all.")
]
_NOT_SET = (
    "no such switch is set: it may have been cleared before, perhaps by this command, if an answer "
    "was lost; see payctl plugins kills"
)


@plugins.app.command()
def initialize(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    as_json: session.JsonFlag = False,
) -> None:
    """Configure a registered plugin's bindings and wait until it is ready."""
    _run(ctx, as_json, lambda client, s: client.plugins.initialize(plugin_id, reason=reason, **s))


@plugins.app.command()
def enable(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="Enable the plugins it needs first.")
    ] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Let operations through to a plugin."""
    _run(
        ctx,
        as_json,
        lambda client, s: client.plugins.enable(
            plugin_id, reason=reason, with_dependencies=with_dependencies, **s
        ),
    )


@plugins.app.command()
def disable(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    cascade: CascadeOption = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Take a plugin out of routing and wait for its calls."""
    _run(
        ctx,
        as_json,
        lambda client, s: client.plugins.disable(plugin_id, reason=reason, cascade=cascade, **s),
    )


@plugins.app.command()
def stop(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    cascade: CascadeOption = False,
    grace: Annotated[
        float | None, typer.Option(min=0, max=300, help="Longest wait for calls, seconds.")
    ] = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Disable a plugin and drain its instances; enabling it later needs a fresh one."""
    _run(
        ctx,
        as_json,
        lambda client, s: client.plugins.stop(
            plugin_id, reason=reason, cascade=cascade, grace_s=grace, **s
        ),
    )


@plugins.app.command()
def uninstall(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Take a plugin off the allowlist, with its bindings and their secrets."""
    if not yes:
        text = f"delete {plugin_id}, its bindings and their secrets? Payments made with it "
        session.ask(text + "can't be refunded through Payhub any more", as_json=as_json)
    _run(ctx, as_json, lambda client, s: client.plugins.uninstall(plugin_id, reason=reason, **s))


@plugins.app.command()
def upgrade(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    version: Annotated[
        str, typer.Argument(help="The version to try or to leave; none to promote.")
    ] = "",
    *,
    reason: plugins.ReasonOption,
    percent: Annotated[
        int, typer.Option(min=1, max=100, help="Share of new operations for the version.")
    ] = 10,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make the version on trial the current one.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Leave the version, on trial or promoted.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, change nothing.")
    ] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Try another version on a share of operations, promote it, or go back."""
    if promote and (rollback or dry_run or version):
        raise typer.BadParameter(
            "--promote is about the version on trial: leave the version and other options out"
        )
    if not promote and not version:
        raise typer.BadParameter("name the version to try, or to leave with --rollback")
    if promote:
        _run(
            ctx,
            as_json,
            lambda client, s: client.plugins.promote_upgrade(plugin_id, reason=reason, **s),
        )
    elif rollback:
        _run(
            ctx,
            as_json,
            lambda client, s: _roll_back(client, plugin_id, version, reason=reason, **s),
        )
    else:
        _run(
            ctx,
            as_json,
            lambda client, s: client.plugins.start_upgrade(
                plugin_id, version, percent=percent, reason=reason, dry_run=dry_run, **s
            ),
        )


@plugins.app.command()
def quarantine(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    version: Annotated[str, typer.Argument(help="The version to take out of use.")],
    *,
    reason: plugins.ReasonOption,
    as_json: session.JsonFlag = False,
) -> None:
    """Take a version out of use until it is released."""
    _run(
        ctx,
        as_json,
        lambda client, s: client.plugins.quarantine(plugin_id, version, reason=reason, **s),
    )


@plugins.app.command()
def release(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    version: Annotated[str, typer.Argument(help="The version to take back into use.")],
    *,
    reason: plugins.ReasonOption,
    as_json: session.JsonFlag = False,
) -> None:
    """Take a quarantined version back into use."""
    _run(
        ctx,
        as_json,
        lambda client, s: client.plugins.release(plugin_id, version, reason=reason, **s),
    )


@plugins.app.command()
def kill(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    tenant: TenantOption = "",
    operation: OperationOption = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Stop operations at once; what is under way goes on, and is still looked up."""
    kind = _kind(operation)

    async def work(client: payhub_client.Client) -> session.Exit:
        switch = await client.plugins.kill(
            plugin_id,
            reason=reason,
            tenant_id=tenant,
            operation=kind,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(switch))
        else:
            plugins.write_kills([switch])
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@plugins.app.command()
def unkill(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    tenant: TenantOption = "",
    operation: OperationOption = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Clear exactly one kill switch; exit code 1 if no such switch is set."""
    kind = _kind(operation)

    async def work(client: payhub_client.Client) -> session.Exit:
        cleared = await client.plugins.unkill(
            plugin_id,
            reason=reason,
            tenant_id=tenant,
            operation=kind,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document({"cleared": cleared})
        else:
            render.note("cleared" if cleared else _NOT_SET)
        return session.Exit.OK if cleared else session.Exit.ERROR

    session.run(ctx, work, as_json=as_json)


async def _roll_back(
    client: payhub_client.Client, plugin_id: str, version: str, **options: Any
) -> Message:
    """Leave `version`; whoever names the one to go back to learns that nothing was done."""
    plugin = (await client.plugins.get(plugin_id, timeout_s=options["timeout_s"])).plugin
    if version == plugin.previous_version and version != plugin.canary_version:
        leave = f"payctl plugins upgrade {plugin_id} {plugin.current_version} --rollback"
        raise errors.StateConflict(
            f"nothing was changed: {version} is what {plugin_id} goes back to; name the version "
            f"to leave: {leave}",
            reason="UPGRADE_REFUSED",
        )
    return await client.plugins.roll_back_upgrade(plugin_id, version, **options)


def _run(
    ctx: typer.Context,
    as_json: bool,
    call: Callable[[payhub_client.Client, dict[str, Any]], Awaitable[Message]],
) -> None:
    """Make one call and show what it answers."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await call(client, {"timeout_s": session.timeout_s(ctx)})
        return shown(found, as_json)

    session.run(ctx, work, as_json=as_json)


def shown(found: Message, as_json: bool) -> session.Exit:
    """Write what a call answered."""
    if as_json:
        render.document(render.to_dict(found))
        return session.Exit.OK
    plugin = found if isinstance(found, plugin_pb2.Plugin) else getattr(found, "plugin", None)
    assert isinstance(plugin, plugin_pb2.Plugin)
    plugins.write(plugin)
    changed = list(getattr(found, "changed_plugin_ids", ()))
    if len(changed) > 1:
        render.note(f"changed, in this order: {', '.join(changed)}")
    if isinstance(found, pb.StopPluginResponse) and found.remaining_calls:
        render.note(f"{found.remaining_calls} calls were still running")
    if isinstance(found, pb.StartUpgradeResponse):
        render.table(
            ["binding", "tenant", "migrated", "changes", "findings"],
            [
                [
                    each.binding_id,
                    each.tenant_id,
                    "yes" if each.migrated else "",
                    "; ".join(change.json_pointer for change in each.changes),
                    "; ".join(f"{d.json_pointer}: {d.summary}" for d in each.diagnostics),
                ]
                for each in found.migrations
            ],
        )
    return session.Exit.OK


def _kind(name: str) -> Any:
    if not name:
        return payment_pb2.Operation.KIND_UNSPECIFIED
    try:
        return payment_pb2.Operation.Kind.Value(f"KIND_{name.upper()}")
    except ValueError:
        kinds = payment_pb2.Operation.DESCRIPTOR.enum_types_by_name["Kind"].values
        known = [each.name.removeprefix("KIND_").lower() for each in kinds]
        text = f"{name!r} is no operation; operations are {', '.join(known[1:])}"
        raise typer.BadParameter(text) from None
