"""What an operation beside payments needs before it is recorded.

Owns the checks that refuse with nothing done, the amount an operation is
answered with, and whose scenario decides. Called by `operations`. Only reads.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from provider_mock import entries, scenarios, schema
from provider_mock.billing import disputes, subscriptions
from provider_mock.objects import model, store
from provider_sdk import errors
from servicekit import storage

Prepared = tuple[entries.Entry, str]
"""The entry, and the clauses that decide; empty for an approval."""
Prepare = Callable[[storage.Connection, entries.Entry], Prepared]


def attach(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The customer must exist; the token decides."""
    asked = json.loads(entry.details)
    _customer(conn, entry, asked["customer_id"])
    return entry, str(asked["scenario"])


def method(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The method must exist; its token decides."""
    kept = _object(conn, entry, model.Method)
    asked = json.loads(entry.details)
    customer_id = asked.get("customer_id", kept.customer_id)
    if entry.details != "{}" and (kept.state != "ATTACHED" or kept.customer_id != customer_id):
        raise errors.StateConflict("the payment method is not the customer's")
    return entry, store.body(kept, model.Method).scenario


def plan(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The name decides, as a customer's does."""
    name = json.loads(entry.details)["name"]
    return entry, _named(name)


def price(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The price must exist; its plan's name decides."""
    kept = _object(conn, entry, model.Price)
    return entry, _named(store.body(kept, model.Price).name)


def subscribe(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """Customer, price and method must exist; the customer's name decides.

    The operation's amount is what the first period costs.
    """
    asked = json.loads(entry.details)
    customer = _customer(conn, entry, asked["customer_id"])
    found = _price(conn, entry, asked["price_id"])
    if asked["method_id"]:
        kept = store.find(conn, asked["method_id"], entry.binding_id)
        if kept is None or kept.customer_id != asked["customer_id"]:
            raise errors.NotFound("the customer has no such payment method")
    total_minor = found.amount_minor * asked["quantity"]
    if entry.amount_minor is not None and (
        (entry.amount_minor, entry.currency) != (total_minor, found.currency)
    ):
        text = f"the first period costs {total_minor} minor units of {found.currency}"
        raise errors.InvalidRequest(text, [("amount", text)])
    if not asked["trial_days"]:
        entry = replace(entry, amount_minor=total_minor or None, currency=found.currency)
    return entry, customer


def change(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The subscription must live and the price be of its currency; the customer decides."""
    kept = _object(conn, entry, model.Subscription)
    if kept.state not in subscriptions.LIVE:
        raise errors.StateConflict(f"the subscription is {kept.state}")
    asked = json.loads(entry.details)
    after = _price(conn, entry, asked["price_id"])
    before = subscriptions.price_of(conn, store.body(kept, model.Subscription))
    if before.currency != after.currency:
        text = f"the subscription is billed in {before.currency}"
        raise errors.InvalidRequest(text, [("provider_price_id", text)])
    return entry, _customer(conn, entry, kept.customer_id)


def subscription(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The subscription must exist; the customer decides."""
    kept = _object(conn, entry, model.Subscription)
    return entry, _customer(conn, entry, kept.customer_id)


def reactivate(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The subscription must be about to end, and not have ended; the customer decides."""
    kept = _object(conn, entry, model.Subscription)
    if kept.state not in subscriptions.LIVE:
        raise errors.StateConflict(f"the subscription is {kept.state}")
    return entry, _customer(conn, entry, kept.customer_id)


def checkout(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """Customer and price must exist if they are named; the description decides."""
    asked = json.loads(entry.details)
    if asked["customer_id"]:
        _customer(conn, entry, asked["customer_id"])
    if asked["price_id"]:
        _price(conn, entry, asked["price_id"])
    if asked["expire_us"] and asked["expire_us"] <= entry.now_us:
        text = "must be in the future"
        raise errors.InvalidRequest(f"expire_time {text}", [("expire_time", text)])
    return entry, str(asked["scenario"])


def expire(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The session must not be completed; its description decides."""
    kept = _object(conn, entry, model.Checkout)
    if kept.state == "COMPLETED":
        raise errors.StateConflict("the checkout is completed")
    return entry, store.body(kept, model.Checkout).scenario


def evidence(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The dispute must want evidence; the payment's token decides."""
    kept = _object(conn, entry, model.Dispute)
    if kept.state not in ("WARNING", "NEEDS_RESPONSE"):
        raise errors.StateConflict(f"the dispute is {kept.state}")
    return entry, _of_payment(conn, kept)


def accept(conn: storage.Connection, entry: entries.Entry) -> Prepared:
    """The dispute must be open or lost already; the payment's token decides."""
    kept = _object(conn, entry, model.Dispute)
    if kept.state not in (*disputes.OPEN, "LOST"):
        raise errors.StateConflict(f"the dispute is {kept.state}")
    return entry, _of_payment(conn, kept)


def _object(conn: storage.Connection, entry: entries.Entry, kind: type[model.Body]) -> store.Kept:
    kept = store.find(conn, entry.object_id, entry.binding_id)
    if kept is None or not isinstance(kept.body, kind):
        raise errors.NotFound(f"no {kind.__name__.lower()} {entry.object_id[:64]}")
    return kept


def _price(conn: storage.Connection, entry: entries.Entry, price_id: str) -> model.Price:
    kept = store.find(conn, price_id, entry.binding_id)
    if kept is None or not isinstance(kept.body, model.Price):
        raise errors.NotFound(f"no price {price_id[:64]}")
    if kept.state != "ACTIVE":
        raise errors.StateConflict("the price is archived")
    return kept.body


def _customer(conn: storage.Connection, entry: entries.Entry, customer_id: str) -> str:
    """Returns the clauses in a customer's name.

    Raises:
        NotFound: There is no such customer.
    """
    columns = conn.one(schema.SELECT_CUSTOMER, {"object_id": customer_id})
    if columns is None or columns[0] != entry.binding_id:
        raise errors.NotFound(f"no customer {customer_id[:64]}")
    details: dict[str, Any] = json.loads(columns[1])
    for text in (str(details.get("email", "")).partition("@")[0], str(details.get("name", ""))):
        if text.startswith(scenarios.EMAIL_PREFIX):
            return _named(text)
    return ""


def _named(text: str) -> str:
    prefix = scenarios.EMAIL_PREFIX
    return text.removeprefix(prefix) if text.startswith(prefix) else ""


def _of_payment(conn: storage.Connection, dispute: store.Kept) -> str:
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": dispute.parent_id})
    return schema.PaymentRow._make(columns).scenario if columns is not None else ""
