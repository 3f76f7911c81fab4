"""What requests say about subscriptions.

Owns the reading of items, trials and settings. Called by subscriptions, prorations and checkout.
Never changes a subscription.
"""

from typing import Any

from tests.stripe_double import calls, catalog, errors, forms, invoicing, store

Json = dict[str, Any]

TRIAL_DAYS_MAX = 730
_FEEDBACK = frozenset(
    "customer_service low_quality missing_features other switched_service too_complex "
    "too_expensive unused".split()
)


def price_of(call: calls.Call, params: forms.Params) -> Json:
    """Returns the active recurring price that parameters name or bring."""
    data = params.group("price_data")
    if data is not None:
        price = catalog.make_price(call, data)
    else:
        name = params.needed("price")
        price = call.world.get(call.account, "price", name, params.path("price"))
    if not price["active"]:
        raise errors.wrong_state(
            "The price specified is inactive. This field only accepts active prices.",
            param=params.path("price"),
        )
    if price["recurring"] is None:
        raise errors.bad_parameter(
            "The price specified is set to `type=one_time` but this field only accepts prices with "
            "`type=recurring`.",
            params.path("price"),
        )
    return price


def make_item(subscription: str, price: Json, quantity: int, now: int) -> Json:
    """Makes an item of a subscription; its period is set when that begins."""
    identifier = store.mint("si", 14)
    return {
        "id": identifier,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": now,
        "current_period_end": now,
        "current_period_start": now,
        "discounts": [],
        "metadata": {},
        "plan": catalog.plan_of(price),
        "price": store.copied(price),
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def items(call: calls.Call, subscription: str) -> list[Json]:
    """Returns the items that a request asks for; they share one currency and interval."""
    made = []
    for params in call.params.groups("items"):
        params.only({"price", "price_data", "quantity", "metadata"})
        price = price_of(call, params)
        quantity = params.number("quantity", 1) or 0
        if quantity < 1:
            raise errors.bad_parameter("Invalid positive integer", params.path("quantity"))
        made.append(make_item(subscription, price, quantity, call.now()))
    if not made:
        raise call.params.missing("items")
    for item in made:
        first, other = made[0]["price"], item["price"]
        names = ("interval", "interval_count")
        if any(first["recurring"][name] != other["recurring"][name] for name in names):
            raise errors.bad_parameter("All prices must have the same recurring interval.", "items")
        if first["currency"] != other["currency"]:
            raise errors.bad_parameter("All prices must use the same currency.", "items")
    return made


def trial_end(call: calls.Call) -> int | None:
    """Returns when the trial that a request asks for ends, or None."""
    params = call.params
    days, until = params.number("trial_period_days"), params.text("trial_end")
    if days is not None and until is not None:
        raise errors.bad_parameter(
            "You may only specify one of: trial_end, trial_period_days.", "trial_end"
        )
    if days is not None:
        if not 0 <= days <= TRIAL_DAYS_MAX:
            raise errors.bad_parameter(
                f"The maximum number of trial period days is {TRIAL_DAYS_MAX}.",
                "trial_period_days",
            )
        return call.now() + days * 86_400 if days else None
    if until is None or until == "now":
        return None
    at = params.number("trial_end") or 0
    if at <= call.now():
        raise errors.bad_parameter("The trial end must be in the future.", "trial_end")
    return at


def trial_settings(params: forms.Params | None) -> Json:
    """Returns what happens at the end of a trial."""
    missing = "create_invoice"
    if params is not None:
        behavior = params.only({"end_behavior"}).group("end_behavior")
        if behavior is not None:
            behavior.only({"missing_payment_method"})
            allowed = {"create_invoice", "cancel", "pause"}
            missing = behavior.choice("missing_payment_method", allowed) or missing
    return {"end_behavior": {"billing_cycle_anchor": None, "missing_payment_method": missing}}


def payment_settings(params: forms.Params | None) -> Json:
    """Returns how invoices are paid."""
    settings: Json = {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    }
    if params is not None:
        params.only({"save_default_payment_method", "payment_method_types"})
        save = params.choice("save_default_payment_method", {"off", "on_subscription"}, "off")
        settings["save_default_payment_method"] = save
        settings["payment_method_types"] = params.texts("payment_method_types") or None
    return settings


def shared(call: calls.Call, customer: str) -> Json:
    """Returns the fields that create and update share."""
    params = call.params
    given: Json = {}
    if "default_payment_method" in params:
        name = params.text("default_payment_method")
        given["default_payment_method"] = (
            invoicing.method_for(call, name, customer)["id"] if name else None
        )
    if "description" in params:
        given["description"] = params.text("description")
    if "payment_settings" in params:
        given["payment_settings"] = payment_settings(params.group("payment_settings"))
    if "trial_settings" in params:
        given["trial_settings"] = trial_settings(params.group("trial_settings"))
    if "collection_method" in params:
        allowed = {"charge_automatically", "send_invoice"}
        given["collection_method"] = params.choice("collection_method", allowed)
    if "days_until_due" in params:
        given["days_until_due"] = params.number("days_until_due")
    if given.get("collection_method") == "send_invoice" and not given.get("days_until_due"):
        raise params.missing("days_until_due")
    at = params.number("cancel_at")
    if at is not None:
        if at <= call.now():
            raise errors.bad_parameter("cancel_at must be in the future.", "cancel_at")
        given["cancel_at"] = at
    return given


def cancellation(subscription: Json, details: forms.Params) -> Json:
    """Returns why a subscription is canceled, as the customer says."""
    details.only({"comment", "feedback"})
    old: Json = subscription["cancellation_details"]
    return old | {
        "comment": details.text("comment", old["comment"]),
        "feedback": details.choice("feedback", _FEEDBACK, old["feedback"]),
    }


def pause(params: forms.Params | None) -> Json | None:
    """Returns what happens to invoices while collection is paused."""
    if params is None:
        return None
    params.only({"behavior", "resumes_at"})
    behavior = params.choice("behavior", {"keep_as_draft", "mark_uncollectible", "void"})
    if behavior is None:
        raise params.missing("behavior")
    return {"behavior": behavior, "resumes_at": params.number("resumes_at")}
