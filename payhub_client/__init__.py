"""What a service imports to take payments and to follow their events.

Owns the public names: `Client`, the messages that it returns, the filters it takes and the
errors it raises. Called by services and payctl. Never imports a Payhub process.
"""

from payhub.events.v1.event_pb2 import Event
from payhub.payments.v1.billing_events_pb2 import (
    CheckoutEvent,
    DisputeEvent,
    InvoiceEvent,
    PaymentMethodEvent,
    PlanEvent,
    SubscriptionEvent,
)
from payhub.payments.v1.checkout_service_pb2 import Checkout
from payhub.payments.v1.customer_service_pb2 import Customer
from payhub.payments.v1.dispute_service_pb2 import Dispute
from payhub.payments.v1.invoice_service_pb2 import Invoice
from payhub.payments.v1.payment_events_pb2 import CustomerEvent, PaymentEvent
from payhub.payments.v1.payment_method_service_pb2 import PaymentMethod
from payhub.payments.v1.payment_pb2 import Payment
from payhub.payments.v1.plan_service_pb2 import Plan
from payhub.payments.v1.refund_service_pb2 import Refund
from payhub.payments.v1.retry_policy_service_pb2 import RetryPolicy
from payhub.payments.v1.subscription_service_pb2 import Proration

# `Subscription` is the one to events, which had the name first.
from payhub.payments.v1.subscription_service_pb2 import Subscription as BillingSubscription

from payhub_client import errors, events
from payhub_client.calls import new_key
from payhub_client.checkouts import CheckoutFilter
from payhub_client.client import Client
from payhub_client.consumption import Consumption
from payhub_client.disputes import DisputeFilter
from payhub_client.events import EventFilter
from payhub_client.invoices import InvoiceFilter
from payhub_client.payments import PaymentFilter
from payhub_client.progress import Batch
from payhub_client.settling import Received
from payhub_client.streams import Notice, NoticeKind
from payhub_client.subscription import Delivery, Subscription
from payhub_client.subscriptions import SubscriptionFilter
from payhub_client.tls import TlsFiles

__all__ = [
    "Batch",
    "BillingSubscription",
    "Checkout",
    "CheckoutEvent",
    "CheckoutFilter",
    "Client",
    "Consumption",
    "Customer",
    "CustomerEvent",
    "Delivery",
    "Dispute",
    "DisputeEvent",
    "DisputeFilter",
    "Event",
    "EventFilter",
    "Invoice",
    "InvoiceEvent",
    "InvoiceFilter",
    "Notice",
    "NoticeKind",
    "Payment",
    "PaymentEvent",
    "PaymentFilter",
    "PaymentMethod",
    "PaymentMethodEvent",
    "Plan",
    "PlanEvent",
    "Proration",
    "Received",
    "Refund",
    "RetryPolicy",
    "Subscription",
    "SubscriptionEvent",
    "SubscriptionFilter",
    "TlsFiles",
    "errors",
    "events",
    "new_key",
]
