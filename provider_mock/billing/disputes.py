"""Disputes: opened by a payer's bank, answered, decided.

Owns a dispute's life and how much of a payment it takes. Called by the ledger
when a payment asks for one, by operations, by the control port and by what is
due. Never changes a payment's own sums.
"""

from dataclasses import replace

from provider_mock import scenarios, schema
from provider_mock.billing import rules
from provider_mock.objects import model, store
from provider_sdk import errors
from servicekit import storage

OPEN = ("WARNING", "NEEDS_RESPONSE", "UNDER_REVIEW")


def open_if_asked(conn: storage.Connection, payment_id: str, *, at_us: int) -> None:
    """Opens what a payment's instrument asks for, once something is captured."""
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": payment_id})
    if columns is None:
        return
    payment = schema.PaymentRow._make(columns)
    scenario = scenarios.parse(payment.scenario)
    if scenario is None or not payment.captured_minor or store.of_parent(conn, payment_id):
        return
    # The inquiry first: it leaves all of the payment to the dispute.
    for name, inquiry in (("inquiry", True), ("dispute", False)):
        reason = scenario.traits.get(name)
        if reason is not None:
            begin(
                conn,
                payment,
                amount_minor=payment.captured_minor,
                reason=reason,
                inquiry=inquiry,
                evidence_us=rules.load(conn).evidence_us,
                at_us=at_us,
            )


def begin(
    conn: storage.Connection,
    payment: schema.PaymentRow,
    *,
    amount_minor: int,
    reason: str,
    inquiry: bool,
    evidence_us: int,
    at_us: int,
) -> store.Kept:
    """Opens a dispute of a payment; an inquiry takes no money yet.

    Raises:
        StateConflict: More is disputed than is captured and neither returned nor disputed.
    """
    left_minor = payment.sums().refundable_minor - taken_minor(conn, payment.object_id)
    if not 0 < amount_minor <= left_minor:
        raise errors.StateConflict(f"{left_minor} of the payment can be disputed")
    count = len(store.of_parent(conn, payment.object_id)) + 1
    due_us = at_us + evidence_us
    body = model.Dispute(
        amount_minor=amount_minor,
        currency=payment.currency,
        reason=reason,
        due_us=due_us,
        opened_us=at_us,
        takes_minor=0 if inquiry else amount_minor,
    )
    made = store.Kept(
        object_id=model.derived_id("mdp", payment.object_id, count),
        binding_id=payment.binding_id,
        state="WARNING" if inquiry else "NEEDS_RESPONSE",
        body=body,
        parent_id=payment.object_id,
        created_us=at_us,
        due_us=due_us,
    )
    return store.put(conn, made, at_us=at_us)


def taken_minor(conn: storage.Connection, payment_id: str) -> int:
    """Returns how much of a payment its disputes hold or have taken for good, minor units."""
    return sum(
        store.body(one, model.Dispute).takes_minor for one in store.of_parent(conn, payment_id)
    )


def require_undisputed(
    conn: storage.Connection, payment_id: str, *, refundable_minor: int, amount_minor: int
) -> None:
    """Checks that a refund leaves what is disputed.

    Raises:
        StateConflict: Too little is left beside the disputes.
    """
    taken = taken_minor(conn, payment_id)
    if taken and amount_minor > refundable_minor - taken:
        raise errors.StateConflict(f"{taken} of the payment is disputed")


def submit(conn: storage.Connection, kept: store.Kept, *, at_us: int) -> store.Kept:
    """Evidence came; the bank decides later."""
    body = replace(store.body(kept, model.Dispute), has_evidence=True)
    under_review = replace(kept, state="UNDER_REVIEW", body=body, due_us=None)
    return store.put(conn, under_review, at_us=at_us)


def decide(conn: storage.Connection, kept: store.Kept, *, won: bool, at_us: int) -> store.Kept:
    """The bank has decided, or the merchant has given up."""
    body = store.body(kept, model.Dispute)
    state = "LOST"
    if won:
        state = "WON" if body.takes_minor else "WARNING_CLOSED"
    body = replace(body, takes_minor=0 if won else body.amount_minor)
    return store.put(conn, replace(kept, state=state, body=body, due_us=None), at_us=at_us)


def on_due(conn: storage.Connection, kept: store.Kept) -> store.Kept:
    """The time for evidence is over: an inquiry is closed, a dispute is lost."""
    return decide(conn, kept, won=kept.state == "WARNING", at_us=kept.due_us or 0)
