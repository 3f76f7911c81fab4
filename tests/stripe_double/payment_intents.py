"""The API of payment intents.

Owns the reading and refusing of their parameters. Hands what is allowed to payments.
"""

from typing import Any

from tests.stripe_double import (
    amounts,
    calls,
    customers,
    errors,
    forms,
    intents,
    payment_methods,
    payments,
    search,
)

Json = dict[str, Any]

_METHOD_PARAMS = {
    "allowed_payment_method_types",
    "payment_method",
    "payment_method_data",
    "payment_method_options",
    "setup_future_usage",
    "shipping",
}
_CONFIRMING = {
    "error_on_requires_action",
    "mandate_data",
    "off_session",
    "return_url",
    "use_stripe_sdk",
}
CONFIRM_PARAMS = {
    *_CONFIRMING,
    *_METHOD_PARAMS,
    "amount_to_confirm",
    "capture_method",
    "receipt_email",
}
CREATE_PARAMS = {
    *intents.TEXTS,
    *_METHOD_PARAMS,
    *_CONFIRMING,
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "currency",
    "customer",
    "metadata",
}
UPDATE_PARAMS = {
    *intents.TEXTS,
    *_METHOD_PARAMS,
    "amount",
    "capture_method",
    "currency",
    "customer",
}
_CAPTURE_METHODS = {"automatic", "automatic_async", "manual"}
_INCREMENTS_MAX = 10
_REASONS = {"duplicate", "fraudulent", "requested_by_customer", "abandoned"}


def _run(call: calls.Call, intent: Json, method: Json | None) -> None:
    """Confirms an intent with the method of the request or its own."""
    params, world = call.params, call.world
    if method is None and intent["payment_method"] is not None:
        found = world.get(call.account, "payment_method", intent["payment_method"])
        payment_methods.usable(world, found, intent["customer"])
        method = found
    if method is None:
        raise errors.wrong_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You "
            "can either update the PaymentIntent with a payment method and then confirm it again, "
            "or confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )
    behind = world.behind(intent["id"])
    return_url = params.text("return_url") or behind["return_url"]
    automatic, allowed = intent["automatic_payment_methods"], intent["allowed_payment_method_types"]
    if return_url is None and intents.may_redirect(automatic, allowed):
        raise errors.bad_parameter(
            "This PaymentIntent is configured to accept payment methods enabled in your "
            "Dashboard. Because some of these payment methods might redirect your customer off of "
            "your page, you must provide a `return_url`. If you don't want to accept redirect-"
            "based payment methods, set `automatic_payment_methods[enabled]` to `true` and "
            "`automatic_payment_methods[allow_redirects]` to `never`.",
            "return_url",
        )
    behind["return_url"] = return_url
    refusal = payments.attempt(
        world,
        call.account,
        intent,
        method,
        off_session=_off_session(params),
        error_on_action=params.flag("error_on_requires_action"),
        return_url=None if params.flag("use_stripe_sdk") else return_url,
    )
    if refusal is not None:
        raise refusal


def _off_session(params: forms.Params) -> bool:
    return params.text("off_session") in ("true", "one_off", "recurring")


def create(call: calls.Call) -> Json:
    """POST /v1/payment_intents."""
    params = call.params.only(CREATE_PARAMS)
    code = amounts.currency(params)
    amount = amounts.chargeable(params, "amount", code)
    confirm = params.flag("confirm")
    for name in sorted(_CONFIRMING - {"use_stripe_sdk"}):
        if name in params and not confirm:
            raise errors.bad_parameter(
                f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless "
                "`confirm` is set to true.",
                name,
            )
    customer = params.text("customer")
    if customer is not None:
        customers.alive(call, customer)
    blank: Json = {"payment_method_options": {"card": {}}, "metadata": {}}
    given = intents.automatic(params) | intents.common(call, blank)
    method = intents.method(call, customer, given.get("payment_method_types", ["card"]))
    if confirm and method is None:
        raise errors.bad_parameter(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            "payment_method",
            "parameter_missing",
        )
    defaults: Json = {"installments": None, "mandate_options": None, "network": None}
    defaults["request_three_d_secure"] = "automatic"
    given["payment_method_options"]["card"] = defaults | given["payment_method_options"]["card"]
    if method is not None:
        given |= {"payment_method": method["id"], "status": "requires_confirmation"}
    capture = params.choice("capture_method", _CAPTURE_METHODS, "automatic_async")
    how = params.choice("confirmation_method", {"automatic", "manual"}, "automatic")
    given |= {"customer": customer, "capture_method": capture, "confirmation_method": how}
    automatic, allowed = (
        given.get("automatic_payment_methods"),
        given.get("allowed_payment_method_types"),
    )
    if confirm and intents.may_redirect(automatic, allowed):
        params.needed("return_url")
    intent = intents.make(call.world, call.account, amount=amount, currency=code, **given)
    if confirm:
        _run(call, intent, method)
    return intent


