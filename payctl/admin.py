"""Commands for operators: status, keys create, keys list, keys revoke.

Owns their options and their display. Called through `payctl.commands`. Prints the secret
of a new key once, on stdout, and nowhere else.
"""

from typing import Annotated

import typer
from payhub.admin.v1 import health_pb2, status_service_pb2
from payhub.events.v1 import event_stream_service_pb2

import payhub_client
from payctl import render, session
from payhub_client import errors

# What an operator reads at once; `payctl plugins health` tells the rest.
REASONS_MAX = 5
# Where core stops counting what waits.
WAITING_MAX = 100_000
_HEALTH = {
    health_pb2.HEALTH_UNSPECIFIED: "",
    health_pb2.HEALTH_HEALTHY: "healthy",
    health_pb2.HEALTH_DEGRADED: "degraded",
}

keys = typer.Typer(no_args_is_help=True, help="API keys.")


def status(ctx: typer.Context, as_json: session.JsonFlag = False) -> None:
    """Show how the installation is doing; exit code 1 if a part of it is not well.

    The key needs the scopes admin and events:read.
    """

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        found: status_service_pb2.GetStatusResponse | errors.PayhubError
        log: event_stream_service_pb2.GetLogInfoResponse | errors.PayhubError
        try:
            found = await client.status.get(timeout_s=timeout_s)
        except errors.PayhubError as error:
            found = error
        try:
            log = await client.events.log_info(timeout_s=timeout_s)
        except errors.PayhubError as error:
            log = error
        if as_json:
            render.document({"payments": _part(found), "events": _part(log)})
        else:
            _write_status(found)
            write_log(log)
        return session.Exit.OK if _well(found, log) else session.Exit.ERROR

    session.run(ctx, work, as_json=as_json)


@keys.command()
def create(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="payments:read, payments:write, events:read, events:publish, "
            "plugins:register, webhooks:manage or admin; may be repeated."
        ),
    ],
    tenant: Annotated[str, typer.Option(help="Tenant that it acts for.")] = "default",
    plugin: Annotated[
        str, typer.Option(help="The plugin that will carry it; it is good for no other.")
    ] = "",
    publish: Annotated[
        list[str] | None,
        typer.Option(help="Event type that it may publish, such as user.*; may be repeated."),
    ] = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make an API key and show its secret, this once."""

    async def work(client: payhub_client.Client) -> session.Exit:
        made = await client.keys.create(
            tenant_id=tenant,
            scopes=scope,
            name=name,
            plugin_id=plugin,
            publish_types=publish or (),
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(made))
            return session.Exit.OK
        render.fields(
            {
                "key": made.key.id,
                "tenant": made.key.tenant_id,
                "plugin": made.key.plugin_id,
                "scopes": ", ".join(made.key.scopes),
                "publishes": ", ".join(made.key.publish_types),
                "secret": made.secret,
            }
        )
        render.note("store the secret now: it is not shown again")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@keys.command("list")
def list_(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most keys to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List API keys without their secrets, newest first."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.keys.list_page(
            tenant_id=tenant,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["key", "tenant", "name", "scopes", "created", "revoked"],
            (
                [
                    key.id,
                    key.tenant_id,
                    key.name,
                    ", ".join(key.scopes),
                    render.moment(key.create_time),
                    render.moment(key.revoke_time),
                ]
                for key in page.keys
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@keys.command()
def revoke(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Argument(help="The key's id, which is no secret.")],
    as_json: session.JsonFlag = False,
) -> None:
    """Revoke an API key for good."""

    async def work(client: payhub_client.Client) -> session.Exit:
        key = await client.keys.revoke(key_id, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(key))
        else:
            render.fields({"key": key.id, "revoked": render.moment(key.revoke_time)})
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _part(
    found: status_service_pb2.GetStatusResponse
    | event_stream_service_pb2.GetLogInfoResponse
    | errors.PayhubError,
) -> dict[str, object]:
    if isinstance(found, errors.PayhubError):
        reason = found.reason or type(found).__name__
        return {"error": {"reason": reason, "message": found.message}}
    return render.to_dict(found)


def _well(
    found: status_service_pb2.GetStatusResponse | errors.PayhubError,
    log: event_stream_service_pb2.GetLogInfoResponse | errors.PayhubError,
) -> bool:
    if isinstance(found, errors.PayhubError) or isinstance(log, errors.PayhubError):
        return False
    providers_ready = all(each.ready for each in found.providers if each.default)
    healthy = found.health != health_pb2.HEALTH_DEGRADED
    return providers_ready and healthy and not found.outbox.blocked


def _write_status(found: status_service_pb2.GetStatusResponse | errors.PayhubError) -> None:
    if isinstance(found, errors.PayhubError):
        render.fields({"payment service": _unseen(found)})
        return
    doubts = render.moment(found.oldest_doubt_time)
    render.fields(
        {
            "payment service": found.version,
            "health": _HEALTH.get(found.health, "degraded"),
            "because": "; ".join(found.health_reasons[:REASONS_MAX]),
            "kill switches": str(found.kill_switches) if found.kill_switches else "",
            "events waiting": _waiting(found.outbox),
            "events blocked": str(found.outbox.blocked) if found.outbox.blocked else "",
            "oldest waiting": render.moment(found.outbox.oldest_time),
            "open operations": ", ".join(
                f"{each.count} {each.state.removeprefix('STATE_').lower()}"
                for each in found.open_operations
            )
            or "none",
            "oldest doubt": doubts,
        }
    )
    render.table(
        ["provider", "ready", "endpoint", "version", "detail"],
        [
            [
                f"{each.provider} (default)" if each.default else each.provider,
                "yes" if each.ready else "NO",
                each.endpoint,
                each.plugin_version,
                each.detail,
            ]
            for each in found.providers
        ],
    )


def _unseen(failure: errors.PayhubError) -> str:
    """Return why a part was not seen: one that refuses the key is there."""
    refused = isinstance(failure, errors.PermissionDenied | errors.Unauthenticated)
    return f"answers, but not this key: {failure}" if refused else f"no answer: {failure}"


def _waiting(outbox: status_service_pb2.OutboxStatus) -> str:
    more = outbox.waiting >= WAITING_MAX
    return f"{outbox.waiting} or more" if more else str(outbox.waiting)


def write_log(log: event_stream_service_pb2.GetLogInfoResponse | errors.PayhubError) -> None:
    """Write how the event gateway is doing."""
    if isinstance(log, errors.PayhubError):
        render.fields({"event gateway": _unseen(log)})
        return
    render.fields(
        {
            "event gateway": "answers",
            "log epoch": log.log_epoch,
            "head position": str(log.head_position),
            "newest event": render.moment(log.head_append_time),
        }
    )
