"""The API of invoices, invoice items and invoice payments.

Owns the reading of their parameters. Hands what is allowed to invoicing.
"""

from typing import Any

from tests.stripe_double import amounts, calls, customers, drafts, errors, invoicing, store

Json = dict[str, Any]


def create_item(call: calls.Call) -> Json:
    """POST /v1/invoiceitems: waits for the customer's next invoice."""
    params = call.params.only(
        {"customer", "amount", "currency", "description", "invoice", "metadata"}
    )
    customer = customers.alive(call, params.needed("customer"))
    code = amounts.currency(params)
    amount = params.number("amount")
    if amount is None:
        raise params.missing("amount")
    amounts.check_step(amount, code, "amount")
    name = params.text("invoice")
    invoice = call.world.get(call.account, "invoice", name, "invoice") if name else None
    if invoice is not None and invoice["status"] != "draft":
        raise errors.wrong_state(
            "This invoice is no longer editable.", code="invoice_not_editable", param="invoice"
        )
    now = call.now()
    item = call.world.add(
        call.account,
        {
            "id": store.mint("ii"),
            "object": "invoiceitem",
            "amount": amount,
            "currency": code,
            "customer": customer["id"],
            "date": now,
            "description": params.text("description"),
            "discountable": True,
            "discounts": [],
            "invoice": None,
            "livemode": False,
            "metadata": params.metadata(),
            "net_amount": amount,
            "parent": None,
            "period": {"end": now, "start": now},
            "pricing": None,
            "proration": False,
            "quantity": 1,
            "quantity_decimal": "1",
            "tax_rates": [],
            "test_clock": None,
        },
    )
    if invoice is not None:
        _bill(item, invoice)
    call.world.emit("invoiceitem.created", item)
    return item


def _line(item: Json) -> Json:
    line = drafts.line(
        amount=item["amount"],
        currency=item["currency"],
        description=item["description"] or "",
        start=item["period"]["start"],
        end=item["period"]["end"],
    )
    details = {
        "invoice_item": item["id"],
        "proration": False,
        "proration_details": None,
        "subscription": None,
    }
    line["parent"] = {
        "type": "invoice_item_details",
        "invoice_item_details": details,
        "subscription_item_details": None,
    }
    return line


def _bill(item: Json, invoice: Json) -> None:
    line = _line(item) | {"invoice": invoice["id"]}
    invoice["lines"]["data"].append(line)
    item["invoice"] = invoice["id"]
    total = invoice["total"] + item["amount"]
    for name in ("subtotal", "total", "subtotal_excluding_tax", "total_excluding_tax"):
        invoice[name] = total
    invoice["amount_due"] = invoice["amount_remaining"] = max(total, 0)


def create(call: calls.Call) -> Json:
    """POST /v1/invoices: a draft with what waits for the customer."""
    params = call.params.only(
        {"auto_advance", "collection_method", "currency", "customer", "days_until_due"}
        | {"default_payment_method", "description", "due_date", "metadata"}
        | {"pending_invoice_items_behavior"}
    )
    customer = customers.alive(call, params.needed("customer"))
    collection = params.choice(
        "collection_method", {"charge_automatically", "send_invoice"}, "charge_automatically"
    )
    days = params.number("days_until_due")
    if (collection == "send_invoice") != (days is not None):
        raise errors.bad_parameter(
            "`days_until_due` goes with `collection_method` send_invoice.", "days_until_due"
        )
    code = amounts.currency(params) if "currency" in params else "usd"
    method = params.text("default_payment_method")
    if method is not None:
        method = invoicing.method_for(call, method, customer["id"])["id"]
    waiting = []
    if params.text("pending_invoice_items_behavior", "include") == "include":
        waiting = [
            item
            for item in reversed(call.world.all(call.account, "invoiceitem"))
            if item["customer"] == customer["id"] and item["invoice"] is None
        ]
    code = waiting[0]["currency"] if waiting else code
    auto = params.flag("auto_advance")
    invoice = drafts.make(
        call.world,
        call.account,
        customer,
        [_line(item) for item in waiting],
        reason="manual",
        currency=code,
        collection=str(collection),
        due_days=days,
        method=method,
        auto_advance=auto,
        description=params.text("description"),
        metadata=params.metadata(),
    )
    for item in waiting:
        item["invoice"] = invoice["id"]
    if auto:
        due_s = call.world.clock.exact_s() + drafts.DRAFT_S
        call.world.clock.at(due_s, "invoice.finalize", call.account, invoice["id"])
    return invoice


