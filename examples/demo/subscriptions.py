"""Reads subscriptions, what happens to them, and what is expected of them.

Each line of the file is one subscription, a JSON object:

    id              unique name; for people
    note            what was subscribed to, where, and how it went, for people
    customer        {name, email}
    payment_method  token of the card that is kept and billed
    plan            {name, amount_minor, currency, interval, interval_count?, trial_days?};
                    the same name is the same plan
    quantity        how many of the plan; 1 if absent
    trial_days      instead of the plan's
    steps           what happens, each on a `day` after the beginning:
                      change {plan, quantity?, proration}     cancel {at_period_end?}
                      reactivate                              card {token}: behaves so now
                      await {state}: go on when it is in this state
    expect          how it must stand on the last day of the file: `state`, `invoices` (how
                    many in each state), `paid_minor` (captured by the payments of its
                    invoices)

Owns the check that a file says what it should. Called by the demo. Never talks to Payhub.
"""

import collections
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, TypeAlias

from payhub.payments.v1 import invoice_service_pb2, plan_service_pb2
from payhub.payments.v1 import subscription_service_pb2 as pb

from examples.demo import orders

MAX_DAYS = 3_650
STATES = set(pb.Subscription.State.keys())
INTERVALS = set(plan_service_pb2.Plan.Interval.keys())
PRORATIONS = set(pb.Proration.keys())
INVOICE_STATES = set(invoice_service_pb2.Invoice.State.keys())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is subscribed to; the interval is named without its prefix, in lower case."""

    name: str
    amount_minor: int
    currency: str
    interval: str
    interval_count: int = 1
    trial_days: int = 0

    def __post_init__(self) -> None:
        """Refuses an interval the contract does not know."""
        if f"INTERVAL_{self.interval.upper()}" not in INTERVALS:
            raise orders.OrdersError(f"interval {self.interval!r} is not one of the contract")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Moves to another plan or quantity; what becomes of the period that runs is said."""

    plan: Plan
    quantity: int = 0
    proration: str

    def __post_init__(self) -> None:
        """Refuses a proration the contract does not know."""
        if f"PRORATION_{self.proration.upper()}" not in PRORATIONS:
            raise orders.OrdersError(f"proration {self.proration!r} is not one of the contract")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Ends it, now or with the period that runs."""

    at_period_end: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reactivate:
    """Takes a cancellation at the period's end back."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The card behaves like this token from now on, for example because it is empty."""

    token: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Waits until Payhub shows the subscription in a state."""

    state: str

    def __post_init__(self) -> None:
        """Refuses a state the contract does not know."""
        _known(self.state, STATES)


Step: TypeAlias = Change | Cancel | Reactivate | Card | Await
STEPS: Mapping[str, type[Step]] = {
    "change": Change,
    "cancel": Cancel,
    "reactivate": Reactivate,
    "card": Card,
    "await": Await,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How it must stand on the last day."""

    state: str
    invoices: Mapping[str, int]
    paid_minor: int

    def __post_init__(self) -> None:
        """Refuses states the contract does not know."""
        _known(self.state, STATES)
        for state in self.invoices:
            _known(state, INVOICE_STATES)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription, its story and its end."""

    id: str
    note: str
    customer: orders.Customer
    payment_method: str
    plan: Plan
    quantity: int = 1
    trial_days: int | None = None
    steps: tuple[tuple[int, Step], ...] = ()
    expect: Expected


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """All subscriptions, and how long the demo follows them."""

    subscriptions: tuple[Subscription, ...] = ()
    last_day: int = 0

    def days(self) -> list[int]:
        """Returns the days on which something is done, and the last one, in order."""
        found = {day for one in self.subscriptions for day, _ in one.steps}
        return sorted(found | {self.last_day}) if self.subscriptions else []


def load(path: pathlib.Path) -> Book:
    """Returns the subscriptions of a file, whose first line is `{"last_day": days}`.

    Raises:
        OrdersError: a line is malformed, or one is there twice.
    """
    last_day = 0
    found: dict[str, Subscription] = {}
    plans: dict[str, Plan] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            raw = json.loads(line)
            if number == 1:
                last_day = _last_day(raw)
                continue
            one = _parse(raw)
            _agree(one, last_day, plans)
        except (orders.OrdersError, json.JSONDecodeError) as error:
            raise orders.OrdersError(f"{path}:{number}: {error}") from None
        if found.setdefault(one.id, one) is not one:
            raise orders.OrdersError(f"{path}:{number}: {one.id} is there twice")
    return Book(subscriptions=tuple(found.values()), last_day=last_day)


def _last_day(raw: Any) -> int:
    last_day = raw.get("last_day") if isinstance(raw, dict) else None
    if not isinstance(last_day, int) or not 0 < last_day <= MAX_DAYS:
        text = f'the first line has to be {{"last_day": 1 to {MAX_DAYS}}}'
        raise orders.OrdersError(text)
    return last_day


def _agree(one: Subscription, last_day: int, plans: dict[str, Plan]) -> None:
    changes = [step.plan for _, step in one.steps if isinstance(step, Change)]
    for plan in (one.plan, *changes):
        if plans.setdefault(plan.name, plan) != plan:
            raise orders.OrdersError(f"plan {plan.name} is another one elsewhere")
    late = [day for day, _ in one.steps if not 0 <= day <= last_day]
    if late:
        raise orders.OrdersError(f"day {late[0]} is not one of the file's {last_day}")


def _parse(raw: Any) -> Subscription:
    fields = dict(orders.checked_object(raw, "subscription"))
    fields["customer"] = orders.build(orders.Customer, fields.get("customer"), "customer")
    fields["plan"] = orders.build(Plan, fields.get("plan"), "plan")
    fields["steps"] = tuple(_step(step) for step in fields.get("steps", ()))
    expect = dict(orders.checked_object(fields.get("expect"), "expect"))
    invoices = orders.checked_object(expect.get("invoices"), "expect.invoices")
    expect["invoices"] = collections.Counter(invoices)
    fields["expect"] = orders.build(Expected, expect, "expect")
    return orders.build(Subscription, fields, "subscription")


def _step(raw: Any) -> tuple[int, Step]:
    fields = dict(orders.checked_object(raw, "step"))
    day, do = fields.pop("day", None), fields.pop("do", None)
    if not isinstance(day, int):
        raise orders.OrdersError("step: day has to be a whole number")
    if do not in STEPS:
        raise orders.OrdersError(f"step {do!r} is not one of {', '.join(STEPS)}")
    if "plan" in fields:
        fields["plan"] = orders.build(Plan, fields["plan"], "plan")
    return day, orders.build(STEPS[do], fields, f"step {do}")


def _known(name: str, states: set[str]) -> None:
    if f"STATE_{name}" not in states:
        raise orders.OrdersError(f"state {name!r} is not one of the contract")
