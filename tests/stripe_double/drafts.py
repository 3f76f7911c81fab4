"""Draft invoices and their lines.

Owns the shape of an invoice. Called by invoices, the life of subscriptions and prorations. Never
asks for money.
"""

from typing import Any

from tests.stripe_double import calls, clock, store

Json = dict[str, Any]

DRAFT_S = clock.HOUR_S


def line(
    *,
    amount: int,
    currency: str,
    description: str,
    start: int,
    end: int,
    price: Json | None = None,
    quantity: int = 1,
    item: Json | None = None,
    proration: bool = False,
) -> Json:
    """Makes a line; *item* is the subscription item that it bills."""
    parent: Json | None = None
    if item is not None:
        parent = {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": proration,
                "proration_details": None,
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        }
    pricing = None
    if price is not None:
        pricing = {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
    return {
        "id": store.mint("il"),
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": not proration,
        "discounts": [],
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"end": end, "start": start},
        "pretax_credit_amounts": [],
        "pricing": pricing,
        "quantity": quantity,
        "subscription": item["subscription"] if item else None,
        "subtotal": amount,
        "taxes": [],
    }


def make(
    world: store.World,
    account: str,
    customer: Json,
    lines: list[Json],
    *,
    reason: str,
    currency: str,
    subscription: Json | None = None,
    collection: str = "charge_automatically",
    due_days: int | None = None,
    method: str | None = None,
    auto_advance: bool = True,
    description: str | None = None,
    metadata: Json | None = None,
) -> Json:
    """Makes a draft; a total below zero is owed to the customer and stays at zero here."""
    now = world.clock.now()
    total = sum(one["amount"] for one in lines)
    due = max(total, 0)
    identifier = store.mint("in")
    for one in lines:
        one["invoice"] = identifier
    parent = None
    if subscription is not None:
        parent = {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {
                "metadata": subscription["metadata"],
                "subscription": subscription["id"],
            },
        }
    invoice: Json = {
        "id": identifier,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Payhub double",
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": auto_advance,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": now + DRAFT_S if auto_advance else None,
        "billing_reason": reason,
        "collection_method": collection,
        "created": now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": method,
        "default_source": None,
        "default_tax_rates": [],
        "description": description,
        "discounts": [],
        "due_date": now + due_days * clock.DAY_S if due_days is not None else None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"account": None, "type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": calls.whole_list(f"/v1/invoices/{identifier}/lines", lines),
        "livemode": False,
        "metadata": metadata or {},
        "next_payment_attempt": now + DRAFT_S if auto_advance else None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": max((one["period"]["end"] for one in lines), default=now),
        "period_start": min((one["period"]["start"] for one in lines), default=now),
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "test_clock": None,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": now,
    }
    world.add(account, invoice, intent=None)
    world.record("invoice.created", invoice, amount=due, currency=currency)
    world.emit("invoice.created", invoice)
    return invoice
