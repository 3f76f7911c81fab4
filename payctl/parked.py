"""Commands on events that a durable consumer set aside: list, redrive, discard.

Owns their options and their display, in the group `payctl events`. Called through
`payctl.commands`. Never decides which events are parked: the gateway does.
"""

from collections.abc import Callable
from typing import Annotated

import typer

import payhub_client
from payctl import consumers, events, groups, render, session
from payhub_client import errors

app = typer.Typer(no_args_is_help=True, help="Events that a consumer set aside.")
events.app.add_typer(app, name="parked", cls=groups.Group)

Positions = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="POSITION", min=0, max=session.INT64_MAX, help="As `parked list` shows them."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every parked event of the consumer.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    name: consumers.Name,
    *,
    types: events.Types = None,
    limit: consumers.Limit = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List what a consumer set aside, and why."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.consumers.parked_page(
            name,
            events.filter_of(types, None, None),
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            content = render.to_dict(page)
            shown = [
                {**render.to_dict(each), "event": events.to_dict(each.event)}
                for each in page.parked_events
            ]
            render.document({**content, "parked_events": shown})
            return session.Exit.OK
        render.table(
            [">position", "type", "entity", ">attempts", "parked", "reason"],
            [
                [
                    str(each.position),
                    each.event.type,
                    each.event.entity_id,
                    str(each.attempts),
                    render.moment(each.park_time),
                    each.reason or ("behind an earlier one of its entity" if each.blocked else ""),
                ]
                for each in page.parked_events
            ],
        )
        render.more(page.next_page_token)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _deciding(*, discard: bool) -> Callable[..., None]:
    def decide(
        ctx: typer.Context,
        name: consumers.Name,
        positions: Positions = None,
        *,
        every: All = False,
        as_json: session.JsonFlag = False,
    ) -> None:
        _resolve(ctx, name, positions or [], every=every, discard=discard, as_json=as_json)

    return decide


def _resolve(
    ctx: typer.Context,
    name: str,
    positions: list[int],
    *,
    every: bool,
    discard: bool,
    as_json: bool,
) -> None:
    if bool(positions) == every:
        wrong = "give positions or --all"
        raise typer.BadParameter(wrong)

    async def work(client: payhub_client.Client) -> session.Exit:
        resolved = released = 0
        while True:
            done = await client.consumers.resolve(
                name,
                positions,
                all_of_them=every,
                discard=discard,
                timeout_s=session.timeout_s(ctx),
            )
            resolved += done.resolved
            released += done.released
            if not done.remaining or not done.resolved:
                break
        if as_json:
            render.document({"resolved": resolved, "released": released})
        else:
            what = "dropped" if discard else "put back"
            more = f", and {released} that waited behind them" if released else ""
            render.note(f"{resolved} events {what}{more}")
        missing = len(set(positions)) - resolved
        if missing > 0:
            raise errors.NotFound(
                f"{missing} of the positions are not parked, or wait behind one that still is. "
                "They may have been resolved before, perhaps by this command, if an answer was "
                "lost; `payctl events parked list` shows what there is",
                reason="RESOURCE_NOT_FOUND",
            )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


app.command("redrive", help="Deliver parked events again, ahead of later ones of their entity.")(
    _deciding(discard=False)
)
app.command("discard", help="Drop parked events; what waited behind them is delivered.")(
    _deciding(discard=True)
)
