"""What others did to a payment counts against what is left to refund, and is told once."""

from dataclasses import replace

import pytest

from payment_service.domain import actions, elsewhere, model, outcomes
from payment_service.domain.mirrors import base
from tests.unit.payment_service import build, rules

K = model.Kind
O = outcomes.Outcome  # noqa: E741
V = base.Verdict
LATER_US = build.NOW_US + 9_000_000


def sold() -> build.Story:
    """Returns the story of a payment that succeeded."""
    return build.Story(K.SALE).confirm().then(O.SUCCEEDED)


def told(
    refunded: int, foreign: int = 0, time: int = 1, *, fetched: bool = False
) -> elsewhere.Told:
    """Returns what a provider tells of all refunds and of those that are not ours."""
    return elsewhere.Told(
        refunded_minor=refunded, foreign_minor=foreign, state_time_us=time, fetched=fetched
    )


def _left(payment: model.Payment) -> int:
    return dict(actions.available(payment)).get(model.Action.REFUND, 0)


def test_a_refund_made_elsewhere_is_raised_once_and_counts() -> None:
    """One event tells it; a repeat, and our own refunds, tell nothing."""
    payment = sold().payment
    verdict, change = elsewhere.absorb(payment, told(300), LATER_US)
    assert (verdict, change is not None) == (V.APPLIED, True)
    assert change is not None
    rules.check_steps(payment, change)
    assert [step.event_type for step in change.steps] == ["reconciliation.discrepancy"]
    after = change.payment
    assert (after.foreign_refunded_minor, _left(after)) == (300, 700)
    assert elsewhere.absorb(after, told(300), LATER_US) == (V.REPEAT, None)
    verdict, silent = elsewhere.absorb(after, told(300, 300, time=2), LATER_US)
    assert verdict is V.REPEAT
    assert silent is not None
    assert silent.steps == ()
    assert elsewhere.absorb(silent.payment, told(0), LATER_US) == (V.STALE, None)


@pytest.mark.parametrize("outcome", [O.UNKNOWN, O.PENDING, O.SUCCEEDED])
def test_our_own_refund_is_not_somebody_elses(outcome: outcomes.Outcome) -> None:
    """It may be returned already while nobody here knows."""
    payment = sold().refund(400).then(outcome).payment
    verdict, change = elsewhere.absorb(payment, told(400), LATER_US)
    assert verdict is V.REPEAT
    assert change is not None
    assert change.payment == replace(payment, provider_time_us=1)
    # One that is known to be somebody else's counts beside it.
    _, more = elsewhere.absorb(payment, told(400, 100), LATER_US)
    assert more is not None
    assert more.payment.foreign_refunded_minor == 100


def test_a_refund_that_we_call_failed_and_that_took_place_is_raised() -> None:
    """The books here say 0, the provider says 400: that is somebody's to explain."""
    payment = sold().refund(400).then(O.DECLINED).payment
    verdict, change = elsewhere.absorb(payment, told(400), LATER_US)
    assert verdict is V.APPLIED
    assert change is not None
    assert _left(change.payment) == 600


def test_two_reports_of_one_moment_that_differ_are_fetched() -> None:
    """Neither is believed; what was asked for just now decides."""
    payment = replace(sold().payment, provider_time_us=1)
    assert elsewhere.absorb(payment, told(300), LATER_US) == (V.AMBIGUOUS, None)
    verdict, change = elsewhere.absorb(payment, told(300, fetched=True), LATER_US)
    assert verdict is V.APPLIED
    assert change is not None


def test_a_dispute_takes_and_gives_back() -> None:
    """While it is open or lost, its amount can't be refunded; each change is one event."""
    payment = sold().payment
    assert elsewhere.disputed(payment, 0, LATER_US) is None
    opened = elsewhere.disputed(payment, 1_000, LATER_US)
    assert opened is not None
    assert [step.event_type for step in opened.steps] == ["payment.disputed"]
    assert _left(opened.payment) == 0
    won = elsewhere.disputed(opened.payment, -1_000, LATER_US)
    assert won is not None
    assert [step.event_type for step in won.steps] == ["payment.dispute_released"]
    assert _left(won.payment) == 1_000
    rules.check_ceilings(won.payment)
