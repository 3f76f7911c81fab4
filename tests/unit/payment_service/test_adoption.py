"""Payments that the provider made by itself follow it, and are nobody else's to confirm."""

import pytest
from payhub.provider.v1 import payment_provider_service_pb2 as pb

from payment_service.domain import actions, adoption, changes, commands, model
from payment_service.provider_client import requests
from tests.unit.payment_service import adopted, build

P = model.PaymentState
S = model.OperationState
K = model.Kind


@pytest.mark.parametrize("state", adopted.ENTERED)
def test_a_payment_is_adopted_as_the_provider_has_it(state: model.OperationState) -> None:
    """It is made first and led there then, as every payment is."""
    payment = adopted.follow(adopted.payment(), state)
    assert payment.state is adopted.ENTERED[state]
    assert payment.provider_payment_id == "prov-1"
    assert not adoption.differs(payment, adopted.seen(state))
    offered = {action for action, _ in actions.available(payment)}
    assert offered == ({model.Action.REFUND} if state is S.SUCCEEDED else set())


def test_nobody_else_confirms_or_cancels_it() -> None:
    """Its provider tries again by itself; a second payment for it would be one too many."""
    failed = adopted.follow(adopted.payment(), S.DECLINED)
    again = build.operation(K.SALE, 9, amount_minor=build.AMOUNT)
    void = build.operation(K.VOID, 9)
    for refused in (
        commands.confirm(failed, again, adopted.LATER_US),
        commands.cancel(failed, void, adopted.LATER_US),
        commands.cancel(adopted.payment(), void, adopted.LATER_US),
    ):
        assert isinstance(refused, changes.Refusal)
        assert refused.reason == "STATE_CONFLICT"


def test_a_contradiction_is_raised_and_changes_nothing() -> None:
    """What succeeded can't have been declined."""
    paid = adopted.follow(adopted.payment(), S.SUCCEEDED)
    after = adopted.follow(paid, S.DECLINED)
    assert (after.state, after.captured_minor) == (P.SUCCEEDED, build.AMOUNT)
    assert after.version == paid.version + 1


@pytest.mark.parametrize("state", [S.PENDING, S.REQUIRES_ACTION, S.SUCCEEDED])
def test_the_attempt_that_counts_is_found_whatever_its_id(state: model.OperationState) -> None:
    """Processes whose clocks differ mint ids in another order than they make attempts."""
    declined = build.operation(K.SALE, 2, state=S.DECLINED, amount_minor=build.AMOUNT)
    counts = build.operation(K.SALE, 1, state=state, amount_minor=build.AMOUNT)
    payment = build.payment(
        state=adopted.ENTERED[state], checkout_id="chk_1", version=3, operations=(counts, declined)
    )
    assert adoption.newest(payment) == counts
    void = pb.VoidPaymentRequest.FromString(requests.void(payment))
    assert void.target_operation_id == counts.id
    if state is not S.SUCCEEDED:
        (change,) = adoption.follow(payment, adopted.seen(S.DECLINED), declined, adopted.LATER_US)
        assert change.payment.state is P.FAILED
