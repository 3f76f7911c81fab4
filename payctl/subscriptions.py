"""Commands on subscriptions: create, list, show, change, cancel, reactivate.

Owns their options, their display and what their result means for the exit code. Called
through `payctl.commands`. Never guesses: one whose first payment is open is undecided.
"""

from typing import Annotated, cast

import typer
from payhub.payments.v1 import subscription_service_pb2 as pb

from payctl import mirrors, payments, render, session
from payhub_client import SubscriptionFilter

app = typer.Typer(no_args_is_help=True, help="Subscriptions of customers to plans.")

SubscriptionId = Annotated[str, typer.Argument(help="The subscription, sub_...")]
PlanId = Annotated[str, typer.Argument(help="The plan, plan_...")]

_STATES = mirrors.labels(pb.Subscription.State, "STATE_")
_STATE_NAMES = ", ".join(name.lower() for value, name in _STATES.items() if value)


@app.command()
def create(
    ctx: typer.Context,
    customer_id: Annotated[str, typer.Argument(help="The customer, cus_...")],
    plan_id: PlanId,
    *,
    quantity: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many of the plan.")] = 1,
    trial_days: Annotated[
        int | None,
        typer.Option(min=0, max=730, help="Days before the first payment; else the plan's."),
    ] = None,
    method_id: Annotated[
        str, typer.Option(help="Payment method, pmt_...; the customer's default if absent.")
    ] = "",
    user: Annotated[str, typer.Option(help="Your own user; the customer's if absent.")] = "",
    meta: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Subscribe a customer to a plan."""
    metadata = session.pairs(meta)
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.subscriptions.create(
            customer_id,
            plan_id,
            quantity=quantity,
            trial_days=trial_days,
            payment_method_id=method_id,
            user_id=user,
            metadata=metadata,
            idempotency_key=once,
            timeout_s=timeout_s,
        ),
        key=key,
        as_json=as_json,
        meaning=_begun,
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    customer: Annotated[str, typer.Option(help="Only of this customer.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    plan: Annotated[str, typer.Option(help="Only to this plan.")] = "",
    state: Annotated[str, typer.Option(help=f"Only one of {_STATE_NAMES}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List subscriptions, newest first."""
    number = mirrors.chosen(pb.Subscription.State, "STATE_", state, what="state")
    where = SubscriptionFilter(
        customer_id=customer,
        user_id=user,
        plan_id=plan,
        state=cast("pb.Subscription.State", number),
    )
    _KIND.list(
        ctx,
        lambda client, timeout_s: client.subscriptions.list_page(
            where, page_size=limit, page_token=page_token, timeout_s=timeout_s
        ),
        lambda page: page.subscriptions,
        as_json=as_json,
    )


@app.command()
def show(
    ctx: typer.Context, subscription_id: SubscriptionId, as_json: session.JsonFlag = False
) -> None:
    """Show a subscription."""
    _KIND.show(
        ctx,
        lambda client, timeout_s: client.subscriptions.get(subscription_id, timeout_s=timeout_s),
        as_json=as_json,
    )


@app.command()
def change(
    ctx: typer.Context,
    subscription_id: SubscriptionId,
    plan_id: PlanId,
    *,
    quantity: Annotated[int, typer.Option(min=0, max=1_000_000, help="How many; 0 leaves it.")] = 0,
    proration: Annotated[
        str, typer.Option(help="The difference: next_invoice, now or none.")
    ] = "next_invoice",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Move a subscription to another plan or quantity."""
    number = mirrors.chosen(pb.Proration, "PRORATION_", proration, what="proration")
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.subscriptions.change_plan(
            subscription_id,
            plan_id,
            quantity=quantity,
            proration=cast("pb.Proration", number),
            idempotency_key=once,
            timeout_s=timeout_s,
        ),
        key=key,
        as_json=as_json,
    )


@app.command()
def cancel(
    ctx: typer.Context,
    subscription_id: SubscriptionId,
    *,
    at_period_end: Annotated[
        bool, typer.Option("--at-period-end", help="With the period that runs, not now.")
    ] = False,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """End a subscription, now or with the period that runs."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.subscriptions.cancel(
            subscription_id, at_period_end=at_period_end, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


@app.command()
def reactivate(
    ctx: typer.Context,
    subscription_id: SubscriptionId,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Take back a cancellation at the end of the period that runs."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.subscriptions.reactivate(
            subscription_id, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


def _begun(found: pb.Subscription) -> session.Exit:
    if found.state == pb.Subscription.STATE_FAILED:
        return session.Exit.REFUSED
    if found.state == pb.Subscription.STATE_PENDING:
        failed = mirrors.of_sync(found.mirror) is session.Exit.REFUSED
        return session.Exit.REFUSED if failed else session.Exit.UNDECIDED
    return mirrors.of_sync(found.mirror)


def _fields(found: pb.Subscription) -> dict[str, mirrors.Cell]:
    return {
        "subscription": found.id,
        "customer": found.customer_id,
        "user": found.user_id,
        "plan": found.plan_id or "a price at the provider that no plan has",
        "quantity": str(found.quantity),
        "state": render.state(_STATES.get(found.state, str(found.state))),
        "period": _span(found),
        "trial until": render.moment(found.trial_end),
        "ends": "with the period" if found.cancel_at_period_end else "",
        "ended": render.moment(found.end_time),
        "newest invoice": found.latest_invoice_id,
        "pays by": found.payment_method_id,
        **mirrors.action(found.action),
        "failure": payments.failure_text(found.failure),
        "metadata": mirrors.metadata(found.metadata),
        "possible now": ", ".join(found.available_actions),
        **mirrors.at_provider(found.mirror),
        "created": render.moment(found.create_time),
        "changed": render.moment(found.update_time),
    }


def _span(found: pb.Subscription) -> str:
    begin = render.moment(found.current_period_start)
    return f"{begin} to {render.moment(found.current_period_end)}" if begin else ""


def _row(found: pb.Subscription) -> list[mirrors.Cell]:
    return [
        found.id,
        render.state(_STATES.get(found.state, str(found.state))),
        found.customer_id,
        found.plan_id,
        render.moment(found.current_period_end),
        "ends then" if found.cancel_at_period_end else "",
        mirrors.sync(found.mirror),
        render.moment(found.create_time),
    ]


_KIND = mirrors.Kind(
    group="subscriptions",
    fields=_fields,
    columns=["subscription", "state", "customer", "plan", "period ends", "", "sync", "created"],
    row=_row,
    mirrors=lambda found: [found.mirror],
    meaning=lambda found: mirrors.of_sync(found.mirror),
)
