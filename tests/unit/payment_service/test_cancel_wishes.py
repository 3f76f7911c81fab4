"""Wishes to cancel that had to wait: noted, carried out, met, or left."""

from dataclasses import replace

import pytest

from payment_service.domain import actions, changes, commands, model, outcomes
from tests.unit.payment_service import build

P = model.PaymentState
K = model.Kind
O = outcomes.Outcome  # noqa: E741

LATER_US = build.NOW_US + 9_000_000


def test_a_cancel_while_the_outcome_is_unknown_only_notes_the_wish() -> None:
    """Nothing is sent before it is known what there is to end."""
    for story in (build.Story().confirm(), build.Story().confirm().then(O.UNKNOWN)):
        change = commands.cancel(story.payment, build.operation(K.VOID, 77), LATER_US)
        assert isinstance(change, changes.Change)
        assert change.payment.cancel_requested
        assert change.new_operation is None
        assert [step.event_type for step in change.steps] == ["payment.updated"]
        noted = replace(
            story.payment,
            cancel_requested=True,
            version=story.payment.version + 1,
            updated_us=LATER_US,
        )
        assert change.payment == noted


@pytest.mark.parametrize("outcome", [O.DECLINED, O.NOT_SENT, O.VOIDED])
def test_a_noted_wish_is_met_by_an_outcome_without_money(outcome: outcomes.Outcome) -> None:
    """The payment ends as canceled, not as failed and confirmable again."""
    story = build.Story().confirm().cancel().then(outcome, 0)
    assert (story.payment.state, story.payment.cancel_requested) == (P.CANCELED, False)
    assert story.event_types[-1] == "payment.canceled"


def test_a_noted_wish_outlives_an_outcome_with_money() -> None:
    """It is still to be carried out: by a void, which takes the wish over."""
    story = build.Story().confirm().cancel().then(O.SUCCEEDED, 0)
    assert (story.payment.state, story.payment.cancel_requested) == (P.AUTHORIZED, True)
    void = build.operation(K.VOID, 77, cause=model.Cause(actor=commands.CANCELER))
    change = commands.start_void(story.payment, void, LATER_US)
    assert not change.payment.cancel_requested
    assert change.new_operation is not None
    assert change.new_operation.reserved_minor == build.AMOUNT


def _to_return() -> build.Story:
    """A sale that was to be canceled before it was known."""
    return build.Story(K.SALE).confirm().cancel().then(O.SUCCEEDED, 0)


@pytest.mark.parametrize("outcome", [O.DECLINED, O.NOT_SENT])
@pytest.mark.parametrize("amount", [1, None])
def test_a_callers_refund_that_fails_leaves_the_wish(
    outcome: outcomes.Outcome, amount: int | None
) -> None:
    """Cancel was promised: that the caller tried to get it back as well does not end it."""
    story = _to_return().refund(amount)
    assert story.payment.cancel_requested
    story.then(outcome)
    assert story.payment.cancel_requested


@pytest.mark.parametrize(
    ("outcome", "stays"), [(O.DECLINED, True), (O.NOT_SENT, True), (O.SUCCEEDED, False)]
)
def test_a_callers_void_that_fails_leaves_the_wish(
    outcome: outcomes.Outcome, *, stays: bool
) -> None:
    """Nor does that the caller cancels once more, unless that releases the money."""
    story = build.Story().confirm().cancel().then(O.SUCCEEDED, 0).cancel()
    assert story.payment.cancel_requested
    story.then(outcome)
    assert story.payment.cancel_requested is stays


def test_a_callers_refund_of_all_that_is_left_meets_the_wish() -> None:
    """Once everything is back nothing is left to cancel; before that something is."""
    story = _to_return().refund(400).then(O.SUCCEEDED)
    assert story.payment.cancel_requested
    story.refund().then(O.PENDING)
    assert story.payment.cancel_requested
    story.then(O.SUCCEEDED)
    assert not story.payment.cancel_requested
    told = next(step for step in reversed(story.steps) if step.event_type == "refund.succeeded")
    assert not told.after.cancel_requested


@pytest.mark.parametrize(
    ("outcome", "stays"), [(O.SUCCEEDED, False), (O.DECLINED, False), (O.NOT_SENT, True)]
)
def test_a_refund_that_carries_the_wish_out_takes_it_over(
    outcome: outcomes.Outcome, *, stays: bool
) -> None:
    """It is tried again where nothing was sent; a refusal is told, and ends it."""
    story = _to_return().refund(actor=commands.CANCELER)
    assert not story.payment.cancel_requested
    story.then(outcome)
    assert story.payment.cancel_requested is stays


@pytest.mark.parametrize(
    ("callers", "own", "stays"),
    [
        (O.DECLINED, O.SUCCEEDED, True),
        (O.SUCCEEDED, O.SUCCEEDED, False),
        (O.SUCCEEDED, O.NOT_SENT, True),
        (O.SUCCEEDED, O.DECLINED, False),
    ],
)
def test_a_wish_outlives_a_refund_of_the_rest_beside_one_under_way(
    callers: outcomes.Outcome, own: outcomes.Outcome, *, stays: bool
) -> None:
    """What the caller's refund does not return after all is still to be returned."""
    story = _to_return().refund(400).refund(actor=commands.CANCELER)
    assert story.payment.cancel_requested
    story.then(own, 2).then(callers, 1)
    assert story.payment.cancel_requested is stays
    left = story.payment.captured_minor - story.payment.refunded_minor
    assert actions.refundable_minor(story.payment) == left
