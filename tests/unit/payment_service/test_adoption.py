"""Payments that the provider made by itself follow it, and are nobody else's to confirm."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payhub.provider.v1 import payment_provider_service_pb2 as pb

from payment_service.domain import actions, adoption, changes, commands, model
from payment_service.domain.mirrors import objects
from payment_service.provider_client import requests
from tests.unit.payment_service import build, rules

P = model.PaymentState
S = model.OperationState
K = model.Kind
LATER_US = build.NOW_US + 9_000_000
ENTERED = {
    S.PENDING: P.PROCESSING,
    S.REQUIRES_ACTION: P.REQUIRES_ACTION,
    S.DECLINED: P.FAILED,
    S.SUCCEEDED: P.SUCCEEDED,
    S.SUPERSEDED: P.CANCELED,
}


def _seen(state: model.OperationState) -> objects.Payment:
    return objects.Payment(
        provider_object_id="prov-1",
        state_time_us=1,
        amount_minor=build.AMOUNT,
        currency="EUR",
        captured_minor=build.AMOUNT if state is S.SUCCEEDED else 0,
        state=state,
    )


def _adopted(**over: Any) -> model.Payment:
    method = model.CaptureMethod.AUTOMATIC
    draft = build.payment(
        checkout_id="chk_1", provider_payment_id="prov-1", capture_method=method, **over
    )
    first = build.operation(K.SALE, 1, amount_minor=build.AMOUNT)
    change = adoption.adopt(draft, first)
    assert [step.event_type for step in change.steps] == ["payment.created"]
    assert (change.payment.state, change.new_operation) == (P.PROCESSING, first)
    return change.payment


def _follow(payment: model.Payment, state: model.OperationState) -> model.Payment:
    """Leads *payment* to *state*, checking every change on the way."""
    again = build.operation(K.SALE, len(payment.operations) + 1, amount_minor=build.AMOUNT)
    for change in adoption.follow(payment, _seen(state), again, LATER_US):
        assert isinstance(change, changes.Change)
        rules.check_steps(replace(payment, revision=change.payment.revision), change)
        rules.check_operations(payment, change)
        rules.check_ceilings(change.payment)
        rules.check_sums(change.payment)
        payment = replace(change.payment, revision=change.payment.revision + 1)
    return payment


@pytest.mark.parametrize("state", ENTERED)
def test_a_payment_is_adopted_as_the_provider_has_it(state: model.OperationState) -> None:
    """It is made first and led there then, as every payment is."""
    payment = _follow(_adopted(), state)
    assert payment.state is ENTERED[state]
    assert payment.provider_payment_id == "prov-1"
    assert not adoption.differs(payment, _seen(state))
    offered = {action for action, _ in actions.available(payment)}
    assert offered == ({model.Action.REFUND} if state is S.SUCCEEDED else set())


def test_nobody_else_confirms_or_cancels_it() -> None:
    """Its provider tries again by itself; a second payment for it would be one too many."""
    failed = _follow(_adopted(), S.DECLINED)
    again = build.operation(K.SALE, 9, amount_minor=build.AMOUNT)
    void = build.operation(K.VOID, 9)
    for refused in (
        commands.confirm(failed, again, LATER_US),
        commands.cancel(failed, void, LATER_US),
        commands.cancel(_adopted(), void, LATER_US),
    ):
        assert isinstance(refused, changes.Refusal)
        assert refused.reason == "STATE_CONFLICT"


@given(
    st.lists(st.sampled_from([S.PENDING, S.REQUIRES_ACTION, S.DECLINED]), max_size=6),
    st.sampled_from([S.SUCCEEDED, S.DECLINED, S.SUPERSEDED]),
)
def test_every_way_of_trying_ends_where_the_provider_ends(
    tries: list[model.OperationState], end: model.OperationState
) -> None:
    """However often it fails and is tried again, each attempt is an operation of its own."""
    payment = _adopted()
    for state in tries:
        payment = _follow(payment, state)
        assert payment.state is ENTERED[state]
    payment = _follow(payment, end)
    assert payment.state is ENTERED[end]
    assert not adoption.differs(payment, _seen(end))
    rules.check_sums(payment)


def test_a_contradiction_is_raised_and_changes_nothing() -> None:
    """What succeeded can't have been declined."""
    paid = _follow(_adopted(), S.SUCCEEDED)
    after = _follow(paid, S.DECLINED)
    assert (after.state, after.captured_minor) == (P.SUCCEEDED, build.AMOUNT)
    assert after.version == paid.version + 1


@pytest.mark.parametrize("state", [S.PENDING, S.REQUIRES_ACTION, S.SUCCEEDED])
def test_the_attempt_that_counts_is_found_whatever_its_id(state: model.OperationState) -> None:
    """Processes whose clocks differ mint ids in another order than they make attempts."""
    declined = build.operation(K.SALE, 2, state=S.DECLINED, amount_minor=build.AMOUNT)
    counts = build.operation(K.SALE, 1, state=state, amount_minor=build.AMOUNT)
    payment = build.payment(
        state=ENTERED[state], checkout_id="chk_1", version=3, operations=(counts, declined)
    )
    assert adoption.newest(payment) == counts
    void = pb.VoidPaymentRequest.FromString(requests.void(payment))
    assert void.target_operation_id == counts.id
    if state is not S.SUCCEEDED:
        (change,) = adoption.follow(payment, _seen(S.DECLINED), declined, LATER_US)
        assert change.payment.state is P.FAILED
