"""Products and their prices.

Owns what is sold. Asked by subscriptions and checkout. A price never changes but for being
active, its names and its metadata.
"""

from typing import Any

from tests.stripe_double import amounts, calls, errors, forms, store

Json = dict[str, Any]

INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}
_PRODUCT_PARAMS = {"active", "description", "metadata", "name", "statement_descriptor"} | {
    "default_price",
    "unit_label",
    "url",
}


def create_product(call: calls.Call) -> Json:
    """POST /v1/products."""
    params = call.params.only({*_PRODUCT_PARAMS - {"default_price"}, "id", "type"})
    name = params.needed("name")
    identifier = params.text("id") or store.mint("prod", 14)
    if call.world.find(call.account, "product", identifier):
        raise errors.wrong_state(
            f"Product already exists: {identifier}", code="resource_already_exists", param="id"
        )
    product: Json = {
        "id": identifier,
        "object": "product",
        "active": params.flag("active", True),
        "created": call.now(),
        "default_price": None,
        "description": params.text("description"),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": params.metadata(),
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": params.text("statement_descriptor"),
        "tax_code": None,
        "type": "service",
        "unit_label": params.text("unit_label"),
        "updated": call.now(),
        "url": params.text("url"),
    }
    call.world.add(call.account, product)
    call.world.record("product.created", product)
    call.world.emit("product.created", product)
    return product


def update_product(call: calls.Call) -> Json:
    """POST /v1/products/{id}."""
    params = call.params.only(_PRODUCT_PARAMS)
    product = call.world.get(call.account, "product", call.path["id"])
    changes: Json = {"metadata": params.metadata(product["metadata"]), "updated": call.now()}
    for name in ("name", "description", "unit_label", "url", "statement_descriptor"):
        if name in params:
            changes[name] = params.text(name)
    if "active" in params:
        changes["active"] = params.flag("active")
    if "default_price" in params:
        price = params.needed("default_price")
        changes["default_price"] = call.world.get(call.account, "price", price, "default_price")[
            "id"
        ]
    previous = call.world.update(product, changes)
    call.world.emit("product.updated", product, previous)
    return product