def retrieve(call: calls.Call) -> Json:
    """GET /v1/payment_intents/{id}."""
    call.params.only({"client_secret"})
    return call.world.get(call.account, "payment_intent", call.path["id"])


def _in_state(call: calls.Call, allowed: frozenset[str] | set[str], verb: str) -> Json:
    intent = call.world.get(call.account, "payment_intent", call.path["id"], "intent")
    if intent["status"] not in allowed:
        raise errors.wrong_state(
            f"This PaymentIntent could not be {verb} because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be "
            f"{verb}: {', '.join(sorted(allowed))}.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )
    return intent


def update(call: calls.Call) -> Json:
    """POST /v1/payment_intents/{id}."""
    params = call.params.only(UPDATE_PARAMS | {"metadata"})
    fixed = {"succeeded", "canceled", "processing", "requires_capture"}
    intent = call.world.get(call.account, "payment_intent", call.path["id"], "intent")
    if intent["status"] in fixed and not set(params.values) <= {
        "metadata",
        "description",
        "receipt_email",
        "shipping",
        "expand",
        "transfer_group",
    }:
        _in_state(call, payments.CANCELABLE - fixed, "updated")
    changes = intents.common(call, intent)
    code = amounts.currency(params) if "currency" in params else intent["currency"]
    if "amount" in params or "currency" in params:
        params.values.setdefault("amount", str(intent["amount"]))
        changes |= {"amount": amounts.chargeable(params, "amount", code), "currency": code}
    if "customer" in params:
        customers.alive(call, params.needed("customer"))
        changes["customer"] = params.text("customer")
    if "capture_method" in params:
        changes["capture_method"] = params.choice("capture_method", _CAPTURE_METHODS)
    customer = changes.get("customer", intent["customer"])
    method = intents.method(
        call, customer, changes.get("payment_method_types") or intent["payment_method_types"]
    )
    if method is not None:
        changes |= {"payment_method": method["id"], "status": "requires_confirmation"}
    call.world.update(intent, changes)
    return intent


def confirm(call: calls.Call) -> Json:
    """POST /v1/payment_intents/{id}/confirm."""
    params = call.params.only(CONFIRM_PARAMS)
    allowed = {"requires_payment_method", "requires_confirmation", "requires_action"}
    intent = _in_state(call, allowed, "confirmed")
    if params.number("amount_to_confirm", intent["amount"]) != intent["amount"]:
        raise errors.wrong_state(
            "The amount to confirm differs from the amount of the PaymentIntent.",
            param="amount_to_confirm",
        )
    changes = intents.common(call, intent)
    if "capture_method" in params:
        changes["capture_method"] = params.choice("capture_method", _CAPTURE_METHODS)
    method = intents.method(
        call,
        intent["customer"],
        changes.get("payment_method_types") or intent["payment_method_types"],
    )
    call.world.update(intent, changes)
    if call.world.behind(intent["id"])["authenticated"] and method is None:
        call.world.behind(intent["id"])["authenticated"] = False
        call.world.update(intent, {"confirmation_method": "automatic", "status": "requires_action"})
        payments.authenticate(call.world, call.account, intent, agreed=True)
        return intent
    _run(call, intent, method)
    return intent


def capture(call: calls.Call) -> Json:
    """POST /v1/payment_intents/{id}/capture."""
    params = call.params.only(
        {"amount_to_capture", "final_capture", "metadata", "statement_descriptor"}
        | {"statement_descriptor_suffix"}
    )
    intent = _in_state(call, {"requires_capture"}, "captured")
    amount = amounts.positive(params, "amount_to_capture")
    left = intent["amount_capturable"]
    if amount is None:
        amount = left
    amounts.check_step(amount, intent["currency"], "amount_to_capture")
    if amount > left:
        raise errors.wrong_state(
            f"The amount to capture, {amounts.shown(amount, intent['currency'])}, is greater than "
            f"the amount you can capture, {amounts.shown(left, intent['currency'])}.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    final = params.flag("final_capture", True)
    charge = call.world.get(call.account, "charge", intent["latest_charge"])
    card = charge["payment_method_details"]["card"]
    if not final and card["multicapture"]["status"] != "available":
        raise errors.bad_parameter(
            "final_capture can only be false if multicapture is available for this charge. Request "
            "it with payment_method_options[card][request_multicapture].",
            "final_capture",
        )
    call.world.update(intent, {"metadata": params.metadata(intent["metadata"])})
    payments.capture(call.world, call.account, intent, amount, final)
    return intent


def cancel(call: calls.Call) -> Json:
    """POST /v1/payment_intents/{id}/cancel."""
    reason = call.params.only({"cancellation_reason"}).choice("cancellation_reason", _REASONS)
    intent = _in_state(call, payments.CANCELABLE, "canceled")
    if "session" in call.world.behind(intent["id"]) and intent["status"] != "requires_capture":
        raise errors.wrong_state(
            "You cannot cancel the PaymentIntent of a Checkout Session; expire the session instead."
        )
    payments.cancel(call.world, call.account, intent, reason)
    return intent


def increment(call: calls.Call) -> Json:
    """POST /v1/payment_intents/{id}/increment_authorization."""
    params = call.params.only({"amount", "description", "metadata", "statement_descriptor"})
    intent = _in_state(call, {"requires_capture"}, "incremented")
    amount = amounts.chargeable(params, "amount", intent["currency"])
    charge = call.world.get(call.account, "charge", intent["latest_charge"])
    card = charge["payment_method_details"]["card"]
    if card["incremental_authorization"]["status"] != "available" or charge["amount_captured"]:
        raise errors.wrong_state(
            "This PaymentIntent is not eligible for incremental authorization. Request it with "
            "payment_method_options[card][request_incremental_authorization].",
            code="payment_intent_unexpected_state",
        )
    behind = call.world.behind(intent["id"])
    tries = behind.get("increments", 0)
    if tries >= _INCREMENTS_MAX:
        raise errors.wrong_state(
            f"A PaymentIntent takes up to {_INCREMENTS_MAX} incremental authorization attempts."
        )
    if amount <= intent["amount"]:
        raise errors.bad_parameter(
            f"The amount must be greater than the currently authorized amount "
            f"({amounts.shown(intent['amount'], intent['currency'])}).",
            "amount",
        )
    call.world.update(intent, {"metadata": params.metadata(intent["metadata"])})
    behind["increments"] = tries + 1
    refusal = payments.increment(call.world, call.account, intent, amount)
    if refusal is not None:
        raise refusal
    return intent


def list_all(call: calls.Call) -> Json:
    """GET /v1/payment_intents."""
    return call.listed("payment_intent", equal=("customer",))


def find(call: calls.Call) -> Json:
    """GET /v1/payment_intents/search; new intents appear after the lag of the index."""
    return search.answer(call, "payment_intent", {"amount", "currency", "customer", "status"})


ROUTES = [
    ("POST", "/v1/payment_intents", create),
    ("GET", "/v1/payment_intents", list_all),
    ("GET", "/v1/payment_intents/search", find),
    ("GET", "/v1/payment_intents/{id}", retrieve),
    ("POST", "/v1/payment_intents/{id}", update),
    ("POST", "/v1/payment_intents/{id}/confirm", confirm),
    ("POST", "/v1/payment_intents/{id}/capture", capture),
    ("POST", "/v1/payment_intents/{id}/cancel", cancel),
    ("POST", "/v1/payment_intents/{id}/increment_authorization", increment),
]
