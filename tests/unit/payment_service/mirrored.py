"""One mirrored entity of each kind, and how it takes in snapshots.

Owns what tests of mirrors start from. Called by those tests and properties. Takes in by
the domain's own rules alone, and checks each verdict.
"""

from collections.abc import Iterable
from typing import Any

from payment_service.domain import model
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
from tests.unit.payment_service import build

V = base.Verdict

PLACE = base.Place(provider="mock", binding_id="b", provider_object_id="there")
_BASE: dict[str, Any] = {"tenant_id": "t", "created_us": 1, "updated_us": 1}
METHOD = payment_methods.PaymentMethod(**_BASE, id="pmt_1", place=PLACE, customer_id="cus_1")
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
    **_BASE, id="sub_1", place=PLACE, customer_id="cus_1", plan_id="plan_1"
)
INVOICE = invoices.Invoice(**_BASE, id="inv_1", place=PLACE)
CHECKOUT = checkouts.Checkout(**_BASE, id="chk_1", place=PLACE)
DISPUTE = disputes.Dispute(**_BASE, id="dsp_1", place=PLACE, payment_id="pay_1")
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


def rules_of(entity: base.Entity) -> base.AnyRules:
    """Returns the rules of the kind of *entity*."""
    return kinds.BY_PREFIX[entity.id.partition("_")[0]]


def absorbed(entity: base.Entity, told: Iterable[objects.Seen]) -> tuple[Any, list[base.Step]]:
    """Returns the entity after snapshots, and every step, after checking each verdict."""
    rules, current = rules_of(entity), entity
    steps: list[base.Step] = []
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
        change = base.change(rules, current, after, build.NOW_US)
        assert change is not None
        versions = [step.after.version for step in change.steps]
        assert versions == list(range(current.version + 1, current.version + 1 + len(change.steps)))
        assert change.entity.bare() == after.bare()
        assert bool(change.steps) is (current.bare() != after.bare())
        assert all(step.event_type.startswith(f"{rules.name}.") for step in change.steps)
        current, steps = change.entity, [*steps, *change.steps]
    return current, steps
