"""Stripe's objects in the contract's terms.

Owns one function per kind of object, each of plain mappings as the SDK or a webhook has
them. Called by operations, fetches and webhooks alike, so that all three say the same. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_stripe import declines, marks, money, statuses

Json = Mapping[str, Any]


def reference(value: Any) -> str:
    """Returns the id of a field that holds an object or only its id."""
    if isinstance(value, Mapping):
        return str(value.get("id") or "")
    return str(value or "")


def _wrapped(told: Json, at_s: float) -> pb.ProviderObject:
    metadata = told.get("metadata") or {}
    found = pb.ProviderObject(
        provider_object_id=str(told["id"]),
        core_id=str(metadata.get(marks.CORE, ""))[:64],
        operation_id=str(metadata.get(marks.OPERATION, ""))[:64],
        deleted=bool(told.get("deleted")),
    )
    found.state_time.FromMicroseconds(round(at_s * 1_000_000))
    return found


def payment(
    told: Json, at_s: float, *, refunds: Sequence[Json] = (), invoice_id: str = ""
) -> pb.ProviderObject:
    """Returns a PaymentIntent; *refunds* are those known of it, *invoice_id* what it pays."""
    currency = str(told["currency"])
    found = _wrapped(told, at_s)
    body = found.payment
    body.amount.CopyFrom(money.from_stripe(told["amount"], currency))
    body.captured_minor = money.minor(int(told.get("amount_received") or 0), currency)
    body.state = statuses.PAYMENT_INTENT.get(
        str(told.get("status")), operation_pb2.Operation.STATE_UNSPECIFIED
    )
    body.provider_customer_id = reference(told.get("customer"))
    body.provider_invoice_id = invoice_id
    if body.state == operation_pb2.Operation.STATE_DECLINED:
        body.decline.CopyFrom(declines.of_error(told.get("last_payment_error")))
    charge = told.get("latest_charge")
    if isinstance(charge, Mapping):
        body.refunded_minor = money.minor(int(charge.get("amount_refunded") or 0), currency)
    for refund in refunds:
        if (refund.get("metadata") or {}).get(marks.OPERATION):
            continue
        if refund.get("status") in ("failed", "canceled"):
            continue
        body.foreign_refunds.add(
            provider_refund_id=str(refund["id"]),
            amount_minor=money.minor(int(refund["amount"]), currency),
        )
    return found


def payment_method(told: Json, at_s: float, *, is_default: bool = False) -> pb.ProviderObject:
    """Returns a PaymentMethod."""
    found = _wrapped(told, at_s)
    body = found.payment_method
    body.provider_customer_id = reference(told.get("customer"))
    body.type = str(told.get("type") or "")[:64]
    body.is_default = is_default
    card = told.get("card")
    if isinstance(card, Mapping):
        body.card.brand = str(card.get("brand") or "")[:32]
        body.card.last4 = str(card.get("last4") or "")[:4]
        body.card.expire_month = int(card.get("exp_month") or 0)
        body.card.expire_year = int(card.get("exp_year") or 0)
    return found


def plan(told: Json, at_s: float) -> pb.ProviderObject:
    """Returns a recurring Price."""
    found = _wrapped(told, at_s)
    body = found.plan
    recurring = told.get("recurring") or {}
    if price := int(told.get("unit_amount") or 0):
        body.amount.CopyFrom(money.from_stripe(price, str(told["currency"])))
    body.interval = statuses.INTERVAL.get(
        str(recurring.get("interval")), pb.BILLING_INTERVAL_UNSPECIFIED
    )
    body.interval_count = int(recurring.get("interval_count") or 0)
    body.active = bool(told.get("active"))
    return found


def subscription(told: Json, at_s: float, *, intent: Json | None = None) -> pb.ProviderObject:
    """Returns a Subscription; *intent* is what pays its newest invoice, if that came along."""
    found = _wrapped(told, at_s)
    body = found.subscription
    body.state = statuses.SUBSCRIPTION.get(
        str(told.get("status")), pb.SubscriptionObject.STATE_UNSPECIFIED
    )
    if told.get("pause_collection") and body.state == pb.SubscriptionObject.STATE_ACTIVE:
        body.state = pb.SubscriptionObject.STATE_PAUSED
    body.provider_customer_id = reference(told.get("customer"))
    items = (told.get("items") or {}).get("data") or []
    if items:
        first = items[0]
        body.provider_price_id = reference(first.get("price"))
        body.quantity = int(first.get("quantity") or 1)
        _set_time(body.current_period_start, first.get("current_period_start"))
        _set_time(body.current_period_end, first.get("current_period_end"))
    _set_time(body.trial_end, told.get("trial_end"))
    body.cancel_at_period_end = bool(told.get("cancel_at_period_end"))
    _set_time(body.end_time, told.get("ended_at"))
    body.provider_invoice_id = reference(told.get("latest_invoice"))
    body.provider_payment_method_id = reference(told.get("default_payment_method"))
    if body.state == pb.SubscriptionObject.STATE_PENDING:
        _first_payment(body, told.get("latest_invoice"), intent or {})
    return found


def _first_payment(body: pb.SubscriptionObject, told: Any, intent: Json) -> None:
    """Says what the payer of an incomplete subscription has to do, or why the bank refused."""
    if intent.get("status") == "requires_payment_method":
        body.decline.CopyFrom(declines.of_error(intent.get("last_payment_error")))
    if not isinstance(told, Mapping):
        return
    secret = (told.get("confirmation_secret") or {}).get("client_secret")
    if secret:
        body.action.client_secret = str(secret)
        body.action.redirect_url = str(told.get("hosted_invoice_url") or "")


def paying_intent_id(invoice_: Json) -> str:
    """Returns the newest PaymentIntent of an invoice with its payments, or ''."""
    rows = ((invoice_.get("payments") or {}).get("data")) or []
    for row in sorted(rows, key=lambda row: int(row.get("created") or 0), reverse=True):
        intent = (row.get("payment") or {}).get("payment_intent")
        if intent:
            return reference(intent)
    return ""


def invoice(told: Json, at_s: float, *, intent: Json | None = None) -> pb.ProviderObject:
    """Returns an Invoice; *intent* is what pays it, if that is known."""
    found = _wrapped(told, at_s)
    currency = str(told["currency"])
    body = found.invoice
    body.state = statuses.INVOICE.get(str(told.get("status")), pb.InvoiceObject.STATE_UNSPECIFIED)
    body.provider_customer_id = reference(told.get("customer"))
    parent = (told.get("parent") or {}).get("subscription_details") or {}
    body.provider_subscription_id = reference(parent.get("subscription"))
    body.provider_payment_id = paying_intent_id(told)
    body.number = str(told.get("number") or "")[:128]
    if due := int(told.get("amount_due") or 0):
        body.amount_due.CopyFrom(money.from_stripe(due, currency))
    body.amount_paid_minor = money.minor(int(told.get("amount_paid") or 0), currency)
    _set_time(body.period_start, told.get("period_start"))
    _set_time(body.period_end, told.get("period_end"))
    _set_time(body.due_time, told.get("due_date"))
    open_ = body.state == pb.InvoiceObject.STATE_OPEN
    body.overdue = bool(open_ and told.get("due_date") and at_s > float(told["due_date"]))
    body.attempt_count = int(told.get("attempt_count") or 0)
    _set_time(body.next_attempt_time, told.get("next_payment_attempt"))
    body.pdf_url = str(told.get("invoice_pdf") or "")
    body.hosted_url = str(told.get("hosted_invoice_url") or "")
    if open_ and intent and intent.get("last_payment_error"):
        body.decline.CopyFrom(declines.of_error(intent["last_payment_error"]))
    return found


def checkout(told: Json, at_s: float) -> pb.ProviderObject:
    """Returns a Checkout Session."""
    found = _wrapped(told, at_s)
    body = found.checkout
    body.state = statuses.CHECKOUT.get(str(told.get("status")), pb.CheckoutObject.STATE_UNSPECIFIED)
    body.redirect_url = str(told.get("url") or "")
    body.client_secret = str(told.get("client_secret") or "")
    _set_time(body.expire_time, told.get("expires_at"))
    body.provider_payment_id = reference(told.get("payment_intent"))
    body.provider_subscription_id = reference(told.get("subscription"))
    body.provider_customer_id = reference(told.get("customer"))
    body.paid = told.get("payment_status") in ("paid", "no_payment_required")
    return found


def dispute(told: Json, at_s: float) -> pb.ProviderObject:
    """Returns a Dispute; with `payment_intent` expanded it names core's payment."""
    found = _wrapped(told, at_s)
    body = found.dispute
    body.state = statuses.DISPUTE.get(str(told.get("status")), pb.DisputeObject.STATE_UNSPECIFIED)
    intent = told.get("payment_intent")
    body.provider_payment_id = reference(intent)
    if isinstance(intent, Mapping):
        body.payment_id = str((intent.get("metadata") or {}).get(marks.CORE, ""))[:64]
    body.amount.CopyFrom(money.from_stripe(int(told["amount"]), str(told["currency"])))
    body.reason = str(told.get("reason") or "")[:64]
    details = told.get("evidence_details") or {}
    _set_time(body.evidence_due_time, details.get("due_by"))
    body.has_evidence = bool(int(details.get("submission_count") or 0))
    _set_time(body.open_time, told.get("created"))
    return found


def _set_time(field: Any, epoch_s: Any) -> None:
    if epoch_s:
        field.FromSeconds(int(epoch_s))


KINDS: Mapping[str, pb.ObjectKind] = {
    "payment_intent": pb.OBJECT_KIND_PAYMENT,
    "payment_method": pb.OBJECT_KIND_PAYMENT_METHOD,
    "price": pb.OBJECT_KIND_PLAN,
    "subscription": pb.OBJECT_KIND_SUBSCRIPTION,
    "invoice": pb.OBJECT_KIND_INVOICE,
    "checkout.session": pb.OBJECT_KIND_CHECKOUT,
    "dispute": pb.OBJECT_KIND_DISPUTE,
}
