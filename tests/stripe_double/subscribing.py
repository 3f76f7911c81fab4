"""The life of a subscription: trial, renewals, dunning, the end.

Owns its states and timers behind the API. Called by subscriptions, invoicing and checkout.
Never reads request parameters.
"""

from typing import Any

from tests.stripe_double import clock, customers, drafts, errors, invoicing, periods, store

Json = dict[str, Any]

TRIAL_NOTICE_S = 3 * clock.DAY_S
INCOMPLETE_S = 23 * clock.HOUR_S
ENDED = ("canceled", "incomplete_expired")
_TIMERS = ("subscription.renew", "subscription.trial_will_end", "subscription.expire")


def emit_update(world: store.World, subscription: Json, changes: Json) -> None:
    """Changes a subscription, with an event when something became different."""
    before = store.copied(subscription)
    previous = world.update(subscription, changes)
    if previous:
        old = {name: before.get(name) for name in previous}
        world.emit("customer.subscription.updated", subscription, old)


def items(subscription: Json) -> list[Json]:
    """Returns the items of a subscription."""
    found: list[Json] = subscription["items"]["data"]
    return found


def period_end(subscription: Json) -> int:
    """Returns the end of the current period, which all items share."""
    return int(items(subscription)[0]["current_period_end"])


def begin_period(subscription: Json, start: int, end: int | None = None) -> None:
    """Puts all items into the period that begins at *start*."""
    anchor = subscription["billing_cycle_anchor"]
    for item in items(subscription):
        recurring = item["price"]["recurring"]
        item["current_period_start"] = start
        item["current_period_end"] = end or periods.after(start, recurring, anchor)


def _described(item: Json, trial: bool) -> str:
    sold = f"{item['quantity']} x {item['price']['nickname'] or item['price']['product']}"
    return f"Trial period for {sold}" if trial else sold


def lines(subscription: Json, *, trial: bool = False) -> list[Json]:
    """Returns the invoice lines of the current period."""
    return [
        drafts.line(
            amount=0 if trial else item["price"]["unit_amount"] * item["quantity"],
            currency=subscription["currency"],
            description=_described(item, trial),
            start=item["current_period_start"],
            end=item["current_period_end"],
            price=item["price"],
            quantity=item["quantity"],
            item=item,
        )
        for item in items(subscription)
    ]


def bill(
    world: store.World, account: str, subscription: Json, reason: str, billed: list[Json]
) -> Json:
    """Makes the draft invoice of a subscription, with the prorations that waited."""
    behind = world.behind(subscription["id"])
    waiting, behind["prorations"] = behind["prorations"], []
    invoice = drafts.make(
        world,
        account,
        world.get(account, "customer", subscription["customer"]),
        [*waiting, *billed],
        reason=reason,
        currency=subscription["currency"],
        subscription=subscription,
        collection=subscription["collection_method"],
        due_days=subscription["days_until_due"],
    )
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def start_timers(world: store.World, account: str, subscription: Json) -> None:
    """Sets what comes next: the end of the period, and the notice before a trial ends."""
    identifier = subscription["id"]
    for kind in _TIMERS:
        world.clock.cancel(kind, identifier)
    ends = subscription["cancel_at"] or period_end(subscription)
    due_s = min(ends, period_end(subscription))
    world.clock.at(due_s, "subscription.renew", account, identifier)
    if subscription["status"] == "trialing":
        notice_s = max(subscription["trial_end"] - TRIAL_NOTICE_S, world.clock.exact_s())
        world.clock.at(notice_s, "subscription.trial_will_end", account, identifier)
    if subscription["status"] == "incomplete":
        due_s = subscription["created"] + INCOMPLETE_S
        world.clock.at(due_s, "subscription.expire", account, identifier)


