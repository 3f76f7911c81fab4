"""Subscriptions: begun, renewed, changed, ended.

Owns a subscription's calendar and states. Called where operations are carried
out and by what is due, inside a transaction. Never takes a payment itself.
"""

from dataclasses import replace

from payhub.provider.v1 import billing_provider_service_pb2 as bps

from provider_mock.billing import calendar, invoices, rules
from provider_mock.objects import model, store
from servicekit import storage

LIVE = ("TRIALING", "ACTIVE", "PAST_DUE", "PAUSED")
ENDED = ("CANCELED", "EXPIRED")


def price_of(conn: storage.Connection, held: model.Subscription) -> model.Price:
    """Returns the price that a subscription bills."""
    price = store.by_id(conn, held.price_id)
    assert price is not None
    return store.body(price, model.Price)


def begin(
    conn: storage.Connection,
    made: store.Kept,
    how: rules.Rules,
    *,
    trial_days: int,
    payer_present: bool,
    at_us: int,
) -> store.Kept:
    """Begins a subscription: with its trial, else with a first payment."""
    held = store.body(made, model.Subscription)
    price = price_of(conn, held)
    if trial_days:
        end_us = at_us + trial_days * calendar.DAY_US
        held = replace(
            held,
            anchor_us=end_us,
            period_start_us=at_us,
            period_end_us=end_us,
            trial_end_us=end_us,
        )
        due_us = max(at_us, end_us - rules.TRIAL_TOLD_BEFORE_US)
        return store.put(
            conn, replace(made, state="TRIALING", body=held, due_us=due_us), at_us=at_us
        )
    held = replace(_next_period(held, price), period_start_us=at_us)
    waiting = replace(made, state="PENDING", body=held, due_us=at_us + how.first_payment_us)
    bill = invoices.Bill(
        amount_minor=price.amount_minor * held.quantity,
        currency=price.currency,
        period_start_us=held.period_start_us,
        period_end_us=held.period_end_us,
        first=True,
        payer_present=payer_present,
    )
    return invoices.make(conn, waiting, bill, how, at_us=at_us)


def change(
    conn: storage.Connection,
    kept: store.Kept,
    how: rules.Rules,
    *,
    price_id: str,
    quantity: int,
    proration: int,
    at_us: int,
) -> store.Kept:
    """Moves a live subscription to another price or quantity.

    The difference for what is left of the period is billed now, put on the next invoice, or
    forgotten. Another interval counts from the end of the period that runs.
    """
    held = store.body(kept, model.Subscription)
    before = price_of(conn, held)
    after_price = replace(held, price_id=price_id, quantity=quantity)
    after = price_of(conn, after_price)
    if (before.interval, before.interval_count) != (after.interval, after.interval_count):
        after_price = replace(after_price, anchor_us=held.period_end_us, periods=0)
    difference_minor = after.amount_minor * quantity - before.amount_minor * held.quantity
    length_us = max(1, held.period_end_us - held.period_start_us)
    left_us = max(0, held.period_end_us - at_us)
    # Whole minor units, towards the payer.
    owed_minor = difference_minor * left_us // length_us
    trial = kept.state == "TRIALING"
    if trial or proration == bps.PRORATION_NONE or not owed_minor:
        return store.put(conn, replace(kept, body=after_price), at_us=at_us)
    owed_minor += held.credit_minor
    if proration == bps.PRORATION_NEXT_INVOICE or owed_minor < 0:
        waiting = replace(after_price, credit_minor=owed_minor)
        return store.put(conn, replace(kept, body=waiting), at_us=at_us)
    bill = invoices.Bill(
        amount_minor=owed_minor,
        currency=after.currency,
        period_start_us=at_us,
        period_end_us=held.period_end_us,
    )
    return invoices.make(conn, replace(kept, body=after_price), bill, how, at_us=at_us)


