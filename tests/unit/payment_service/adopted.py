"""A payment that the provider made by itself, and how it follows what is seen of it.

Owns what tests of adoption start from. Called by those tests and properties. Follows by
the domain's own rules alone, and checks every change on the way.
"""

from dataclasses import replace
from typing import Any

from payment_service.domain import adoption, changes, model
from payment_service.domain.mirrors import objects
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


def seen(state: model.OperationState) -> objects.Payment:
    """Returns what the provider shows of the payment."""
    return objects.Payment(
        provider_object_id="prov-1",
        state_time_us=1,
        amount_minor=build.AMOUNT,
        currency="EUR",
        captured_minor=build.AMOUNT if state is S.SUCCEEDED else 0,
        state=state,
    )


def payment(**over: Any) -> model.Payment:
    """Returns the payment as it is when it was just heard of."""
    method = model.CaptureMethod.AUTOMATIC
    draft = build.payment(
        checkout_id="chk_1", provider_payment_id="prov-1", capture_method=method, **over
    )
    first = build.operation(K.SALE, 1, amount_minor=build.AMOUNT)
    change = adoption.adopt(draft, first)
    assert [step.event_type for step in change.steps] == ["payment.created"]
    assert (change.payment.state, change.new_operation) == (P.PROCESSING, first)
    return change.payment


def follow(payment: model.Payment, state: model.OperationState) -> model.Payment:
    """Leads *payment* to *state*, checking every change on the way."""
    again = build.operation(K.SALE, len(payment.operations) + 1, amount_minor=build.AMOUNT)
    for change in adoption.follow(payment, seen(state), again, LATER_US):
        assert isinstance(change, changes.Change)
        rules.check_steps(replace(payment, revision=change.payment.revision), change)
        rules.check_operations(payment, change)
        rules.check_ceilings(change.payment)
        rules.check_sums(change.payment)
        payment = replace(change.payment, revision=change.payment.revision + 1)
    return payment