def _in_state(call: calls.Call, allowed: tuple[str, ...], verb: str) -> Json:
    invoice = call.world.get(call.account, "invoice", call.path["id"], "invoice")
    if invoice["status"] == "paid" and verb == "paid":
        raise errors.wrong_state("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in allowed:
        raise errors.wrong_state(
            f"This invoice can't be {verb}: its status is {invoice['status']}.",
            code="invoice_not_editable" if verb == "updated" else None,
        )
    return invoice


def finalize(call: calls.Call) -> Json:
    """POST /v1/invoices/{id}/finalize."""
    params = call.params.only({"auto_advance"})
    invoice = _in_state(call, ("draft",), "finalized")
    if "auto_advance" in params:
        invoice["auto_advance"] = params.flag("auto_advance")
    invoicing.finalize(call.world, call.account, invoice)
    return invoice


def pay(call: calls.Call) -> Json:
    """POST /v1/invoices/{id}/pay; a draft is finalized first."""
    params = call.params.only({"off_session", "payment_method", "paid_out_of_band"})
    invoice = _in_state(call, ("draft", "open", "uncollectible"), "paid")
    name = params.text("payment_method")
    method = None
    if name is not None:
        method = invoicing.method_for(call, name, invoice["customer"])
    if invoice["status"] == "draft":
        invoicing.finalize(call.world, call.account, invoice)
    if invoice["status"] == "paid":
        return invoice
    method = method or invoicing.payer_method(call.world, call.account, invoice)
    refusal = invoicing.pay(
        call.world, call.account, invoice, method, off_session=params.flag("off_session", True)
    )
    if refusal is not None:
        raise refusal
    if invoice["status"] == "open" and not params.flag("off_session", True):
        raise errors.card_declined(
            "This payment requires additional user action before it can be completed successfully.",
            code="invoice_payment_intent_requires_action",
        )
    return invoice


def void(call: calls.Call) -> Json:
    """POST /v1/invoices/{id}/void."""
    call.params.only(())
    invoice = _in_state(call, ("open", "uncollectible"), "voided")
    invoicing.close(call.world, call.account, invoice, "void")
    return invoice


def mark_uncollectible(call: calls.Call) -> Json:
    """POST /v1/invoices/{id}/mark_uncollectible."""
    call.params.only(())
    invoice = _in_state(call, ("open",), "marked uncollectible")
    invoicing.close(call.world, call.account, invoice, "uncollectible")
    return invoice


def update(call: calls.Call) -> Json:
    """POST /v1/invoices/{id}."""
    params = call.params.only({"auto_advance", "default_payment_method", "description", "metadata"})
    invoice = call.world.get(call.account, "invoice", call.path["id"], "invoice")
    changes: Json = {"metadata": params.metadata(invoice["metadata"])}
    if "description" in params:
        _in_state(call, ("draft",), "updated")
        changes["description"] = params.text("description")
    if "auto_advance" in params:
        changes["auto_advance"] = params.flag("auto_advance")
    name = params.text("default_payment_method")
    if name is not None:
        method = invoicing.method_for(call, name, invoice["customer"])
        changes["default_payment_method"] = method["id"]
    previous = call.world.update(invoice, changes)
    call.world.emit("invoice.updated", invoice, previous)
    return invoice


def retrieve(call: calls.Call) -> Json:
    """GET /v1/invoices/{id}."""
    call.params.only(())
    return call.world.get(call.account, "invoice", call.path["id"], "invoice")


def _subscription(invoice: Json) -> str | None:
    parent = invoice["parent"]
    return parent["subscription_details"]["subscription"] if parent else None


def list_all(call: calls.Call) -> Json:
    """GET /v1/invoices."""
    params = call.params.only(
        {*calls.PAGING, "created", "customer", "status", "subscription", "collection_method"}
    )
    wanted = {
        name: params.text(name)
        for name in ("customer", "status", "collection_method")
        if name in params
    }
    subscription = params.text("subscription")
    return call.page(
        [
            one
            for one in call.world.all(call.account, "invoice")
            if params.within("created", one["created"])
            and all(one[name] == value for name, value in wanted.items())
            and subscription in (None, _subscription(one))
        ]
    )


def list_payments(call: calls.Call) -> Json:
    """GET /v1/invoice_payments."""
    params = call.params.only({*calls.PAGING, "invoice", "payment", "status", "created"})
    payment = params.group("payment")
    intent = None
    if payment is not None:
        payment.only({"type", "payment_intent"})
        intent = payment.text("payment_intent")
    invoice, status = params.text("invoice"), params.text("status")
    return call.page(
        [
            one
            for one in call.world.all(call.account, "invoice_payment")
            if invoice in (None, one["invoice"])
            and status in (None, one["status"])
            and intent in (None, one["payment"]["payment_intent"])
        ]
    )


def retrieve_payment(call: calls.Call) -> Json:
    """GET /v1/invoice_payments/{id}."""
    call.params.only(())
    return call.world.get(call.account, "invoice_payment", call.path["id"])


ROUTES = [
    ("POST", "/v1/invoiceitems", create_item),
    ("POST", "/v1/invoices", create),
    ("GET", "/v1/invoices", list_all),
    ("GET", "/v1/invoices/{id}", retrieve),
    ("POST", "/v1/invoices/{id}", update),
    ("POST", "/v1/invoices/{id}/finalize", finalize),
    ("POST", "/v1/invoices/{id}/pay", pay),
    ("POST", "/v1/invoices/{id}/void", void),
    ("POST", "/v1/invoices/{id}/mark_uncollectible", mark_uncollectible),
    ("GET", "/v1/invoice_payments", list_payments),
    ("GET", "/v1/invoice_payments/{id}", retrieve_payment),
]
