"""What a payment says of how a command ended: done, refused, or not decided.

Owns the exit codes of payments. Called by the commands on them. Never guesses: what neither
state nor operations say is undecided.
"""

from payhub.payments.v1 import payment_pb2

from payctl import session
from payhub_client import Payment

_SETTLED = {Payment.STATE_SUCCEEDED, Payment.STATE_AUTHORIZED, Payment.STATE_CREATED}
_REFUSED = {Payment.STATE_FAILED, Payment.STATE_CANCELED}
_Operation = payment_pb2.Operation
_OPERATION_REFUSED = {
    _Operation.STATE_DECLINED,
    _Operation.STATE_NOT_SENT,
    _Operation.STATE_SUPERSEDED,
}


def of_state(payment: Payment) -> session.Exit:
    """Return what a payment's state means after it was sent."""
    if payment.state in _SETTLED:
        return session.Exit.OK
    if payment.HasField("next_retry_time"):
        return session.Exit.UNDECIDED
    return session.Exit.REFUSED if payment.state in _REFUSED else session.Exit.UNDECIDED


def of_cancellation(payment: Payment) -> session.Exit:
    """Return what became of a cancellation, which a void carries out or, once paid, a refund."""
    if payment.state == Payment.STATE_CANCELED:
        return session.Exit.OK
    if payment.cancel_requested:
        return session.Exit.UNDECIDED
    void = of_last_operation(payment, _Operation.KIND_VOID)
    if void is session.Exit.OK:
        return void
    sums = payment.amounts
    returned_minor = sums.refunded_minor + sums.refund_pending_minor + sums.foreign_refunded_minor
    if void is session.Exit.REFUSED and returned_minor + sums.disputed_minor < sums.captured_minor:
        # A refund that carries a cancellation out returns all there is.
        return void
    return of_last_operation(payment, _Operation.KIND_VOID, _Operation.KIND_REFUND)


def of_last_operation(payment: Payment, *kinds: payment_pb2.Operation.Kind) -> session.Exit:
    """Return what became of a payment's newest operation of some kinds."""
    last = next((each for each in reversed(payment.operations) if each.kind in kinds), None)
    if last is None:
        return session.Exit.UNDECIDED
    if last.state == _Operation.STATE_SUCCEEDED:
        return session.Exit.OK
    refused = last.state in _OPERATION_REFUSED
    return session.Exit.REFUSED if refused else session.Exit.UNDECIDED
