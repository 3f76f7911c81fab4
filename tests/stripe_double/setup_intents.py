"""Setup intents: saving a method for payments without the payer.

Owns their states. Authentication ends through the control API, as for payments.
"""

from typing import Any

from tests.stripe_double import calls, customers, errors, payment_methods, store

Json = dict[str, Any]

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def _confirm(world: store.World, account: str, intent: Json, method: Json, url: str | None) -> None:
    payment_methods.usable(world, method, intent["customer"])
    world.update(intent, {"payment_method": method["id"], "last_setup_error": None})
    world.behind(intent["id"])["return_url"] = url
    behaviour = payment_methods.behaviour(world, method)
    if behaviour.decline is not None and not behaviour.attaches:
        decline = behaviour.decline
        refusal = errors.card_declined(
            decline.message,
            code=decline.code,
            decline_code=decline.decline_code,
            advice_code=decline.advice_code,
            network_decline_code=decline.network_decline_code,
            payment_method=payment_methods.shown(method),
        )
        changes = {"status": "requires_payment_method", "payment_method": None}
        world.update(intent, changes | {"last_setup_error": dict(refusal.error)})
        world.emit("setup_intent.setup_failed", intent)
        refusal.error["setup_intent"] = dict(intent)
        raise refusal
    if behaviour.authentication != "none":
        address = f"{world.address}/_double/authenticate/{intent['id']}"
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": address}}
        if url is not None:
            redirect = {"return_url": url, "url": address}
            action = {"type": "redirect_to_url", "redirect_to_url": redirect}
        world.update(intent, {"status": "requires_action", "next_action": action})
        world.emit("setup_intent.requires_action", intent)
        return
    _succeed(world, intent, method)


def _succeed(world: store.World, intent: Json, method: Json) -> None:
    world.update(intent, {"status": "succeeded", "next_action": None})
    if intent["customer"] and method["customer"] is None:
        payment_methods.attach_to(world, method, intent["customer"])
    world.behind(method["id"])["set_up"] = True
    world.record("set_up", intent)
    world.emit("setup_intent.succeeded", intent)


def authenticate(world: store.World, account: str, intent: Json, agreed: bool) -> None:
    """Ends the authentication that a setup waits for."""
    if intent["status"] != "requires_action":
        raise errors.wrong_state(f"{intent['id']} waits for no action.")
    method = world.get(account, "payment_method", intent["payment_method"])
    if agreed:
        _succeed(world, intent, method)
        return
    error = {
        "type": "invalid_request_error",
        "code": "setup_intent_authentication_failure",
        "message": "The latest attempt to set up the payment method has failed because "
        "authentication failed.",
        "payment_method": payment_methods.shown(method),
    }
    changes = {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    world.update(intent, changes | {"last_setup_error": error})
    world.emit("setup_intent.setup_failed", intent)


def create(call: calls.Call) -> Json:
    """POST /v1/setup_intents."""
    params = call.params.only(
        {"automatic_payment_methods", "confirm", "customer", "description", "metadata"}
        | {"payment_method", "allowed_payment_method_types", "return_url", "usage"}
    )
    customer, name = params.text("customer"), params.text("payment_method")
    if customer is not None:
        customers.alive(call, customer)
    usage = params.choice("usage", {"on_session", "off_session"}, "off_session")
    confirm = params.flag("confirm")
    if confirm and name is None:
        raise params.missing("payment_method")
    method = payment_methods.resolve(call.world, call.account, name) if name else None
    identifier = store.mint("seti")
    intent: Json = {
        "id": identifier,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{identifier}_secret_{store.mint('x')[2:]}",
        "created": call.now(),
        "customer": customer,
        "description": params.text("description"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": params.metadata(),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": method["id"] if method else None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": params.texts("allowed_payment_method_types") or ["card"],
        "single_use_mandate": None,
        "status": "requires_confirmation" if method else "requires_payment_method",
        "usage": usage,
    }
    call.world.add(call.account, intent)
    call.world.record("setup_intent.created", intent)
    call.world.emit("setup_intent.created", intent)
    if confirm and method is not None:
        _confirm(call.world, call.account, intent, method, params.text("return_url"))
    return intent


def _open(call: calls.Call) -> Json:
    intent = call.world.get(call.account, "setup_intent", call.path["id"], "intent")
    if intent["status"] not in _OPEN:
        raise errors.wrong_state(
            f"This SetupIntent has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
            setup_intent=dict(intent),
        )
    return intent


def confirm(call: calls.Call) -> Json:
    """POST /v1/setup_intents/{id}/confirm."""
    params = call.params.only({"payment_method", "return_url"})
    intent = _open(call)
    name = params.text("payment_method") or intent["payment_method"]
    if name is None:
        raise params.missing("payment_method")
    method = payment_methods.resolve(call.world, call.account, name)
    _confirm(call.world, call.account, intent, method, params.text("return_url"))
    return intent


def cancel(call: calls.Call) -> Json:
    """POST /v1/setup_intents/{id}/cancel."""
    params = call.params.only({"cancellation_reason"})
    reasons = {"abandoned", "requested_by_customer", "duplicate"}
    reason = params.choice("cancellation_reason", reasons)
    intent = _open(call)
    changes = {"status": "canceled", "cancellation_reason": reason, "next_action": None}
    call.world.update(intent, changes)
    call.world.emit("setup_intent.canceled", intent)
    return intent


def retrieve(call: calls.Call) -> Json:
    """GET /v1/setup_intents/{id}."""
    call.params.only({"client_secret"})
    return call.world.get(call.account, "setup_intent", call.path["id"])


def list_all(call: calls.Call) -> Json:
    """GET /v1/setup_intents."""
    return call.listed("setup_intent", equal=("customer", "payment_method"))


ROUTES = [
    ("POST", "/v1/setup_intents", create),
    ("GET", "/v1/setup_intents", list_all),
    ("GET", "/v1/setup_intents/{id}", retrieve),
    ("POST", "/v1/setup_intents/{id}/confirm", confirm),
    ("POST", "/v1/setup_intents/{id}/cancel", cancel),
]
