"""Commands on plans: create, list, show, archive, add-price.

Owns their options and their display. Called through `payctl.commands`. Never guesses: a price
that a provider did not confirm is undecided.
"""

from typing import Annotated, cast

import typer
from payhub.payments.v1 import plan_service_pb2 as pb

from payctl import mirrors, money, payments, render, session

app = typer.Typer(no_args_is_help=True, help="Plans, which customers can subscribe to.")

PlanId = Annotated[str, typer.Argument(help="The plan, plan_...")]
ProviderPrice = Annotated[
    str, typer.Option(help="A price that exists at the provider; else one is made.")
]

_STATES = mirrors.labels(pb.Plan.State, "STATE_")
_INTERVALS = mirrors.labels(pb.Plan.Interval, "INTERVAL_")


@app.command()
def create(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name for people.")],
    amount: payments.Amount,
    currency: Annotated[str, typer.Argument(help="ISO 4217 code, such as EUR.")],
    *,
    interval: Annotated[
        str, typer.Option(help="Unit of the period: day, week, month or year.")
    ] = "month",
    count: Annotated[int, typer.Option(min=1, max=1095, help="Units in one period.")] = 1,
    trial_days: Annotated[
        int, typer.Option(min=0, max=730, help="Days before the first payment.")
    ] = 0,
    description: Annotated[str, typer.Option(help="Text for people.")] = "",
    meta: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    provider: Annotated[str, typer.Option(help="Provider; the default one if absent.")] = "",
    provider_price: ProviderPrice = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make a plan that costs AMOUNT CURRENCY per period, and its price at a provider."""
    code = currency.upper()
    amount_minor = payments.parsed(amount, code)
    metadata = session.pairs(meta)
    unit = mirrors.chosen(pb.Plan.Interval, "INTERVAL_", interval, what="interval")
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.plans.create(
            name=name,
            amount_minor=amount_minor,
            currency=code,
            interval=cast("pb.Plan.Interval", unit),
            interval_count=count,
            trial_days=trial_days,
            description=description,
            provider=provider,
            provider_price_id=provider_price,
            metadata=metadata,
            idempotency_key=once,
            timeout_s=timeout_s,
        ),
        key=key,
        as_json=as_json,
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also archived ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most plans to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List plans, newest first."""
    _KIND.list(
        ctx,
        lambda client, timeout_s: client.plans.list_page(
            include_archived=everything,
            page_size=limit,
            page_token=page_token,
            timeout_s=timeout_s,
        ),
        lambda page: page.plans,
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, plan_id: PlanId, as_json: session.JsonFlag = False) -> None:
    """Show a plan with its price at each provider."""
    _KIND.show(
        ctx,
        lambda client, timeout_s: client.plans.get(plan_id, timeout_s=timeout_s),
        as_json=as_json,
    )


@app.command()
def archive(
    ctx: typer.Context,
    plan_id: PlanId,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Let no new subscription use a plan; those that use it go on."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.plans.archive(
            plan_id, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
        meaning=of_archiving,
    )


@app.command("add-price")
def add_price(
    ctx: typer.Context,
    plan_id: PlanId,
    *,
    provider: Annotated[str, typer.Option(help="Provider; the default one if absent.")] = "",
    provider_price: ProviderPrice = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make the price of a plan at one more provider, or again where that failed."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.plans.add_price(
            plan_id,
            provider=provider,
            provider_price_id=provider_price,
            idempotency_key=once,
            timeout_s=timeout_s,
        ),
        key=key,
        as_json=as_json,
        meaning=lambda found: _worst(found, provider),
    )


def _worst(found: pb.Plan, provider: str = "") -> session.Exit:
    """What became of the price at `provider`, or of the least settled of all."""
    prices = [each for each in found.prices if provider in ("", each.provider)]
    return max((mirrors.of_sync(each) for each in prices), default=session.Exit.UNDECIDED)


def of_archiving(found: pb.Plan) -> session.Exit:
    """Return what became of archiving a plan where its price was made, or may be."""
    codes = [mirrors.of_sync(each) for each in found.prices if each.provider_object_id]
    codes += [each for each in map(mirrors.of_sync, found.prices) if each > session.Exit.REFUSED]
    archived = found.state == pb.Plan.STATE_ARCHIVED
    return max(codes, default=session.Exit.OK if archived else session.Exit.UNDECIDED)


def _period(found: pb.Plan) -> str:
    unit = _INTERVALS.get(found.interval, str(found.interval)).lower()
    return f"every {unit}" if found.interval_count == 1 else f"every {found.interval_count} {unit}s"


def _fields(found: pb.Plan) -> dict[str, mirrors.Cell]:
    prices: dict[str, mirrors.Cell] = {
        f"price at {each.provider}": " ".join(
            text
            for text in (
                each.provider_object_id,
                str(mirrors.sync(each)),
                payments.failure_text(each.failure),
            )
            if text
        )
        for each in found.prices
    }
    return {
        "plan": found.id,
        "name": found.name,
        "description": found.description,
        "state": render.state(_STATES.get(found.state, str(found.state))),
        "costs": f"{money.show(found.amount.amount_minor, found.amount.currency_code)} "
        f"{_period(found)}",
        "trial": f"{found.trial_days} days" if found.trial_days else "",
        **prices,
        "metadata": mirrors.metadata(found.metadata),
        "created": render.moment(found.create_time),
        "changed": render.moment(found.update_time),
    }


def _row(found: pb.Plan) -> list[mirrors.Cell]:
    return [
        found.id,
        found.name,
        render.state(_STATES.get(found.state, str(found.state))),
        money.show(found.amount.amount_minor, found.amount.currency_code),
        _period(found),
        ", ".join(f"{each.provider} {mirrors.sync(each)}" for each in found.prices),
        render.moment(found.create_time),
    ]


_KIND = mirrors.Kind(
    group="plans",
    fields=_fields,
    columns=["plan", "name", "state", ">amount", "period", "prices", "created"],
    row=_row,
    mirrors=lambda found: found.prices,
    meaning=_worst,
)
