"""The API of subscriptions.

Owns the reading of their parameters and the first invoice. Hands what is allowed to subscribing
and prorations.
"""

from typing import Any

from tests.stripe_double import (
    calls,
    customers,
    errors,
    invoicing,
    prorations,
    store,
    subscribing,
    subscription_params,
)

Json = dict[str, Any]

_BEHAVIORS = {"allow_incomplete", "default_incomplete", "error_if_incomplete"}
CREATE_PARAMS = {
    "cancel_at",
    "cancel_at_period_end",
    "collection_method",
    "currency",
    "customer",
    "days_until_due",
    "default_payment_method",
    "description",
    "items",
    "metadata",
    "off_session",
    "payment_behavior",
    "payment_settings",
    "proration_behavior",
    "trial_end",
    "trial_period_days",
    "trial_settings",
}
UPDATE_PARAMS = (CREATE_PARAMS - {"customer", "currency", "trial_period_days"}) | {
    "billing_cycle_anchor",
    "cancellation_details",
    "pause_collection",
    "proration_date",
}


def make(
    call: calls.Call, customer: Json, items: list[Json], identifier: str, **given: Any
) -> Json:
    """Makes a subscription in its first period, with its first invoice still a draft."""
    now = call.now()
    trial_end = given.pop("trial_end", None)
    subscription: Json = {
        "id": identifier,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": trial_end or now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": None,
        },
        "collection_method": "charge_automatically",
        "created": now,
        "currency": items[0]["price"]["currency"],
        "customer": customer["id"],
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "issuer": {"account": None, "type": "self"},
        },
        "items": calls.whole_list(f"/v1/subscription_items?subscription={identifier}", items),
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": subscription_params.payment_settings(None),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "trialing" if trial_end else "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": subscription_params.trial_settings(None),
        "trial_start": now if trial_end else None,
        **given,
    }
    world, account = call.world, call.account
    world.add(account, subscription, prorations=[])
    subscribing.begin_period(subscription, now, trial_end)
    lines = subscribing.lines(subscription, trial=trial_end is not None)
    subscribing.bill(world, account, subscription, "subscription_create", lines)
    world.record("subscription.created", subscription)
    world.emit("customer.subscription.created", subscription)
    if trial_end:
        invoice = world.get(account, "invoice", subscription["latest_invoice"])
        invoicing.finalize(world, account, invoice)
    subscribing.start_timers(world, account, subscription)
    return subscription


def create(call: calls.Call) -> Json:
    """POST /v1/subscriptions."""
    params = call.params.only(CREATE_PARAMS)
    customer = customers.alive(call, params.needed("customer"))
    behavior = params.choice("payment_behavior", _BEHAVIORS, "allow_incomplete")
    identifier = store.mint("sub")
    items = subscription_params.items(call, identifier)
    given = subscription_params.shared(call, customer["id"])
    given["metadata"] = params.metadata()
    given["trial_end"] = subscription_params.trial_end(call)
    automatic = given.get("collection_method", "charge_automatically") == "charge_automatically"
    has_method = (
        given.get("default_payment_method")
        or (customer["invoice_settings"]["default_payment_method"])
    )
    due = sum(item["price"]["unit_amount"] * item["quantity"] for item in items)
    pays = automatic and behavior != "default_incomplete" and due and not given["trial_end"]
    if pays and not has_method:
        raise errors.wrong_state(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method.",
            code="resource_missing",
        )
    known = set(call.world.hidden)
    subscription = make(call, customer, items, identifier, **given)
    world, account = call.world, call.account
    if params.flag("cancel_at_period_end"):
        world.update(subscription, _at_period_end(call, subscription, True))
        subscribing.start_timers(world, account, subscription)
    if given["trial_end"] is not None:
        return subscription
    if not pays:
        invoice = world.get(account, "invoice", subscription["latest_invoice"])
        invoicing.finalize(world, account, invoice)
        if not automatic:
            subscribing.emit_update(world, subscription, {"status": "active"})
        return subscription
    off_session = params.flag("off_session")
    refusal = subscribing.first_payment(world, account, subscription, off_session=off_session)
    failed = subscription["status"] == "incomplete"
    if behavior == "error_if_incomplete" and failed:
        undo(world, account, known)
        raise refusal or errors.card_declined(
            "Payment for this subscription requires additional user action before it can be "
            "completed successfully.",
            code="subscription_payment_intent_requires_action",
        )
    return subscription


def undo(world: store.World, account: str, known: set[str]) -> None:
    """Takes back what a refused subscription made, its failed charge excepted."""
    kinds = ("subscription", "invoice", "invoice_payment")
    made = [one for name, one in world.objects[account].items() if name not in known]
    for one in made:
        snapshot = one["data"]["object"] if one["object"] == "event" else one
        if snapshot["object"] in kinds:
            world.drop(account, one["id"])
    gone = {one["id"] for one in made if one["object"] in kinds}
    world.clock.timers = [one for one in world.clock.timers if one["id"] not in gone]
    world.outbox = [one for one in world.outbox if one["id"] in world.hidden]
    world.ledger = [one for one in world.ledger if one["object"] not in gone]


