"""What happens to an invoice: finalization, payment, failure, the due date.

Owns its states behind the API. Called by invoices, the life of subscriptions, checkout and
timers. Never decides when a subscription renews.
"""

from collections.abc import Callable
from typing import Any

from tests.stripe_double import calls, errors, intents, payment_methods, payments, store

Json = dict[str, Any]

# Called with (world, account, invoice, paid) after a payment or a failed try.
TRIED: list[Callable[[store.World, str, Json, bool], None]] = []


def finalize(world: store.World, account: str, invoice: Json) -> None:
    """Opens a draft, with a payment intent for what is due; nothing due is paid at once."""
    now, identifier = world.clock.now(), invoice["id"]
    customer = world.get(account, "customer", invoice["customer"])
    number = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = number + 1
    changes: Json = {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{number:04d}",
        "effective_at": now,
        "ending_balance": 0,
        "automatically_finalizes_at": None,
        "hosted_invoice_url": f"{world.address}/_double/invoices/{identifier}",
        "invoice_pdf": f"{world.address}/_double/invoices/{identifier}/pdf",
        "status_transitions": invoice["status_transitions"] | {"finalized_at": now},
    }
    world.update(invoice, changes)
    world.clock.cancel("invoice.finalize", identifier)
    if invoice["amount_due"]:
        _request(world, account, invoice)
    world.emit("invoice.finalized", invoice)
    if not invoice["amount_due"]:
        _paid(world, account, invoice)
        return
    if invoice["due_date"] is not None:
        world.clock.at(invoice["due_date"], "invoice.overdue", account, identifier)
        world.emit("invoice.sent", invoice)


