"""Which payments a retry policy tries again, when, and how often."""

from dataclasses import replace
from typing import Any

import pytest

from payment_service.domain import commands, model, outcomes, retries, transitions
from tests.unit.payment_service import build

P = model.PaymentState
K = model.Kind
O = outcomes.Outcome  # noqa: E741
DELAYS_US = (60_000_000, 3_600_000_000)
SOFT = model.Failure(
    kind=model.FailureKind.DECLINED, reason="INSUFFICIENT_FUNDS", retryable_later=True
)
HARD = replace(SOFT, reason="INSTRUMENT_INVALID", retryable_later=False)
UNSENT = model.Failure(kind=model.FailureKind.NOT_SENT, reason="PROVIDER_UNREACHABLE")
POLICY = model.Cause(actor=retries.ACTOR)


def _confirmed(story: build.Story, *, by_policy: bool = False) -> model.Payment:
    """The story's payment, off session, confirmed by a caller or by the policy."""
    over: dict[str, Any] = {"cause": POLICY} if by_policy else {}
    new = story.next_operation(K.SALE, amount_minor=build.AMOUNT, **over)
    payment = replace(story.payment, off_session=True)
    story.take(commands.confirm(payment, new, story.now_us))
    return story.payment


def _fails(
    story: build.Story, outcome: outcomes.Outcome, failure: model.Failure | None
) -> model.Payment:
    payment = story.payment
    target = payment.operations[-1]
    report = build.report(outcome, target.version, failure=failure)
    applied = transitions.apply(payment, target.id, report, story.now_us + 5, delays_us=DELAYS_US)
    assert applied.change is not None
    story.now_us += 5
    story.take(applied.change)
    return story.payment


def test_each_soft_refusal_is_tried_again_until_the_delays_are_used_up() -> None:
    """The wait counts from the refusal; a caller's own confirmation starts anew."""
    story = build.Story(K.SALE)
    _confirmed(story)
    failed = _fails(story, O.DECLINED, SOFT)
    assert failed.next_retry_us == failed.updated_us + DELAYS_US[0]
    trying = _confirmed(story, by_policy=True)
    assert (trying.next_retry_us, retries.tries(trying)) == (0, 1)
    failed = _fails(story, O.DECLINED, SOFT)
    assert failed.next_retry_us == failed.updated_us + DELAYS_US[1]
    _confirmed(story, by_policy=True)
    assert _fails(story, O.DECLINED, SOFT).next_retry_us == 0
    assert _confirmed(story).next_retry_us == 0
    failed = _fails(story, O.DECLINED, SOFT)
    assert failed.next_retry_us == failed.updated_us + DELAYS_US[0]


@pytest.mark.parametrize(
    ("outcome", "failure"), [(O.DECLINED, HARD), (O.NOT_SENT, UNSENT), (O.UNKNOWN, None)]
)
def test_nothing_else_is_tried_again(
    outcome: outcomes.Outcome, failure: model.Failure | None
) -> None:
    """Neither a hard refusal, nor what never was sent, nor what nobody knows."""
    story = build.Story(K.SALE)
    _confirmed(story)
    assert _fails(story, outcome, failure).next_retry_us == 0


def test_a_doubt_that_ends_in_a_soft_refusal_is_tried_again() -> None:
    """Unknown is not refused: the wait begins when it is known."""
    story = build.Story(K.SALE)
    _confirmed(story)
    assert _fails(story, O.UNKNOWN, None).state is P.IN_DOUBT
    failed = _fails(story, O.DECLINED, SOFT)
    assert failed.next_retry_us == failed.updated_us + DELAYS_US[0]


def test_a_try_that_was_never_sent_is_used_up_and_the_next_follows() -> None:
    """An outage of the provider ends no policy."""
    story = build.Story(K.SALE)
    _confirmed(story)
    _fails(story, O.DECLINED, SOFT)
    _confirmed(story, by_policy=True)
    failed = _fails(story, O.NOT_SENT, UNSENT)
    assert failed.next_retry_us == failed.updated_us + DELAYS_US[1]
    _confirmed(story, by_policy=True)
    assert _fails(story, O.NOT_SENT, UNSENT).next_retry_us == 0


def test_a_payment_with_its_payer_is_never_tried_again() -> None:
    """Only they know whether they still want it."""
    story = build.Story(K.SALE).confirm()
    assert _fails(story, O.DECLINED, SOFT).next_retry_us == 0


def test_a_cancellation_stops_the_policy() -> None:
    """A failed payment is canceled at once; one under way ends as canceled, not as failed."""
    story = build.Story(K.SALE)
    _confirmed(story)
    assert _fails(story, O.DECLINED, SOFT).next_retry_us
    story.cancel()
    assert (story.payment.state, story.payment.next_retry_us) == (P.CANCELED, 0)
    story = build.Story(K.SALE)
    _confirmed(story)
    story.cancel()
    ended = _fails(story, O.DECLINED, SOFT)
    assert (ended.state, ended.next_retry_us) == (P.CANCELED, 0)
