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
    payment_methods,
    payments,
    search,
    store,
)

Json = dict[str, Any]

_METHOD_TYPES = frozenset({"card", "us_bank_account", "link"})
_TEXTS = (
    "description",
    "receipt_email",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
_METHOD_PARAMS = {
    "payment_method",
    "payment_method_data",
    "payment_method_options",
    "payment_method_types",
    "setup_future_usage",
    "shipping",
}
_CONFIRM_PARAMS = {
    "error_on_requires_action",
    "mandate_data",
    "off_session",
    "return_url",
    "use_stripe_sdk",
}
_CREATE_PARAMS = {
    *_TEXTS,
    *_METHOD_PARAMS,
    *_CONFIRM_PARAMS,
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "currency",
    "customer",
    "metadata",
}
_UPDATE_PARAMS = {*_TEXTS, *_METHOD_PARAMS, "amount", "capture_method", "currency", "customer"}
_CAPTURE_METHODS = {"automatic", "automatic_async", "manual"}
_REASONS = {"duplicate", "fraudulent", "requested_by_customer", "abandoned"}


def make(world: store.World, account: str, *, amount: int, currency: str, **given: Any) -> Json:
    """Makes an intent that waits for a payment method, with the given fields."""
    identifier = store.mint("pi")
    intent: Json = {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{identifier}_secret_{store.mint('x')[2:]}",
        "confirmation_method": "automatic",
        "created": world.clock.now(),
        "currency": currency,
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "payment_record": None,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    intent |= given
    world.add(account, intent, return_url=None, off_session=False, authenticated=False)
    world.record("payment_intent.created", intent, amount=amount, currency=currency)
    world.emit("payment_intent.created", intent)
    return intent


def _options(params: forms.Params, old: Json) -> Json:
    options = params.group("payment_method_options")
    if options is None:
        return old
    options.only({"card", "us_bank_account"})
    card = options.group("card")
    if card is None:
        return old
    choices = {
        "capture_method": {"manual"},
        "request_extended_authorization": {"if_available", "never"},
        "request_incremental_authorization": {"if_available", "never"},
        "request_multicapture": {"if_available", "never"},
        "request_overcapture": {"if_available", "never"},
        "request_three_d_secure": {"any", "automatic", "challenge"},
        "setup_future_usage": {"none", "off_session", "on_session"},
    }
    card.only(choices)
    given = {name: card.choice(name, choices[name]) for name in card.values}
    return {**old, "card": {**old.get("card", {}), **given}}


def _common(call: calls.Call, old: Json) -> Json:
    """Returns the fields that create, update and confirm may set."""
    params = call.params
    changes: Json = {name: params.text(name) for name in _TEXTS if name in params}
    if len(changes.get("statement_descriptor_suffix") or "") > 22:
        raise errors.bad_parameter(
            "The statement descriptor suffix must be at most 22 characters.",
            "statement_descriptor_suffix",
        )
    if "setup_future_usage" in params:
        usage = params.choice("setup_future_usage", {"on_session", "off_session"})
        changes["setup_future_usage"] = usage
    if "shipping" in params:
        changes["shipping"] = customers.shipping(params.group("shipping"))
    if "payment_method_types" in params:
        types = params.texts("payment_method_types")
        for spot, kind in enumerate(types):
            if kind not in _METHOD_TYPES:
                raise errors.bad_parameter(
                    f"The payment method type provided: {kind} is invalid.",
                    f"payment_method_types[{spot}]",
                    "payment_intent_invalid_parameter",
                )
        changes |= {"payment_method_types": types, "automatic_payment_methods": None}
    changes["payment_method_options"] = _options(params, old["payment_method_options"])
    changes["metadata"] = params.metadata(old["metadata"])
    return changes


def _method(call: calls.Call, customer: str | None, types: list[str]) -> Json | None:
    """Returns the payment method that a request names or brings, checked for the customer."""
    data, name = call.params.group("payment_method_data"), call.params.text("payment_method")
    if data is not None and name is not None:
        raise errors.bad_parameter(
            "You may only specify one of these parameters: payment_method, payment_method_data.",
            "payment_method",
        )
    if data is not None:
        method = payment_methods.from_data(call, data)
    elif name is not None:
        method = payment_methods.resolve(call.world, call.account, name)
    else:
        return None
    payment_methods.usable(call.world, method, customer)
    if method["type"] not in types:
        raise errors.bad_parameter(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this "
            f"PaymentIntent, which allows {', '.join(types)}.",
            "payment_method",
            "payment_intent_incompatible_payment_method",
        )
    return method


def _automatic(params: forms.Params) -> Json:
    """Returns which payment methods a new intent takes: those of the dashboard by default."""
    group = params.group("automatic_payment_methods")
    if "payment_method_types" in params:
        if group is not None and group.flag("enabled"):
            raise errors.bad_parameter(
                "You may only specify one of these parameters: automatic_payment_methods, "
                "payment_method_types.",
                "automatic_payment_methods",
            )
        return {}
    redirects = "always"
    if group is not None:
        group.only({"enabled", "allow_redirects"})
        if not group.flag("enabled"):
            return {}
        redirects = group.choice("allow_redirects", {"always", "never"}, "always") or "always"
    return {
        "automatic_payment_methods": {"allow_redirects": redirects, "enabled": True},
        "payment_method_types": ["card", "link", "us_bank_account"],
    }


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
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and return_url is None:
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
    params = call.params.only(_CREATE_PARAMS)
    code = amounts.currency(params)
    amount = amounts.chargeable(params, "amount", code)
    confirm = params.flag("confirm")
    for name in sorted(_CONFIRM_PARAMS - {"use_stripe_sdk"}):
        if name in params and not confirm:
            raise errors.bad_parameter(
                f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless "
                "`confirm` is set to true.",
                name,
            )
    customer = params.text("customer")
    if customer is not None:
        customers.alive(call, customer)
    blank = {"payment_method_options": {"card": {}}, "metadata": {}}
    given = _automatic(params) | _common(call, blank)
    method = _method(call, customer, given.get("payment_method_types", ["card"]))
    if confirm and method is None:
        raise errors.bad_parameter(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            "payment_method",
            "parameter_missing",
        )
    defaults = {"installments": None, "mandate_options": None, "network": None}
    defaults["request_three_d_secure"] = "automatic"
    given["payment_method_options"]["card"] = defaults | given["payment_method_options"]["card"]
    if method is not None:
        given |= {"payment_method": method["id"], "status": "requires_confirmation"}
    capture = params.choice("capture_method", _CAPTURE_METHODS, "automatic_async")
    how = params.choice("confirmation_method", {"automatic", "manual"}, "automatic")
    given |= {"customer": customer, "capture_method": capture, "confirmation_method": how}
    automatic = given.get("automatic_payment_methods")
    if confirm and automatic and automatic["allow_redirects"] == "always":
        params.needed("return_url")
    intent = make(call.world, call.account, amount=amount, currency=code, **given)
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
    params = call.params.only(_UPDATE_PARAMS | {"metadata"})
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
    changes = _common(call, intent)
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
    method = _method(
        call, customer, changes.get("payment_method_types", intent["payment_method_types"])
    )
    if method is not None:
        changes |= {"payment_method": method["id"], "status": "requires_confirmation"}
    call.world.update(intent, changes)
    return intent


def confirm(call: calls.Call) -> Json:
    """POST /v1/payment_intents/{id}/confirm."""
    params = call.params.only(
        {*_CONFIRM_PARAMS, *_METHOD_PARAMS, "capture_method", "receipt_email", "amount_to_confirm"}
    )
    allowed = {"requires_payment_method", "requires_confirmation", "requires_action"}
    intent = _in_state(call, allowed, "confirmed")
    if params.number("amount_to_confirm", intent["amount"]) != intent["amount"]:
        raise errors.wrong_state(
            "The amount to confirm differs from the amount of the PaymentIntent.",
            param="amount_to_confirm",
        )
    changes = _common(call, intent)
    if "capture_method" in params:
        changes["capture_method"] = params.choice("capture_method", _CAPTURE_METHODS)
    method = _method(
        call,
        intent["customer"],
        changes.get("payment_method_types", intent["payment_method_types"]),
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
    if amount <= intent["amount"]:
        raise errors.bad_parameter(
            f"The amount must be greater than the currently authorized amount "
            f"({amounts.shown(intent['amount'], intent['currency'])}).",
            "amount",
        )
    call.world.update(intent, {"metadata": params.metadata(intent["metadata"])})
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
