"""What a caller asks of a payment: each function decides, none acts.

Owns the rules of create, confirm, increment, capture, cancel and refund. Called by the
use cases inside the transaction that holds the payment's row. Never talks to
a provider: the operation it returns is the intent to be committed first.
"""

from typing import Any

from payment_service.domain import actions, changes, copies, model, money

_P = model.PaymentState
_K = model.Kind

# Who carries out cancellations that had to wait, as events tell it, and how often it begins
# one that nothing is sent of.
CANCELER = "resolver"
CANCELER_TRIES_MAX = 16


def create(payment: model.Payment, operation: model.Operation | None) -> changes.Change:
    """Creates *payment*; with *operation* it is confirmed in the same change."""
    if operation is not None:
        payment = copies.replace(payment, state=_P.PROCESSING, operations=(operation,))
    step = changes.Step(
        event_type="payment.created",
        before=None,
        after=payment,
        operation_id=operation.id if operation else "",
    )
    return changes.Change(payment=payment, steps=(step,), new_operation=operation)


def confirm(
    payment: model.Payment,
    operation: model.Operation,
    now_us: int,
    payment_method_id: str = "",
) -> changes.Change | changes.Refusal:
    """Sends a created or failed payment; *operation* is an AUTHORIZE or SALE.

    *payment_method_id* is what it is sent with, '' for a token.
    """
    if not actions.is_confirmable(payment):
        return conflict(payment, "confirm")
    operation = model.after(operation, payment.operations)
    after = copies.replace(
        payment,
        state=_P.PROCESSING,
        # An earlier attempt's payment at the provider is not this one's.
        provider_payment_id="",
        payment_method_id=payment_method_id,
        failure=None,
        next_retry_us=0,
        version=payment.version + 1,
        updated_us=now_us,
        operations=(*payment.operations, operation),
    )
    step = changes.Step(
        event_type="payment.processing", before=payment, after=after, operation_id=operation.id
    )
    return changes.Change(payment=after, steps=(step,), new_operation=operation)


def increment(
    payment: model.Payment, operation: model.Operation, now_us: int
) -> changes.Change | changes.Refusal:
    """Asks for more to be held; *operation* is an INCREMENT with its amount.

    Nothing is reserved: what is held rises once the provider has agreed.
    """
    if not actions.is_incrementable(payment):
        return conflict(payment, "increment")
    most = money.AMOUNT_MINOR_MAX - payment.amount_minor
    if operation.amount_minor > most:
        return exceeded(payment, "increment", most)
    operation = model.after(operation, payment.operations)
    after = copies.replace(payment, updated_us=now_us, operations=(*payment.operations, operation))
    return changes.Change(payment=after, new_operation=operation)


def capture(
    payment: model.Payment,
    operation: model.Operation,
    amount_minor: int | None,
    now_us: int,
) -> changes.Change | changes.Refusal:
    """Reserves an amount for a capture.

    Args:
        payment: As locked.
        operation: A CAPTURE whose amount is set here; `final` says whether more follows.
        amount_minor: How much, or None for all that is left.
        now_us: The time of the change.
    """
    most = actions.capturable_minor(payment)
    if most <= 0:
        return conflict(payment, "capture")
    amount = most if amount_minor is None else amount_minor
    if amount > most:
        return exceeded(payment, "capture", most)
    # A final capture releases the remainder, so nothing else may take it meanwhile.
    reserved = most if operation.final else amount
    operation = model.after(operation, payment.operations)
    intent = copies.replace(operation, amount_minor=amount, reserved_minor=reserved)
    after = copies.replace(
        payment,
        capture_reserved_minor=payment.capture_reserved_minor + reserved,
        updated_us=now_us,
        operations=(*payment.operations, intent),
    )
    return changes.Change(payment=after, new_operation=intent)


def cancel(
    payment: model.Payment, operation: model.Operation, now_us: int
) -> changes.Change | changes.Refusal:
    """Ends a payment without money, releases what is not captured, or notes the wish.

    *operation* is a VOID, used only where something must be told to the provider.
    """
    if not actions.is_cancelable(payment):
        return conflict(payment, "cancel")
    if payment.state in (_P.CREATED, _P.FAILED):
        after = copies.replace(
            payment,
            state=_P.CANCELED,
            failure=None,
            next_retry_us=0,
            version=payment.version + 1,
            updated_us=now_us,
        )
        step = changes.Step(event_type="payment.canceled", before=payment, after=after)
        return changes.Change(payment=after, steps=(step,))
    initial = payment.open_operation(_K.AUTHORIZE, _K.SALE)
    if initial is not None and initial.is_unknown:
        return _updated(payment, now_us, cancel_requested=True)
    return start_void(payment, operation, now_us)


