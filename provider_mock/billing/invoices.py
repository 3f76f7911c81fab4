"""Invoices: made, paid, tried again, given up.

Owns an invoice's life and what it does to its subscription. Called by
subscriptions, by what is due, and where a payment ends. Never asks the payer
more than the first time.
"""

from dataclasses import dataclass, replace

from provider_mock import entries
from provider_mock.billing import charging, rules
from provider_mock.objects import model, store
from servicekit import storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one invoice asks for.

    Args:
        amount_minor: Minor units; 0 or less is paid by itself.
        currency: ISO 4217 code.
        period_start_us: What it bills.
        period_end_us: Likewise.
        first: Of a subscription that does not live before it is paid.
        payer_present: Whether the payer can be asked for something.
    """

    amount_minor: int
    currency: str
    period_start_us: int
    period_end_us: int
    first: bool = False
    payer_present: bool = False


def make(
    conn: storage.Connection,
    subscription: store.Kept,
    bill: Bill,
    how: rules.Rules,
    *,
    at_us: int,
) -> store.Kept:
    """Makes an invoice, tries to have it paid, and returns the subscription as that leaves it."""
    held = store.body(subscription, model.Subscription)
    count = held.invoices + 1
    invoice_id = model.derived_id("minv", subscription.object_id, count)
    amount_minor = max(bill.amount_minor, 0)
    body = model.Invoice(
        number=f"{subscription.object_id[-6:].upper()}-{count:04}",
        amount_minor=amount_minor,
        currency=bill.currency,
        first=bill.first,
        period_start_us=bill.period_start_us,
        period_end_us=bill.period_end_us,
        due_us=at_us + how.due_after_us,
    )
    made = store.Kept(
        object_id=invoice_id,
        binding_id=subscription.binding_id,
        state="OPEN",
        body=body,
        customer_id=subscription.customer_id,
        parent_id=subscription.object_id,
        created_us=at_us,
        due_us=body.due_us,
    )
    held = replace(
        held, invoice_id=invoice_id, invoices=count, credit_minor=min(bill.amount_minor, 0)
    )
    subscription = replace(subscription, body=held)
    store.put(conn, made, at_us=at_us)
    subscription = store.put(conn, subscription, at_us=at_us)
    if not amount_minor:
        paid = store.find(conn, invoice_id, subscription.binding_id)
        assert paid is not None
        _paid(conn, paid, "", at_us)
    else:
        attempt(conn, made, how, at_us=at_us, payer_present=bill.payer_present)
    return _again(conn, subscription)


def attempt(
    conn: storage.Connection,
    invoice: store.Kept,
    how: rules.Rules,
    *,
    at_us: int,
    payer_present: bool = False,
) -> None:
    """Tries to have an open invoice paid by what its subscription bills."""
    invoice = _again(conn, invoice)
    body = store.body(invoice, model.Invoice)
    subscription = _subscription(conn, invoice)
    held = store.body(subscription, model.Subscription)
    method = charging.instrument(
        conn,
        customer_id=invoice.customer_id,
        method_id=held.method_id,
        binding_id=invoice.binding_id,
    )
    tries = body.attempts + 1
    action = entries.Action(
        token=model.derived_id("act", invoice.object_id, tries),
        expire_us=at_us + how.action_expire_us,
        auto_us=None,
    )
    charged = charging.charge(
        conn,
        charging.Charge(
            binding_id=invoice.binding_id,
            customer_id=invoice.customer_id,
            scenario=store.body(method, model.Method).scenario if method else "",
            outcome=charging.outcome_by(method, payer_present=payer_present),
            amount_minor=body.amount_minor,
            currency=body.currency,
            attempt=tries,
            at_us=at_us,
            settle_after_us=how.settle_after_us,
            invoice_id=invoice.object_id,
            method_id=method.object_id if method else "",
            action=action,
        ),
    )
    body = replace(body, attempts=tries, next_attempt_us=0, payment_id=charged.payment_id, reason=0)
    invoice = store.put(conn, replace(invoice, body=body), at_us=at_us)
    if charged.state == "SUCCEEDED":
        _paid(conn, invoice, charged.payment_id, at_us)
    elif charged.state == "DECLINED":
        refused(conn, invoice, charged.reason, how, at_us=at_us)
    elif charged.state == "ACTION_REQUIRED":
        waiting = replace(held, action_token=action.token, action_expire_us=action.expire_us)
        store.put(conn, replace(subscription, body=waiting), at_us=at_us)


def payment_ended(
    conn: storage.Connection, invoice_id: str, payment_id: str, *, reason: int, at_us: int
) -> None:
    """A payment that waited has ended, well if *reason* is 0.

    What follows from a refusal is due at once; see `on_due`.
    """
    invoice = store.by_id(conn, invoice_id)
    assert invoice is not None
    if not reason:
        _paid(conn, invoice, payment_id, at_us)
        return
    body = replace(store.body(invoice, model.Invoice), refusal=reason)
    store.put(conn, replace(invoice, body=body, due_us=at_us), at_us=at_us)


def _paid(conn: storage.Connection, invoice: store.Kept, payment_id: str, at_us: int) -> None:
    body = store.body(invoice, model.Invoice)
    body = replace(
        body,
        paid_minor=body.amount_minor,
        payment_id=payment_id or body.payment_id,
        next_attempt_us=0,
        overdue=False,
        reason=0,
    )
    store.put(conn, replace(invoice, state="PAID", body=body, due_us=None), at_us=at_us)
    subscription = _subscription(conn, invoice)
    held = store.body(subscription, model.Subscription)
    cleared = replace(held, reason=0, action_token="", action_expire_us=0)
    if subscription.state in ("PENDING", "PAST_DUE") and held.invoice_id == invoice.object_id:
        subscription = replace(subscription, state="ACTIVE", due_us=held.period_end_us)
    if subscription.state == "ACTIVE":
        store.put(conn, replace(subscription, body=cleared), at_us=at_us)


def refused(
    conn: storage.Connection, invoice: store.Kept, reason: int, how: rules.Rules, *, at_us: int
) -> None:
    """A try to have an invoice paid was refused: it is tried again, or given up."""
    body = replace(store.body(invoice, model.Invoice), reason=reason, refusal=0, payment_id="")
    subscription = _subscription(conn, invoice)
    held = store.body(subscription, model.Subscription)
    if body.first:
        # Nobody is billed again for what never began; it waits for its payer.
        due_us = None if body.overdue else body.due_us
        store.put(conn, replace(invoice, body=body, due_us=due_us), at_us=at_us)
        refusal = replace(held, reason=reason, action_token="", action_expire_us=0)
        store.put(conn, replace(subscription, body=refusal), at_us=at_us)
        return
    if body.attempts > len(how.retry_after_us):
        _give_up(conn, invoice, body, subscription, at_us)
        return
    next_us = at_us + how.retry_after_us[body.attempts - 1]
    body = replace(body, next_attempt_us=next_us)
    due_us = next_us if body.overdue else min(next_us, body.due_us)
    store.put(conn, replace(invoice, body=body, due_us=due_us), at_us=at_us)
    if subscription.state in ("ACTIVE", "TRIALING", "PAST_DUE"):
        store.put(conn, replace(subscription, state="PAST_DUE"), at_us=at_us)


def _give_up(
    conn: storage.Connection,
    invoice: store.Kept,
    body: model.Invoice,
    subscription: store.Kept,
    at_us: int,
) -> None:
    store.put(
        conn,
        replace(invoice, state="UNCOLLECTIBLE", body=replace(body, next_attempt_us=0), due_us=None),
        at_us=at_us,
    )
    if subscription.state not in ("CANCELED", "EXPIRED"):
        held = replace(store.body(subscription, model.Subscription), ended_us=at_us)
        ended = replace(subscription, state="CANCELED", body=held, due_us=None)
        store.put(conn, ended, at_us=at_us)


def void(conn: storage.Connection, invoice_id: str, *, at_us: int) -> None:
    """Withdraws an invoice that is open; nothing is asked for it any more, nor taken."""
    invoice = store.by_id(conn, invoice_id)
    if invoice is not None and invoice.state == "OPEN":
        body = replace(store.body(invoice, model.Invoice), next_attempt_us=0, refusal=0)
        charging.withdraw(conn, body.payment_id, at_us=at_us)
        store.put(conn, replace(invoice, state="VOID", body=body, due_us=None), at_us=at_us)


def on_due(conn: storage.Connection, invoice: store.Kept, how: rules.Rules) -> None:
    """Does what is due for an open invoice: says that it is overdue, or tries again."""
    body = store.body(invoice, model.Invoice)
    at_us = invoice.due_us or 0
    if _subscription(conn, invoice).state in ("CANCELED", "EXPIRED"):
        # Nobody is billed for what has ended.
        body = replace(body, next_attempt_us=0, reason=body.refusal or body.reason, refusal=0)
        store.put(conn, replace(invoice, body=body, due_us=None), at_us=at_us)
        return
    if body.refusal:
        refused(conn, invoice, body.refusal, how, at_us=at_us)
        return
    if not body.overdue and body.due_us <= at_us:
        next_us = body.next_attempt_us or None
        late = replace(invoice, body=replace(body, overdue=True), due_us=next_us)
        store.put(conn, late, at_us=at_us)
        return
    invoice = store.put(conn, replace(invoice, due_us=None), at_us=at_us)
    if invoice.state == "OPEN":
        attempt(conn, invoice, how, at_us=at_us)


def _subscription(conn: storage.Connection, invoice: store.Kept) -> store.Kept:
    found = store.by_id(conn, invoice.parent_id)
    assert found is not None
    return found


def _again(conn: storage.Connection, one: store.Kept) -> store.Kept:
    found = store.by_id(conn, one.object_id)
    assert found is not None
    return found
