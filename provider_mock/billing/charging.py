"""Payments that the provider makes by itself: of invoices and checkouts.

Owns booking one with the operation that shows it in the ledger. Called by
invoices and checkouts inside a transaction. Never retries: an identifier is
derived from what is paid and the attempt, so that each is booked once.
"""

from dataclasses import dataclass

from payhub.provider.v1 import operation_pb2

from provider_mock import books, entries, scenarios, schema
from provider_mock.objects import model, store
from servicekit import storage

State = scenarios.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a payment is for.

    Args:
        binding_id: The account.
        customer_id: Who pays; may be empty for checkouts.
        invoice_id: What it pays, if an invoice.
        checkout_id: What it pays, if a checkout.
        method_id: What it is paid by, if a kept method.
        scenario: Clauses of the instrument.
        outcome: What becomes of it.
        amount_minor: Minor units, positive.
        currency: ISO 4217 code.
        attempt: 1 for the first try.
        at_us: When.
        settle_after_us: How long pending takes.
        action: What the payer must do, where the outcome asks for it.
    """

    binding_id: str
    customer_id: str
    scenario: str
    outcome: scenarios.Outcome
    amount_minor: int
    currency: str
    attempt: int
    at_us: int
    settle_after_us: int
    invoice_id: str = ""
    checkout_id: str = ""
    method_id: str = ""
    action: entries.Action | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What became of it.

    Args:
        state: SUCCEEDED, DECLINED, PENDING or ACTION_REQUIRED.
        reason: Of the decline, the contract's enum value.
        payment_id: The payment; empty if declined.
    """

    state: State
    reason: int = 0
    payment_id: str = ""


def instrument(
    conn: storage.Connection, *, customer_id: str, method_id: str, binding_id: str
) -> store.Kept | None:
    """Returns the method to bill: the one named, else the customer's default."""
    if method_id:
        found = store.find(conn, method_id, binding_id)
        usable = found is not None and found.state == "ATTACHED"
        return found if usable else None
    for one in store.of_customer(conn, customer_id, "payment_method"):
        if store.body(one, model.Method).is_default:
            return one
    return None


def outcome_by(method: store.Kept | None, *, payer_present: bool) -> scenarios.Outcome:
    """Returns what becomes of a payment by a kept method; without one it is declined.

    Only states count: nobody waits for an answer that could get lost.
    """
    if method is None:
        return scenarios.UNKNOWN_INSTRUMENT
    scenario = scenarios.parse(store.body(method, model.Method).scenario)
    outcome = scenario.outcome(scenarios.Kind.BILL) if scenario else scenarios.APPROVE
    if outcome.state == "ACTION_REQUIRED" and not payer_present:
        refused = operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED
        return scenarios.Outcome(state="DECLINED", reason=refused)
    return outcome


def charge(conn: storage.Connection, asked: Charge) -> Charged:
    """Books a payment and returns what became of it."""
    outcome = asked.outcome
    if outcome.state == "DECLINED":
        return Charged(state="DECLINED", reason=outcome.reason)
    paid_for = asked.invoice_id or asked.checkout_id
    payment_id = model.derived_id("mpay", paid_for, asked.attempt)
    operation_id = model.derived_id("mbill", paid_for, asked.attempt)
    entry = entries.Entry(
        operation_id=operation_id,
        binding_id=asked.binding_id,
        fingerprint="",
        provider_operation_id=model.derived_id("mop", paid_for, asked.attempt),
        object_id=payment_id,
        now_us=asked.at_us,
        settle_after_us=asked.settle_after_us,
        ensure_in_time=lambda: None,
        amount_minor=asked.amount_minor,
        currency=asked.currency,
    )
    row = entries.row(entry, "SALE", outcome)
    if asked.action is not None and outcome.state == "ACTION_REQUIRED":
        row = entries.with_action(row, asked.action)
    if conn.run(schema.INSERT_OPERATION, row._asdict()) == 1:
        sums = books.Sums()
        if outcome.state == "SUCCEEDED":
            sums = books.authorize(sums, asked.amount_minor, sale=True)
        payment = schema.PaymentRow(
            object_id=payment_id,
            binding_id=asked.binding_id,
            operation_id=operation_id,
            reference="",
            currency=asked.currency,
            scenario=asked.scenario,
            **schema.sum_columns(sums),
            created_us=asked.at_us,
        )
        conn.run(schema.INSERT_PAYMENT, payment._asdict())
        link = store.Link(
            payment_id, asked.customer_id, asked.invoice_id, asked.checkout_id, asked.method_id
        )
        store.put_link(conn, link)
    return Charged(state=outcome.state, payment_id=payment_id)


def withdraw(conn: storage.Connection, payment_id: str, *, at_us: int) -> None:
    """Voids a payment that waits, if there is one: it can't succeed any more."""
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": payment_id})
    if columns is None:
        return
    payment = schema.PaymentRow._make(columns)
    found = conn.one(schema.SELECT_OPERATION, {"operation_id": payment.operation_id})
    assert found is not None
    row = schema.OperationRow._make(found)
    if row.state not in ("PENDING", "ACTION_REQUIRED"):
        return
    ended = row._replace(state="VOIDED", due_us=None, state_us=at_us)
    conn.run(schema.UPDATE_OPERATION, ended._asdict())
    sums = schema.sum_columns(books.close(payment.sums()))
    conn.run(schema.UPDATE_PAYMENT, {"object_id": payment_id, **sums})
