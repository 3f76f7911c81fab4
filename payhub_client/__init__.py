"""What a service imports to take payments and to follow their events.

Owns the public names: `Client`, the messages that it returns, the filters it takes and the
errors it raises. Called by services and payctl. Never imports a Payhub process.
"""

from payhub.events.v1.event_pb2 import Event
from payhub.payments.v1.customer_service_pb2 import Customer
from payhub.payments.v1.payment_events_pb2 import CustomerEvent, PaymentEvent
from payhub.payments.v1.payment_pb2 import Payment
from payhub.payments.v1.refund_service_pb2 import Refund

from payhub_client import errors, events
from payhub_client.calls import new_key
from payhub_client.client import Client
from payhub_client.consumption import Consumption, Received
from payhub_client.events import EventFilter
from payhub_client.payments import PaymentFilter
from payhub_client.subscription import Batch, Delivery, Notice, NoticeKind, Subscription

__all__ = [
    "Batch",
    "Client",
    "Consumption",
    "Customer",
    "CustomerEvent",
    "Delivery",
    "Event",
    "EventFilter",
    "Notice",
    "NoticeKind",
    "Payment",
    "PaymentEvent",
    "PaymentFilter",
    "Received",
    "Refund",
    "Subscription",
    "errors",
    "events",
    "new_key",
]
