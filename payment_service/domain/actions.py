"""What a caller may do with a payment now, and up to which amount.

Owns the answer to "is this allowed?". Called by commands, which refuse
everything else, and by snapshots, which tell callers. Never changes anything.
"""

from payment_service.domain import model

# Every event shows all operations of its payment: up to 700 bytes each, of the 256 KiB
# that the gateway takes. Money can be released when nothing else is possible any more.
OPERATIONS_MAX = 200
VOIDS_EXTRA = 25

_P = model.PaymentState
_K = model.Kind
_A = model.Action


def is_full(payment: model.Payment) -> bool:
    """Whether it has as many operations as a payment may have, but for voids."""
    return len(payment.operations) >= OPERATIONS_MAX


def in_the_way(payment: model.Payment) -> tuple[model.Operation, ...]:
    """Returns the operations that have to end before most others are accepted."""
    return tuple(one for one in payment.operations if one.is_open and one.kind is not _K.REFUND)


def is_held(payment: model.Payment) -> bool:
    """Whether money is held that nothing is being done with."""
    busy = payment.open_operation(_K.CAPTURE, _K.VOID, _K.INCREMENT)
    return payment.state is _P.AUTHORIZED and not busy


def is_returned(payment: model.Payment) -> bool:
    """Whether everything that was captured is gone again: returned, or taken by disputes."""
    gone_minor = payment.refunded_minor + payment.foreign_refunded_minor + payment.disputed_minor
    return payment.captured_minor <= gone_minor


def is_refunded(payment: model.Payment) -> bool:
    """Whether nothing of what was captured is left to refund."""
    gone_minor = payment.refunded_minor + payment.refund_reserved_minor
    gone_minor += payment.foreign_refunded_minor + payment.disputed_minor
    return 0 < payment.captured_minor <= gone_minor


def capturable_minor(payment: model.Payment) -> int:
    """What may still be captured, minor units; nothing of what is about to be released."""
    if payment.cancel_requested or is_full(payment) or not is_held(payment):
        return 0
    return payment.authorized_minor - payment.captured_minor - payment.capture_reserved_minor


def refundable_minor(payment: model.Payment) -> int:
    """What may still be refunded, minor units."""
    if payment.state not in (_P.AUTHORIZED, _P.SUCCEEDED) or is_full(payment):
        return 0
    own_minor = payment.refunded_minor + payment.refund_reserved_minor
    elsewhere_minor = payment.foreign_refunded_minor + payment.disputed_minor
    return max(payment.captured_minor - own_minor - elsewhere_minor, 0)


def is_incrementable(payment: model.Payment) -> bool:
    """Whether more may be held, up to what the provider takes."""
    if payment.captured_minor or payment.cancel_requested or is_full(payment):
        return False
    return is_held(payment)


def is_confirmable(payment: model.Payment) -> bool:
    """Whether Confirm is accepted."""
    if payment.is_adopted or is_full(payment):
        return False
    return payment.state in (_P.CREATED, _P.FAILED)


def is_cancelable(payment: model.Payment) -> bool:
    """Whether Cancel is accepted; it may only note the wish while the outcome is unknown.

    One that the provider made ends with its checkout, or with its invoice.
    """
    if payment.is_adopted:
        return False
    if payment.state in (_P.CREATED, _P.FAILED):
        return True
    if len(payment.operations) >= OPERATIONS_MAX + VOIDS_EXTRA:
        return False
    match payment.state:
        case _P.REQUIRES_ACTION | _P.PROCESSING | _P.IN_DOUBT:
            return not payment.cancel_requested and not payment.open_operation(_K.VOID)
        case _P.AUTHORIZED:
            return is_held(payment)
        case _:
            return False


def available(payment: model.Payment) -> tuple[tuple[model.Action, int], ...]:
    """Returns every action that is accepted now with its largest amount, 0 for none."""
    found: list[tuple[model.Action, int]] = []
    if is_confirmable(payment):
        found.append((_A.CONFIRM, 0))
    if (amount := capturable_minor(payment)) > 0:
        found.append((_A.CAPTURE, amount))
    if is_cancelable(payment):
        found.append((_A.CANCEL, 0))
    if (amount := refundable_minor(payment)) > 0:
        found.append((_A.REFUND, amount))
    if is_incrementable(payment):
        found.append((_A.INCREMENT, 0))
    return tuple(found)
