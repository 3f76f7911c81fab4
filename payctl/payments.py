"""Commands on payments: pay, show, list, confirm, capture, cancel.

Owns their options and their display; `outcomes` says what their result means for the exit
code. Called through `payctl.commands`.
"""

import datetime
from typing import Annotated, cast

import rich.text
import typer
from payhub.payments.v1 import payment_pb2

import payhub_client
from payctl import money, outcomes, render, session
from payhub_client import Payment

DEFAULT_TOKEN = "tok_approve"

PaymentId = Annotated[str, typer.Argument(help="The payment, pay_...")]
Amount = Annotated[str, typer.Argument(help="Amount in major units, such as 12.50.")]
Method = Annotated[
    str | None,
    typer.Option(help=f"Payment method token of the provider; {DEFAULT_TOKEN} if absent."),
]
MethodId = Annotated[str, typer.Option(help="A kept payment method, pmt_..., instead.")]

_STATES = {
    name.removeprefix("STATE_").lower(): cast("payment_pb2.Payment.State", value)
    for name, value in Payment.State.items()
    if value
}
_Operation = payment_pb2.Operation


def pay(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    amount: Amount,
    currency: Annotated[str, typer.Argument(help="ISO 4217 code, such as EUR.")],
    *,
    method: Method = None,
    method_id: MethodId = "",
    off_session: Annotated[
        bool, typer.Option("--off-session", help="The payer is not there; needs --method-id.")
    ] = False,
    save_method: Annotated[
        bool, typer.Option("--save-method", help="Keep the payment method at --customer.")
    ] = False,
    manual: Annotated[bool, typer.Option("--manual", help="Hold now, capture later.")] = False,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Create only; send it later with confirm.")
    ] = False,
    customer: Annotated[str, typer.Option(help="Customer, cus_...")] = "",
    user: Annotated[str, typer.Option(help="Your own user.")] = "",
    order: Annotated[str, typer.Option(help="Your own order number.")] = "",
    description: Annotated[str, typer.Option(help="Text for the payer.")] = "",
    meta: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    provider: Annotated[str, typer.Option(help="Provider; the default one if absent.")] = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Take a payment of AMOUNT CURRENCY."""
    code = currency.upper()
    amount_minor = parsed(amount, code)
    metadata = session.pairs(meta)
    token = _token(method, method_id)

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        payment = await client.payments.create(
            amount_minor=amount_minor,
            currency=code,
            payment_method="" if no_confirm else token,
            payment_method_id=method_id,
            off_session=off_session,
            save_payment_method=save_method,
            confirm=not no_confirm,
            manual_capture=manual,
            customer_id=customer,
            user_id=user,
            order_id=order,
            metadata=metadata,
            description=description,
            provider=provider,
            idempotency_key=once,
            timeout_s=session.timeout_s(ctx),
        )
        return shown(payment, as_json=as_json, code=outcomes.of_state(payment))

    session.run(ctx, work, as_json=as_json, key=once)


def show(ctx: typer.Context, payment_id: PaymentId, as_json: session.JsonFlag = False) -> None:
    """Show a payment, its operations and what may be done now."""

    async def work(client: payhub_client.Client) -> session.Exit:
        payment = await client.payments.get(payment_id, timeout_s=session.timeout_s(ctx))
        return shown(payment, as_json=as_json, code=session.Exit.OK)

    session.run(ctx, work, as_json=as_json)


def list_(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    *,
    state: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(_STATES)}; may be repeated.")
    ] = None,
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    user: Annotated[str, typer.Option(help="Only this user.")] = "",
    order: Annotated[str, typer.Option(help="Only this order.")] = "",
    provider: Annotated[str, typer.Option(help="Only this provider.")] = "",
    since: Annotated[
        str, typer.Option("--from", help="Created at or after, such as 2026-01-31T12:00.")
    ] = "",
    before: Annotated[str, typer.Option(help="Created before; UTC unless it has a zone.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most payments to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List payments, newest first."""
    where = payhub_client.PaymentFilter(
        states=[_state_named(name) for name in state or []],
        customer_id=customer,
        user_id=user,
        order_id=order,
        provider=provider,
        created_from=_moment(since),
        created_before=_moment(before),
    )

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.payments.list_page(
            where,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            ["payment", "state", ">amount", ">captured", ">refunded", "order", "created"],
            (_row(payment) for payment in page.payments),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def confirm(
    ctx: typer.Context,
    payment_id: PaymentId,
    *,
    method: Method = None,
    method_id: MethodId = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Send a created or failed payment to the provider."""
    token = _token(method, method_id)

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        payment = await client.payments.confirm(
            payment_id,
            payment_method=token,
            payment_method_id=method_id,
            idempotency_key=once,
            timeout_s=session.timeout_s(ctx),
        )
        return shown(payment, as_json=as_json, code=outcomes.of_state(payment))

    session.run(ctx, work, as_json=as_json, key=once)


def capture(
    ctx: typer.Context,
    payment_id: PaymentId,
    amount: Annotated[
        str | None, typer.Argument(help="Amount in major units; all that is left if absent.")
    ] = None,
    *,
    more_to_follow: Annotated[
        bool, typer.Option("--more-to-follow", help="Keep the remainder for later captures.")
    ] = False,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Take money that an authorized payment holds."""

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        amount_minor, currency = await amount_of(client, payment_id, amount, timeout_s=timeout_s)
        payment = await client.payments.capture(
            payment_id,
            amount_minor=amount_minor,
            currency=currency,
            more_to_follow=more_to_follow,
            idempotency_key=once,
            timeout_s=timeout_s,
        )
        code = outcomes.of_last_operation(payment, _Operation.KIND_CAPTURE)
        return shown(payment, as_json=as_json, code=code)

    session.run(ctx, work, as_json=as_json, key=once)


def cancel(
    ctx: typer.Context,
    payment_id: PaymentId,
    *,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """End a payment without money, or release what is not captured yet."""

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        payment = await client.payments.cancel(
            payment_id,
            reason=reason,
            idempotency_key=once,
            timeout_s=session.timeout_s(ctx),
        )
        return shown(payment, as_json=as_json, code=outcomes.of_cancellation(payment))

    session.run(ctx, work, as_json=as_json, key=once)


def parsed(amount: str, currency: str) -> int:
    """Return an amount in minor units. Raises typer.BadParameter with the reason."""
    try:
        return money.parse(amount, currency)
    except money.MoneyError as error:
        raise typer.BadParameter(str(error)) from None


async def amount_of(
    client: payhub_client.Client, payment_id: str, amount: str | None, *, timeout_s: float | None
) -> tuple[int | None, str]:
    """Return `amount` in minor units of the payment's currency, which is asked for."""
    if amount is None:
        return None, ""
    payment = await client.payments.get(payment_id, timeout_s=timeout_s)
    currency = payment.amount.currency_code
    return parsed(amount, currency), currency


def state_name(payment: Payment) -> str:
    """Return the name of a payment's state; a state that is new to us by its number."""
    names = {value: name.removeprefix("STATE_") for name, value in Payment.State.items()}
    return names.get(payment.state, str(payment.state))


def shown(payment: Payment, *, as_json: bool, code: session.Exit) -> session.Exit:
    """Write a payment with what it means, and return `code`."""
    if as_json:
        render.document(render.to_dict(payment))
        return code
    currency = payment.amount.currency_code
    sums = payment.amounts
    render.fields(
        {
            "payment": payment.id,
            "state": render.state(state_name(payment)),
            "amount": money.show(payment.amount.amount_minor, currency),
            "authorized": _unless_zero(sums.authorized_minor, currency),
            "captured": _unless_zero(sums.captured_minor, currency),
            "capture pending": _unless_zero(sums.capture_pending_minor, currency),
            "refunded": _unless_zero(sums.refunded_minor, currency),
            "refund pending": _unless_zero(sums.refund_pending_minor, currency),
            "disputed": _unless_zero(sums.disputed_minor, currency),
            "refunded elsewhere": _unless_zero(sums.foreign_refunded_minor, currency),
            "failure": failure_text(payment.failure),
            "tried again": render.moment(payment.next_retry_time),
            "canceled": "as soon as the outcome is known" if payment.cancel_requested else "",
            "payer must go to": payment.action.redirect_url,
            "provider": payment.provider,
            "at the provider": payment.provider_payment_id,
            **render.references(payment),
            "description": payment.description,
            "possible now": ", ".join(
                _action(each, currency) for each in payment.available_actions
            ),
            "created": render.moment(payment.create_time),
            "changed": render.moment(payment.update_time),
        }
    )
    if payment.operations:
        render.table(
            ["operation", "kind", "state", ">amount", ">attempts", "failure"],
            [_operation_row(each) for each in payment.operations],
        )
    if payment.state == Payment.STATE_IN_DOUBT:
        render.note(
            "nobody knows yet whether the payer was charged: do not pay again; it is being "
            f"looked up, see `payctl show {payment.id}`"
        )
    elif payment.HasField("next_retry_time"):
        render.note(
            "it is tried again by the retry policy: do not pay again; "
            f"`payctl cancel {payment.id}` ends that"
        )
    return code


def _row(payment: Payment) -> list[str | rich.text.Text]:
    currency = payment.amount.currency_code
    return [
        payment.id,
        render.state(state_name(payment)),
        money.show(payment.amount.amount_minor, currency),
        _unless_zero(payment.amounts.captured_minor, currency),
        _unless_zero(payment.amounts.refunded_minor, currency),
        payment.references.order_id,
        render.moment(payment.create_time),
    ]


def _operation_row(operation: payment_pb2.Operation) -> list[str | rich.text.Text]:
    kinds = {value: name.removeprefix("KIND_") for name, value in _Operation.Kind.items()}
    states = {value: name.removeprefix("STATE_") for name, value in _Operation.State.items()}
    amount = operation.amount
    return [
        operation.id,
        kinds.get(operation.kind, str(operation.kind)),
        render.state(states.get(operation.state, str(operation.state))),
        money.show(amount.amount_minor, amount.currency_code) if amount.currency_code else "",
        str(operation.attempts),
        failure_text(operation.failure),
    ]


def failure_text(failure: payment_pb2.PaymentFailure) -> str:
    """Return why something failed; empty if it did not."""
    code = f" ({failure.provider_code})" if failure.provider_code else ""
    return f"{failure.reason}{code}" if failure.reason else ""


def _action(action: payment_pb2.AvailableAction, currency: str) -> str:
    names = {
        value: name.removeprefix("ACTION_").lower()
        for name, value in payment_pb2.AvailableAction.Action.items()
    }
    name = names.get(action.action, str(action.action))
    if not action.max_amount_minor:
        return name
    return f"{name} up to {money.show(action.max_amount_minor, currency)}"


def _unless_zero(amount_minor: int, currency: str) -> str:
    return money.show(amount_minor, currency) if amount_minor else ""


def _token(method: str | None, method_id: str) -> str:
    if method is not None and method_id:
        wrong = "give --method or --method-id, not both"
        raise typer.BadParameter(wrong)
    return "" if method_id else method or DEFAULT_TOKEN


def _state_named(name: str) -> payment_pb2.Payment.State:
    value = _STATES.get(name.lower())
    if value is None:
        text = f"{name!r} is no state; the states are {', '.join(_STATES)}"
        raise typer.BadParameter(text)
    return value


def _moment(text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time; write it such as 2026-01-31T12:00"
        raise typer.BadParameter(message) from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
