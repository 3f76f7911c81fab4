"""Payment methods: test cards and bank accounts, attached to customers or used once.

Owns what lies behind a payment method. Asked by payments. Takes no card numbers: like Stripe
for accounts without that permission, it refuses them.
"""

import dataclasses
from typing import Any

from tests.stripe_double import calls, cards, errors, forms, store

Json = dict[str, Any]

_BILLING = ("address", "email", "name", "phone", "tax_id")
_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def address(params: forms.Params | None) -> Json | None:
    """Returns an address with all of its fields, or None."""
    if params is None:
        return None
    params.only(_ADDRESS)
    return {name: params.text(name) for name in _ADDRESS}


def _billing(params: forms.Params | None) -> Json:
    details: Json = dict.fromkeys(_BILLING)
    details["address"] = dict.fromkeys(_ADDRESS)
    if params is not None:
        params.only(_BILLING)
        details |= {name: params.text(name) for name in _BILLING if name != "address"}
        details["address"] = address(params.group("address")) or details["address"]
    return details


def make(world: store.World, account: str, name: str, *, billing: Json | None = None) -> Json:
    """Makes a new payment method that behaves as the test name says."""
    behaviour = cards.METHODS[name]
    method: Json = {
        "id": store.mint("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing or _billing(None),
        "created": world.clock.now(),
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": behaviour.type,
    }
    if behaviour.type == "card":
        method["card"] = {
            "brand": behaviour.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "unchecked",
            },
            "country": "US",
            "display_brand": behaviour.brand,
            "exp_month": 8,
            "exp_year": 2035,
            "fingerprint": f"fp{behaviour.brand}{behaviour.last4}".ljust(16, "x"),
            "funding": "credit",
            "generated_from": None,
            "last4": behaviour.last4,
            "networks": {"available": [behaviour.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }
    else:
        method["us_bank_account"] = {
            "account_holder_type": "individual",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None,
            "fingerprint": f"fpbank{behaviour.last4}".ljust(16, "x"),
            "last4": behaviour.last4,
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": "110000000",
            "status_details": {},
        }
    return world.add(account, method, test_name=name, set_up=False, used=False, decline=None)


def behaviour(world: store.World, method: Json) -> cards.Behaviour:
    """Returns how a payment method behaves now; tests may have changed its decline."""
    behind = world.behind(method["id"])
    found = cards.METHODS[behind["test_name"]]
    if behind["decline"] is not None:
        changed = None if behind["decline"] == "none" else cards.DECLINES[behind["decline"]]
        found = dataclasses.replace(found, decline=changed)
    return found


def resolve(
    world: store.World, account: str, identifier: str, param: str = "payment_method"
) -> Json:
    """Returns the payment method of an id; each use of a test name makes a new one.

    Raises:
        errors.Refusal: There is none.
    """
    if identifier in cards.METHODS:
        return make(world, account, identifier)
    method = world.find(account, "payment_method", identifier)
    if method is None:
        raise errors.no_such("PaymentMethod", identifier, param)
    return method


def usable(world: store.World, method: Json, customer: str | None) -> None:
    """Refuses a payment method that this customer can't pay with."""
    owner = method["customer"]
    if owner is not None and owner != customer:
        raise errors.wrong_state(
            f"The provided PaymentMethod {method['id']} belongs to the Customer {owner}. Please "
            "include the Customer in the `customer` parameter.",
            param="payment_method",
        )
    if owner is None and world.behind(method["id"])["used"]:
        raise errors.wrong_state(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
            "times, you must attach it to a Customer first.",
            param="payment_method",
        )


def from_data(call: calls.Call, data: forms.Params) -> Json:
    """Makes a payment method from `type` and `card[token]`."""
    data.only({"type", "card", "billing_details", "metadata", "allow_redisplay"})
    if data.choice("type", {"card"}) is None:
        raise data.missing("type")
    card = data.group("card")
    if card is None:
        raise data.missing("card")
    if "number" in card:
        raise errors.bad_parameter(
            "Sending credit card numbers directly to the Stripe API is generally unsafe. Use "
            "test tokens instead.",
            card.path("number"),
        )
    token = card.only({"token"}).needed("token")
    name = cards.by_token(token)
    if name is None:
        raise errors.no_such("token", token, card.path("token"))
    billing = _billing(data.group("billing_details"))
    method = make(call.world, call.account, name, billing=billing)
    method["metadata"] = data.metadata()
    return method


def attach_to(world: store.World, method: Json, customer: str) -> None:
    """Saves a payment method for a customer."""
    world.update(method, {"customer": customer})
    world.record("payment_method.attached", method)
    world.emit("payment_method.attached", method)


def create(call: calls.Call) -> Json:
    """POST /v1/payment_methods."""
    return from_data(call, call.params)


def retrieve(call: calls.Call) -> Json:
    """GET /v1/payment_methods/{id} and /v1/customers/{customer}/payment_methods/{id}."""
    call.params.only(())
    method = resolve(call.world, call.account, call.path["id"], "id")
    if call.path.get("customer", method["customer"]) != method["customer"]:
        raise errors.no_such("PaymentMethod", call.path["id"])
    return method


def update(call: calls.Call) -> Json:
    """POST /v1/payment_methods/{id}."""
    params = call.params.only({"metadata", "billing_details", "allow_redisplay"})
    method = resolve(call.world, call.account, call.path["id"], "id")
    if method["customer"] is None:
        raise errors.wrong_state(
            "You must save this PaymentMethod to a customer before you can update it."
        )
    changes: Json = {"metadata": params.metadata(method["metadata"])}
    if "billing_details" in params:
        changes["billing_details"] = _billing(params.group("billing_details"))
    previous = call.world.update(method, changes)
    call.world.emit("payment_method.updated", method, previous)
    return method


def attach(call: calls.Call) -> Json:
    """POST /v1/payment_methods/{id}/attach."""
    params = call.params.only({"customer"})
    customer = params.needed("customer")
    call.world.get(call.account, "customer", customer, "customer")
    method = resolve(call.world, call.account, call.path["id"], "id")
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise errors.wrong_state(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    usable(call.world, method, customer)
    found = behaviour(call.world, method)
    if found.decline is not None and not found.attaches:
        decline = found.decline
        raise errors.card_declined(
            decline.message,
            code=decline.code,
            decline_code=decline.decline_code,
            advice_code=decline.advice_code,
            network_decline_code=decline.network_decline_code,
        )
    attach_to(call.world, method, customer)
    return method


def detach(call: calls.Call) -> Json:
    """POST /v1/payment_methods/{id}/detach."""
    call.params.only(())
    method = call.world.get(call.account, "payment_method", call.path["id"])
    detach_from(call.world, call.account, method)
    return method


def detach_from(world: store.World, account: str, method: Json) -> None:
    """Takes a payment method from its customer for good."""
    owner = method["customer"]
    if owner is None:
        raise errors.wrong_state(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    previous = world.update(method, {"customer": None})
    world.behind(method["id"])["used"] = True
    customer = world.find(account, "customer", owner) or {}
    settings = customer.get("invoice_settings", {})
    if settings.get("default_payment_method") == method["id"]:
        settings["default_payment_method"] = None
    world.record("payment_method.detached", method)
    world.emit("payment_method.detached", method, previous)


def list_all(call: calls.Call) -> Json:
    """GET /v1/payment_methods."""
    customer = call.params.text("customer")
    if customer is None:
        raise call.params.missing("customer")
    return call.listed("payment_method", equal=("customer", "type"))


def list_of_customer(call: calls.Call) -> Json:
    """GET /v1/customers/{customer}/payment_methods."""
    customer = call.path["customer"]
    call.world.get(call.account, "customer", customer)
    call.params.only({*calls.PAGING, "type", "allow_redisplay"})
    kind = call.params.text("type")
    return call.page(
        [
            method
            for method in call.world.all(call.account, "payment_method")
            if method["customer"] == customer and kind in (None, method["type"])
        ]
    )


def shown(method: Json) -> Json:
    """Returns a copy, as error objects carry it."""
    return store.copied(method)


ROUTES = [
    ("POST", "/v1/payment_methods", create),
    ("GET", "/v1/payment_methods", list_all),
    ("GET", "/v1/payment_methods/{id}", retrieve),
    ("POST", "/v1/payment_methods/{id}", update),
    ("POST", "/v1/payment_methods/{id}/attach", attach),
    ("POST", "/v1/payment_methods/{id}/detach", detach),
    ("GET", "/v1/customers/{customer}/payment_methods", list_of_customer),
    ("GET", "/v1/customers/{customer}/payment_methods/{id}", retrieve),
]
