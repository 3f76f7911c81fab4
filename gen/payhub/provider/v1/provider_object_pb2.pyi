import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.provider.v1 import operation_pb2 as _operation_pb2
from payhub.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ObjectKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_KIND_UNSPECIFIED: _ClassVar[ObjectKind]
    OBJECT_KIND_PAYMENT: _ClassVar[ObjectKind]
    OBJECT_KIND_PAYMENT_METHOD: _ClassVar[ObjectKind]
    OBJECT_KIND_PLAN: _ClassVar[ObjectKind]
    OBJECT_KIND_SUBSCRIPTION: _ClassVar[ObjectKind]
    OBJECT_KIND_INVOICE: _ClassVar[ObjectKind]
    OBJECT_KIND_CHECKOUT: _ClassVar[ObjectKind]
    OBJECT_KIND_DISPUTE: _ClassVar[ObjectKind]

class BillingInterval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BILLING_INTERVAL_UNSPECIFIED: _ClassVar[BillingInterval]
    BILLING_INTERVAL_DAY: _ClassVar[BillingInterval]
    BILLING_INTERVAL_WEEK: _ClassVar[BillingInterval]
    BILLING_INTERVAL_MONTH: _ClassVar[BillingInterval]
    BILLING_INTERVAL_YEAR: _ClassVar[BillingInterval]
OBJECT_KIND_UNSPECIFIED: ObjectKind
OBJECT_KIND_PAYMENT: ObjectKind
OBJECT_KIND_PAYMENT_METHOD: ObjectKind
OBJECT_KIND_PLAN: ObjectKind
OBJECT_KIND_SUBSCRIPTION: ObjectKind
OBJECT_KIND_INVOICE: ObjectKind
OBJECT_KIND_CHECKOUT: ObjectKind
OBJECT_KIND_DISPUTE: ObjectKind
BILLING_INTERVAL_UNSPECIFIED: BillingInterval
BILLING_INTERVAL_DAY: BillingInterval
BILLING_INTERVAL_WEEK: BillingInterval
BILLING_INTERVAL_MONTH: BillingInterval
BILLING_INTERVAL_YEAR: BillingInterval

class ProviderObject(_message.Message):
    __slots__ = ("provider_object_id", "state_time", "core_id", "operation_id", "deleted", "payment", "payment_method", "plan", "subscription", "invoice", "checkout", "dispute")
    PROVIDER_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CORE_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    provider_object_id: str
    state_time: _timestamp_pb2.Timestamp
    core_id: str
    operation_id: str
    deleted: bool
    payment: PaymentObject
    payment_method: PaymentMethodObject
    plan: PlanObject
    subscription: SubscriptionObject
    invoice: InvoiceObject
    checkout: CheckoutObject
    dispute: DisputeObject
    def __init__(self, provider_object_id: _Optional[str] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., core_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., deleted: _Optional[bool] = ..., payment: _Optional[_Union[PaymentObject, _Mapping]] = ..., payment_method: _Optional[_Union[PaymentMethodObject, _Mapping]] = ..., plan: _Optional[_Union[PlanObject, _Mapping]] = ..., subscription: _Optional[_Union[SubscriptionObject, _Mapping]] = ..., invoice: _Optional[_Union[InvoiceObject, _Mapping]] = ..., checkout: _Optional[_Union[CheckoutObject, _Mapping]] = ..., dispute: _Optional[_Union[DisputeObject, _Mapping]] = ...) -> None: ...

