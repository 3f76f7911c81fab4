"""Commands on checkouts, pages of a provider on which a payer pays: create, show, list, expire.

Owns their options and their display. Called through `payctl.commands`. Whoever sees the
address or the client secret that it shows can pay: they are written to stdout only.
"""

from typing import Annotated, cast

import typer
from payhub.payments.v1 import checkout_service_pb2 as pb

from payctl import durations, mirrors, money, payments, render, session
from payhub_client import CheckoutFilter

app = typer.Typer(no_args_is_help=True, help="Checkouts: pages on which payers pay.")

CheckoutId = Annotated[str, typer.Argument(help="The checkout, chk_...")]

_STATES = mirrors.labels(pb.Checkout.State, "STATE_")
_STATE_NAMES = ", ".join(name.lower() for value, name in _STATES.items() if value)


@app.command()
def create(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    amount: Annotated[
        str | None, typer.Argument(help="A single payment, in major units such as 12.50.")
    ] = None,
    currency: Annotated[str | None, typer.Argument(help="ISO 4217 code, such as EUR.")] = None,
    *,
    plan: Annotated[str, typer.Option(help="A subscription to this plan instead.")] = "",
    quantity: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many of the plan; 0 is one.")
    ] = 0,
    trial_days: Annotated[
        int | None,
        typer.Option(min=0, max=730, help="Days before the first payment; else the plan's."),
    ] = None,
    customer: Annotated[str, typer.Option(help="Who pays, cus_...")] = "",
    user: Annotated[
        str, typer.Option(help="Who pays, as your own user; their customer is made if missing.")
    ] = "",
    success_url: Annotated[str, typer.Option(help="Where the payer goes afterwards.")] = "",
    cancel_url: Annotated[str, typer.Option(help="Where the payer goes after giving up.")] = "",
    open_for: Annotated[str, typer.Option(help="30m to 24h; as long as possible if absent.")] = "",
    embedded: Annotated[
        bool, typer.Option("--embedded", help="A client secret rather than a redirect.")
    ] = False,
    description: Annotated[str, typer.Option(help="Text for the payer.")] = "",
    order: Annotated[str, typer.Option(help="Your own order number.")] = "",
    meta: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    provider: Annotated[str, typer.Option(help="Provider; the default one if absent.")] = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make a page on which AMOUNT CURRENCY, or a plan, is paid."""
    if (amount is None) is not bool(plan) or (amount is None) is not (currency is None):
        wrong = "give an amount and its currency such as `12.50 EUR`, or --plan, not both"
        raise typer.BadParameter(wrong)
    if customer and user:
        wrong = "give --customer or --user, not both"
        raise typer.BadParameter(wrong)
    code = (currency or "").upper()
    amount_minor = None if amount is None else payments.parsed(amount, code)
    metadata = session.pairs(meta)
    length = durations.parsed(open_for) if open_for else None
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.checkouts.create(
            amount_minor=amount_minor,
            currency=code,
            plan_id=plan,
            quantity=quantity,
            trial_days=trial_days,
            customer_id=customer,
            user_id=user,
            success_url=success_url,
            cancel_url=cancel_url,
            open_for=length,
            embedded=embedded,
            description=description,
            order_id=order,
            metadata=metadata,
            provider=provider,
            idempotency_key=once,
            timeout_s=timeout_s,
        ),
        key=key,
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, checkout_id: CheckoutId, as_json: session.JsonFlag = False) -> None:
    """Show a checkout."""
    _KIND.show(
        ctx,
        lambda client, timeout_s: client.checkouts.get(checkout_id, timeout_s=timeout_s),
        as_json=as_json,
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    customer: Annotated[str, typer.Option(help="Only of this customer.")] = "",
    state: Annotated[str, typer.Option(help=f"Only one of {_STATE_NAMES}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most checkouts to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List checkouts, newest first."""
    number = mirrors.chosen(pb.Checkout.State, "STATE_", state, what="state")
    where = CheckoutFilter(customer_id=customer, state=cast("pb.Checkout.State", number))
    _KIND.list(
        ctx,
        lambda client, timeout_s: client.checkouts.list_page(
            where, page_size=limit, page_token=page_token, timeout_s=timeout_s
        ),
        lambda page: page.checkouts,
        as_json=as_json,
    )


@app.command()
def expire(
    ctx: typer.Context,
    checkout_id: CheckoutId,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """End an open checkout."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.checkouts.expire(
            checkout_id, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


def _fields(found: pb.Checkout) -> dict[str, mirrors.Cell]:
    return {
        "checkout": found.id,
        "state": render.state(_STATES.get(found.state, str(found.state))),
        "amount": _amount(found),
        "plan": found.plan_id,
        "quantity": str(found.quantity or ""),
        "payer goes to": found.redirect_url,
        "client secret": found.client_secret,
        "publishable key": found.publishable_key,
        "open until": render.moment(found.expire_time),
        "customer": found.customer_id,
        "user": found.user_id,
        "order": found.order_id,
        "payment": found.payment_id,
        "subscription": found.subscription_id,
        "description": found.description,
        "metadata": mirrors.metadata(found.metadata),
        **mirrors.at_provider(found.mirror),
        "created": render.moment(found.create_time),
        "changed": render.moment(found.update_time),
    }


def _amount(found: pb.Checkout) -> str:
    if not found.HasField("amount"):
        return ""
    return money.show(found.amount.amount_minor, found.amount.currency_code)


def _row(found: pb.Checkout) -> list[mirrors.Cell]:
    return [
        found.id,
        render.state(_STATES.get(found.state, str(found.state))),
        _amount(found) or found.plan_id,
        found.customer_id,
        found.payment_id or found.subscription_id,
        mirrors.sync(found.mirror),
        render.moment(found.create_time),
    ]


_KIND = mirrors.Kind(
    group="checkout",
    fields=_fields,
    columns=["checkout", "state", "for", "customer", "led to", "sync", "created"],
    row=_row,
    mirrors=lambda found: [found.mirror],
    meaning=lambda found: mirrors.of_sync(found.mirror),
)
