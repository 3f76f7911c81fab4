"""The machine of mirrored entities: snapshots, outcomes, and what each change is called."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import model, outcomes
from payment_service.domain.mirrors import (
    base,
    checkouts,
    disputes,
    invoices,
    kinds,
    objects,
    payment_methods,
    plans,
    subscriptions,
)
from tests.unit.payment_service import build, expected

K = model.Kind
S = model.OperationState
O = outcomes.Outcome  # noqa: E741
V = base.Verdict
Y = model.SyncState
Sub = subscriptions.State
NOW_US = build.NOW_US

_PLACE = base.Place(provider="mock", binding_id="b", provider_object_id="there")
_BASE: dict[str, Any] = {"tenant_id": "t", "created_us": 1, "updated_us": 1}
METHOD = payment_methods.PaymentMethod(**_BASE, id="pmt_1", place=_PLACE, customer_id="cus_1")
PLAN = plans.Plan(
    **_BASE,
    id="plan_1",
    name="Gold",
    amount_minor=900,
    currency="EUR",
    interval=objects.Interval.MONTH,
    prices=(plans.Price(provider="mock", binding_id="b", provider_object_id="there"),),
)
SUBSCRIPTION = subscriptions.Subscription(
    **_BASE, id="sub_1", place=_PLACE, customer_id="cus_1", plan_id="plan_1"
)
INVOICE = invoices.Invoice(**_BASE, id="inv_1", place=_PLACE)
CHECKOUT = checkouts.Checkout(**_BASE, id="chk_1", place=_PLACE)
DISPUTE = disputes.Dispute(**_BASE, id="dsp_1", place=_PLACE, payment_id="pay_1")
ENTITIES: tuple[base.Entity, ...] = (
    METHOD,
    PLAN,
    SUBSCRIPTION,
    INVOICE,
    CHECKOUT,
    DISPUTE,
)
LINKS = base.Links(customer_id="cus_1", user_id="u", plan_id="plan_1")
REFUSED = model.Failure(kind=model.FailureKind.DECLINED, reason="OTHER")


def _rules(entity: base.Entity) -> base.AnyRules:
    return kinds.BY_PREFIX[entity.id.partition("_")[0]]


def _seen(kind: objects.ObjectKind, time_us: int, draw: Any) -> objects.Seen:
    """Returns a snapshot of a moment with contents that *draw* chooses."""
    told: dict[str, Any] = {"provider_object_id": "there", "state_time_us": time_us}
    told["deleted"] = draw(st.sampled_from((False, False, False, True)))
    flag, small = st.booleans(), st.integers(1, 3)
    match kind:
        case objects.ObjectKind.PAYMENT_METHOD:
            owner = draw(st.sampled_from(("cust", "cust", "")))
            return objects.PaymentMethod(
                **told, provider_customer_id=owner, type="card", is_default=draw(flag)
            )
        case objects.ObjectKind.PLAN:
            return objects.Plan(
                **told,
                amount_minor=900,
                currency="EUR",
                interval=objects.Interval.MONTH,
                interval_count=1,
                active=draw(flag),
            )
        case objects.ObjectKind.SUBSCRIPTION:
            return objects.Subscription(
                **told,
                state=draw(st.sampled_from(objects.SubscriptionState)),
                quantity=draw(small),
                cancel_at_period_end=draw(flag),
                decline=draw(st.sampled_from((None, REFUSED))),
            )
        case objects.ObjectKind.CHECKOUT:
            return objects.Checkout(
                **told, state=draw(st.sampled_from(objects.CheckoutState)), paid=draw(flag)
            )
        case objects.ObjectKind.DISPUTE:
            return objects.Dispute(
                **told,
                state=draw(st.sampled_from(objects.DisputeState)),
                amount_minor=100,
                currency="EUR",
                has_evidence=draw(flag),
            )
        case _:
            return objects.Invoice(
                **told,
                state=draw(st.sampled_from(objects.InvoiceState)),
                currency="EUR",
                attempt_count=draw(small),
                overdue=False,
                decline=draw(st.sampled_from((None, REFUSED))),
            )


def _absorbed(entity: base.Entity, told: Iterable[objects.Seen]) -> tuple[Any, list[base.Step]]:
    """Returns the entity after snapshots, and every step, after checking each verdict."""
    rules, current, steps = _rules(entity), entity, []
    for seen in told:
        place = current.place_at("mock")
        assert place is not None
        verdict, after = base.absorb(rules, current, "mock", seen, LINKS)
        if seen.state_time_us > place.provider_time_us:
            assert verdict is V.APPLIED
        elif seen.state_time_us < place.provider_time_us:
            assert verdict is V.STALE
        if verdict is not V.APPLIED:
            assert after == current
            continue
        change = base.change(rules, current, after, NOW_US)
        assert change is not None
        versions = [step.after.version for step in change.steps]
        assert versions == list(range(current.version + 1, current.version + 1 + len(change.steps)))
        assert change.entity.bare() == after.bare()
        assert bool(change.steps) is (current.bare() != after.bare())
        assert all(step.event_type.startswith(f"{rules.name}.") for step in change.steps)
        current, steps = change.entity, [*steps, *change.steps]
    return current, steps


@given(st.data())
def test_snapshots_in_any_order_end_in_the_same_state(data: st.DataObject) -> None:
    """Late and repeated ones change nothing: the newest decides, for every kind."""
    entity = data.draw(st.sampled_from(ENTITIES))
    kind = _rules(entity).kind
    told = [_seen(kind, time_us, data.draw) for time_us in range(1, data.draw(st.integers(2, 6)))]
    shuffled = data.draw(st.permutations([*told, *told]))
    one, _ = _absorbed(entity, told)
    other, _ = _absorbed(entity, shuffled)
    assert one.bare() == other.bare()
    assert one.place_at("mock") == other.place_at("mock")


@given(st.data())
def test_two_snapshots_of_one_moment_are_decided_by_asking(data: st.DataObject) -> None:
    """A repeat is one, another content is ambiguous, and what was fetched is believed."""
    entity = data.draw(st.sampled_from(ENTITIES))
    rules = _rules(entity)
    first, second = (_seen(rules.kind, 5, data.draw) for _ in range(2))
    current, _ = _absorbed(entity, [first])
    assert base.absorb(rules, current, "mock", first, LINKS)[0] is V.REPEAT
    verdict, after = base.absorb(rules, current, "mock", second, LINKS)
    decided, believed = base.absorb(rules, current, "mock", second, LINKS, fetched=True)
    if believed == current:
        assert (verdict, decided) == (V.REPEAT, V.REPEAT)
    else:
        assert (verdict, decided, after) == (V.AMBIGUOUS, V.APPLIED, current)


@pytest.mark.parametrize("kind", sorted(kinds.BY_OPERATION))
def test_every_report_does_what_the_rules_say(kind: model.Kind) -> None:
    """Verdict, operation, sync state and failure, for the whole table."""
    rules = kinds.BY_OPERATION[kind]
    entity = next(one for one in ENTITIES if _rules(one) is rules)
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
        report = replace(report, failure=REFUSED)
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


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(payment_methods.State))))
def test_one_payment_method_of_a_customer_is_default(made: Sequence[tuple[int, Any]]) -> None:
    """It is the active one that the provider called so last."""
    known = [
        replace(METHOD, id=f"pmt_{n}", default_us=at, state=state, is_default=bool(n % 2))
        for n, (at, state) in enumerate(made)
    ]
    changed = {one.id: one for one in payment_methods.elect(known)}
    after = [changed.get(one.id, one) for one in known]
    called = [one for one in after if one.default_us and one.state.name == "ACTIVE"]
    default = [one for one in after if one.is_default]
    assert len(default) == (1 if called else 0)
    if called:
        assert default[0].default_us == max(one.default_us for one in called)
    assert not payment_methods.elect(after)


ENDED: list[base.Entity] = [
    *(replace(METHOD, state=state) for state in payment_methods.State),
    *(replace(SUBSCRIPTION, state=state) for state in (Sub.CANCELED, Sub.FAILED)),
    replace(CHECKOUT, state=checkouts.State.EXPIRED),
    replace(CHECKOUT, state=checkouts.State.FAILED),
    replace(CHECKOUT, state=checkouts.State.COMPLETED, payment_id="pay_1"),
    replace(DISPUTE, state=objects.DisputeState.WON),
    replace(DISPUTE, state=objects.DisputeState.LOST),
    PLAN,
    INVOICE,
]
WAITING: list[tuple[base.Entity, int]] = [
    (replace(SUBSCRIPTION, state=Sub.PENDING), 0),
    (replace(CHECKOUT, state=checkouts.State.OPEN), 0),
    (replace(CHECKOUT, state=checkouts.State.COMPLETED), 0),
    (replace(DISPUTE, state=objects.DisputeState.UNDER_REVIEW), 0),
]


def test_what_waits_for_its_provider_is_fetched_and_nothing_else() -> None:
    """What has ended is never asked for again; a running subscription after its period."""
    for entity in ENDED:
        assert _rules(entity).waits(entity) is None, entity
    for entity, from_us in WAITING:
        waits_us = _rules(entity).waits(entity)
        assert waits_us == from_us
        assert type(waits_us) is int
    running = replace(SUBSCRIPTION, state=Sub.ACTIVE, period_end_us=NOW_US)
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
    old = replace(SUBSCRIPTION, state=before)
    new = replace(SUBSCRIPTION, state=after, quantity=2)
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
                    SUBSCRIPTION,
                    state=state,
                    cancel_at_period_end=cancels,
                    place=replace(_PLACE, sync_state=sync),
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
    refused = subscriptions.refusal(SUBSCRIPTION, (open_,), subscriptions.CANCEL)
    assert refused is not None
    assert refused.metadata["state"] == "SYNC_STATE_IN_DOUBT"


@pytest.mark.parametrize(
    ("seen", "story"),
    [
        ({"state": objects.InvoiceState.DRAFT}, ["generated"]),
        ({"state": objects.InvoiceState.PAID}, ["generated", "paid"]),
        (
            {"state": objects.InvoiceState.OPEN, "decline": REFUSED, "attempt_count": 1},
            ["generated", "payment_failed"],
        ),
    ],
)
def test_an_invoice_heard_of_late_begins_like_any_other(
    seen: dict[str, Any], story: list[str]
) -> None:
    """It is generated first, whatever has become of it since."""
    told = objects.Invoice(provider_object_id="there", state_time_us=5, currency="EUR", **seen)
    new = base.New(id="inv_1", tenant_id="t", place=_PLACE, now_us=NOW_US)
    made = invoices.RULES.adopt(new, told, LINKS) if invoices.RULES.adopt else None
    assert made is not None
    _, after = base.absorb(invoices.RULES, made, "mock", told, LINKS, fetched=True)
    change = base.change(invoices.RULES, None, after, NOW_US)
    assert change is not None
    assert [step.event_type for step in change.steps] == [f"invoice.{each}" for each in story]
    assert [step.after.version for step in change.steps] == list(range(1, len(story) + 1))


def test_a_plan_is_archived_once_no_provider_sells_it() -> None:
    """By its owner at once, by a provider if it was the last one."""
    second = plans.Price(provider="other", binding_id="c", provider_object_id="too")
    both = PLAN.with_place(second)
    gone = objects.Plan(
        provider_object_id="there",
        state_time_us=5,
        amount_minor=900,
        currency="EUR",
        interval=objects.Interval.MONTH,
        interval_count=1,
        active=False,
    )
    one, steps = _absorbed(both, [gone])
    assert (one.state, one.price_at("mock")) == (plans.State.ACTIVE, None)
    assert one.price_at("other") == second
    assert [step.event_type for step in steps] == ["plan.updated"]
    last, steps = _absorbed(PLAN, [gone])
    assert last.state is plans.State.ARCHIVED
    assert [step.event_type for step in steps] == ["plan.archived"]
    archived = plans.archive(both, ())
    assert not isinstance(archived, plans.bindings.Refusal)
    assert archived[0].state is plans.State.ARCHIVED
    assert {price.provider for price in archived[1]} == {"mock", "other"}
    assert plans.contradicts(PLAN, replace(gone, amount_minor=901))
    assert not plans.contradicts(PLAN, gone)
