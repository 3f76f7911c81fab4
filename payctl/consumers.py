"""Commands on durable consumers: list, show, create, update, delete, seek, pause, resume.

Owns their options and their display, in the group `payctl events`. Called through
`payctl.commands`. Never receives events itself; what was set aside is in `parked`.
"""

import datetime
from typing import Annotated, Any

import typer
from google.protobuf import duration_pb2
from payhub.events.v1 import consumer_pb2, consumer_service_pb2

import payhub_client
from payctl import events, groups, render, session
from payhub_client import consumers as client_consumers

app = typer.Typer(no_args_is_help=True, help="Durable consumers: place, lag, members.")
events.app.add_typer(app, name="consumers", cls=groups.Group)

Name = Annotated[str, typer.Argument(metavar="CONSUMER", help="Name of the consumer.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="Most entries to show.")]
FromStart = Annotated[bool, typer.Option("--from-start", help="From the oldest event kept.")]

AckTimeout = Annotated[
    float | None,
    typer.Option(
        min=1, max=3600, help="Seconds that a member has for an event before it comes again."
    ),
]
Backoff = Annotated[
    list[float] | None,
    typer.Option(min=0, max=172_800, help="Seconds before the next delivery; in order."),
]
MaxDeliveries = typer.Option(min=1, max=1000, help="Tries until an event is parked.")
MaxOutstanding = typer.Option(min=1, max=10_000, help="Most events handed out and not settled.")
IdleExpiry = typer.Option(
    min=0, max=31_536_000, help="Delete it when unused for so many seconds; 0: never."
)
ParkScope = typer.Option(help="What a parked event holds up: entity, event or consumer.")

_Consumer = consumer_pb2.Consumer


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List consumers with their lag."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.consumers.list_page(
            page_size=limit, page_token=page_token, timeout_s=session.timeout_s(ctx)
        )
        render.page(
            page,
            [
                "consumer",
                ">backlog",
                "oldest",
                ">in flight",
                ">retrying",
                ">parked",
                ">members",
                "",
            ],
            (
                [
                    each.consumer.name,
                    _backlog(each.status),
                    _age(each.status.oldest_unsettled_age),
                    str(each.status.outstanding),
                    str(each.status.retrying),
                    str(each.status.parked),
                    str(each.status.members),
                    _remark(each),
                ]
                for each in page.consumers
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: session.JsonFlag = False) -> None:
    """Show definition and status of a consumer."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.consumers.get(name, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(found))
        else:
            _show(found)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def create(  # noqa: PLR0913
    ctx: typer.Context,
    name: Name,
    *,
    types: events.Types = None,
    entity: events.Entities = None,
    tenant: events.Tenants = None,
    from_start: FromStart = False,
    after: events.After = "",
    since: events.Since = None,
    ordering: Annotated[
        str, typer.Option(help="per_entity, none or total.", metavar="ORDER")
    ] = "per_entity",
    park_scope: Annotated[str, ParkScope] = "entity",
    ack_timeout: AckTimeout = None,
    max_deliveries: Annotated[int, MaxDeliveries] = 10,
    backoff: Backoff = None,
    max_outstanding: Annotated[int, MaxOutstanding] = 1000,
    idle_expiry: Annotated[float, IdleExpiry] = 0.0,
    as_json: session.JsonFlag = False,
) -> None:
    """Make a consumer; it begins with what comes from now on unless told otherwise."""
    moment = events.one_place(from_start, after, since)

    async def work(client: payhub_client.Client) -> session.Exit:
        made = await client.consumers.create(
            name,
            events.filter_of(types, entity, tenant),
            after=after,
            since=moment,
            start="oldest" if from_start else "newest",
            ordering=_choice(ordering, "per_entity", "none", "total"),
            park_scope=_choice(park_scope, "entity", "event", "consumer"),
            ack_timeout_s=ack_timeout,
            max_deliveries=max_deliveries,
            retry_backoff_s=backoff or (),
            max_outstanding=max_outstanding,
            idle_expiry_s=idle_expiry,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(made))
        else:
            render.note(f"consumer {made.name} is there")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def update(  # noqa: PLR0913
    ctx: typer.Context,
    name: Name,
    *,
    types: events.Types = None,
    any_type: Annotated[bool, typer.Option("--any-type", help="Every type.")] = False,
    entity: events.Entities = None,
    any_entity: Annotated[bool, typer.Option("--any-entity", help="Every entity.")] = False,
    tenant: events.Tenants = None,
    park_scope: Annotated[str | None, ParkScope] = None,
    ack_timeout: AckTimeout = None,
    max_deliveries: Annotated[int | None, MaxDeliveries] = None,
    backoff: Backoff = None,
    max_outstanding: Annotated[int | None, MaxOutstanding] = None,
    idle_expiry: Annotated[float | None, IdleExpiry] = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Change what is given and leave the rest; members stay connected."""
    if (types and any_type) or (entity and any_entity):
        wrong = "give --types or --any-type, --entity or --any-entity, not both"
        raise typer.BadParameter(wrong)
    scope = park_scope and _choice(park_scope, "entity", "event", "consumer").upper()
    fields = _given(
        park_scope=scope and f"PARK_SCOPE_{scope}",
        ack_timeout=_seconds(ack_timeout),
        max_deliveries=max_deliveries,
        retry_backoff=backoff and [_seconds(each) for each in backoff],
        max_outstanding=max_outstanding,
        idle_expiry=_seconds(idle_expiry),
    )
    selected = _given(
        types=[] if any_type else types,
        entity_ids=[] if any_entity else entity,
        tenant_ids=tenant,
    )
    if not fields and not selected:
        wrong = "give something to change"
        raise typer.BadParameter(wrong)

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        change = _Consumer(name=name, **fields)
        if selected:
            # A filter is set as a whole, so nobody may have changed it since.
            before = (await client.consumers.get(name, timeout_s=timeout_s)).consumer
            change.filter.CopyFrom(before.filter)
            change.etag = before.etag
            for field, values in selected.items():
                change.filter.ClearField(field)
                getattr(change.filter, field).extend(values)
        mask = [*fields, *(["filter"] if selected else [])]
        changed = await client.consumers.update(change, mask, timeout_s=timeout_s)
        if as_json:
            render.document(render.to_dict(changed))
        else:
            render.note(f"consumer {name} is changed")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def delete(ctx: typer.Context, name: Name, as_json: session.JsonFlag = False) -> None:
    """Delete a consumer, its place and its parked events."""

    async def work(client: payhub_client.Client) -> session.Exit:
        # Deleting what is not there succeeds, and would tell a mistyped name as gone.
        await client.consumers.get(name, timeout_s=session.timeout_s(ctx))
        await client.consumers.delete(name, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document({"deleted": name})
        else:
            render.note(f"consumer {name} is gone")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def seek(
    ctx: typer.Context,
    name: Name,
    *,
    from_start: FromStart = False,
    after: events.After = "",
    since: Annotated[
        datetime.datetime | None, typer.Option(help="To what was accepted since then, UTC.")
    ] = None,
    to_newest: Annotated[
        bool, typer.Option("--to-newest", help="Past all there is: skip what is not dealt with.")
    ] = False,
    discard_parked: Annotated[
        bool, typer.Option("--discard-parked", help="Drop parked events too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would happen.")
    ] = False,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Move a consumer: to the oldest event, to a time, after a cursor, or past everything."""
    if [from_start, bool(after), since is not None, to_newest].count(True) != 1:
        wrong = "give one of --from-start, --after, --since, --to-newest"
        raise typer.BadParameter(wrong)
    moment = since.replace(tzinfo=datetime.UTC) if since else None
    key = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        moved = await client.consumers.seek(
            name,
            after=after,
            since=moment,
            start="oldest" if from_start else "newest",
            discard_parked=discard_parked,
            dry_run=dry_run,
            key=key,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(moved))
            return session.Exit.OK
        render.fields(
            {
                "was at": moved.previous_cursor,
                "would be at" if dry_run else "is at": moved.cursor,
                "to deliver": str(moved.backlog),
            }
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json, key="" if dry_run else key)


@app.command()
def pause(ctx: typer.Context, name: Name, as_json: session.JsonFlag = False) -> None:
    """Hand out nothing until `resume`."""
    _pause(ctx, name, paused=True, as_json=as_json)


@app.command()
def resume(ctx: typer.Context, name: Name, as_json: session.JsonFlag = False) -> None:
    """Go on after `pause`."""
    _pause(ctx, name, paused=False, as_json=as_json)


def _pause(ctx: typer.Context, name: str, *, paused: bool, as_json: bool) -> None:
    async def work(client: payhub_client.Client) -> session.Exit:
        changed = await client.consumers.pause(name, paused, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(changed))
        else:
            render.note(f"consumer {name} {'is paused' if changed.paused else 'goes on'}")
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _show(found: consumer_service_pb2.GetConsumerResponse) -> None:
    consumer, status = found.consumer, found.status
    render.fields(
        {
            "consumer": consumer.name,
            "state": "paused" if consumer.paused else "running" if status.owner else "no members",
            "types": ", ".join(consumer.filter.types) or "all",
            "entities": ", ".join([*consumer.filter.entity_types, *consumer.filter.entity_ids]),
            "tenants": ", ".join(consumer.filter.tenant_ids),
            "order": _Consumer.Ordering.Name(consumer.ordering)[9:].lower(),
            "parking": _Consumer.ParkScope.Name(consumer.park_scope)[11:].lower(),
            "ack timeout": _age(consumer.ack_timeout),
            "deliveries": f"at most {consumer.max_deliveries}",
            "backoff": ", ".join(_age(each) for each in consumer.retry_backoff),
            "made": render.moment(consumer.create_time),
            "place": status.ack_floor_cursor,
            "backlog": _backlog(status),
            "oldest": _age(status.oldest_unsettled_age),
            "deleted unread in": _age(status.retention_headroom),
            "deleted unread": str(status.skipped_entries or ""),
            "in flight": str(status.outstanding),
            "retrying": str(status.retrying),
            "parked": str(status.parked),
            "members": str(status.members),
            "run by": status.owner,
        }
    )


def _remark(found: consumer_service_pb2.GetConsumerResponse) -> str:
    paused = "paused" if found.consumer.paused else ""
    skipped = found.status.skipped_entries
    return ", ".join(filter(None, [paused, f"{skipped} deleted unread" if skipped else ""]))


def _backlog(status: consumer_pb2.ConsumerStatus) -> str:
    return f"{'about ' if status.backlog_estimated else ''}{status.backlog}"


def _age(span: duration_pb2.Duration) -> str:
    micros = span.ToMicroseconds()
    return str(datetime.timedelta(seconds=micros // 1_000_000)) if micros else ""


def _given(**values: Any) -> dict[Any, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _seconds(given_s: float | None) -> duration_pb2.Duration | None:
    if given_s is None:
        return None
    made = duration_pb2.Duration()
    made.FromMicroseconds(round(given_s * 1e6))
    return made


def _choice(given: str, *allowed: client_consumers.Ordering | client_consumers.ParkScope) -> Any:
    if given not in allowed:
        wrong = f"{given!r} is not one of {', '.join(allowed)}"
        raise typer.BadParameter(wrong)
    return given
