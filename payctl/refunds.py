"""Commands on refunds: refund, refunds.

Owns their options, their display and what their result means for the exit code. Called
through `payctl.commands`. Never guesses: a pending refund is undecided.
"""

from typing import Annotated, cast

import rich.text
import typer

import payhub_client
from payctl import money, payments, render, session
from payhub_client import Refund

_REASONS = {
    name.removeprefix("REASON_").lower(): cast("Refund.Reason", value)
    for name, value in Refund.Reason.items()
    if value
}
_STATES = {value: name.removeprefix("STATE_") for name, value in Refund.State.items()}
_EXITS = {
    Refund.STATE_SUCCEEDED: session.Exit.OK,
    Refund.STATE_FAILED: session.Exit.REFUSED,
}


def refund(
    ctx: typer.Context,
    payment_id: payments.PaymentId,
    amount: Annotated[
        str | None, typer.Argument(help="Amount in major units; all that is left if absent.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(_REASONS)}.")] = "",
    text: Annotated[str, typer.Option("--note", help="Text for people.")] = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Return captured money to the payer."""
    if reason and reason.lower() not in _REASONS:
        wrong = f"{reason!r} is no reason; the reasons are {', '.join(_REASONS)}"
        raise typer.BadParameter(wrong)

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        amount_minor, currency = await payments.amount_of(
            client, payment_id, amount, timeout_s=timeout_s
        )
        made = await client.refunds.create(
            payment_id,
            amount_minor=amount_minor,
            currency=currency,
            reason=_REASONS.get(reason.lower(), Refund.REASON_UNSPECIFIED),
            note=text,
            idempotency_key=once,
            timeout_s=timeout_s,
        )
        _show(made, as_json=as_json)
        return _EXITS.get(made.state, session.Exit.UNDECIDED)

    session.run(ctx, work, as_json=as_json, key=once)


def refunds(
    ctx: typer.Context,
    of: Annotated[str, typer.Argument(help="Only of this payment, pay_...; or one, ref_...")] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most refunds to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List refunds, newest first, or show one."""

    async def work(client: payhub_client.Client) -> session.Exit:
        if of.startswith("ref_"):
            one = await client.refunds.get(of, timeout_s=session.timeout_s(ctx))
            _show(one, as_json=as_json)
            return session.Exit.OK
        page = await client.refunds.list_page(
            payment_id=of,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["refund", "payment", "state", ">amount", "failure", "created"],
            (_row(each) for each in page.refunds),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _show(found: Refund, *, as_json: bool) -> None:
    if as_json:
        render.document(render.to_dict(found))
        return
    reasons = {value: name for name, value in _REASONS.items()}
    render.fields(
        {
            "refund": found.id,
            "payment": found.payment_id,
            "state": render.state(_state_name(found)),
            "amount": money.show(found.amount.amount_minor, found.amount.currency_code),
            "failure": payments.failure_text(found.failure),
            "reason": reasons.get(found.reason, ""),
            "note": found.note,
            "created": render.moment(found.create_time),
        }
    )


def _row(found: Refund) -> list[str | rich.text.Text]:
    return [
        found.id,
        found.payment_id,
        render.state(_state_name(found)),
        money.show(found.amount.amount_minor, found.amount.currency_code),
        payments.failure_text(found.failure),
        render.moment(found.create_time),
    ]


def _state_name(found: Refund) -> str:
    return _STATES.get(found.state, str(found.state))
