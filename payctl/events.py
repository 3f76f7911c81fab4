"""Commands on events: tail, query, show, info.

Owns their options and their display. Called through `payctl.commands`. Never stores a
cursor: `tail` prints the last one on stderr when it ends.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from google.protobuf import message

import payhub_client
from payctl import durations, live, money, payments, render, session
from payhub_client import Event, PaymentEvent, Subscription
from payhub_client import events as client_events

app = typer.Typer(no_args_is_help=True, help="Events.")

Types = Annotated[
    list[str] | None,
    typer.Option("--types", help="Exact type or prefix such as payment.*; may be repeated."),
]
Entities = Annotated[list[str] | None, typer.Option("--entity", help="Only these entities.")]
Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", help="Other tenants; needs the admin scope.")
]
After = Annotated[str, typer.Option("--after", help="Strictly after this cursor.")]
Since = Annotated[
    datetime.datetime | None,
    typer.Option("--since", help="What the log accepted since then, UTC."),
]

# Long enough for a restart of the gateway, short enough to say that it is not coming back.
_GIVE_UP_AFTER_S = 60.0


@app.command()
def tail(
    ctx: typer.Context,
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest event kept.")
    ] = False,
    after: After = "",
    since: Since = None,
    types: Types = None,
    entity: Entities = None,
    tenant: Tenants = None,
    stop_at_head: Annotated[
        bool, typer.Option("--stop-at-head", help="End on reaching the newest event.")
    ] = False,
    stats: Annotated[
        bool | None,
        typer.Option("--stats/--no-stats", help="Show rate and lag; by default on a terminal."),
    ] = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Follow events as they happen, with rate and lag, until Ctrl-C."""
    moment = one_place(from_start, after, since)
    opened: list[Subscription] = []

    async def work(client: payhub_client.Client) -> session.Exit:
        subscription = client.events.subscribe(
            filter_of(types, entity, tenant),
            after=after,
            since=moment,
            start="oldest" if from_start else "newest",
            stop_at_head=stop_at_head,
            client_name="payctl",
            on_notice=_show_notice,
            give_up_after_s=_GIVE_UP_AFTER_S,
        )
        opened.append(subscription)
        view = live.View(subscription, wanted=stats)
        async with subscription, view.running():
            async for delivery in subscription:
                view.took()
                with view.aside():
                    if as_json:
                        render.line({"cursor": delivery.cursor, "event": to_dict(delivery.event)})
                    else:
                        _write_line(delivery.event)
        return session.Exit.OK

    try:
        session.run(ctx, work, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(session.Exit.OK) from None
    finally:
        if opened and opened[0].cursor not in ("", after):
            render.note(f"last cursor: {opened[0].cursor}")


@app.command()
def query(
    ctx: typer.Context,
    *,
    after: After = "",
    types: Types = None,
    entity: Entities = None,
    tenant: Tenants = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most events to show.")] = 100,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Show history, oldest first."""
    where = filter_of(types, entity, tenant)

    async def work(client: payhub_client.Client) -> session.Exit:
        token = page_token
        while True:
            page = await client.events.query_page(
                where,
                after=after,
                page_size=limit,
                page_token=token,
                timeout_s=session.timeout_s(ctx),
            )
            token = page.next_page_token
            # A page may be empty although more follow: one call reads a part of the log.
            if page.events or not token:
                break
        if as_json:
            events = [to_dict(event) for event in page.events]
            render.document({"events": events, "next_page_token": token, "cursor": page.cursor})
            return session.Exit.OK
        for event in page.events:
            _write_line(event)
        render.more(token)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    event_id: Annotated[str, typer.Argument(help="The event.")],
    as_json: session.JsonFlag = False,
) -> None:
    """Show one event with its payload."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.events.get(event_id, timeout_s=session.timeout_s(ctx))
        event = found.event
        if as_json:
            render.document({"event": to_dict(event), "cursor": found.cursor})
            return session.Exit.OK
        render.fields(
            {
                "event": event.id,
                "type": f"{event.type} v{event.type_version}",
                "tenant": event.tenant_id,
                "entity": f"{event.entity_type} {event.entity_id} v{event.entity_version}",
                "user": event.user_id,
                "labels": ", ".join(f"{key}={text}" for key, text in sorted(event.labels.items())),
                "occurred": render.moment(event.occur_time),
                "in the log": render.moment(event.append_time),
                "position": str(event.position),
                "cursor": found.cursor,
                "caused by": event.cause.actor,
                "correlation": event.cause.correlation_id,
                "causation": event.cause.causation_id,
                "schema": event.data_schema,
            }
        )
        content = _shown(event)
        if content is not None:
            render.document(content)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def info(ctx: typer.Context, as_json: session.JsonFlag = False) -> None:
    """Show what the log holds."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.events.log_info(timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(found))
            return session.Exit.OK
        kept = "for ever"
        if found.HasField("retention"):
            kept = f"{durations.show(found.retention.seconds)} at least"
        render.fields(
            {
                "epoch": found.log_epoch,
                "oldest cursor": found.oldest_cursor,
                "head cursor": found.head_cursor,
                "head position": str(found.head_position),
                "oldest event": render.moment(found.oldest_append_time),
                "newest event": render.moment(found.head_append_time),
                "kept": f"{found.kept_events} events, {found.kept_bytes} bytes, {kept}",
                "ids remembered": durations.show(found.dedup_horizon.seconds),
            }
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def to_dict(event: Event) -> dict[str, object]:
    """Return an event for JSON, with `payload` decoded instead of `data` where it is known."""
    content = render.to_dict(event)
    payload = _shown(event)
    if payload is not None:
        content.pop("data", None)
        content["payload"] = payload
    return content


def one_place(
    from_start: bool, after: str, since: datetime.datetime | None
) -> datetime.datetime | None:
    """Return the moment to begin at, if given. Raises typer.BadParameter for two places."""
    if [from_start, bool(after), since is not None].count(True) > 1:
        wrong = "give one of --from-start, --after, --since"
        raise typer.BadParameter(wrong)
    return since.replace(tzinfo=datetime.UTC) if since else None


def filter_of(
    types: list[str] | None, entities: list[str] | None, tenants: list[str] | None
) -> payhub_client.EventFilter:
    """Return the filter that options describe."""
    return payhub_client.EventFilter(
        types=types or (), entity_ids=entities or (), tenant_ids=tenants or ()
    )


def _payload(event: Event) -> message.Message | None:
    try:
        return client_events.payload(event)
    except client_events.UnknownPayloadError:
        return None


def _shown(event: Event) -> Mapping[str, object] | None:
    """Return what an event says: a known message, or an object of JSON; None for other data."""
    payload = _payload(event)
    if payload is not None:
        return render.to_dict(payload)
    if event.content_type != "application/json":
        return None
    try:
        content = json.loads(event.data)
        json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _write_line(event: Event) -> None:
    content = _payload(event)
    state, summary = "", ""
    if isinstance(content, PaymentEvent):
        state = payments.state_name(content.payment)
        amount = content.refund.amount if content.HasField("refund") else content.payment.amount
        summary = money.show(amount.amount_minor, amount.currency_code)
    elif content is not None:
        state, summary = _billed(content, event.entity_type)
    render.text_line(
        render.moment(event.occur_time),
        f"{event.type:<24}",
        event.entity_id,
        f"v{event.entity_version}",
        render.state(state),
        summary or event.cause.actor,
    )


def _billed(content: message.Message, entity_type: str) -> tuple[str, str]:
    """Return state and amount of what an event tells of, each empty if it has none."""
    if entity_type not in content.DESCRIPTOR.fields_by_name:
        return "", ""
    entity: Any = getattr(content, entity_type)
    fields = entity.DESCRIPTOR.fields_by_name
    known = fields["state"].enum_type if "state" in fields else None
    value = known.values_by_number.get(entity.state) if known is not None else None
    name = next((each for each in ("amount", "amount_due") if each in fields), "")
    amount = getattr(entity, name) if name and entity.HasField(name) else None
    return (
        value.name.removeprefix("STATE_") if value is not None else "",
        money.show(amount.amount_minor, amount.currency_code) if amount is not None else "",
    )


def _show_notice(notice: payhub_client.Notice) -> None:
    if notice.kind is payhub_client.NoticeKind.RECONNECTING:
        render.note(f"{notice.text}; connecting again in {notice.wait_s:.1f} s")
    elif notice.kind is payhub_client.NoticeKind.FELL_BEHIND:
        render.note(notice.text)
