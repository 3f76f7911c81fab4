"""Commands on what providers told by webhook: list, show, replay.

Owns their options and display. Called through `payctl.webhooks`. Never shows a body unless it
is asked for.
"""

import json
from typing import Annotated, cast

import rich.text
import typer
from payhub.admin.v1 import inbound_webhook_service_pb2 as pb

import payhub_client
from payctl import render, session

app = typer.Typer(no_args_is_help=True, help="What providers told, and what became of it.")

_STATES = {value: name.removeprefix("STATE_") for name, value in pb.InboundWebhook.State.items()}
_BY_NAME = {
    name.removeprefix("STATE_").lower(): cast("pb.InboundWebhook.State", value)
    for name, value in pb.InboundWebhook.State.items()
    if value
}
WebhookId = Annotated[str, typer.Argument(help="Webhook, whk_...")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    provider: Annotated[str, typer.Option(help="Only of this provider.")] = "",
    tenant: Annotated[str, typer.Option(help="Only of this tenant.")] = "",
    state: Annotated[str, typer.Option(help=f"One of {', '.join(_BY_NAME)}.")] = "",
    event: Annotated[str, typer.Option(help="Only of this event of the provider.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most webhooks to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List webhooks, newest first."""
    if state and state.lower() not in _BY_NAME:
        wrong = f"{state!r} is no state; the states are {', '.join(_BY_NAME)}"
        raise typer.BadParameter(wrong)

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.inbound_webhooks.list_page(
            provider=provider,
            tenant_id=tenant,
            state=_BY_NAME.get(state.lower(), pb.InboundWebhook.STATE_UNSPECIFIED),
            provider_event_id=event,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["webhook", "provider", "tenant", "state", "event", ">tries", "detail", "received"],
            (_row(each) for each in page.webhooks),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command("show")
def show(
    ctx: typer.Context,
    webhook_id: WebhookId,
    *,
    body: Annotated[bool, typer.Option("--body", help="Also what was sent.")] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Show one webhook and what it changed."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        found = await client.inbound_webhooks.get(webhook_id, timeout_s=timeout_s)
        if as_json:
            content = render.to_dict(found)
            if not body:
                content.pop("body", None)
            render.document(content)
            return session.Exit.OK
        _show(found.webhook)
        if body:
            typer.echo(readable(found.body))
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command("replay")
def replay(ctx: typer.Context, webhook_id: WebhookId, *, as_json: session.JsonFlag = False) -> None:
    """Apply a stored webhook again; what it tells is applied once all the same."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        found = await client.inbound_webhooks.replay(webhook_id, timeout_s=timeout_s)
        if as_json:
            render.document(render.to_dict(found))
        else:
            _show(found)
        done = {
            pb.InboundWebhook.STATE_APPLIED,
            pb.InboundWebhook.STATE_DUPLICATE,
            pb.InboundWebhook.STATE_IGNORED,
        }
        return session.Exit.OK if found.state in done else session.Exit.UNDECIDED

    session.run(ctx, work, as_json=as_json)


def _show(found: pb.InboundWebhook) -> None:
    render.fields(
        {
            "webhook": found.id,
            "provider": found.provider,
            "binding": found.binding_id,
            "tenant": found.tenant_id,
            "state": render.state(_STATES.get(found.state, str(found.state))),
            "event": found.event_type,
            "event id": found.provider_event_id,
            "answered": str(found.http_status or ""),
            "tries": str(found.attempts),
            "changed": " ".join(found.entity_ids),
            "detail": found.detail,
            "next try": render.moment(found.next_attempt_time)
            if found.HasField("next_attempt_time")
            else "",
            "received": render.moment(found.receive_time),
        }
    )


def readable(body: bytes) -> str:
    """Return what was sent for people: JSON indented, other text with nothing to obey in it."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except (ValueError, RecursionError):
        lines = body.decode(errors="replace").split("\n")
        return "\n".join(render.plain(each) for each in lines)


def _row(found: pb.InboundWebhook) -> list[str | rich.text.Text]:
    return [
        found.id,
        found.provider,
        found.tenant_id,
        render.state(_STATES.get(found.state, str(found.state))),
        found.event_type,
        str(found.attempts),
        found.detail,
        render.moment(found.receive_time),
    ]
