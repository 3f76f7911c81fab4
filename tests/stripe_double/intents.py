"""New payment intents, and the reading of what create, update and confirm share.

Owns the shape of an intent. Called by payment_intents, invoices and checkout. Never moves money.
"""

from typing import Any

from tests.stripe_double import calls, customers, errors, forms, payment_methods, store

Json = dict[str, Any]

_METHOD_TYPES = frozenset({"card", "us_bank_account", "link"})
TEXTS = (
    "description",
    "receipt_email",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def make(world: store.World, account: str, *, amount: int, currency: str, **given: Any) -> Json:
    """Makes an intent that waits for a payment method, with the given fields."""
    identifier = store.mint("pi")
    intent: Json = {
        "id": identifier,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
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


def common(call: calls.Call, old: Json) -> Json:
    """Returns the fields that create, update and confirm may set."""
    params = call.params
    changes: Json = {name: params.text(name) for name in TEXTS if name in params}
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
    if "allowed_payment_method_types" in params:
        types = params.texts("allowed_payment_method_types")
        for spot, kind in enumerate(types):
            if kind not in _METHOD_TYPES:
                raise errors.bad_parameter(
                    f"The payment method type provided: {kind} is invalid.",
                    f"allowed_payment_method_types[{spot}]",
                    "payment_intent_invalid_parameter",
                )
        changes |= {"allowed_payment_method_types": types, "payment_method_types": types}
    changes["payment_method_options"] = _options(params, old["payment_method_options"])
    changes["metadata"] = params.metadata(old["metadata"])
    return changes


def may_redirect(automatic_methods: Json | None, allowed: list[str] | None) -> bool:
    """Tells whether the payer might be sent elsewhere, so that a way back is needed."""
    narrowed = allowed is not None and set(allowed) <= {"card", "us_bank_account"}
    always = automatic_methods is not None and automatic_methods["allow_redirects"] == "always"
    return always and not narrowed


def method(call: calls.Call, customer: str | None, types: list[str]) -> Json | None:
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


def automatic(params: forms.Params) -> Json:
    """Returns which payment methods a new intent takes: those of the dashboard by default.

    The pinned version knows no list that replaces the dashboard's, only one that narrows it.
    """
    group = params.group("automatic_payment_methods")
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
