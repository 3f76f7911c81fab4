"""Checkout sessions: created by the merchant, completed by the payer through the control API.

Owns the reading of their parameters. What completing one makes is in completing.
"""

from typing import Any

from tests.stripe_double import (
    amounts,
    calls,
    catalog,
    clock,
    completing,
    customers,
    errors,
    forms,
    store,
    subscription_params,
)

Json = dict[str, Any]

SHORTEST_S = 30 * clock.MINUTE_S
LONGEST_S = clock.DAY_S
PARAMS = {
    "allowed_payment_method_types",
    "allow_promotion_codes",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "currency",
    "customer",
    "customer_creation",
    "customer_email",
    "expires_at",
    "line_items",
    "locale",
    "metadata",
    "mode",
    "payment_intent_data",
    "payment_method_collection",
    "return_url",
    "submit_type",
    "subscription_data",
    "success_url",
    "ui_mode",
}
_MODES = {"payment", "subscription", "setup"}
_UI_MODES = {"hosted_page", "embedded_page", "elements", "form"}
_PAYMENT_DATA = {"capture_method", "description", "metadata", "setup_future_usage"} | {
    "receipt_email",
    "statement_descriptor",
    "statement_descriptor_suffix",
}


def _line_items(call: calls.Call, mode: str) -> list[Json]:
    made = []
    for params in call.params.groups("line_items"):
        params.only({"price", "price_data", "quantity", "metadata"})
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
        if mode == "payment" and price["recurring"]:
            raise errors.bad_parameter(
                "You specified `payment` mode but passed a recurring price. Either switch to "
                "`subscription` mode or use only one-time prices.",
                params.path("price"),
            )
        quantity = params.number("quantity", 1) or 0
        if quantity < 1:
            raise errors.bad_parameter("Invalid positive integer", params.path("quantity"))
        amount = price["unit_amount"] * quantity
        made.append(
            {
                "id": store.mint("li"),
                "object": "item",
                "amount_discount": 0,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount,
                "currency": price["currency"],
                "description": price["nickname"] or price["product"],
                "price": store.copied(price),
                "quantity": quantity,
            }
        )
    if not made and mode != "setup":
        raise call.params.missing("line_items")
    if mode == "subscription" and not any(one["price"]["recurring"] for one in made):
        raise errors.bad_parameter(
            "You must provide at least one recurring price in `subscription` mode.", "line_items"
        )
    if len({one["currency"] for one in made}) > 1:
        raise errors.bad_parameter("All prices must use the same currency.", "line_items")
    return made


def _urls(params: forms.Params, ui_mode: str, identifier: str, address: str) -> Json:
    hosted = ui_mode == "hosted_page"
    if hosted and params.text("success_url") is None:
        raise params.missing("success_url")
    for name, fits in (("success_url", hosted), ("cancel_url", hosted), ("return_url", not hosted)):
        if name in params and not fits:
            raise errors.bad_parameter(f"`{name}` doesn't go with ui_mode {ui_mode}.", name)
    url = f"{address}/_double/checkout/{identifier}" if hosted else None
    return {
        "cancel_url": params.text("cancel_url"),
        "client_secret": None if hosted else f"{identifier}_secret_{store.mint('x')[2:]}",
        "redirect_on_completion": None if hosted else "always",
        "return_url": params.text("return_url"),
        "success_url": params.text("success_url"),
        "ui_mode": ui_mode,
        "url": url,
    }


def _expiry(call: calls.Call) -> int:
    at = call.params.number("expires_at", call.now() + LONGEST_S) or 0
    if not call.now() + SHORTEST_S - 60 <= at <= call.now() + LONGEST_S:
        raise errors.bad_parameter(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from creation.",
            "expires_at",
        )
    return at


