"""The machine of mirrored entities: snapshots, outcomes, and what each change is called."""

from dataclasses import replace
from typing import Any

import pytest

from payment_service.domain import bindings, model, outcomes
from payment_service.domain.mirrors import (
    base,
    checkouts,
    invoices,
    kinds,
    objects,
    payment_methods,
    plans,
    subscriptions,
)
from tests.unit.payment_service import build, expected, mirrored

K = model.Kind
S = model.OperationState
O = outcomes.Outcome  # noqa: E741
Y = model.SyncState
Sub = subscriptions.State
NOW_US = build.NOW_US


@pytest.mark.parametrize("kind", sorted(kinds.BY_OPERATION))
def test_every_report_does_what_the_rules_say(kind: model.Kind) -> None:
    """Verdict, operation, sync state and failure, for the whole table."""
    rules = kinds.BY_OPERATION[kind]
    entity = next(one for one in mirrored.ENTITIES if mirrored.rules_of(one) is rules)
    for state in S:
        for outcome in O:
            for old in (False, True):
                for is_newest in (False, True):
                    _check(rules, entity, kind, state, outcome, old=old, is_newest=is_newest)


def _check(
    rules: base.AnyRules,
    entity: base.Entity,
    kind: model.Kind,
    state: model.OperationState,
    outcome: outcomes.Outcome,
    *,
    old: bool,
    is_newest: bool,
) -> None:
    operation = build.operation(kind, entity_id=entity.id, state=state, version=2, provider="mock")
    report = build.report(outcome, 1 if old else 2)
    if outcome in (O.DECLINED, O.NOT_SENT):
        report = replace(report, failure=mirrored.REFUSED)
    before = base.begin(entity, "mock")
    verdict, settled, after = base.settle(
        rules, before, operation, report, NOW_US, is_newest=is_newest
    )
    wanted, ended = expected.judgement(state, outcome, old=old)
    assert verdict is wanted
    if wanted is not outcomes.Verdict.APPLIED:
        assert (settled, after) == (operation, before)
        return
    assert (settled.state, settled.version) == (ended, 3)
    place = after.place_at("mock")
    sync = outcomes.sync_state(ended) if is_newest else Y.PENDING
    assert place.sync_state is sync
    assert place.failure == (report.failure if is_newest and sync is Y.FAILED else None)
    missed = ended in (S.DECLINED, S.NOT_SENT, S.SUPERSEDED)
    if kind in (K.ATTACH_PAYMENT_METHOD, K.CREATE_SUBSCRIPTION, K.CREATE_CHECKOUT):
        assert (after.state.name == "FAILED") is missed
    if kind is K.DETACH_PAYMENT_METHOD and ended is S.SUCCEEDED:
        assert after.state is payment_methods.State.DETACHED


THERE: dict[str, Any] = {"provider_object_id": "there", "state_time_us": NOW_US}
UNDONE: list[tuple[Any, objects.Seen]] = [
    (
        replace(mirrored.METHOD, state=payment_methods.State.DETACHED),
        objects.PaymentMethod(**THERE, provider_customer_id="payer"),
    ),
    (
        replace(mirrored.SUBSCRIPTION, state=Sub.CANCELED),
        objects.Subscription(**THERE, state=objects.SubscriptionState.ACTIVE),
    ),
    (
        replace(mirrored.CHECKOUT, state=checkouts.State.COMPLETED),
        objects.Checkout(**THERE, state=objects.CheckoutState.OPEN),
    ),
    (
        replace(mirrored.INVOICE, state=objects.InvoiceState.PAID),
        objects.Invoice(**THERE, state=objects.InvoiceState.OPEN),
    ),
    (
        replace(mirrored.DISPUTE, state=objects.DisputeState.WON),
        objects.Dispute(
            **THERE, state=objects.DisputeState.UNDER_REVIEW, amount_minor=1, currency="EUR"
        ),
    ),
]