def cancel(
    conn: storage.Connection, kept: store.Kept, *, at_period_end: bool, at_us: int
) -> store.Kept:
    """Ends a subscription, now or with its period; one that has ended stays as it is."""
    if kept.state in ENDED:
        return kept
    held = store.body(kept, model.Subscription)
    if at_period_end and kept.state in LIVE:
        held = replace(held, cancel_at_period_end=True)
        return store.put(conn, replace(kept, body=held), at_us=at_us)
    invoices.void(conn, held.invoice_id, at_us=at_us)
    held = replace(held, ended_us=at_us, action_token="", action_expire_us=0)
    state = "EXPIRED" if kept.state == "PENDING" else "CANCELED"
    return store.put(conn, replace(kept, state=state, body=held, due_us=None), at_us=at_us)


def reactivate(conn: storage.Connection, kept: store.Kept, *, at_us: int) -> store.Kept:
    """Takes back the cancellation at the end of the period."""
    held = replace(store.body(kept, model.Subscription), cancel_at_period_end=False)
    return store.put(conn, replace(kept, body=held), at_us=at_us)


def pause(conn: storage.Connection, kept: store.Kept, *, at_us: int) -> store.Kept:
    """Bills it no more until it is resumed, as from the provider's dashboard."""
    return store.put(conn, replace(kept, state="PAUSED", due_us=None), at_us=at_us)


def resume(
    conn: storage.Connection, kept: store.Kept, how: rules.Rules, *, at_us: int
) -> store.Kept:
    """Bills it again; a period that has ended meanwhile is followed by one from now on.

    What was to end with that period has ended.
    """
    held = store.body(kept, model.Subscription)
    kept = replace(kept, state="ACTIVE", due_us=held.period_end_us)
    if held.period_end_us > at_us:
        return store.put(conn, kept, at_us=at_us)
    if held.cancel_at_period_end:
        return cancel(conn, kept, at_period_end=False, at_us=at_us)
    held = replace(held, anchor_us=at_us, periods=0, period_end_us=at_us)
    return _renew(conn, replace(kept, body=held), how, at_us=at_us)


def on_due(conn: storage.Connection, kept: store.Kept, how: rules.Rules) -> store.Kept:
    """Does what is due: the trial's end told or come, a period over, no first payment."""
    held, at_us = store.body(kept, model.Subscription), kept.due_us or 0
    if kept.state == "PENDING":
        return cancel(conn, kept, at_period_end=False, at_us=at_us)
    if kept.state == "TRIALING" and not held.trial_told and at_us < held.trial_end_us:
        told = replace(held, trial_told=True)
        return store.put(conn, replace(kept, body=told, due_us=held.trial_end_us), at_us=at_us)
    if held.cancel_at_period_end:
        return cancel(conn, kept, at_period_end=False, at_us=at_us)
    if kept.state == "TRIALING":
        kept = replace(kept, state="ACTIVE")
    return _renew(conn, kept, how, at_us=at_us)


def _renew(
    conn: storage.Connection, kept: store.Kept, how: rules.Rules, *, at_us: int
) -> store.Kept:
    """Begins the next period and bills it with what was left over before."""
    held = store.body(kept, model.Subscription)
    price = price_of(conn, held)
    held = replace(_next_period(held, price), period_start_us=at_us)
    kept = replace(kept, body=held, due_us=held.period_end_us)
    bill = invoices.Bill(
        amount_minor=price.amount_minor * held.quantity + held.credit_minor,
        currency=price.currency,
        period_start_us=at_us,
        period_end_us=held.period_end_us,
    )
    return invoices.make(conn, kept, bill, how, at_us=at_us)


def _next_period(held: model.Subscription, price: model.Price) -> model.Subscription:
    periods = held.periods + 1
    end_us = calendar.after(
        held.anchor_us,
        interval=price.interval,
        interval_count=price.interval_count,
        periods=periods,
    )
    return replace(held, periods=periods, period_end_us=end_us)
