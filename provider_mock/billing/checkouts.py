"""Checkouts: opened, completed by the payer, expired.

Owns a session's life and what completing it makes. Called where operations are
carried out, by the payer's page and by what is due.
"""

from dataclasses import replace

from payhub.provider.v1 import operation_pb2

from provider_mock import scenarios, schema
from provider_mock.billing import charging, rules, subscriptions
from provider_mock.objects import model, store
from provider_sdk import errors
from servicekit import storage

_SELECT_BY_TOKEN = storage.Statement(
    "select object_id from objects where kind = 'checkout' "
    "and json_extract(body, '$.token') = :token"
)


def by_token(conn: storage.Connection, token: str) -> store.Kept:
    """Returns the session behind a page.

    Raises:
        NotFound: There is none.
    """
    columns = conn.one(_SELECT_BY_TOKEN, {"token": token})
    found = store.by_id(conn, columns[0]) if columns is not None else None
    if found is None:
        raise errors.NotFound("no such checkout")
    return found


def complete(
    conn: storage.Connection,
    kept: store.Kept,
    how: rules.Rules,
    *,
    method_scenario: str,
    at_us: int,
) -> store.Kept:
    """The payer pays, by an instrument of *method_scenario* (clauses without prefix).

    A refusal leaves the session open: the payer may try another instrument.

    Raises:
        StateConflict: The session is no longer open, or the instrument was refused.
    """
    if kept.state == "COMPLETED":
        return kept
    if kept.state != "OPEN" or (kept.due_us or 0) <= at_us:
        raise errors.StateConflict("the checkout has expired")
    scenario = scenarios.parse(method_scenario)
    outcome = scenario.outcome(scenarios.Kind.AUTHORIZE) if scenario else None
    if outcome is None or outcome.state in ("DECLINED", "ACTION_REQUIRED"):
        reason = outcome.reason if outcome else operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID
        raise errors.StateConflict(
            "the payer's bank refused", upstream_code=scenarios.provider_code(reason)
        )
    body = store.body(kept, model.Checkout)
    customer_id = kept.customer_id or _new_customer(conn, kept, at_us)
    kept = replace(kept, customer_id=customer_id, state="COMPLETED", due_us=None)
    if body.price_id:
        body = _subscribe(conn, kept, body, how, method_scenario, at_us)
    else:
        charged = charging.charge(
            conn,
            charging.Charge(
                binding_id=kept.binding_id,
                customer_id=customer_id,
                scenario=method_scenario,
                outcome=outcome,
                amount_minor=body.amount_minor,
                currency=body.currency,
                attempt=1,
                at_us=at_us,
                settle_after_us=how.settle_after_us,
                checkout_id=kept.object_id,
            ),
        )
        paid = charged.state == "SUCCEEDED"
        body = replace(body, payment_id=charged.payment_id, paid=paid)
    return store.put(conn, replace(kept, body=body), at_us=at_us)


def _new_customer(conn: storage.Connection, kept: store.Kept, at_us: int) -> str:
    """Makes the customer that a page asked for, and returns it."""
    customer_id = model.derived_id("mcus", kept.object_id)
    customer = {
        "object_id": customer_id,
        "binding_id": kept.binding_id,
        "details": "{}",
        "updated_us": at_us,
    }
    conn.run(schema.UPSERT_CUSTOMER, customer)
    return customer_id


def _subscribe(
    conn: storage.Connection,
    kept: store.Kept,
    body: model.Checkout,
    how: rules.Rules,
    method_scenario: str,
    at_us: int,
) -> model.Checkout:
    """Keeps the payer's instrument and begins the subscription with it."""
    method = store.Kept(
        object_id=model.derived_id("mpm", kept.object_id),
        binding_id=kept.binding_id,
        state="ATTACHED",
        body=new_method(method_scenario, is_default=False),
        customer_id=kept.customer_id,
        created_us=at_us,
    )
    store.put(conn, method, at_us=at_us)
    made = store.Kept(
        object_id=model.derived_id("msub", kept.object_id),
        binding_id=kept.binding_id,
        state="PENDING",
        body=model.Subscription(
            price_id=body.price_id,
            quantity=body.quantity,
            anchor_us=at_us,
            method_id=method.object_id,
        ),
        customer_id=kept.customer_id,
        created_us=at_us,
    )
    begun = subscriptions.begin(
        conn, made, how, trial_days=body.trial_days, payer_present=True, at_us=at_us
    )
    return replace(
        body, subscription_id=begun.object_id, paid=begun.state in ("ACTIVE", "TRIALING")
    )


def payment_ended(
    conn: storage.Connection, checkout_id: str, *, succeeded: bool, at_us: int
) -> None:
    """The payment of a completed session, which waited, has ended."""
    kept = store.by_id(conn, checkout_id)
    assert kept is not None
    if succeeded:
        body = replace(store.body(kept, model.Checkout), paid=True)
        store.put(conn, replace(kept, body=body), at_us=at_us)


def expire(conn: storage.Connection, kept: store.Kept, *, at_us: int) -> store.Kept:
    """Ends an open session without its payer; one that has ended stays as it is."""
    if kept.state != "OPEN":
        return kept
    return store.put(conn, replace(kept, state="EXPIRED", due_us=None), at_us=at_us)


def new_method(scenario_text: str, *, is_default: bool) -> model.Method:
    """Returns the method that an instrument's clauses describe."""
    scenario = scenarios.parse(scenario_text)
    traits = scenario.traits if scenario is not None else {}
    brand, _, last4 = traits.get("card", "visa").partition("_")
    kind = traits.get("type", "card")
    return model.Method(
        type=kind,
        brand=brand if kind == "card" else "",
        last4=(last4 or "4242") if kind == "card" else "",
        expire_month=12 if kind == "card" else 0,
        expire_year=2099 if kind == "card" else 0,
        scenario=scenario_text,
        is_default=is_default,
    )