def start_void(payment: model.Payment, operation: model.Operation, now_us: int) -> changes.Change:
    """Reserves the whole remainder for a VOID.

    Its beginning is no event, as that of a capture is none, unless it carries out a cancellation
    that had to wait: then `cancel_requested` ends, and that is told.
    """
    rest = payment.authorized_minor - payment.captured_minor - payment.capture_reserved_minor
    takes_over = payment.cancel_requested and operation.cause.actor == CANCELER
    operation = model.after(operation, payment.operations)
    intent = copies.replace(operation, amount_minor=rest, reserved_minor=rest)
    after = copies.replace(
        payment,
        cancel_requested=payment.cancel_requested and not takes_over,
        capture_reserved_minor=payment.capture_reserved_minor + rest,
        updated_us=now_us,
        operations=(*payment.operations, intent),
    )
    if not takes_over:
        return changes.Change(payment=after, new_operation=intent)
    after = copies.replace(after, version=payment.version + 1)
    step = changes.Step(
        event_type="payment.updated", before=payment, after=after, operation_id=intent.id
    )
    return changes.Change(payment=after, steps=(step,), new_operation=intent)


def meet_wish(payment: model.Payment, now_us: int) -> changes.Change:
    """Ends a wish to cancel of which nothing is left to return."""
    return _updated(payment, now_us, cancel_requested=False)


def stop_retrying(payment: model.Payment, now_us: int) -> changes.Change:
    """Takes a failed payment from the retry policy: it stays as it is."""
    return _updated(payment, now_us, next_retry_us=0)


def _updated(payment: model.Payment, now_us: int, **values: Any) -> changes.Change:
    """Changes what is no state and no amount."""
    after = copies.replace(payment, version=payment.version + 1, updated_us=now_us, **values)
    step = changes.Step(event_type="payment.updated", before=payment, after=after)
    return changes.Change(payment=after, steps=(step,))


def canceler_tries(payment: model.Payment) -> tuple[model.Operation, ...]:
    """Returns the operations that carry out a cancellation that had to wait, oldest first."""
    return tuple(o for o in payment.operations if o.cause.actor == CANCELER)


def refund(
    payment: model.Payment,
    refund_: model.Refund,
    operation: model.Operation,
    amount_minor: int | None,
    now_us: int,
) -> changes.Change | changes.Refusal:
    """Reserves an amount for a refund; *amount_minor* None means all that is left.

    A wish to cancel is taken over by the refund that carries it out, unless others are under
    way, which may leave something to return.
    """
    most = actions.refundable_minor(payment)
    if most <= 0:
        return conflict(payment, "refund")
    amount = most if amount_minor is None else amount_minor
    if amount > most:
        return exceeded(payment, "refund", most)
    takes_over = operation.cause.actor == CANCELER and not payment.refund_reserved_minor
    operation = model.after(operation, payment.operations)
    intent = copies.replace(operation, amount_minor=amount, reserved_minor=amount)
    new_refund = copies.replace(refund_, amount_minor=amount)
    after = copies.replace(
        payment,
        cancel_requested=payment.cancel_requested and not takes_over,
        refund_reserved_minor=payment.refund_reserved_minor + amount,
        version=payment.version + 1,
        updated_us=now_us,
        operations=(*payment.operations, intent),
    )
    step = changes.Step(
        event_type="refund.created",
        before=payment,
        after=after,
        refund=new_refund,
        operation_id=intent.id,
    )
    return changes.Change(payment=after, steps=(step,), new_operation=intent, new_refund=new_refund)


def conflict(payment: model.Payment, what: str) -> changes.Refusal:
    """The state forbids it; says what has to end first, and what is possible instead."""
    allowed = [action.name.lower() for action, _ in actions.available(payment)]
    hint = f"possible now: {', '.join(allowed)}" if allowed else "nothing is possible now"
    why = payment.state.name
    if payment.cancel_requested:
        why += " and about to be canceled"
    if actions.is_full(payment):
        why += f" and has {len(payment.operations)} operations, the most one may have"
    if waits := actions.in_the_way(payment):
        named = (f"its {one.kind.name} is {one.state.name}" for one in waits)
        why += f"; {' and '.join(named)}, wait until that is over"
    elif actions.is_refunded(payment):
        why += "; all that was captured is refunded or disputed"
    return changes.Refusal(
        reason="STATE_CONFLICT",
        message=f"can't {what} a payment that is {why}; {hint}",
        payment=payment,
    )


def exceeded(payment: model.Payment, what: str, most: int) -> changes.Refusal:
    """The amount is above what is left."""
    return changes.Refusal(
        reason="AMOUNT_EXCEEDED",
        message=f"can't {what} more than {most} minor units of {payment.currency}",
        payment=payment,
        max_amount_minor=most,
    )
