"""How objects are told to core.

Owns the translation of what the provider keeps, and of payments with their
sums, to the contract's ProviderObject. Called for answers, fetches and
webhooks. Only reads.
"""

from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.type.v1 import money_pb2

from provider_mock import scenarios, schema
from provider_mock.objects import model, store
from servicekit import storage

ProviderObject = provider_object_pb2.ProviderObject
Subscription = provider_object_pb2.SubscriptionObject
Invoice = provider_object_pb2.InvoiceObject
Checkout = provider_object_pb2.CheckoutObject
Dispute = provider_object_pb2.DisputeObject

FOREIGN_REFUNDS_MAX = 100

_SELECT_FOREIGN_REFUNDS = storage.Statement(
    "select provider_operation_id, amount_minor from operations "
    "where object_id = :object_id and kind = 'FOREIGN_REFUND' "
    f"order by created_us, operation_id limit {FOREIGN_REFUNDS_MAX}"
)
_SELECT_PAYMENT_CHANGED = storage.Statement(
    "select max(state_us) from operations where object_id = :object_id"
)


def kept(conn: storage.Connection, one: store.Kept, *, base_url: str) -> ProviderObject:
    """Returns *one* as core is told.

    Args:
        conn: The ledger.
        one: The object.
        base_url: Where payers reach the provider, without a slash at the end.
    """
    told = ProviderObject(
        provider_object_id=one.object_id, core_id=one.core_id, operation_id=one.operation_id
    )
    told.state_time.FromMicroseconds(one.state_us)
    match one.body:
        case model.Method():
            _method(told.payment_method, one, one.body)
            told.deleted = one.state == "DETACHED"
        case model.Price():
            _price(told.plan, one, one.body)
        case model.Subscription():
            _subscription(told.subscription, one, one.body, base_url)
        case model.Invoice():
            _invoice(told.invoice, one, one.body, base_url)
        case model.Checkout():
            _checkout(told.checkout, one, one.body, base_url)
        case model.Dispute():
            _dispute(conn, told.dispute, one, one.body)
    return told


def payment(conn: storage.Connection, row: schema.PaymentRow) -> ProviderObject:
    """Returns a payment with its sums as core is told."""
    authorized = conn.one(schema.SELECT_OPERATION, {"operation_id": row.operation_id})
    assert authorized is not None
    operation = schema.OperationRow._make(authorized)
    changed = conn.one(_SELECT_PAYMENT_CHANGED, {"object_id": row.object_id})
    disputes = store.of_parent(conn, row.object_id)
    link = store.link(conn, row.object_id)
    made_here = operation.fingerprint == "" and not row.reference
    told = ProviderObject(
        provider_object_id=row.object_id,
        core_id=row.reference,
        operation_id="" if made_here else row.operation_id,
    )
    state_us = max(changed[0] if changed else 0, *(one.state_us for one in disputes), 0)
    told.state_time.FromMicroseconds(state_us)
    body = told.payment
    _money(body.amount, row.authorized_minor or operation.amount_minor or 0, row.currency)
    body.captured_minor = row.captured_minor
    body.refunded_minor = row.refunded_minor
    body.state = operation_pb2.Operation.State.Value(f"STATE_{operation.state}")  # type: ignore[assignment]
    body.provider_customer_id = link.customer_id
    body.provider_invoice_id = link.invoice_id
    body.provider_checkout_id = link.checkout_id
    if operation.state == "DECLINED":
        _decline(body.decline, operation.decline_reason)
    for refund_id, amount_minor in conn.all(_SELECT_FOREIGN_REFUNDS, {"object_id": row.object_id}):
        body.foreign_refunds.add(provider_refund_id=refund_id, amount_minor=amount_minor)
    return told


def _method(
    told: provider_object_pb2.PaymentMethodObject, one: store.Kept, body: model.Method
) -> None:
    told.provider_customer_id = one.customer_id
    told.type = body.type
    told.is_default = body.is_default
    if body.type == "card":
        told.card.brand = body.brand
        told.card.last4 = body.last4
        told.card.expire_month = body.expire_month
        told.card.expire_year = body.expire_year