@pytest.mark.parametrize(("ended", "told"), UNDONE)
@pytest.mark.parametrize("fetched", [False, True])
def test_nothing_of_its_moment_undoes_an_end(
    ended: Any, told: objects.Seen, *, fetched: bool
) -> None:
    """What was asked for right before the end and answered after it changes nothing; news of a
    later moment counts.
    """
    gone = replace(ended, place=replace(mirrored.PLACE, provider_time_us=NOW_US))
    rules = mirrored.rules_of(gone)
    verdict, after = base.absorb(rules, gone, "mock", told, mirrored.LINKS, fetched=fetched)
    assert (verdict, after) == (base.Verdict.STALE, gone)
    later = replace(told, state_time_us=NOW_US + 1)
    verdict, after = base.absorb(rules, gone, "mock", later, mirrored.LINKS, fetched=fetched)
    assert verdict is base.Verdict.APPLIED
    assert not rules.ended(after)


def test_more_about_an_end_is_taken_in() -> None:
    """What a second answer of the same moment adds to an end is decided by asking."""
    place = replace(mirrored.PLACE, provider_time_us=NOW_US)
    gone = replace(mirrored.METHOD, place=place, state=payment_methods.State.DETACHED)
    told = objects.PaymentMethod(**THERE, type="card")
    verdict, after = base.absorb(
        payment_methods.RULES, gone, "mock", told, mirrored.LINKS, fetched=True
    )
    assert (verdict, after.type) == (base.Verdict.APPLIED, "card")


ENDED: list[base.Entity] = [
    *(replace(mirrored.METHOD, state=state) for state in payment_methods.State),
    *(replace(mirrored.SUBSCRIPTION, state=state) for state in (Sub.CANCELED, Sub.FAILED)),
    replace(mirrored.CHECKOUT, state=checkouts.State.EXPIRED),
    replace(mirrored.CHECKOUT, state=checkouts.State.FAILED),
    replace(mirrored.CHECKOUT, state=checkouts.State.COMPLETED, payment_id="pay_1"),
    replace(mirrored.DISPUTE, state=objects.DisputeState.WON),
    replace(mirrored.DISPUTE, state=objects.DisputeState.LOST),
    mirrored.PLAN,
    mirrored.INVOICE,
]
WAITING: list[tuple[base.Entity, int]] = [
    (replace(mirrored.SUBSCRIPTION, state=Sub.PENDING), 0),
    (replace(mirrored.CHECKOUT, state=checkouts.State.OPEN), 0),
    (replace(mirrored.CHECKOUT, state=checkouts.State.COMPLETED), 0),
    (replace(mirrored.DISPUTE, state=objects.DisputeState.UNDER_REVIEW), 0),
]


def test_what_waits_for_its_provider_is_fetched_and_nothing_else() -> None:
    """What has ended is never asked for again; a running subscription after its period."""
    for entity in ENDED:
        assert mirrored.rules_of(entity).waits(entity) is None, entity
    for entity, from_us in WAITING:
        waits_us = mirrored.rules_of(entity).waits(entity)
        assert waits_us == from_us
        assert type(waits_us) is int
    running = replace(mirrored.SUBSCRIPTION, state=Sub.ACTIVE, period_end_us=NOW_US)
    assert (subscriptions.RULES.waits(running) or 0) > NOW_US


CALLED = {
    (Sub.PENDING, Sub.ACTIVE): "activated",
    (Sub.PENDING, Sub.TRIALING): "updated",
    (Sub.TRIALING, Sub.ACTIVE): "activated",
    (Sub.ACTIVE, Sub.PAST_DUE): "past_due",
    (Sub.PAST_DUE, Sub.ACTIVE): "activated",
    (Sub.ACTIVE, Sub.PAUSED): "paused",
    (Sub.PAUSED, Sub.ACTIVE): "resumed",
    (Sub.PAUSED, Sub.TRIALING): "resumed",
    (Sub.PAST_DUE, Sub.CANCELED): "canceled",
    (Sub.PENDING, Sub.FAILED): "updated",
    (Sub.ACTIVE, Sub.ACTIVE): "updated",
}