def end(world: store.World, account: str, subscription: Json, reason: str | None) -> None:
    """Cancels a subscription now, for good."""
    now = world.clock.now()
    changes = {
        "status": "canceled",
        "ended_at": now,
        "canceled_at": subscription["canceled_at"] or now,
        "cancel_at_period_end": False,
        "cancellation_details": {
            **(subscription["cancellation_details"] or {"comment": None, "feedback": None}),
            "reason": reason,
        },
    }
    was = subscription["status"]
    world.update(subscription, changes)
    for kind in _TIMERS:
        world.clock.cancel(kind, subscription["id"])
    latest = world.find(account, "invoice", subscription["latest_invoice"])
    if latest is not None and latest["status"] in ("open", "draft"):
        world.clock.cancel("invoice.retry", latest["id"])
        world.clock.cancel("invoice.finalize", latest["id"])
        latest |= {"auto_advance": False, "next_payment_attempt": None}
        if was == "incomplete":
            invoicing.close(world, account, latest, "void")
    world.record("subscription.canceled", subscription)
    world.emit("customer.subscription.deleted", subscription)


# What comes due.


def trial_will_end(world: store.World, account: str, identifier: str) -> None:
    """Gives notice that a trial ends soon."""
    subscription = world.get(account, "subscription", identifier)
    if subscription["status"] == "trialing":
        world.emit("customer.subscription.trial_will_end", subscription)


def expire(world: store.World, account: str, identifier: str) -> None:
    """Gives up a subscription whose first payment was not made in time."""
    subscription = world.get(account, "subscription", identifier)
    if subscription["status"] != "incomplete":
        return
    for kind in _TIMERS:
        world.clock.cancel(kind, identifier)
    latest = world.find(account, "invoice", subscription["latest_invoice"])
    if latest is not None and latest["status"] == "open":
        invoicing.close(world, account, latest, "void")
    ended = {"status": "incomplete_expired", "ended_at": world.clock.now()}
    emit_update(world, subscription, ended)


def renew(world: store.World, account: str, identifier: str) -> None:
    """Ends the current period: the subscription ends with it, or a new one is billed."""
    subscription = world.get(account, "subscription", identifier)
    now = world.clock.now()
    cancel_at = subscription["cancel_at"]
    if subscription["status"] in (*ENDED, "incomplete", "paused"):
        return
    if cancel_at is not None and cancel_at <= now:
        end(world, account, subscription, "cancellation_requested")
        return
    if subscription["status"] == "trialing" and not _goes_on(world, account, subscription):
        return
    before = store.copied(subscription)
    was_trial = subscription["status"] == "trialing"
    if was_trial:
        subscription |= {"status": "active", "billing_cycle_anchor": period_end(subscription)}
    begin_period(subscription, period_end(subscription))
    invoice = bill(world, account, subscription, "subscription_cycle", lines(subscription))
    _collect_later(world, account, subscription, invoice)
    world.changes += 1
    names = ("status", "billing_cycle_anchor", "items", "latest_invoice")
    old = {name: before[name] for name in names if before[name] != subscription[name]}
    world.record("subscription.renewed", subscription)
    world.emit("customer.subscription.updated", subscription, old)
    start_timers(world, account, subscription)


def _goes_on(world: store.World, account: str, subscription: Json) -> bool:
    """Decides, at the end of a trial, about a subscription that has nothing to be paid with."""
    customer = world.get(account, "customer", subscription["customer"])
    default = customer["invoice_settings"]["default_payment_method"]
    if subscription["default_payment_method"] or default:
        return True
    if subscription["collection_method"] == "send_invoice":
        return True
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "cancel":
        end(world, account, subscription, None)
    elif behavior == "pause":
        previous = world.update(subscription, {"status": "paused"})
        world.emit("customer.subscription.updated", subscription, previous)
        world.emit("customer.subscription.paused", subscription)
    return bool(behavior == "create_invoice")


