"""What others did to a payment counts against what is left to refund, and is told once."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import actions, elsewhere, model, outcomes
from payment_service.domain.mirrors import base
from tests.unit.payment_service import build, rules

K = model.Kind
O = outcomes.Outcome  # noqa: E741
V = base.Verdict
LATER_US = build.NOW_US + 9_000_000


def _sold() -> build.Story:
    return build.Story(K.SALE).confirm().then(O.SUCCEEDED)


def _told(
    refunded: int, foreign: int = 0, time: int = 1, *, fetched: bool = False
) -> elsewhere.Told:
    return elsewhere.Told(
        refunded_minor=refunded, foreign_minor=foreign, state_time_us=time, fetched=fetched
    )


def _left(payment: model.Payment) -> int:
    return dict(actions.available(payment)).get(model.Action.REFUND, 0)


def test_a_refund_made_elsewhere_is_raised_once_and_counts() -> None:
    """One event tells it; a repeat, and our own refunds, tell nothing."""
    payment = _sold().payment
    verdict, change = elsewhere.absorb(payment, _told(300), LATER_US)
    assert (verdict, change is not None) == (V.APPLIED, True)
    assert change is not None
    rules.check_steps(payment, change)
    assert [step.event_type for step in change.steps] == ["reconciliation.discrepancy"]
    after = change.payment
    assert (after.foreign_refunded_minor, _left(after)) == (300, 700)
    assert elsewhere.absorb(after, _told(300), LATER_US) == (V.REPEAT, None)
    verdict, silent = elsewhere.absorb(after, _told(300, 300, time=2), LATER_US)
    assert verdict is V.REPEAT
    assert silent is not None
    assert silent.steps == ()
    assert elsewhere.absorb(silent.payment, _told(0), LATER_US) == (V.STALE, None)


@pytest.mark.parametrize("outcome", [O.UNKNOWN, O.PENDING, O.SUCCEEDED])
def test_our_own_refund_is_not_somebody_elses(outcome: outcomes.Outcome) -> None:
    """It may be returned already while nobody here knows."""
    payment = _sold().refund(400).then(outcome).payment
    verdict, change = elsewhere.absorb(payment, _told(400), LATER_US)
    assert verdict is V.REPEAT
    assert change is not None
    assert change.payment == replace(payment, provider_time_us=1)
    # One that is known to be somebody else's counts beside it.
    _, more = elsewhere.absorb(payment, _told(400, 100), LATER_US)
    assert more is not None
    assert more.payment.foreign_refunded_minor == 100


def test_a_refund_that_we_call_failed_and_that_took_place_is_raised() -> None:
    """The books here say 0, the provider says 400: that is somebody's to explain."""
    payment = _sold().refund(400).then(O.DECLINED).payment
    verdict, change = elsewhere.absorb(payment, _told(400), LATER_US)
    assert verdict is V.APPLIED
    assert change is not None
    assert _left(change.payment) == 600


def test_two_reports_of_one_moment_that_differ_are_fetched() -> None:
    """Neither is believed; what was asked for just now decides."""
    payment = replace(_sold().payment, provider_time_us=1)
    assert elsewhere.absorb(payment, _told(300), LATER_US) == (V.AMBIGUOUS, None)
    verdict, change = elsewhere.absorb(payment, _told(300, fetched=True), LATER_US)
    assert verdict is V.APPLIED
    assert change is not None


def test_a_dispute_takes_and_gives_back() -> None:
    """While it is open or lost, its amount can't be refunded; each change is one event."""
    payment = _sold().payment
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


@given(
    st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 500)), min_size=1, max_size=5).flatmap(
        lambda told: st.permutations([*enumerate(told, 1), *enumerate(told, 1)])
    )
)
def test_any_order_of_reports_ends_in_the_newest(
    reports: list[tuple[int, tuple[int, int]]],
) -> None:
    """Shuffled and repeated, the payment is as of the newest, with dense versions."""
    payment = _sold().payment
    versions = itertools.count(payment.version + 1)
    for time, (refunded, foreign) in reports:
        verdict, change = elsewhere.absorb(payment, _told(refunded, foreign, time), LATER_US)
        assert verdict is not V.AMBIGUOUS
        if change is not None:
            for step in change.steps:
                assert step.after.version == next(versions)
            payment = change.payment
    _, (refunded, foreign) = max(reports)
    assert payment.foreign_refunded_minor == max(refunded, foreign)
    assert payment.provider_time_us == max(reports)[0]
