"""Customers.

Owns their life; a deleted one answers with its id only. Asked by whatever names a customer.
"""

from collections.abc import Callable
from typing import Any

from tests.stripe_double import calls, errors, forms, payment_methods, store

Json = dict[str, Any]

_TEXTS = ("name", "email", "phone", "description")
PARAMS = {
    *_TEXTS,
    "address",
    "balance",
    "invoice_prefix",
    "invoice_settings",
    "metadata",
    "payment_method",
    "preferred_locales",
    "shipping",
    "tax_exempt",
}
# What must happen to whatever else a customer has when it is deleted.
DELETED: list[Callable[[calls.Call, Json], None]] = []


def shipping(params: forms.Params | None) -> Json | None:
    """Returns shipping details, or None."""
    if params is None:
        return None
    params.only({"address", "name", "phone", "carrier", "tracking_number"})
    return {
        "address": payment_methods.address(params.group("address")),
        "name": params.needed("name"),
        "phone": params.text("phone"),
    }


def _changes(call: calls.Call, old: Json) -> Json:
    params = call.params
    changes: Json = {name: params.text(name) for name in _TEXTS if name in params}
    if "email" in changes and changes["email"] and "@" not in changes["email"]:
        raise errors.bad_parameter(
            f"Invalid email address: {changes['email']}", "email", "email_invalid"
        )
    if "address" in params:
        changes["address"] = payment_methods.address(params.group("address"))
    if "shipping" in params:
        changes["shipping"] = shipping(params.group("shipping"))
    if "balance" in params:
        changes["balance"] = params.number("balance", 0)
    if "preferred_locales" in params:
        changes["preferred_locales"] = params.texts("preferred_locales")
    if "tax_exempt" in params:
        changes["tax_exempt"] = params.choice("tax_exempt", {"none", "exempt", "reverse"})
    settings = params.group("invoice_settings")
    if settings is not None:
        settings.only({"default_payment_method", "footer", "custom_fields", "rendering_options"})
        default = settings.text("default_payment_method")
        path = "invoice_settings[default_payment_method]"
        if default is not None:
            method = call.world.find(call.account, "payment_method", default)
            if method is None:
                raise errors.no_such("PaymentMethod", default, path)
            if method["customer"] != old["id"]:
                raise errors.wrong_state(
                    "The customer does not have a payment method with the ID "
                    f"{default}. The payment method must be attached to the customer.",
                    code="resource_missing",
                    param=path,
                )
        changes["invoice_settings"] = old["invoice_settings"] | {
            "default_payment_method": default,
            "footer": settings.text("footer", old["invoice_settings"]["footer"]),
        }
    changes["metadata"] = params.metadata(old["metadata"])
    return changes


def create(call: calls.Call) -> Json:
    """POST /v1/customers."""
    params = call.params.only(PARAMS)
    customer: Json = {
        "id": store.mint("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": None,
        "invoice_prefix": store.mint("P", 7).replace("_", "").upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    method = params.text("payment_method")
    settings = params.group("invoice_settings")
    default = settings.text("default_payment_method") if settings else None
    if default is not None and default == method:
        # The method becomes the customer's in this very call.
        params.values["invoice_settings"].pop("default_payment_method")
    customer |= _changes(call, customer)
    found = payment_methods.resolve(call.world, call.account, method) if method else None
    if found is not None:
        payment_methods.usable(call.world, found, customer["id"])
    call.world.add(call.account, customer)
    if found is not None:
        payment_methods.attach_to(call.world, found, customer["id"])
        if default is not None:
            customer["invoice_settings"]["default_payment_method"] = found["id"]
    call.world.record("customer.created", customer)
    call.world.emit("customer.created", customer)
    return customer


def retrieve(call: calls.Call) -> Json:
    """GET /v1/customers/{id}."""
    call.params.only(())
    return call.world.get(call.account, "customer", call.path["id"])


def alive(call: calls.Call, identifier: str, param: str = "customer") -> Json:
    """Returns a customer that is not deleted."""
    customer = call.world.get(call.account, "customer", identifier, param)
    if customer.get("deleted"):
        raise errors.no_such("customer", identifier, param)
    return customer


def update(call: calls.Call) -> Json:
    """POST /v1/customers/{id}."""
    call.params.only(PARAMS - {"payment_method"})
    customer = alive(call, call.path["id"], "id")
    previous = call.world.update(customer, _changes(call, customer))
    call.world.record("customer.updated", customer)
    call.world.emit("customer.updated", customer, previous)
    return customer


def delete(call: calls.Call) -> Json:
    """DELETE /v1/customers/{id}."""
    call.params.only(())
    world, identifier = call.world, call.path["id"]
    customer = alive(call, identifier, "id")
    for hook in DELETED:
        hook(call, customer)
    for method in world.all(call.account, "payment_method"):
        if method["customer"] == identifier:
            payment_methods.detach_from(world, call.account, method)
    world.record("customer.deleted", customer)
    world.emit("customer.deleted", customer)
    created = customer["created"]
    customer.clear()
    customer |= {"id": identifier, "object": "customer", "deleted": True}
    world.behind(identifier)["created"] = created
    return customer


def list_all(call: calls.Call) -> Json:
    """GET /v1/customers."""
    call.params.only({*calls.PAGING, "created", "email"})
    email = call.params.text("email")
    return call.page(
        [
            customer
            for customer in call.world.all(call.account, "customer")
            if not customer.get("deleted")
            and call.params.within("created", customer["created"])
            and email in (None, customer["email"])
        ]
    )


ROUTES = [
    ("POST", "/v1/customers", create),
    ("GET", "/v1/customers", list_all),
    ("GET", "/v1/customers/{id}", retrieve),
    ("POST", "/v1/customers/{id}", update),
    ("DELETE", "/v1/customers/{id}", delete),
]
