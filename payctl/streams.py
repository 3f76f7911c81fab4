"""Commands on the gateway's side of events: streams, erase.

Owns their options and their display. Called through `payctl.commands`; the group is that
of `payctl.events`. Needs the admin scope.
"""

from typing import Annotated

import typer
from payhub.events.v1 import event_admin_service_pb2, event_stream_service_pb2

import payhub_client
from payctl import events, render, session

_Phase = event_stream_service_pb2.SubscribeResponse.Phase


@events.app.command()
def streams(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only streams of this tenant's keys.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most streams to show.")] = 100,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Show who follows the log through this gateway, how fast and how far behind."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.events.operations.streams_page(
            tenant_id=tenant,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["stream", "client", "tenant", "filter", "phase", ">events/s", ">sent", ">behind",
             ">lag", "open since"],
            (_row(each) for each in page.streams),
            as_json=as_json,
            title=f"{page.open_streams} open at {page.gateway}, head {page.head_position}",
        )  # fmt: skip
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@events.app.command()
def erase(
    ctx: typer.Context,
    entity_type: Annotated[str, typer.Argument(help="Kind of the entity, such as customer.")],
    entity_id: Annotated[str, typer.Argument(help="The entity.")],
    *,
    tenant: Annotated[str, typer.Option(help="Tenant that owns it.")] = "default",
    reason: Annotated[str, typer.Option(help="Why, for the record; no personal data.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Erase for good what the events of one entity say; their places and versions stay."""
    if not yes:
        session.ask(f"Erase the data of {entity_type} {entity_id} of {tenant}?", as_json=as_json)

    async def work(client: payhub_client.Client) -> session.Exit:
        erased = await client.events.operations.erase_entity(
            tenant_id=tenant,
            entity_type=entity_type,
            entity_id=entity_id,
            reason=reason,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document({"erased_events": erased})
        else:
            render.fields({"erased events": str(erased)})
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _row(found: event_admin_service_pb2.OpenStream) -> list[str]:
    phase = _Phase.Name(found.phase).removeprefix("PHASE_").lower().replace("_", " ")
    lag_s = found.lag.ToMicroseconds() / 1e6
    return [
        found.subscription_id,
        found.client_name,
        found.tenant_id,
        _filter(found),
        f"{phase}, blocked" if found.blocked else phase,
        f"{found.events_per_second:.1f}",
        str(found.events_sent),
        str(found.entries_behind),
        f"{lag_s:.1f} s" if found.HasField("lag") else "",
        render.moment(found.open_time),
    ]


def _filter(found: event_admin_service_pb2.OpenStream) -> str:
    """Return a filter in few words; of long lists the number."""
    named = found.filter
    parts = [*named.types, *named.entity_types, *named.entity_ids]
    if list(named.tenant_ids) != [found.tenant_id]:
        parts += [f"tenant {each}" for each in named.tenant_ids]
    return ", ".join(parts) if len(parts) <= 3 else f"{', '.join(parts[:2])} + {len(parts) - 2}"