def create(call: calls.Call) -> Json:
    """POST /v1/checkout/sessions."""
    params = call.params.only(PARAMS)
    mode = params.choice("mode", _MODES)
    if mode is None:
        raise params.missing("mode")
    ui_mode = params.choice("ui_mode", _UI_MODES, "hosted_page") or "hosted_page"
    customer, email = params.text("customer"), params.text("customer_email")
    if customer is not None:
        customers.alive(call, customer)
        if email is not None:
            raise errors.bad_parameter(
                "You may only specify one of these parameters: customer, customer_email.",
                "customer_email",
            )
    for name, fits in (("payment_intent_data", "payment"), ("subscription_data", "subscription")):
        if name in params and mode != fits:
            raise errors.bad_parameter(f"You can not pass `{name}` in `{mode}` mode.", name)
    creation = params.choice("customer_creation", {"always", "if_required"})
    if creation is not None and (customer is not None or mode != "payment"):
        raise errors.bad_parameter(
            "`customer_creation` goes with `payment` mode without a customer.", "customer_creation"
        )
    data = _data(call)
    items = _line_items(call, mode)
    total = sum(one["amount_total"] for one in items)
    if mode == "payment":
        code = items[0]["currency"]
        amounts.chargeable(forms.Params({"line_items": str(total)}), "line_items", code)
    identifier = store.mint("cs_test", 58)
    session: Json = {
        "id": identifier,
        "object": "checkout.session",
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": total if items else None,
        "amount_total": total if items else None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": params.choice(
            "billing_address_collection", {"auto", "required"}
        ),
        "client_reference_id": params.text("client_reference_id"),
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": call.now(),
        "currency": items[0]["currency"] if items else None,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer,
        "customer_creation": creation or ("if_required" if mode == "payment" else None),
        "customer_details": None,
        "customer_email": email,
        "discounts": [],
        "expires_at": _expiry(call),
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": params.text("locale"),
        "metadata": params.metadata(),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.choice(
            "payment_method_collection", {"always", "if_required"}, "always"
        ),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": params.texts("allowed_payment_method_types") or ["card"],
        "payment_status": "unpaid" if total else "no_payment_required",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.choice("submit_type", {"auto", "book", "donate", "pay", "subscribe"}),
        "subscription": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "wallet_options": None,
        **_urls(params, ui_mode, identifier, call.world.address),
    }
    call.world.add(call.account, session, items=items, data=data)
    call.world.record("checkout.created", session)
    call.world.clock.at(session["expires_at"], "checkout.expire", call.account, identifier)
    return session


def _data(call: calls.Call) -> Json:
    """Returns, checked, what the payment or the subscription will be made with."""
    payment, recurring = (
        call.params.group("payment_intent_data"),
        call.params.group("subscription_data"),
    )
    data: Json = {}
    if payment is not None:
        payment.only(_PAYMENT_DATA)
        data = {name: payment.text(name) for name in payment.values if name != "metadata"}
        payment.choice("capture_method", {"automatic", "automatic_async", "manual"})
        payment.choice("setup_future_usage", {"on_session", "off_session"})
        data["metadata"] = payment.metadata()
    if recurring is not None:
        recurring.only(
            {"description", "metadata", "trial_end", "trial_period_days", "trial_settings"}
        )
        inner = completing.inner_call(call.world, call.account, recurring.values)
        data = {
            "description": recurring.text("description"),
            "metadata": recurring.metadata(),
            "trial_settings": subscription_params.trial_settings(recurring.group("trial_settings")),
            "trial_days": recurring.number("trial_period_days"),
            "trial_end": subscription_params.trial_end(inner),
        }
    return data


def expire(call: calls.Call) -> Json:
    """POST /v1/checkout/sessions/{id}/expire."""
    call.params.only(())
    session = call.world.get(call.account, "checkout.session", call.path["id"])
    if session["status"] != "open":
        raise errors.wrong_state(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f'Session has a status of "{session["status"]}".'
        )
    completing.expire(call.world, session)
    return session


def retrieve(call: calls.Call) -> Json:
    """GET /v1/checkout/sessions/{id}."""
    call.params.only(())
    return call.world.get(call.account, "checkout.session", call.path["id"])


def list_all(call: calls.Call) -> Json:
    """GET /v1/checkout/sessions."""
    equal = ("customer", "payment_intent", "subscription", "status")
    return call.listed("checkout.session", equal=equal)


def list_lines(call: calls.Call) -> Json:
    """GET /v1/checkout/sessions/{id}/line_items."""
    call.params.only(calls.PAGING)
    session = call.world.get(call.account, "checkout.session", call.path["id"])
    return _lines(call.world, call.account, session)


def _lines(world: store.World, account: str, session: Json) -> Json:
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return calls.whole_list(url, world.behind(session["id"])["items"])


calls.INCLUDABLE["checkout.session", "line_items"] = _lines
ROUTES = [
    ("POST", "/v1/checkout/sessions", create),
    ("GET", "/v1/checkout/sessions", list_all),
    ("GET", "/v1/checkout/sessions/{id}", retrieve),
    ("POST", "/v1/checkout/sessions/{id}/expire", expire),
    ("GET", "/v1/checkout/sessions/{id}/line_items", list_lines),
]
