"""What must hold for every payment at any time, checked from the outside.

Owns the ceilings, dense versions and the sums over operations. Called by the
tests of transitions, commands and sequences. Never trusts an amount it can add
up itself.
"""

from collections.abc import Iterable

from payment_service.domain import changes, model

S = model.OperationState
K = model.Kind

# Written out on purpose: the domain's own sets are what is tested.
OPEN = (S.IN_FLIGHT, S.PENDING, S.REQUIRES_ACTION, S.IN_DOUBT)


def check_ceilings(payment: model.Payment) -> None:
    """Amounts are never negative and never above what they are taken from."""
    p = payment
    lowest = min(
        p.authorized_minor,
        p.captured_minor,
        p.capture_reserved_minor,
        p.refunded_minor,
        p.refund_reserved_minor,
        p.foreign_refunded_minor,
        p.disputed_minor,
    )
    assert lowest >= 0, p
    assert p.captured_minor + p.capture_reserved_minor <= p.authorized_minor <= p.amount_minor, p
    assert p.refunded_minor + p.refund_reserved_minor <= p.captured_minor, p


def check_steps(before: model.Payment, change: changes.Change) -> None:
    """Each step raises the version by one and starts where the previous one ended."""
    at = before
    for step in change.steps:
        assert step.before == at, step
        assert step.after.version == at.version + 1, step
        at = step.after
    assert change.payment.version == before.version + len(change.steps)
    if change.steps:
        assert change.payment == at


def check_operations(before: model.Payment, change: changes.Change) -> None:
    """A terminal operation never changes; whatever changes is in the change, one version up."""
    written = {o.id: o for o in change.operations}
    if change.new_operation is not None:
        written[change.new_operation.id] = change.new_operation
    old = {o.id: o for o in before.operations}
    for after in change.payment.operations:
        known = old.pop(after.id, None)
        if known is None:
            assert change.new_operation == after
        elif known != after:
            assert known.state in OPEN, (known, after)
            assert after.version == known.version + 1
            assert written[after.id] == after
    assert not old, "an operation disappeared"
    for operation in change.payment.operations:
        assert operation.reserved_minor >= 0
        assert operation.state in OPEN or operation.reserved_minor == 0, operation


def check_sums(payment: model.Payment) -> None:
    """The payment's amounts are what its operations add up to."""
    done = [o for o in payment.operations if o.state is S.SUCCEEDED]
    waiting = [o for o in payment.operations if o.state in OPEN]
    assert payment.authorized_minor == _amounts(done, K.AUTHORIZE, K.SALE, K.INCREMENT)
    assert payment.captured_minor == _amounts(done, K.SALE, K.CAPTURE)
    assert payment.refunded_minor == _amounts(done, K.REFUND)
    assert payment.capture_reserved_minor == _reserved(waiting, K.CAPTURE, K.VOID)
    assert payment.refund_reserved_minor == _reserved(waiting, K.REFUND)
    money_in = [o for o in waiting if o.kind in (K.AUTHORIZE, K.SALE, K.CAPTURE, K.INCREMENT)]
    assert len(money_in) <= 1, "two operations could both charge the payer"


def _amounts(operations: Iterable[model.Operation], *kinds: model.Kind) -> int:
    return sum(o.amount_minor for o in operations if o.kind in kinds)


def _reserved(operations: Iterable[model.Operation], *kinds: model.Kind) -> int:
    return sum(o.reserved_minor for o in operations if o.kind in kinds)