@pytest.mark.parametrize(("before", "after"), CALLED)
def test_each_change_of_a_subscription_has_its_name(before: Sub, after: Sub) -> None:
    """One event, of the type that its subscribers look for."""
    old = replace(mirrored.SUBSCRIPTION, state=before)
    new = replace(mirrored.SUBSCRIPTION, state=after, quantity=2)
    change = base.change(subscriptions.RULES, old, new, NOW_US)
    assert change is not None
    (step,) = change.steps
    assert step.event_type == f"subscription.{CALLED[before, after]}"
    assert (step.before, step.after) == (old, replace(new, version=2, updated_us=NOW_US))


def test_what_is_refused_of_a_subscription_is_not_offered() -> None:
    """`available_actions` and refusals agree in every state; an operation allows nothing."""
    for state in Sub:
        for cancels in (False, True):
            for sync in Y:
                entity = replace(
                    mirrored.SUBSCRIPTION,
                    state=state,
                    cancel_at_period_end=cancels,
                    place=replace(mirrored.PLACE, sync_state=sync),
                )
                offered = subscriptions.available(entity)
                for action in (
                    subscriptions.CHANGE,
                    subscriptions.CANCEL,
                    subscriptions.REACTIVATE,
                ):
                    refused = subscriptions.refusal(entity, (), action)
                    assert (refused is None) is (action in offered)
    open_ = build.operation(K.CHANGE_SUBSCRIPTION, state=S.IN_DOUBT, provider="mock")
    refused = subscriptions.refusal(mirrored.SUBSCRIPTION, (open_,), subscriptions.CANCEL)
    assert refused is not None
    assert refused.metadata["state"] == "SYNC_STATE_IN_DOUBT"


@pytest.mark.parametrize(
    ("seen", "story"),
    [
        ({"state": objects.InvoiceState.DRAFT}, ["generated"]),
        ({"state": objects.InvoiceState.PAID}, ["generated", "paid"]),
        (
            {"state": objects.InvoiceState.OPEN, "decline": mirrored.REFUSED, "attempt_count": 1},
            ["generated", "payment_failed"],
        ),
    ],
)
def test_an_invoice_heard_of_late_begins_like_any_other(
    seen: dict[str, Any], story: list[str]
) -> None:
    """It is generated first, whatever has become of it since."""
    told = objects.Invoice(provider_object_id="there", state_time_us=5, currency="EUR", **seen)
    new = base.New(id="inv_1", tenant_id="t", place=mirrored.PLACE, now_us=NOW_US)
    made = invoices.RULES.adopt(new, told, mirrored.LINKS) if invoices.RULES.adopt else None
    assert made is not None
    _, after = base.absorb(invoices.RULES, made, "mock", told, mirrored.LINKS, fetched=True)
    change = base.change(invoices.RULES, None, after, NOW_US)
    assert change is not None
    assert [step.event_type for step in change.steps] == [f"invoice.{each}" for each in story]
    assert [step.after.version for step in change.steps] == list(range(1, len(story) + 1))


def test_a_plan_is_archived_once_no_provider_sells_it() -> None:
    """By its owner at once, by a provider if it was the last one."""
    second = plans.Price(provider="other", binding_id="c", provider_object_id="too")
    both = mirrored.PLAN.with_place(second)
    gone = objects.Plan(
        provider_object_id="there",
        state_time_us=5,
        amount_minor=900,
        currency="EUR",
        interval=objects.Interval.MONTH,
        interval_count=1,
        active=False,
    )
    one, steps = mirrored.absorbed(both, [gone])
    assert (one.state, one.price_at("mock")) == (plans.State.ACTIVE, None)
    assert one.price_at("other") == second
    assert [step.event_type for step in steps] == ["plan.updated"]
    last, steps = mirrored.absorbed(mirrored.PLAN, [gone])
    assert last.state is plans.State.ARCHIVED
    assert [step.event_type for step in steps] == ["plan.archived"]
    archived = plans.archive(both, ())
    assert not isinstance(archived, bindings.Refusal)
    assert archived[0].state is plans.State.ARCHIVED
    assert {price.provider for price in archived[1]} == {"mock", "other"}
    assert plans.contradicts(mirrored.PLAN, replace(gone, amount_minor=901)) == (
        "the plan costs 9.00 EUR per 1 month, there 9.01 EUR per 1 month"
    )
    assert not plans.contradicts(mirrored.PLAN, gone)
