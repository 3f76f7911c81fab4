"""Commands on webhook endpoints: `payctl webhooks out`.

Owns their options and their display. Called through `payctl.webhooks`. Shows a secret
once, where the gateway does.
"""

import datetime
import uuid
from typing import Annotated

import typer
from payhub.events.v1 import webhook_pb2

import payhub_client
from payctl import durations, render, session
from payhub_client import webhooks

app = typer.Typer(no_args_is_help=True, help="Endpoints that events are sent to.")

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Endpoint id, whe_...")]
Types = Annotated[
    list[str] | None,
    typer.Option("--types", help="Exact type or prefix such as payment.*; may be repeated."),
]
Limit = Annotated[int, typer.Option(min=1, max=100, help="Most entries to show.")]

# Characters of an answer's body that a list shows; JSON has all that is kept.
_SAID_MAX = 120

_Endpoint = webhook_pb2.WebhookEndpoint
_Delivery = webhook_pb2.WebhookDelivery


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List endpoints and how they do."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.webhooks.list_page(
            page_size=limit, page_token=page_token, timeout_s=session.timeout_s(ctx)
        )
        render.page(
            page,
            ["endpoint", "state", "url", "types", ">queued", ">failed", "failing since"],
            (
                [
                    each.endpoint.id,
                    _state(each.endpoint),
                    each.endpoint.url,
                    ", ".join(each.endpoint.types) or "all",
                    str(each.status.queued),
                    str(each.status.failed),
                    render.moment(each.status.failing_since),
                ]
                for each in page.endpoints
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def show(ctx: typer.Context, endpoint: EndpointId, as_json: session.JsonFlag = False) -> None:
    """Show an endpoint and how it does."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.webhooks.get(endpoint, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(found))
            return session.Exit.OK
        shown, status = found.endpoint, found.status
        render.fields(
            {
                "endpoint": shown.id,
                "state": _state(shown),
                "why": shown.disabled_reason,
                "url": shown.url,
                "types": ", ".join(shown.types) or "all",
                "description": shown.description,
                "order": "per entity" if shown.ordered else "none",
                "payload": "left out" if shown.thin else "sent",
                "in flight": f"at most {shown.max_in_flight}",
                "answer within": f"{shown.timeout.ToMicroseconds() / 1e6:g} s",
                "waits": ", ".join(durations.show(each.seconds) for each in shown.retry_schedule),
                "made": render.moment(shown.create_time),
                "queued": str(status.queued),
                "failed": str(status.failed),
                "last success": render.moment(status.last_success_time),
                "failing since": render.moment(status.failing_since),
            }
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def create(  # one argument per option
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="Where to: https://...")],
    *,
    types: Types = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    ordered: Annotated[
        bool, typer.Option("--ordered", help="One event of an entity after the other; slower.")
    ] = False,
    thin: Annotated[bool, typer.Option("--thin", help="Leave the payload out.")] = False,
    in_flight: Annotated[int, typer.Option(min=1, max=100, help="Requests at a time.")] = 8,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make an endpoint and show its secret."""
    key = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        made = await client.webhooks.create(
            url,
            types or (),
            description=description,
            ordered=ordered,
            thin=thin,
            max_in_flight=in_flight,
            key=key,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(made))
        else:
            render.fields({"endpoint": made.endpoint.id, "secret": made.secret})
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json, key=key)


@app.command()
def update(
    ctx: typer.Context,
    endpoint: EndpointId,
    *,
    url: Annotated[str | None, typer.Option(help="Where to.")] = None,
    types: Types = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    in_flight: Annotated[
        int | None, typer.Option(min=1, max=100, help="Requests at a time.")
    ] = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Change what is given and leave the rest."""
    given = {"url": url, "types": types, "description": description, "max_in_flight": in_flight}
    fields = {name: value for name, value in given.items() if value is not None}
    if not fields:
        wrong = "give something to change"
        raise typer.BadParameter(wrong)
    change = _Endpoint(id=endpoint, **fields)  # type: ignore[arg-type]
    _change(ctx, change, list(fields), "is changed", as_json=as_json)


@app.command()
def pause(ctx: typer.Context, endpoint: EndpointId, as_json: session.JsonFlag = False) -> None:
    """Send nothing; events queue up."""
    change = _Endpoint(id=endpoint, state=_Endpoint.STATE_PAUSED)
    _change(ctx, change, ["state"], "is paused", as_json=as_json)


@app.command()
def enable(ctx: typer.Context, endpoint: EndpointId, as_json: session.JsonFlag = False) -> None:
    """Send again: what queued up while paused, or what comes from now on if it was disabled."""
    change = _Endpoint(id=endpoint, state=_Endpoint.STATE_ENABLED)
    _change(ctx, change, ["state"], "is enabled", as_json=as_json)


@app.command()
def disable(ctx: typer.Context, endpoint: EndpointId, as_json: session.JsonFlag = False) -> None:
    """Send nothing; events pass by."""
    change = _Endpoint(id=endpoint, state=_Endpoint.STATE_DISABLED)
    _change(ctx, change, ["state"], "is disabled", as_json=as_json)


@app.command()
def delete(ctx: typer.Context, endpoint: EndpointId, as_json: session.JsonFlag = False) -> None:
    """Delete an endpoint, its secrets and its log."""

    async def work(client: payhub_client.Client) -> session.Exit:
        # Deleting what is not there succeeds, and would tell a mistyped id as gone.
        await client.webhooks.get(endpoint, timeout_s=session.timeout_s(ctx))
        await client.webhooks.delete(endpoint, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document({"deleted": endpoint})
        else:
            render.note(f"endpoint {endpoint} is gone")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(
    ctx: typer.Context,
    endpoint: EndpointId,
    *,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0, max=2_592_000, help="Seconds that the old one signs too; 24 h if absent."
        ),
    ] = None,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make a new secret and show it."""
    key = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        made = await client.webhooks.rotate_secret(
            endpoint, overlap_s=overlap, key=key, timeout_s=session.timeout_s(ctx)
        )
        if as_json:
            render.document(render.to_dict(made))
        else:
            until = render.moment(made.previous_expire_time)
            render.fields({"secret": made.secret, "the old one signs until": until})
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json, key=key)


@app.command("test")
def send_test(ctx: typer.Context, endpoint: EndpointId, as_json: session.JsonFlag = False) -> None:
    """Send a synthetic event now; exit code 3 if it is not taken."""

    async def work(client: payhub_client.Client) -> session.Exit:
        done = await client.webhooks.test(endpoint, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(done))
        else:
            render.fields(
                {
                    "taken": "yes" if done.delivered else "no",
                    "answer": _answer(done.attempt),
                    "after": f"{done.attempt.elapsed.ToMicroseconds() / 1000:.0f} ms",
                    "body": done.attempt.response_excerpt,
                }
            )
        return session.Exit.OK if done.delivered else session.Exit.REFUSED

    session.run(ctx, work, as_json=as_json)


@app.command()
def deliveries(
    ctx: typer.Context,
    endpoint: EndpointId,
    *,
    state: Annotated[str, typer.Option(help="Only pending, delivered or failed ones.")] = "",
    event: Annotated[str, typer.Option("--event", help="Only of this event.")] = "",
    limit: Limit = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Show what was sent, newest first, with the last answer."""
    if state not in ("", "pending", "delivered", "failed"):
        wrong = f"{state!r} is not one of pending, delivered, failed"
        raise typer.BadParameter(wrong)

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.webhooks.deliveries_page(
            endpoint,
            state=state,
            event_id=event,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["event", "type", "state", ">attempts", "last sent", "answer", "next"],
            (
                [
                    each.event_id,
                    each.event_type,
                    render.state(_Delivery.State.Name(each.state)[6:]),
                    str(each.attempts[-1].number),
                    render.moment(each.attempts[-1].send_time),
                    _answer_and_why(each.attempts[-1]),
                    render.moment(each.next_attempt_time),
                ]
                for each in page.deliveries
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def retry(
    ctx: typer.Context,
    endpoint: EndpointId,
    *,
    event: Annotated[str, typer.Option("--event", help="This event, sent before or not.")] = "",
    failed_since: Annotated[
        datetime.datetime | None, typer.Option(help="What was given up since then, UTC.")
    ] = None,
    since: Annotated[
        datetime.datetime | None, typer.Option(help="Everything accepted since then, UTC.")
    ] = None,
    after: Annotated[str, typer.Option("--after", help="Everything after this cursor.")] = "",
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Everything that is kept.")
    ] = False,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Send again, with the same webhook-id."""
    ways = [bool(event), failed_since is not None, since is not None, bool(after), from_start]
    if ways.count(True) != 1:
        wrong = "give one of --event, --failed-since, --since, --after, --from-start"
        raise typer.BadParameter(wrong)
    key = key or payhub_client.new_key()
    failed = failed_since.replace(tzinfo=datetime.UTC) if failed_since else None
    replay = since.replace(tzinfo=datetime.UTC) if since else None

    async def work(client: payhub_client.Client) -> session.Exit:
        queued, once = 0, key
        while True:
            count = await client.webhooks.retry(
                endpoint,
                event_id=event,
                failed_since=failed,
                replay_since=replay,
                replay_after=after,
                replay_all=from_start,
                key=once,
                timeout_s=session.timeout_s(ctx),
            )
            queued += count
            if failed is None or count < webhooks.FAILED_AT_ONCE:
                break
            # Made from the one before, so that the command's own key repeats all of them.
            once = str(uuid.uuid5(uuid.NAMESPACE_OID, once))
        if as_json:
            render.document({"queued": queued})
        elif event and not queued:
            render.note(f"{event} is on its way already; nothing is sent again")
        else:
            render.note(f"{queued} events are sent again")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json, key=key)


def _change(
    ctx: typer.Context, change: _Endpoint, fields: list[str], done: str, *, as_json: bool
) -> None:
    async def work(client: payhub_client.Client) -> session.Exit:
        changed = await client.webhooks.update(change, fields, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(changed))
        else:
            render.note(f"endpoint {changed.id} {done}")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _state(endpoint: _Endpoint) -> str:
    return _Endpoint.State.Name(endpoint.state)[6:].lower()


def _answer(attempt: webhook_pb2.WebhookAttempt) -> str:
    return attempt.transport_error or f"HTTP {attempt.status_code}"


def _answer_and_why(attempt: webhook_pb2.WebhookAttempt) -> str:
    """Return an answer, and what it says of why it is no success."""
    said = attempt.response_excerpt.strip()[:_SAID_MAX]
    taken = attempt.status_code // 100 == 2
    return _answer(attempt) if taken or not said else f"{_answer(attempt)}: {said}"