def delete_product(call: calls.Call) -> Json:
    """DELETE /v1/products/{id}; only without prices."""
    product = call.world.get(call.account, "product", call.path["id"])
    if any(one["product"] == product["id"] for one in call.world.all(call.account, "price")):
        raise errors.wrong_state(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    call.world.emit("product.deleted", product)
    call.world.drop(call.account, product["id"])
    return {"id": product["id"], "object": "product", "deleted": True}


def _recurring(group: forms.Params | None) -> Json | None:
    if group is None:
        return None
    group.only({"interval", "interval_count", "usage_type", "trial_period_days", "meter"})
    interval = group.choice("interval", INTERVALS)
    if interval is None:
        raise group.missing("interval")
    if group.choice("usage_type", {"licensed", "metered"}, "licensed") == "metered":
        raise errors.bad_parameter("The double bills no usage.", group.path("usage_type"))
    count = group.number("interval_count", 1) or 0
    if not 1 <= count <= INTERVALS[interval]:
        raise errors.bad_parameter(
            "Invalid interval_count: prices recur at least every three years.",
            group.path("interval_count"),
        )
    return {
        "interval": interval,
        "interval_count": count,
        "meter": None,
        "trial_period_days": group.number("trial_period_days"),
        "usage_type": "licensed",
    }


def make_price(call: calls.Call, params: forms.Params) -> Json:
    """Makes a price from the parameters of a call or of price_data."""
    code = amounts.currency(params)
    amount = params.number("unit_amount")
    if amount is None:
        raise params.missing("unit_amount")
    if not 0 <= amount <= amounts.LARGEST:
        raise errors.bad_parameter(
            "Invalid non-negative integer",
            params.path("unit_amount"),
            "parameter_invalid_integer",
        )
    amounts.check_step(amount, code, params.path("unit_amount"))
    recurring = _recurring(params.group("recurring"))
    product = params.text("product")
    data = params.group("product_data")
    if product is None:
        if data is None:
            raise params.missing("product")
        product = str(_quick_product(call, data)["id"])
    else:
        call.world.get(call.account, "product", product, params.path("product"))
    return call.world.add(
        call.account,
        {
            "id": store.mint("price"),
            "object": "price",
            "active": params.flag("active", True),
            "billing_scheme": "per_unit",
            "created": call.now(),
            "currency": code,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": params.text("lookup_key"),
            "metadata": params.metadata(),
            "nickname": params.text("nickname"),
            "product": product,
            "recurring": recurring,
            "tax_behavior": params.choice(
                "tax_behavior", {"exclusive", "inclusive", "unspecified"}, "unspecified"
            ),
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        },
    )


def _quick_product(call: calls.Call, data: forms.Params) -> Json:
    data.only({"name", "description", "images", "metadata", "unit_label", "statement_descriptor"})
    inner = calls.Call(
        world=call.world,
        account=call.account,
        path={},
        params=forms.Params({"name": data.needed("name"), "description": data.text("description")}),
        url=call.url,
    )
    inner.params.values = {name: one for name, one in inner.params.values.items() if one}
    product = create_product(inner)
    product["metadata"] = data.metadata()
    return product


def create_price(call: calls.Call) -> Json:
    """POST /v1/prices."""
    call.params.only(
        {"active", "currency", "lookup_key", "metadata", "nickname", "product", "product_data"}
        | {"recurring", "tax_behavior", "unit_amount", "billing_scheme"}
    )
    key = call.params.text("lookup_key")
    if key and any(one["lookup_key"] == key for one in call.world.all(call.account, "price")):
        raise errors.bad_parameter(
            f"A price already uses that lookup key: {key}.", "lookup_key", "lookup_key_in_use"
        )
    price = make_price(call, call.params)
    call.world.record("price.created", price)
    call.world.emit("price.created", price)
    return price


def update_price(call: calls.Call) -> Json:
    """POST /v1/prices/{id}."""
    params = call.params.only({"active", "lookup_key", "metadata", "nickname", "tax_behavior"})
    price = call.world.get(call.account, "price", call.path["id"])
    changes: Json = {"metadata": params.metadata(price["metadata"])}
    for name in ("lookup_key", "nickname"):
        if name in params:
            changes[name] = params.text(name)
    if "active" in params:
        changes["active"] = params.flag("active")
    previous = call.world.update(price, changes)
    call.world.emit("price.updated", price, previous)
    return price


def retrieve_product(call: calls.Call) -> Json:
    """GET /v1/products/{id}."""
    call.params.only(())
    return call.world.get(call.account, "product", call.path["id"])


def retrieve_price(call: calls.Call) -> Json:
    """GET /v1/prices/{id}."""
    call.params.only(())
    return call.world.get(call.account, "price", call.path["id"])


def list_products(call: calls.Call) -> Json:
    """GET /v1/products."""
    return call.listed("product", equal=("active",))


def list_prices(call: calls.Call) -> Json:
    """GET /v1/prices."""
    keys = call.params.texts("lookup_keys")
    if not keys:
        return call.listed("price", equal=("active", "product", "currency", "type"))
    call.params.only({*calls.PAGING, "lookup_keys", "active"})
    found = call.world.all(call.account, "price")
    return call.page([price for price in found if price["lookup_key"] in keys])


def plan_of(price: Json) -> Json:
    """Returns the old-fashioned plan that each subscription item still shows."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": "licensed",
    }


ROUTES = [
    ("POST", "/v1/products", create_product),
    ("GET", "/v1/products", list_products),
    ("GET", "/v1/products/{id}", retrieve_product),
    ("POST", "/v1/products/{id}", update_product),
    ("DELETE", "/v1/products/{id}", delete_product),
    ("POST", "/v1/prices", create_price),
    ("GET", "/v1/prices", list_prices),
    ("GET", "/v1/prices/{id}", retrieve_price),
    ("POST", "/v1/prices/{id}", update_price),
]
