import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.payments.v1 import checkout_service_pb2 as _checkout_service_pb2
from payhub.payments.v1 import dispute_service_pb2 as _dispute_service_pb2
from payhub.payments.v1 import invoice_service_pb2 as _invoice_service_pb2
from payhub.payments.v1 import payment_method_service_pb2 as _payment_method_service_pb2
from payhub.payments.v1 import plan_service_pb2 as _plan_service_pb2
from payhub.payments.v1 import subscription_service_pb2 as _subscription_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentMethodEvent(_message.Message):
    __slots__ = ("payment_method", "changed", "previous", "operation_id")
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    payment_method: _payment_method_service_pb2.PaymentMethod
    changed: _field_mask_pb2.FieldMask
    previous: _payment_method_service_pb2.PaymentMethod
    operation_id: str
    def __init__(self, payment_method: _Optional[_Union[_payment_method_service_pb2.PaymentMethod, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_payment_method_service_pb2.PaymentMethod, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class PlanEvent(_message.Message):
    __slots__ = ("plan", "changed", "previous", "operation_id")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    plan: _plan_service_pb2.Plan
    changed: _field_mask_pb2.FieldMask
    previous: _plan_service_pb2.Plan
    operation_id: str
    def __init__(self, plan: _Optional[_Union[_plan_service_pb2.Plan, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_plan_service_pb2.Plan, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class SubscriptionEvent(_message.Message):
    __slots__ = ("subscription", "changed", "previous", "operation_id")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    subscription: _subscription_service_pb2.Subscription
    changed: _field_mask_pb2.FieldMask
    previous: _subscription_service_pb2.Subscription
    operation_id: str
    def __init__(self, subscription: _Optional[_Union[_subscription_service_pb2.Subscription, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_subscription_service_pb2.Subscription, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class InvoiceEvent(_message.Message):
    __slots__ = ("invoice", "changed", "previous", "operation_id")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    invoice: _invoice_service_pb2.Invoice
    changed: _field_mask_pb2.FieldMask
    previous: _invoice_service_pb2.Invoice
    operation_id: str
    def __init__(self, invoice: _Optional[_Union[_invoice_service_pb2.Invoice, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_invoice_service_pb2.Invoice, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class CheckoutEvent(_message.Message):
    __slots__ = ("checkout", "changed", "previous", "operation_id")
    CHECKOUT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    checkout: _checkout_service_pb2.Checkout
    changed: _field_mask_pb2.FieldMask
    previous: _checkout_service_pb2.Checkout
    operation_id: str
    def __init__(self, checkout: _Optional[_Union[_checkout_service_pb2.Checkout, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_checkout_service_pb2.Checkout, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class DisputeEvent(_message.Message):
    __slots__ = ("dispute", "changed", "previous", "operation_id")
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    dispute: _dispute_service_pb2.Dispute
    changed: _field_mask_pb2.FieldMask
    previous: _dispute_service_pb2.Dispute
    operation_id: str
    def __init__(self, dispute: _Optional[_Union[_dispute_service_pb2.Dispute, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_dispute_service_pb2.Dispute, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class WebhookEvent(_message.Message):
    __slots__ = ("webhook_id", "provider", "binding_id", "event_type", "provider_event_id", "detail", "receive_time")
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    webhook_id: str
    provider: str
    binding_id: str
    event_type: str
    provider_event_id: str
    detail: str
    receive_time: _timestamp_pb2.Timestamp
    def __init__(self, webhook_id: _Optional[str] = ..., provider: _Optional[str] = ..., binding_id: _Optional[str] = ..., event_type: _Optional[str] = ..., provider_event_id: _Optional[str] = ..., detail: _Optional[str] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