def _price(told: provider_object_pb2.PlanObject, one: store.Kept, body: model.Price) -> None:
    _money(told.amount, body.amount_minor, body.currency)
    told.interval = body.interval  # type: ignore[assignment]
    told.interval_count = body.interval_count
    told.active = one.state == "ACTIVE"


def _subscription(
    told: Subscription, one: store.Kept, body: model.Subscription, base_url: str
) -> None:
    told.state = Subscription.State.Value(f"STATE_{one.state}")  # type: ignore[assignment]
    told.provider_customer_id = one.customer_id
    told.provider_price_id = body.price_id
    told.quantity = body.quantity
    told.current_period_start.FromMicroseconds(body.period_start_us)
    told.current_period_end.FromMicroseconds(body.period_end_us)
    if body.trial_end_us:
        told.trial_end.FromMicroseconds(body.trial_end_us)
    told.cancel_at_period_end = body.cancel_at_period_end
    if body.ended_us:
        told.end_time.FromMicroseconds(body.ended_us)
    told.provider_invoice_id = body.invoice_id
    told.provider_payment_method_id = body.method_id
    if one.state == "PENDING" and body.action_token:
        told.action.redirect_url = f"{base_url}/actions/{body.action_token}"
        told.action.expire_time.FromMicroseconds(body.action_expire_us)
    if body.reason:
        _decline(told.decline, body.reason)


def _invoice(told: Invoice, one: store.Kept, body: model.Invoice, base_url: str) -> None:
    told.state = Invoice.State.Value(f"STATE_{one.state}")  # type: ignore[assignment]
    told.provider_customer_id = one.customer_id
    told.provider_subscription_id = one.parent_id
    told.provider_payment_id = body.payment_id
    told.number = body.number
    _money(told.amount_due, body.amount_minor, body.currency)
    told.amount_paid_minor = body.paid_minor
    told.period_start.FromMicroseconds(body.period_start_us)
    told.period_end.FromMicroseconds(body.period_end_us)
    told.due_time.FromMicroseconds(body.due_us)
    told.overdue = body.overdue
    told.attempt_count = body.attempts
    if body.next_attempt_us:
        told.next_attempt_time.FromMicroseconds(body.next_attempt_us)
    told.pdf_url = f"{base_url}/invoices/{one.object_id}.pdf"
    told.hosted_url = f"{base_url}/invoices/{one.object_id}"
    if body.reason:
        _decline(told.decline, body.reason)


def _checkout(told: Checkout, one: store.Kept, body: model.Checkout, base_url: str) -> None:
    told.state = Checkout.State.Value(f"STATE_{one.state}")  # type: ignore[assignment]
    if one.state == "OPEN" and body.embedded:
        told.client_secret = f"mcs_{body.token}"
    elif one.state == "OPEN":
        told.redirect_url = f"{base_url}/checkouts/{body.token}"
    told.expire_time.FromMicroseconds(body.expire_us)
    told.provider_payment_id = body.payment_id
    told.provider_subscription_id = body.subscription_id
    told.provider_customer_id = one.customer_id
    told.paid = body.paid


def _dispute(conn: storage.Connection, told: Dispute, one: store.Kept, body: model.Dispute) -> None:
    told.state = Dispute.State.Value(f"STATE_{one.state}")  # type: ignore[assignment]
    told.provider_payment_id = one.parent_id
    _money(told.amount, body.amount_minor, body.currency)
    told.reason = body.reason
    told.evidence_due_time.FromMicroseconds(body.due_us)
    told.has_evidence = body.has_evidence
    told.open_time.FromMicroseconds(body.opened_us)
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": one.parent_id})
    told.payment_id = schema.PaymentRow._make(columns).reference if columns is not None else ""


def _money(told: money_pb2.Money, amount_minor: int, currency: str) -> None:
    if not amount_minor:
        # The contract's amounts are positive; nothing asked for is an absent one.
        return
    told.amount_minor = amount_minor
    told.currency_code = currency


def _decline(told: operation_pb2.Decline, reason: int) -> None:
    told.reason = reason  # type: ignore[assignment]
    told.provider_code = scenarios.provider_code(reason)
    told.retryable_later = scenarios.retryable_later(reason)