def _collect_later(world: store.World, account: str, subscription: Json, invoice: Json) -> None:
    pause = subscription["pause_collection"]
    if pause is not None and pause["behavior"] == "keep_as_draft":
        invoice |= {"auto_advance": False, "automatically_finalizes_at": None}
        return
    if pause is not None:
        invoicing.finalize(world, account, invoice)
        if invoice["status"] == "open":
            status = "void" if pause["behavior"] == "void" else "uncollectible"
            invoicing.close(world, account, invoice, status)
        return
    if subscription["status"] == "unpaid":
        invoice |= {"auto_advance": False, "automatically_finalizes_at": None}
        return
    due_s = world.clock.exact_s() + drafts.DRAFT_S
    world.clock.at(due_s, "invoice.finalize", account, invoice["id"])


# What payments do to it.


def tried(world: store.World, account: str, invoice: Json, paid: bool) -> None:
    """Follows the payment, or the failed try, of an invoice of a subscription."""
    parent = invoice["parent"]
    if parent is None:
        return
    identifier = parent["subscription_details"]["subscription"]
    subscription = world.find(account, "subscription", identifier)
    if subscription is None or subscription["status"] in ENDED:
        return
    if world.behind(identifier).get("quiet") and not paid:
        return
    if paid:
        _paid(world, account, subscription, invoice)
    elif subscription["status"] not in ("incomplete", "paused"):
        _dun(world, account, subscription, invoice)


def _paid(world: store.World, account: str, subscription: Json, invoice: Json) -> None:
    changes: Json = {}
    if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        intent = world.find(account, "payment_intent", world.behind(invoice["id"])["intent"])
        method = world.find(account, "payment_method", intent["payment_method"] if intent else None)
        if method is not None and method["customer"] is None:
            method["customer"] = subscription["customer"]
        if method is not None:
            changes["default_payment_method"] = method["id"]
    if (
        subscription["status"] in ("incomplete", "past_due", "unpaid", "paused")
        and subscription["latest_invoice"] == invoice["id"]
    ):
        changes["status"] = "active"
    was = subscription["status"]
    emit_update(world, subscription, changes)
    if was == "incomplete" and subscription["status"] == "active":
        world.clock.cancel("subscription.expire", subscription["id"])
        world.record("subscription.activated", subscription)


def _dun(world: store.World, account: str, subscription: Json, invoice: Json) -> None:
    """Sets the next try, or does what the settings say when none is left."""
    if invoice["collection_method"] != "charge_automatically":
        return
    days = world.settings.retry_days
    tries = invoice["attempt_count"]
    world.clock.cancel("invoice.retry", invoice["id"])
    if tries <= len(days):
        due_s = world.clock.now() + days[tries - 1] * clock.DAY_S
        invoice["next_payment_attempt"] = due_s
        world.clock.at(due_s, "invoice.retry", account, invoice["id"])
        emit_update(world, subscription, {"status": "past_due"})
        return
    invoice["next_payment_attempt"] = None
    if world.settings.dunning_end == "canceled":
        end(world, account, subscription, "payment_failed")
    else:
        emit_update(world, subscription, {"status": world.settings.dunning_end})


def first_payment(
    world: store.World, account: str, subscription: Json, *, off_session: bool
) -> errors.Refusal | None:
    """Finalizes the latest invoice and pays it; returns the decline, if there is one."""
    invoice = world.get(account, "invoice", subscription["latest_invoice"])
    if invoice["status"] == "draft":
        invoicing.finalize(world, account, invoice)
    if invoice["status"] != "open":
        return None
    method = invoicing.payer_method(world, account, invoice)
    return invoicing.pay(world, account, invoice, method, off_session=off_session)


def customer_deleted(call: Any, customer: Json) -> None:
    """Cancels what a deleted customer had subscribed to."""
    for subscription in call.world.all(call.account, "subscription"):
        if subscription["customer"] == customer["id"] and subscription["status"] not in ENDED:
            end(call.world, call.account, subscription, "cancellation_requested")


invoicing.TRIED.append(tried)
customers.DELETED.append(customer_deleted)
TIMERS = {
    "subscription.renew": renew,
    "subscription.trial_will_end": trial_will_end,
    "subscription.expire": expire,
}
