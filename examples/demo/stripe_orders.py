"""The demo's orders as they go at Stripe.

Owns which of Stripe's test payment methods stands for each of the simulated provider's tokens,
what has to be ordered to go wrong, and where Stripe differs by nature: then an order is expected
to end otherwise, or is left out with a reason. Called by the demo. Never talks to anything.

At Stripe a capture is final: of several captures of one order the first is made and the rest is
released. Amounts in dinars and rials end with a zero. Nothing contradicts itself, captures and
voids are not pending, refunds are for hours, and bank debits need a currency and a mandate: those
orders are left out.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from examples.demo import orders

# Stripe's own test payment methods.
METHODS: Mapping[str, str] = {
    "tok_approve": "pm_card_visa",
    "tok_action_required": "pm_card_threeDSecure2Required",
    "tok_decline_do_not_honor": "pm_card_chargeDeclined",
    "tok_decline_insufficient_funds": "pm_card_chargeDeclinedInsufficientFunds",
    "tok_decline_instrument_expired": "pm_card_chargeDeclinedExpiredCard",
    "tok_decline_instrument_invalid": "pm_card_chargeDeclinedIncorrectCvc",
    "tok_decline_limit_exceeded": "pm_card_chargeDeclinedVelocityLimitExceeded",
    "tok_decline_other": "pm_card_chargeDeclinedProcessingError",
    "tok_decline_suspected_fraud": "pm_card_chargeDeclinedFraudulent",
}
# What has to go wrong on the way to Stripe, and with which request; for everything else the
# card is good.
LOST, REFUSED = "drop_after_commit", "rate_limit"
PAYING, CAPTURING, CANCELING, REFUNDING = (
    "/v1/payment_intents$",
    "/capture$",
    "/cancel$",
    "/v1/refunds$",
)
FAULTS: Mapping[str, tuple[str, str]] = {
    "tok_drop_after_commit": (LOST, PAYING),
    "tok_late_answer": (LOST, PAYING),
    "tok_not_sent": (REFUSED, PAYING),
    "tok_approve+capture.drop_after_commit": (LOST, CAPTURING),
    "tok_approve+capture.late_answer": (LOST, CAPTURING),
    "tok_approve+capture.not_sent": (REFUSED, CAPTURING),
    "tok_approve+refund.drop_after_commit": (LOST, REFUNDING),
    "tok_approve+refund.late_answer": (LOST, REFUNDING),
    "tok_approve+refund.not_sent": (REFUSED, REFUNDING),
    "tok_approve+void.drop_after_commit": (LOST, CANCELING),
}
# Failures that have another name where a busy Stripe stands for one that is not reached.
REASONS: Mapping[str, str] = {"UPSTREAM_UNREACHABLE": "UPSTREAM_RATE_LIMITED"}
THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with the first request of a path."""

    kind: str
    path: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AtStripe:
    """An order as it goes at Stripe."""

    order: orders.Order
    fault: Fault | None = None
    differs: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """All orders as they go at Stripe, and why some do not."""

    orders: tuple[AtStripe, ...]
    left_out: Mapping[str, int]

    def differing(self) -> dict[str, int]:
        """Returns how many orders are expected to end otherwise, by what differs."""
        return dict(collections.Counter(each.differs for each in self.orders if each.differs))


def translate(loaded: Sequence[orders.Order], *, faults: bool, payers: bool) -> Translation:
    """Returns the orders as they go at Stripe.

    Args:
        loaded: The orders as they go at the simulated provider.
        faults: Whether something can be ordered to go wrong on the way.
        payers: Whether payers and their banks can be told what to do.
    """
    found: list[AtStripe] = []
    left_out: collections.Counter[str] = collections.Counter()
    for order in loaded:
        why = _impossible(order, faults=faults, payers=payers)
        if why:
            left_out[why] += 1
        else:
            found.append(_translated(order))
    return Translation(orders=tuple(found), left_out=dict(left_out))


def _impossible(order: orders.Order, *, faults: bool, payers: bool) -> str:
    tokens = [order.payment_method] if order.payment_method else []
    tokens += [step.payment_method for step in order.steps if isinstance(step, orders.Confirm)]
    if any(token not in METHODS and token not in FAULTS for token in tokens):
        return "nothing at Stripe behaves like that payment method"
    if not faults and any(token in FAULTS for token in tokens):
        return "Stripe itself can't be told to lose an answer"
    theirs = (orders.Act, orders.Dispute, orders.Decide)
    if not payers and any(isinstance(step, theirs) for step in order.steps):
        return "payers and banks of Stripe's test mode act in a browser"
    if any(isinstance(step, orders.Dispute) and step.amount_minor for step in order.steps):
        return "the double's banks dispute whole charges"
    amounts = [getattr(step, "amount_minor", None) or 0 for step in order.steps]
    if order.currency in THREE_DECIMALS and any(
        each % 10 for each in (order.amount_minor, *amounts)
    ):
        return "amounts with three decimals have to end with a zero"
    return ""


def _translated(order: orders.Order) -> AtStripe:
    token = order.payment_method or ""
    steps = tuple(_step(step) for step in order.steps)
    expect = order.expect
    reason = REASONS.get(expect.failure_reason, expect.failure_reason)
    expect = dataclasses.replace(expect, failure_reason=reason)
    changed: dict[str, Any] = {"steps": steps, "expect": expect}
    if token:
        changed["payment_method"] = METHODS.get(token, METHODS["tok_approve"])
    differs = ""
    several = [each for each in steps if isinstance(each, orders.Capture) and each.more_to_follow]
    if several:
        differs = "one capture, where the order asks for more"
        changed |= _captured_once(order, steps)
    fault = Fault(kind=FAULTS[token][0], path=FAULTS[token][1]) if token in FAULTS else None
    return AtStripe(order=dataclasses.replace(order, **changed), fault=fault, differs=differs)


def _step(step: orders.Step) -> orders.Step:
    if isinstance(step, orders.Confirm):
        return orders.Confirm(payment_method=METHODS[step.payment_method])
    return step


def _captured_once(order: orders.Order, steps: Sequence[orders.Step]) -> dict[str, Any]:
    """Returns the story with its first capture only, and what it must come to then."""
    kept: list[orders.Step] = []
    captured_minor = 0
    for step in steps:
        if isinstance(step, orders.Capture):
            if captured_minor:
                continue
            captured_minor = step.amount_minor or order.amount_minor
            kept.append(orders.Capture(amount_minor=captured_minor))
        elif not isinstance(step, orders.Cancel):
            kept.append(step)
    expect = dataclasses.replace(order.expect, state="SUCCEEDED", captured_minor=captured_minor)
    return {"steps": tuple(kept), "expect": expect}