class ObjectReference(_message.Message):
    __slots__ = ("kind", "provider_object_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    kind: ObjectKind
    provider_object_id: str
    def __init__(self, kind: _Optional[_Union[ObjectKind, str]] = ..., provider_object_id: _Optional[str] = ...) -> None: ...

class PaymentObject(_message.Message):
    __slots__ = ("amount", "captured_minor", "refunded_minor", "state", "provider_customer_id", "provider_invoice_id", "provider_checkout_id", "decline", "foreign_refunds")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_MINOR_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_MINOR_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CHECKOUT_ID_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_REFUNDS_FIELD_NUMBER: _ClassVar[int]
    amount: _money_pb2.Money
    captured_minor: int
    refunded_minor: int
    state: _operation_pb2.Operation.State
    provider_customer_id: str
    provider_invoice_id: str
    provider_checkout_id: str
    decline: _operation_pb2.Decline
    foreign_refunds: _containers.RepeatedCompositeFieldContainer[ForeignRefund]
    def __init__(self, amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., captured_minor: _Optional[int] = ..., refunded_minor: _Optional[int] = ..., state: _Optional[_Union[_operation_pb2.Operation.State, str]] = ..., provider_customer_id: _Optional[str] = ..., provider_invoice_id: _Optional[str] = ..., provider_checkout_id: _Optional[str] = ..., decline: _Optional[_Union[_operation_pb2.Decline, _Mapping]] = ..., foreign_refunds: _Optional[_Iterable[_Union[ForeignRefund, _Mapping]]] = ...) -> None: ...

class ForeignRefund(_message.Message):
    __slots__ = ("provider_refund_id", "amount_minor")
    PROVIDER_REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    provider_refund_id: str
    amount_minor: int
    def __init__(self, provider_refund_id: _Optional[str] = ..., amount_minor: _Optional[int] = ...) -> None: ...

class PaymentMethodObject(_message.Message):
    __slots__ = ("provider_customer_id", "type", "card", "is_default")
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    provider_customer_id: str
    type: str
    card: CardDetails
    is_default: bool
    def __init__(self, provider_customer_id: _Optional[str] = ..., type: _Optional[str] = ..., card: _Optional[_Union[CardDetails, _Mapping]] = ..., is_default: _Optional[bool] = ...) -> None: ...

class CardDetails(_message.Message):
    __slots__ = ("brand", "last4", "expire_month", "expire_year")
    BRAND_FIELD_NUMBER: _ClassVar[int]
    LAST4_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_MONTH_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_YEAR_FIELD_NUMBER: _ClassVar[int]
    brand: str
    last4: str
    expire_month: int
    expire_year: int
    def __init__(self, brand: _Optional[str] = ..., last4: _Optional[str] = ..., expire_month: _Optional[int] = ..., expire_year: _Optional[int] = ...) -> None: ...

class PlanObject(_message.Message):
    __slots__ = ("amount", "interval", "interval_count", "active")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    amount: _money_pb2.Money
    interval: BillingInterval
    interval_count: int
    active: bool
    def __init__(self, amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., interval: _Optional[_Union[BillingInterval, str]] = ..., interval_count: _Optional[int] = ..., active: _Optional[bool] = ...) -> None: ...

class SubscriptionObject(_message.Message):
    __slots__ = ("state", "provider_customer_id", "provider_price_id", "quantity", "current_period_start", "current_period_end", "trial_end", "cancel_at_period_end", "end_time", "provider_invoice_id", "provider_payment_method_id", "action", "decline")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[SubscriptionObject.State]
        STATE_PENDING: _ClassVar[SubscriptionObject.State]
        STATE_TRIALING: _ClassVar[SubscriptionObject.State]
        STATE_ACTIVE: _ClassVar[SubscriptionObject.State]
        STATE_PAST_DUE: _ClassVar[SubscriptionObject.State]
        STATE_PAUSED: _ClassVar[SubscriptionObject.State]
        STATE_CANCELED: _ClassVar[SubscriptionObject.State]
        STATE_EXPIRED: _ClassVar[SubscriptionObject.State]
    STATE_UNSPECIFIED: SubscriptionObject.State
    STATE_PENDING: SubscriptionObject.State
    STATE_TRIALING: SubscriptionObject.State
    STATE_ACTIVE: SubscriptionObject.State
    STATE_PAST_DUE: SubscriptionObject.State
    STATE_PAUSED: SubscriptionObject.State
    STATE_CANCELED: SubscriptionObject.State
    STATE_EXPIRED: SubscriptionObject.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    TRIAL_END_FIELD_NUMBER: _ClassVar[int]
    CANCEL_AT_PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    state: SubscriptionObject.State
    provider_customer_id: str
    provider_price_id: str
    quantity: int
    current_period_start: _timestamp_pb2.Timestamp
    current_period_end: _timestamp_pb2.Timestamp
    trial_end: _timestamp_pb2.Timestamp
    cancel_at_period_end: bool
    end_time: _timestamp_pb2.Timestamp
    provider_invoice_id: str
    provider_payment_method_id: str
    action: _operation_pb2.CustomerAction
    decline: _operation_pb2.Decline
    def __init__(self, state: _Optional[_Union[SubscriptionObject.State, str]] = ..., provider_customer_id: _Optional[str] = ..., provider_price_id: _Optional[str] = ..., quantity: _Optional[int] = ..., current_period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., current_period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trial_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_at_period_end: _Optional[bool] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provider_invoice_id: _Optional[str] = ..., provider_payment_method_id: _Optional[str] = ..., action: _Optional[_Union[_operation_pb2.CustomerAction, _Mapping]] = ..., decline: _Optional[_Union[_operation_pb2.Decline, _Mapping]] = ...) -> None: ...

class InvoiceObject(_message.Message):
    __slots__ = ("state", "provider_customer_id", "provider_subscription_id", "provider_payment_id", "number", "amount_due", "amount_paid_minor", "period_start", "period_end", "due_time", "overdue", "attempt_count", "next_attempt_time", "pdf_url", "hosted_url", "decline")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[InvoiceObject.State]
        STATE_DRAFT: _ClassVar[InvoiceObject.State]
        STATE_OPEN: _ClassVar[InvoiceObject.State]
        STATE_PAID: _ClassVar[InvoiceObject.State]
        STATE_UNCOLLECTIBLE: _ClassVar[InvoiceObject.State]
        STATE_VOID: _ClassVar[InvoiceObject.State]
    STATE_UNSPECIFIED: InvoiceObject.State
    STATE_DRAFT: InvoiceObject.State
    STATE_OPEN: InvoiceObject.State
    STATE_PAID: InvoiceObject.State
    STATE_UNCOLLECTIBLE: InvoiceObject.State
    STATE_VOID: InvoiceObject.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_DUE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_PAID_MINOR_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    PDF_URL_FIELD_NUMBER: _ClassVar[int]
    HOSTED_URL_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    state: InvoiceObject.State
    provider_customer_id: str
    provider_subscription_id: str
    provider_payment_id: str
    number: str
    amount_due: _money_pb2.Money
    amount_paid_minor: int
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    overdue: bool
    attempt_count: int
    next_attempt_time: _timestamp_pb2.Timestamp
    pdf_url: str
    hosted_url: str
    decline: _operation_pb2.Decline
    def __init__(self, state: _Optional[_Union[InvoiceObject.State, str]] = ..., provider_customer_id: _Optional[str] = ..., provider_subscription_id: _Optional[str] = ..., provider_payment_id: _Optional[str] = ..., number: _Optional[str] = ..., amount_due: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., amount_paid_minor: _Optional[int] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., overdue: _Optional[bool] = ..., attempt_count: _Optional[int] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pdf_url: _Optional[str] = ..., hosted_url: _Optional[str] = ..., decline: _Optional[_Union[_operation_pb2.Decline, _Mapping]] = ...) -> None: ...

class CheckoutObject(_message.Message):
    __slots__ = ("state", "redirect_url", "client_secret", "expire_time", "provider_payment_id", "provider_subscription_id", "provider_customer_id", "paid")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[CheckoutObject.State]
        STATE_OPEN: _ClassVar[CheckoutObject.State]
        STATE_COMPLETED: _ClassVar[CheckoutObject.State]
        STATE_EXPIRED: _ClassVar[CheckoutObject.State]
    STATE_UNSPECIFIED: CheckoutObject.State
    STATE_OPEN: CheckoutObject.State
    STATE_COMPLETED: CheckoutObject.State
    STATE_EXPIRED: CheckoutObject.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_URL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    state: CheckoutObject.State
    redirect_url: str
    client_secret: str
    expire_time: _timestamp_pb2.Timestamp
    provider_payment_id: str
    provider_subscription_id: str
    provider_customer_id: str
    paid: bool
    def __init__(self, state: _Optional[_Union[CheckoutObject.State, str]] = ..., redirect_url: _Optional[str] = ..., client_secret: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provider_payment_id: _Optional[str] = ..., provider_subscription_id: _Optional[str] = ..., provider_customer_id: _Optional[str] = ..., paid: _Optional[bool] = ...) -> None: ...

class DisputeObject(_message.Message):
    __slots__ = ("state", "provider_payment_id", "amount", "reason", "evidence_due_time", "has_evidence", "open_time", "payment_id")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DisputeObject.State]
        STATE_WARNING: _ClassVar[DisputeObject.State]
        STATE_NEEDS_RESPONSE: _ClassVar[DisputeObject.State]
        STATE_UNDER_REVIEW: _ClassVar[DisputeObject.State]
        STATE_WON: _ClassVar[DisputeObject.State]
        STATE_LOST: _ClassVar[DisputeObject.State]
        STATE_WARNING_CLOSED: _ClassVar[DisputeObject.State]
    STATE_UNSPECIFIED: DisputeObject.State
    STATE_WARNING: DisputeObject.State
    STATE_NEEDS_RESPONSE: DisputeObject.State
    STATE_UNDER_REVIEW: DisputeObject.State
    STATE_WON: DisputeObject.State
    STATE_LOST: DisputeObject.State
    STATE_WARNING_CLOSED: DisputeObject.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    HAS_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    state: DisputeObject.State
    provider_payment_id: str
    amount: _money_pb2.Money
    reason: str
    evidence_due_time: _timestamp_pb2.Timestamp
    has_evidence: bool
    open_time: _timestamp_pb2.Timestamp
    payment_id: str
    def __init__(self, state: _Optional[_Union[DisputeObject.State, str]] = ..., provider_payment_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ..., evidence_due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., has_evidence: _Optional[bool] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payment_id: _Optional[str] = ...) -> None: ...
