"""What a plan is and what happens to it.

Owns its states, and its price at each provider. Called by the use cases. Amount and period
never change.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from payment_service.domain import bindings, model, money
from payment_service.domain.mirrors import base, objects

# The longest period, in days as providers count them.
PERIOD_DAYS_MAX = 3 * 366
COUNT_MAX = 365
PRICES_MAX = 20
_DAYS = {
    objects.Interval.DAY: 1,
    objects.Interval.WEEK: 7,
    objects.Interval.MONTH: 30,
    objects.Interval.YEAR: 366,
}


class State(enum.IntEnum):
    """Whether new subscriptions may use it; see `payhub.payments.v1.Plan.State`."""

    ACTIVE = 1
    ARCHIVED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(base.Place):
    """The price of a plan at one provider; `active` is what the provider says of it."""

    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(base.Entity):
    """What customers can subscribe to; `withdrawn` once its owner has archived it."""

    name: str
    description: str = ""
    amount_minor: int
    currency: str
    interval: objects.Interval
    interval_count: int = 1
    trial_days: int = 0
    state: State = State.ACTIVE
    withdrawn: bool = False
    prices: tuple[Price, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def places(self) -> tuple[base.Place, ...]:
        """Returns where it has a price."""
        return self.prices

    def with_place(self, place: base.Place) -> Self:
        """Returns it with *place* instead of the one at the same provider, or beside."""
        if not isinstance(place, Price):
            raise TypeError("a plan is at its prices")
        if self.place_at(place.provider) is None:
            return replace(self, prices=(*self.prices, place))
        prices = tuple(place if p.provider == place.provider else p for p in self.prices)
        return replace(self, prices=prices)

    def price_at(self, provider: str) -> Price | None:
        """Returns the price that new subscriptions at *provider* use."""
        for price in self.prices:
            if price.provider == provider and price.provider_object_id and price.active:
                return price
        return None


def is_too_long(interval: objects.Interval, count: int) -> bool:
    """Whether a period is longer than providers bill."""
    return count > COUNT_MAX or _DAYS[interval] * count > PERIOD_DAYS_MAX


def contradicts(plan: Plan, seen: objects.Plan) -> str:
    """Returns in what the price at a provider is not that of the plan, or ''."""
    wanted = (plan.amount_minor, plan.currency, plan.interval, plan.interval_count)
    found = (seen.amount_minor, seen.currency, seen.interval, seen.interval_count)
    if wanted == found:
        return ""
    return f"the plan costs {_text(*wanted)}, {seen.provider_object_id[:64]} {_text(*found)}"


def _text(amount_minor: int, currency: str, interval: objects.Interval, count: int) -> str:
    return f"{money.told(amount_minor, currency[:3])} per {count} {interval.name.lower()}"


def _show(before: Plan, seen: objects.Plan, links: base.Links) -> Plan:
    prices = tuple(
        replace(price, active=seen.active and not seen.deleted)
        if price.provider_object_id == seen.provider_object_id
        else price
        for price in before.prices
    )
    return _closed(replace(before, prices=prices))


def _closed(plan: Plan) -> Plan:
    """A plan that no provider sells any more is archived, whoever did it."""
    made = [price for price in plan.prices if price.provider_object_id]
    gone = plan.withdrawn or (bool(made) and not any(price.active for price in made))
    return replace(plan, state=State.ARCHIVED if gone else State.ACTIVE)


def _tell(before: Plan | None, after: Plan) -> base.Told[Plan]:
    if before is None:
        return (("plan.created", after),)
    if before.state is not after.state and after.state is State.ARCHIVED:
        return (("plan.archived", after),)
    return (("plan.updated", after),) if before.bare() != after.bare() else ()


def add_price(
    plan: Plan, price: Price, operations: tuple[model.Operation, ...]
) -> Plan | bindings.Refusal:
    """Returns *plan* with a price at one more provider, or again where that failed."""
    if plan.state is not State.ACTIVE:
        return base.conflict(f"{plan.id} is archived", f"STATE_{plan.state.name}")
    known = plan.place_at(price.provider)
    if known is not None and (open_ := base.busy(operations, price.provider)) is not None:
        return base.under_way(plan, open_)
    if known is not None and known.provider_object_id:
        state = f"SYNC_STATE_{known.sync_state.name}"
        return base.conflict(f"{plan.id} has a price at {price.provider} already", state)
    if known is None and len(plan.prices) >= PRICES_MAX:
        return base.conflict(f"{plan.id} has {PRICES_MAX} prices, as many as allowed", "FULL")
    return plan.with_place(price)


def archive(
    plan: Plan, operations: tuple[model.Operation, ...]
) -> tuple[Plan, tuple[Price, ...]] | bindings.Refusal:
    """Returns *plan* archived, and the prices that still have to be at their provider."""
    for price in plan.prices:
        if (open_ := base.busy(operations, price.provider)) is not None:
            return base.under_way(plan, open_)
    left = tuple(price for price in plan.prices if price.provider_object_id and price.active)
    if plan.withdrawn and not left:
        return base.conflict(f"{plan.id} is archived already", f"STATE_{plan.state.name}")
    after = replace(plan, withdrawn=True)
    for price in left:
        after = base.begin(after, price.provider)
    return _closed(after), left


RULES: base.Rules[Plan, objects.Plan] = base.Rules(
    kind=objects.ObjectKind.PLAN,
    prefix="plan",
    name="plan",
    entity=Plan,
    show=_show,
    tell=_tell,
    columns=lambda one: base.Columns(state=int(one.state)),
    contradicts=contradicts,
    kinds=frozenset({model.Kind.CREATE_PLAN, model.Kind.ARCHIVE_PLAN}),
)