def _request(world: store.World, account: str, invoice: Json) -> None:
    intent = intents.make(
        world,
        account,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        capture_method="automatic",
        description=invoice["description"],
    )
    world.behind(intent["id"])["invoice"] = invoice["id"]
    payment = {
        "id": store.mint("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": world.clock.now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {
            "charge": None,
            "payment_intent": intent["id"],
            "payment_record": None,
            "type": "payment_intent",
        },
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    world.add(account, payment)
    world.behind(invoice["id"]).update(intent=intent["id"], payment=payment["id"])


def payer_method(world: store.World, account: str, invoice: Json) -> Json | None:
    """Returns what an invoice is paid with: its own, its subscription's, its customer's default."""
    candidates = [invoice["default_payment_method"]]
    parent = invoice["parent"]
    if parent is not None:
        of = world.find(account, "subscription", parent["subscription_details"]["subscription"])
        candidates.append(of["default_payment_method"] if of else None)
    customer = world.get(account, "customer", invoice["customer"])
    candidates.append(customer.get("invoice_settings", {}).get("default_payment_method"))
    for identifier in candidates:
        method = world.find(account, "payment_method", identifier)
        if method is not None and method["customer"] == invoice["customer"]:
            return method
    return None


def pay(
    world: store.World,
    account: str,
    invoice: Json,
    method: Json | None,
    *,
    off_session: bool,
) -> errors.Refusal | None:
    """Tries to pay an open invoice and returns the decline, if there is one."""
    intent = world.get(account, "payment_intent", world.behind(invoice["id"])["intent"])
    if method is None:
        _failed(world, account, invoice)
        return errors.wrong_state(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
            "payment method or pay the Invoice out of band."
        )
    world.update(invoice, {"attempted": True})
    refusal = payments.attempt(world, account, intent, method, off_session=off_session)
    if intent["status"] == "requires_action":
        world.emit("invoice.payment_action_required", invoice)
    return refusal


def settled(world: store.World, account: str, intent: Json) -> None:
    """Follows the payment intent of an invoice."""
    identifier = world.behind(intent["id"]).get("invoice")
    invoice = world.find(account, "invoice", identifier)
    if invoice is None or invoice["status"] not in ("open", "uncollectible"):
        return
    if intent["status"] == "succeeded":
        _paid(world, account, invoice)
    elif intent["status"] == "requires_payment_method":
        _failed(world, account, invoice)


def _paid(world: store.World, account: str, invoice: Json) -> None:
    now, due = world.clock.now(), invoice["amount_due"]
    changes = {
        "status": "paid",
        "attempted": True,
        "attempt_count": invoice["attempt_count"] + (1 if due else 0),
        "amount_paid": due,
        "amount_remaining": 0,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": invoice["status_transitions"] | {"paid_at": now},
    }
    world.update(invoice, changes)
    world.clock.cancel("invoice.overdue", invoice["id"])
    world.clock.cancel("invoice.retry", invoice["id"])
    payment = world.find(account, "invoice_payment", world.behind(invoice["id"]).get("payment"))
    if payment is not None:
        done = {"canceled_at": None, "paid_at": now}
        world.update(payment, {"status": "paid", "amount_paid": due, "status_transitions": done})
        world.emit("invoice_payment.paid", payment)
    world.record("invoice.paid", invoice, amount=due, currency=invoice["currency"])
    world.emit("invoice.paid", invoice)
    world.emit("invoice.payment_succeeded", invoice)
    for hook in TRIED:
        hook(world, account, invoice, True)


def _failed(world: store.World, account: str, invoice: Json) -> None:
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    world.update(invoice, changes)
    for hook in TRIED:
        hook(world, account, invoice, False)
    world.record("invoice.payment_failed", invoice)
    world.emit("invoice.payment_failed", invoice)


def close(world: store.World, account: str, invoice: Json, status: str) -> None:
    """Ends an invoice unpaid: void or uncollectible."""
    moment = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    transitions = invoice["status_transitions"] | {moment: world.clock.now()}
    changes = {
        "status": status,
        "status_transitions": transitions,
        "auto_advance": False,
        "next_payment_attempt": None,
    }
    world.update(invoice, changes)
    for kind in ("invoice.overdue", "invoice.retry", "invoice.finalize"):
        world.clock.cancel(kind, invoice["id"])
    intent = world.find(account, "payment_intent", world.behind(invoice["id"])["intent"])
    if status == "void" and intent is not None and intent["status"] in payments.CANCELABLE:
        payments.cancel(world, account, intent, "void_invoice")
    world.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)


def advance(world: store.World, account: str, identifier: str) -> None:
    """Finalizes a draft whose hour has passed and tries to collect it."""
    invoice = world.get(account, "invoice", identifier)
    if invoice["status"] != "draft":
        return
    finalize(world, account, invoice)
    if invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
        method = payer_method(world, account, invoice)
        pay(world, account, invoice, method, off_session=True)


def retry(world: store.World, account: str, identifier: str) -> None:
    """Tries to collect an open invoice again."""
    invoice = world.get(account, "invoice", identifier)
    if invoice["status"] == "open":
        pay(world, account, invoice, payer_method(world, account, invoice), off_session=True)


def overdue(world: store.World, account: str, identifier: str) -> None:
    """Says that an open invoice is past its due date."""
    invoice = world.get(account, "invoice", identifier)
    if invoice["status"] == "open":
        world.emit("invoice.overdue", invoice)


def _payments(world: store.World, account: str, invoice: Json) -> Json:
    found = [p for p in world.all(account, "invoice_payment") if p["invoice"] == invoice["id"]]
    return calls.whole_list(f"/v1/invoices/{invoice['id']}/payments", found)


def _secret(world: store.World, account: str, invoice: Json) -> Json | None:
    intent = world.find(account, "payment_intent", world.behind(invoice["id"])["intent"])
    if intent is None:
        return None
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def method_for(call: calls.Call, name: str, customer: str) -> Json:
    """Returns the saved method of a customer that a request names."""
    method = payment_methods.resolve(call.world, call.account, name, "default_payment_method")
    if method["customer"] != customer:
        raise errors.wrong_state(
            f"The customer does not have a payment method with the ID {name}. The payment method "
            "must be attached to the customer.",
            code="resource_missing",
            param="default_payment_method",
        )
    return method


payments.SETTLED.append(settled)
calls.INCLUDABLE["invoice", "payments"] = _payments
calls.INCLUDABLE["invoice", "confirmation_secret"] = _secret
TIMERS = {"invoice.finalize": advance, "invoice.retry": retry, "invoice.overdue": overdue}
