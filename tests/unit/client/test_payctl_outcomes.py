"""What payctl makes of payments: exit codes and what it tells people."""

import pytest
from payhub.payments.v1 import mirror_pb2, payment_pb2

from payctl import outcomes, payments, plans, session
from payhub_client import Payment, Plan

_Operation = payment_pb2.Operation


def failed_softly() -> Payment:
    """A payment without the payer that was refused and is tried again by the retry policy."""
    payment = Payment(id="pay_1", state=Payment.STATE_FAILED, off_session=True)
    payment.amount.amount_minor, payment.amount.currency_code = 1250, "EUR"
    payment.failure.reason = "INSUFFICIENT_FUNDS"
    payment.next_retry_time.seconds = 1_800_000_000
    return payment


def canceled(
    state: "Payment.State", *operations: tuple[int, int], cancel_requested: bool = False
) -> Payment:
    """A payment whose cancellation was asked for, with operations of these kinds and states."""
    payment = Payment(id="pay_1", state=state, cancel_requested=cancel_requested)
    for kind, ended in operations:
        payment.operations.add(kind=kind, state=ended)
    return payment


def test_a_payment_that_is_tried_again_is_not_decided(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever paid by other means after a refusal that Payhub tries again would pay twice."""
    payment = failed_softly()
    assert outcomes.of_state(payment) is session.Exit.UNDECIDED
    payments.shown(payment, as_json=False, code=session.Exit.UNDECIDED)
    told = capsys.readouterr()
    assert "2027-01-15 08:00:00.000Z" in told.out
    assert "do not pay again" in told.err
    payment.ClearField("next_retry_time")
    assert outcomes.of_state(payment) is session.Exit.REFUSED


def test_a_cancellation_is_judged_by_what_carries_it_out() -> None:
    """One that waits is not decided, whatever became of earlier voids; one that a refund carries
    out is done with it.
    """
    void, refund, sale = _Operation.KIND_VOID, _Operation.KIND_REFUND, _Operation.KIND_SALE
    succeeded, declined = _Operation.STATE_SUCCEEDED, _Operation.STATE_DECLINED
    doubt, pending = Payment.STATE_IN_DOUBT, _Operation.STATE_PENDING
    judged = [
        outcomes.of_cancellation(each)
        for each in (
            canceled(Payment.STATE_CANCELED),
            canceled(doubt, (void, declined), cancel_requested=True),
            canceled(Payment.STATE_AUTHORIZED, (void, declined)),
            canceled(Payment.STATE_SUCCEEDED, (void, succeeded)),
            canceled(Payment.STATE_SUCCEEDED, (sale, succeeded), (refund, pending)),
            canceled(Payment.STATE_SUCCEEDED, (sale, succeeded), (refund, succeeded)),
        )
    ]
    code = session.Exit
    expected = [code.OK, code.UNDECIDED, code.REFUSED, code.OK, code.UNDECIDED, code.OK]
    assert judged == expected


def test_a_refund_of_a_part_carries_no_cancellation_out() -> None:
    """Whoever repeats a cancellation whose void was refused learns that the rest stays taken."""
    void, refund = _Operation.KIND_VOID, _Operation.KIND_REFUND
    ended = (void, _Operation.STATE_DECLINED), (refund, _Operation.STATE_SUCCEEDED)
    payment = canceled(Payment.STATE_SUCCEEDED, *ended)
    payment.amounts.captured_minor, payment.amounts.refunded_minor = 1000, 200
    assert outcomes.of_cancellation(payment) is session.Exit.REFUSED
    payment.amounts.refunded_minor = 1000
    assert outcomes.of_cancellation(payment) is session.Exit.OK


def test_archiving_is_judged_by_the_prices_that_were_made() -> None:
    """A price that its provider refused to make has nothing to be archived there."""
    code = session.Exit
    synced, failed = mirror_pb2.SYNC_STATE_SYNCED, mirror_pb2.SYNC_STATE_FAILED
    pending = mirror_pb2.SYNC_STATE_PENDING
    judged = []
    for prices in (
        [("", failed)],
        [("", failed), ("price_1", synced)],
        [("", failed), ("price_1", pending)],
        [("", pending)],
        [("price_1", failed)],
    ):
        plan = Plan(state=Plan.STATE_ARCHIVED)
        for object_id, state in prices:
            plan.prices.add(provider_object_id=object_id, sync_state=state)
        judged.append(plans.of_archiving(plan))
    assert judged == [code.OK, code.OK, code.UNDECIDED, code.UNDECIDED, code.REFUSED]


def test_a_capture_that_a_void_has_ended_is_refused() -> None:
    """Superseded is final: waiting for such a capture, or repeating it, would go on for ever."""
    kind, ended = _Operation.KIND_CAPTURE, _Operation.STATE_SUPERSEDED
    payment = canceled(Payment.STATE_CANCELED, (kind, ended))
    assert outcomes.of_last_operation(payment, kind) is session.Exit.REFUSED