def update(call: calls.Call) -> Json:
    """POST /v1/subscriptions/{id}."""
    params = call.params.only(UPDATE_PARAMS)
    world, account = call.world, call.account
    subscription = world.get(account, "subscription", call.path["id"])
    kept = {"metadata", "cancellation_details", "expand"}
    if subscription["status"] in subscribing.ENDED and set(params.values) - kept:
        raise errors.wrong_state(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    changes = subscription_params.shared(call, subscription["customer"])
    changes["metadata"] = params.metadata(subscription["metadata"])
    if "cancel_at" in params and not params.text("cancel_at"):
        changes |= {"cancel_at": None, "canceled_at": None}
    if "cancel_at_period_end" in params:
        changes |= _at_period_end(call, subscription, params.flag("cancel_at_period_end"))
    details = params.group("cancellation_details")
    if details is not None:
        changes["cancellation_details"] = subscription_params.cancellation(subscription, details)
    if "pause_collection" in params:
        changes["pause_collection"] = subscription_params.pause(params.group("pause_collection"))
    prorations.apply(call, subscription, changes)
    return subscription


def _at_period_end(call: calls.Call, subscription: Json, wanted: bool) -> Json:
    if not wanted:
        if not subscription["cancel_at_period_end"]:
            return {}
        return {"cancel_at_period_end": False, "cancel_at": None, "canceled_at": None}
    return {
        "cancel_at_period_end": True,
        "cancel_at": subscribing.period_end(subscription),
        "canceled_at": call.now(),
        "cancellation_details": subscription["cancellation_details"]
        | {"reason": "cancellation_requested"},
    }


def cancel(call: calls.Call) -> Json:
    """DELETE /v1/subscriptions/{id}."""
    params = call.params.only({"cancellation_details", "invoice_now", "prorate"})
    world, account = call.world, call.account
    subscription = world.get(account, "subscription", call.path["id"])
    if subscription["status"] in subscribing.ENDED:
        raise errors.no_such("subscription", subscription["id"])
    details = params.group("cancellation_details")
    if details is not None:
        subscription["cancellation_details"] = subscription_params.cancellation(
            subscription, details
        )
    if params.flag("prorate"):
        prorations.credit(world, subscription)
    if params.flag("invoice_now"):
        invoice = subscribing.bill(world, account, subscription, "manual", [])
        invoicing.advance(world, account, invoice["id"])
    subscribing.end(world, account, subscription, "cancellation_requested")
    return subscription


def resume(call: calls.Call) -> Json:
    """POST /v1/subscriptions/{id}/resume: goes on after a pause, in a new period."""
    params = call.params.only({"billing_cycle_anchor", "proration_behavior"})
    world, account = call.world, call.account
    subscription = world.get(account, "subscription", call.path["id"])
    if subscription["status"] != "paused":
        raise errors.wrong_state("Only a paused subscription can be resumed.")
    params.choice("billing_cycle_anchor", {"now", "unchanged"}, "now")
    now = call.now()
    before = store.copied(subscription)
    world.update(subscription, {"billing_cycle_anchor": now})
    subscribing.begin_period(subscription, now)
    lines = subscribing.lines(subscription)
    subscribing.bill(world, account, subscription, "subscription_update", lines)
    # It stays paused until this invoice is paid.
    subscribing.first_payment(world, account, subscription, off_session=True)
    names = ("billing_cycle_anchor", "items", "latest_invoice")
    previous = {name: before[name] for name in names}
    world.emit("customer.subscription.updated", subscription, previous)
    if subscription["status"] == "active":
        subscribing.start_timers(world, account, subscription)
        world.emit("customer.subscription.resumed", subscription)
    return subscription


def retrieve(call: calls.Call) -> Json:
    """GET /v1/subscriptions/{id}."""
    call.params.only(())
    return call.world.get(call.account, "subscription", call.path["id"])


def list_all(call: calls.Call) -> Json:
    """GET /v1/subscriptions; canceled ones are left out unless asked for."""
    params = call.params.only(
        {*calls.PAGING, "created", "customer", "price", "status", "collection_method"}
    )
    customer, price = params.text("customer"), params.text("price")
    status = params.text("status")
    return call.page(
        [
            one
            for one in call.world.all(call.account, "subscription")
            if params.within("created", one["created"])
            and customer in (None, one["customer"])
            and (price is None or any(i["price"]["id"] == price for i in one["items"]["data"]))
            and _shows(one["status"], status)
        ]
    )


def _shows(status: str, wanted: str | None) -> bool:
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in subscribing.ENDED
    return wanted in ("all", status)


ROUTES = [
    ("POST", "/v1/subscriptions", create),
    ("GET", "/v1/subscriptions", list_all),
    ("GET", "/v1/subscriptions/{id}", retrieve),
    ("POST", "/v1/subscriptions/{id}", update),
    ("DELETE", "/v1/subscriptions/{id}", cancel),
    ("POST", "/v1/subscriptions/{id}/resume", resume),
]
