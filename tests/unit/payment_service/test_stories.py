"""Payments led from one end to the other: the events they leave and what they end as."""

import pytest

from payment_service.domain import commands, model, outcomes
from tests.unit.payment_service import build, rules

P = model.PaymentState
K = model.Kind
O = outcomes.Outcome  # noqa: E741
V = outcomes.Verdict


def test_money_that_moved_after_all_is_raised_and_not_booked() -> None:
    """A success after a failure changes no amount: an operator compares with the provider."""
    story = build.Story(K.SALE).confirm().then(O.DECLINED)
    applied = story.report(O.SUCCEEDED)
    assert applied.verdict is V.ILLEGAL
    assert story.event_types[-1] == "reconciliation.discrepancy"
    assert (story.payment.state, story.payment.captured_minor) == (P.FAILED, 0)


def test_the_provider_payment_is_the_one_of_the_newest_attempt() -> None:
    """Captures of a second attempt never name the payment of the first one."""
    story = build.Story().confirm().then(O.PENDING, provider_object_id="first")
    assert story.payment.provider_payment_id == "first"
    story.then(O.DECLINED).confirm()
    assert story.payment.provider_payment_id == ""
    story.then(O.SUCCEEDED, provider_object_id="second")
    assert story.payment.provider_payment_id == "second"
    story.capture(1).then(O.SUCCEEDED, provider_object_id="other")
    assert story.payment.provider_payment_id == "second"


def test_a_success_under_another_id_is_raised() -> None:
    """Captures and refunds go to the payment whose id is known: if that is not the one that the
    provider made, somebody else's money moves.
    """
    story = build.Story(K.SALE).confirm().then(O.SUCCEEDED, provider_object_id="named")
    for told in ("named", ""):
        assert story.report(O.SUCCEEDED, provider_object_id=told).verdict is V.REPEAT
    assert story.report(O.SUCCEEDED, provider_object_id="made").verdict is V.ILLEGAL
    assert story.event_types[-1] == "reconciliation.discrepancy"
    assert story.payment.provider_payment_id == "named"
    assert story.payment.state is P.SUCCEEDED


def test_a_payment_being_voided_is_canceled_when_it_is_declined() -> None:
    """It can't be confirmed again while the void is under way, which would end that attempt."""
    story = build.Story().confirm().then(O.PENDING).cancel().then(O.DECLINED, 0)
    assert story.payment.state is P.CANCELED
    story.then(O.SUCCEEDED, 1)
    assert story.payment.state is P.CANCELED
    assert story.event_types == [
        "payment.created",
        "payment.processing",
        "payment.processing",
        "payment.canceled",
        "payment.updated",
    ]


EVENTS = {
    "sale": (
        build.Story(K.SALE).confirm().then(O.SUCCEEDED),
        "payment.created payment.processing payment.succeeded",
    ),
    "pending straight after confirm": (
        build.Story(K.SALE).confirm().then(O.PENDING).then(O.SUCCEEDED),
        "payment.created payment.processing payment.processing payment.succeeded",
    ),
    "action, then pending": (
        build.Story(K.SALE).confirm().then(O.ACTION_REQUIRED).then(O.PENDING).then(O.DECLINED),
        (
            "payment.created payment.processing payment.requires_action payment.processing "
            "payment.failed"
        ),
    ),
    "doubt that ends well": (
        build.Story().confirm().then(O.UNKNOWN).then(O.SUCCEEDED),
        "payment.created payment.processing payment.in_doubt payment.authorized",
    ),
    "two captures": (
        build.Story()
        .confirm()
        .then(O.SUCCEEDED)
        .capture(300)
        .then(O.SUCCEEDED)
        .capture(200, final=True)
        .then(O.PENDING)
        .then(O.SUCCEEDED),
        (
            "payment.created payment.processing payment.authorized payment.captured "
            "payment.updated payment.captured payment.succeeded"
        ),
    ),
    "declined capture and void": (
        build.Story()
        .confirm()
        .then(O.SUCCEEDED)
        .capture()
        .then(O.DECLINED)
        .cancel()
        .then(O.NOT_SENT)
        .cancel()
        .then(O.SUCCEEDED),
        (
            "payment.created payment.processing payment.authorized payment.capture_failed "
            "payment.void_failed payment.canceled"
        ),
    ),
    "capture in doubt without effect": (
        build.Story().confirm().then(O.SUCCEEDED).capture().then(O.UNKNOWN).then(O.NOT_SENT),
        "payment.created payment.processing payment.authorized payment.in_doubt payment.resolved",
    ),
    "void in doubt of what it ended": (
        build.Story()
        .confirm()
        .then(O.ACTION_REQUIRED)
        .cancel()
        .then(O.UNKNOWN)
        .then(O.VOIDED, 0)
        .then(O.SUCCEEDED, 1),
        (
            "payment.created payment.processing payment.requires_action payment.in_doubt "
            "payment.canceled payment.resolved"
        ),
    ),
    "refunds": (
        build.Story(K.SALE)
        .confirm()
        .then(O.SUCCEEDED)
        .refund(400)
        .refund()
        .then(O.PENDING, 1)
        .then(O.UNKNOWN, 2)
        .then(O.SUCCEEDED, 1)
        .then(O.SUCCEEDED, 2),
        (
            "payment.created payment.processing payment.succeeded refund.created refund.created "
            "refund.pending refund.in_doubt refund.succeeded refund.succeeded payment.refunded"
        ),
    ),
    "failed refund": (
        build.Story(K.SALE).confirm().then(O.SUCCEEDED).refund().then(O.DECLINED),
        "payment.created payment.processing payment.succeeded refund.created refund.failed",
    ),
    "part captured and refunded, rest voided": (
        build.Story()
        .confirm()
        .then(O.SUCCEEDED)
        .capture(300)
        .then(O.SUCCEEDED)
        .refund()
        .then(O.SUCCEEDED)
        .cancel()
        .then(O.SUCCEEDED),
        (
            "payment.created payment.processing payment.authorized payment.captured "
            "refund.created refund.succeeded payment.succeeded payment.refunded"
        ),
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_the_events_of_a_story_are_those_that_are_promised(name: str) -> None:
    """One event per change of state, of the promised type, with versions dense from 1."""
    story, types = EVENTS[name]
    assert story.event_types == types.split()
    versions = [step.after.version for step in story.steps]
    assert versions == list(range(1, len(versions) + 1))
    rules.check_sums(story.payment)


def test_create_with_confirm_is_one_event() -> None:
    """The intent is in the first snapshot, which is PROCESSING."""
    operation = build.operation(K.SALE, amount_minor=build.AMOUNT)
    change = commands.create(build.payment(), operation)
    (step,) = change.steps
    assert (step.event_type, step.before) == ("payment.created", None)
    assert (step.after.state, step.after.version) == (P.PROCESSING, 1)
    assert change.new_operation is operation
