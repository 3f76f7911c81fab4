"""Reads orders and what is expected of them; the format is in the package's docstring.

Owns the check that a file says what it should, with the line and field of every problem.
Called by the demo. Never talks to Payhub.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from payhub.payments.v1 import dispute_service_pb2, payment_pb2, refund_service_pb2

T = TypeVar("T")
MAX_ORDERS = 10_000


class OrdersError(Exception):
    """A line of the file can't be used; the text says which and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Sends the payment to the provider with another payment method."""

    payment_method: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Captures an amount in minor units, or all that is left."""

    amount_minor: int | None = None
    more_to_follow: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Cancels the payment or releases what is not captured."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Returns an amount in minor units, or all that is left."""

    amount_minor: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuses a reason the contract does not know."""
        if self.reason not in REFUND_REASONS:
            raise OrdersError(f"refund reason {self.reason!r} is not one of the contract")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """The payer answers the provider."""

    answer: Literal["approve", "decline"]

    def __post_init__(self) -> None:
        """Refuses any other answer."""
        if self.answer not in ("approve", "decline"):
            raise OrdersError(f"answer {self.answer!r} is neither approve nor decline")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Waits until the payment is in a state, named without its prefix."""

    state: str

    def __post_init__(self) -> None:
        """Refuses a state the contract does not know."""
        _known_state(self.state)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """The payer's bank disputes an amount, or all that is left; an inquiry takes no money."""

    reason: str = "fraudulent"
    amount_minor: int | None = None
    inquiry: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The shop answers the dispute, with texts by name."""

    texts: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """The shop gives the disputed money up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """The payer's bank decides the dispute."""

    won: bool


Move: TypeAlias = Confirm | Capture | Cancel | Refund | Act | Dispute | Evidence | Accept | Decide
Step: TypeAlias = Move | Await

STEPS: Mapping[str, type[Step]] = {
    "confirm": Confirm,
    "capture": Capture,
    "cancel": Cancel,
    "refund": Refund,
    "act": Act,
    "dispute": Dispute,
    "evidence": Evidence,
    "accept": Accept,
    "decide": Decide,
    "await": Await,
}
STATES = set(payment_pb2.Payment.State.keys())
DISPUTE_STATES = set(dispute_service_pb2.Dispute.State.keys())
REFUND_REASONS: Mapping[str, refund_service_pb2.Refund.Reason] = {
    "": refund_service_pb2.Refund.REASON_UNSPECIFIED,
    "requested_by_customer": refund_service_pb2.Refund.REASON_REQUESTED_BY_CUSTOMER,
    "duplicate": refund_service_pb2.Refund.REASON_DUPLICATE,
    "fraudulent": refund_service_pb2.Refund.REASON_FRAUDULENT,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody who orders; the same email is the same customer."""

    name: str
    email: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How an order must end; enum values are named without their prefix."""

    state: str
    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    refunds: tuple[str, ...] = ()
    failure_reason: str = ""
    operations_in_doubt: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()
    disputed_minor: int = 0

    def __post_init__(self) -> None:
        """Refuses a state the contract does not know."""
        _known_state(self.state)
        for state in self.disputes:
            if f"STATE_{state}" not in DISPUTE_STATES:
                raise OrdersError(f"dispute state {state!r} is not one of the contract")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, its story and its end."""

    id: str
    note: str
    amount_minor: int
    currency: str
    capture_method: Literal["automatic", "manual"]
    payment_method: str | None = None
    customer: Customer | None = None
    steps: tuple[Step, ...] = ()
    expect: Expected

    def __post_init__(self) -> None:
        """Refuses values no payment could have."""
        if self.amount_minor <= 0:
            raise OrdersError("amount_minor has to be above 0")
        if self.capture_method not in ("automatic", "manual"):
            raise OrdersError(f"capture_method {self.capture_method!r} is unknown")


def load(path: pathlib.Path) -> list[Order]:
    """Returns the orders of a file, in its order.

    Raises:
        OrdersError: the file holds no order, too many, one twice, or a malformed line.
    """
    orders: dict[str, Order] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            order = parse(json.loads(line))
        except (OrdersError, json.JSONDecodeError) as error:
            raise OrdersError(f"{path}:{number}: {error}") from None
        if order.id in orders:
            raise OrdersError(f"{path}:{number}: order {order.id} is there twice")
        orders[order.id] = order
    if not 0 < len(orders) <= MAX_ORDERS:
        raise OrdersError(f"{path}: holds {len(orders)} orders, has to be 1 to {MAX_ORDERS}")
    return list(orders.values())


def parse(raw: Any) -> Order:
    """Returns the order of one decoded line; raises OrdersError if it is malformed."""
    fields = dict(checked_object(raw, "order"))
    if fields.get("customer") is not None:
        fields["customer"] = build(Customer, fields["customer"], "customer")
    fields["steps"] = tuple(_step(step) for step in fields.get("steps", ()))
    expect = dict(checked_object(fields.get("expect"), "expect"))
    for several in ("refunds", "operations_in_doubt", "disputes"):
        expect[several] = tuple(expect.get(several, ()))
    fields["expect"] = build(Expected, expect, "expect")
    return build(Order, fields, "order")


def _step(raw: Any) -> Step:
    fields = dict(checked_object(raw, "step"))
    do = fields.pop("do", None)
    if do not in STEPS:
        raise OrdersError(f"step {do!r} is not one of {', '.join(STEPS)}")
    return build(STEPS[do], fields, f"step {do}")


def checked_object(raw: Any, what: str) -> dict[str, Any]:
    """Returns a JSON object; raises OrdersError for anything else."""
    if not isinstance(raw, dict):
        raise OrdersError(f"{what} has to be a JSON object")
    return raw


def build(cls: type[T], raw: Any, what: str) -> T:
    """Returns a `cls` of a JSON object; raises OrdersError if its fields are others."""
    try:
        return cls(**checked_object(raw, what))
    except TypeError as error:
        raise OrdersError(f"{what}: {str(error).split('()', 1)[-1].strip()}") from None


def _known_state(name: str) -> None:
    if f"STATE_{name}" not in STATES:
        raise OrdersError(f"state {name!r} is not one of the contract")
