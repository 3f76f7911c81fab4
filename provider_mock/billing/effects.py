"""What operations beside payments do once they take effect.

Owns carrying each kind out, at once or when a pending one settles. Called by
`operations` and `settlement` inside a transaction. Checks nothing: what has
changed since the operation was accepted is no error any more.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from provider_mock import schema
from provider_mock.billing import checkouts, disputes, rules, subscriptions
from provider_mock.objects import model, store
from servicekit import storage

Effect = Callable[[storage.Connection, schema.OperationRow, Any, int], None]


def carry_out(conn: storage.Connection, row: schema.OperationRow, at_us: int) -> None:
    """Does what an operation of one of `EFFECTS` asks for."""
    EFFECTS[row.kind](conn, row, json.loads(row.details), at_us)


def keep_method(
    conn: storage.Connection, row: schema.OperationRow, asked: Mapping[str, Any], at_us: int
) -> None:
    """Keeps a payment method at a customer."""
    customer_id = asked["customer_id"]
    if store.by_id(conn, asked.get("method_id", row.object_id)) is not None:
        return
    first = not any(store.of_customer(conn, customer_id, "payment_method"))
    kept = store.Kept(
        object_id=asked.get("method_id", row.object_id),
        binding_id=row.binding_id,
        state="ATTACHED",
        body=checkouts.new_method(asked["scenario"], is_default=False),
        core_id=row.reference if row.kind == "ATTACH_PAYMENT_METHOD" else "",
        operation_id=row.operation_id,
        customer_id=customer_id,
        created_us=at_us,
    )
    kept = store.put(conn, kept, at_us=at_us)
    if first or asked["set_default"]:
        _make_default(conn, kept, at_us)


def keep_if_asked(conn: storage.Connection, row: schema.OperationRow, at_us: int) -> None:
    """Keeps the instrument of a payment that succeeded, where that was asked for."""
    if row.kind in ("AUTHORIZE", "SALE") and row.details:
        keep_method(conn, row, json.loads(row.details), at_us)


def _detach(conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state == "ATTACHED":
        body = replace(store.body(kept, model.Method), is_default=False)
        gone = replace(kept, state="DETACHED", customer_id="", body=body)
        store.put(conn, gone, at_us=at_us)


def _set_default(conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state == "ATTACHED":
        _make_default(conn, kept, at_us)


def _make_default(conn: storage.Connection, chosen: store.Kept, at_us: int) -> None:
    for one in store.of_customer(conn, chosen.customer_id, "payment_method"):
        body = store.body(one, model.Method)
        is_default = one.object_id == chosen.object_id
        if body.is_default != is_default:
            changed = replace(one, body=replace(body, is_default=is_default))
            store.put(conn, changed, at_us=at_us)


def _create_plan(
    conn: storage.Connection, row: schema.OperationRow, asked: Any, at_us: int
) -> None:
    assert row.amount_minor is not None
    body = model.Price(
        amount_minor=row.amount_minor,
        currency=row.currency,
        interval=asked["interval"],
        interval_count=asked["interval_count"],
        name=asked["name"],
    )
    store.put(conn, _made(row, body, "ACTIVE", at_us), at_us=at_us)


def _archive_plan(conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state == "ACTIVE":
        store.put(conn, replace(kept, state="ARCHIVED"), at_us=at_us)


def _create_subscription(
    conn: storage.Connection, row: schema.OperationRow, asked: Any, at_us: int
) -> None:
    body = model.Subscription(
        price_id=asked["price_id"],
        quantity=asked["quantity"],
        anchor_us=at_us,
        method_id=asked["method_id"],
    )
    made = replace(_made(row, body, "PENDING", at_us), customer_id=asked["customer_id"])
    subscriptions.begin(
        conn,
        made,
        rules.load(conn),
        trial_days=asked["trial_days"],
        payer_present=asked["payer_present"],
        at_us=at_us,
    )


def _change_subscription(
    conn: storage.Connection, row: schema.OperationRow, asked: Any, at_us: int
) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state in subscriptions.LIVE:
        subscriptions.change(conn, kept, rules.load(conn), **asked, at_us=at_us)


def _cancel_subscription(
    conn: storage.Connection, row: schema.OperationRow, asked: Any, at_us: int
) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None:
        subscriptions.cancel(conn, kept, at_period_end=asked["at_period_end"], at_us=at_us)


def _reactivate_subscription(
    conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int
) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state in subscriptions.LIVE:
        subscriptions.reactivate(conn, kept, at_us=at_us)


def _create_checkout(
    conn: storage.Connection, row: schema.OperationRow, asked: Any, at_us: int
) -> None:
    asked = dict(asked)
    customer_id = asked.pop("customer_id")
    asked["expire_us"] = asked["expire_us"] or at_us + rules.load(conn).checkout_expire_us
    body = model.Checkout(amount_minor=row.amount_minor or 0, currency=row.currency, **asked)
    made = replace(_made(row, body, "OPEN", at_us), customer_id=customer_id, due_us=body.expire_us)
    store.put(conn, made, at_us=at_us)


def _expire_checkout(
    conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int
) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None:
        checkouts.expire(conn, kept, at_us=at_us)


def _submit_evidence(
    conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int
) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state in ("WARNING", "NEEDS_RESPONSE"):
        disputes.submit(conn, kept, at_us=at_us)


def _accept_dispute(conn: storage.Connection, row: schema.OperationRow, _: Any, at_us: int) -> None:
    kept = store.by_id(conn, row.object_id)
    if kept is not None and kept.state in disputes.OPEN:
        disputes.decide(conn, kept, won=False, at_us=at_us)


def _made(row: schema.OperationRow, body: model.Body, state: str, at_us: int) -> store.Kept:
    return store.Kept(
        object_id=row.object_id,
        binding_id=row.binding_id,
        state=state,
        body=body,
        core_id=row.reference,
        operation_id=row.operation_id,
        created_us=at_us,
    )


EFFECTS: Mapping[str, Effect] = {
    "ATTACH_PAYMENT_METHOD": keep_method,
    "DETACH_PAYMENT_METHOD": _detach,
    "SET_DEFAULT_PAYMENT_METHOD": _set_default,
    "CREATE_PLAN": _create_plan,
    "ARCHIVE_PLAN": _archive_plan,
    "CREATE_SUBSCRIPTION": _create_subscription,
    "CHANGE_SUBSCRIPTION": _change_subscription,
    "CANCEL_SUBSCRIPTION": _cancel_subscription,
    "REACTIVATE_SUBSCRIPTION": _reactivate_subscription,
    "CREATE_CHECKOUT": _create_checkout,
    "EXPIRE_CHECKOUT": _expire_checkout,
    "SUBMIT_EVIDENCE": _submit_evidence,
    "ACCEPT_DISPUTE": _accept_dispute,
}
MAKERS = frozenset(
    {"ATTACH_PAYMENT_METHOD", "CREATE_PLAN", "CREATE_SUBSCRIPTION", "CREATE_CHECKOUT"}
)
