import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CaptureMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_METHOD_UNSPECIFIED: _ClassVar[CaptureMethod]
    CAPTURE_METHOD_AUTOMATIC: _ClassVar[CaptureMethod]
    CAPTURE_METHOD_MANUAL: _ClassVar[CaptureMethod]
CAPTURE_METHOD_UNSPECIFIED: CaptureMethod
CAPTURE_METHOD_AUTOMATIC: CaptureMethod
CAPTURE_METHOD_MANUAL: CaptureMethod

class Payment(_message.Message):
    __slots__ = ("id", "state", "amount", "amounts", "capture_method", "provider", "binding_id", "provider_payment_id", "references", "description", "action", "failure", "cancel_requested", "available_actions", "operations", "version", "create_time", "update_time", "payment_method_id", "off_session", "next_retry_time", "invoice_id", "checkout_id")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Payment.State]
        STATE_CREATED: _ClassVar[Payment.State]
        STATE_PROCESSING: _ClassVar[Payment.State]
        STATE_REQUIRES_ACTION: _ClassVar[Payment.State]
        STATE_AUTHORIZED: _ClassVar[Payment.State]
        STATE_SUCCEEDED: _ClassVar[Payment.State]
        STATE_FAILED: _ClassVar[Payment.State]
        STATE_CANCELED: _ClassVar[Payment.State]
        STATE_IN_DOUBT: _ClassVar[Payment.State]
    STATE_UNSPECIFIED: Payment.State
    STATE_CREATED: Payment.State
    STATE_PROCESSING: Payment.State
    STATE_REQUIRES_ACTION: Payment.State
    STATE_AUTHORIZED: Payment.State
    STATE_SUCCEEDED: Payment.State
    STATE_FAILED: Payment.State
    STATE_CANCELED: Payment.State
    STATE_IN_DOUBT: Payment.State
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_METHOD_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    OFF_SESSION_FIELD_NUMBER: _ClassVar[int]
    NEXT_RETRY_TIME_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Payment.State
    amount: _money_pb2.Money
    amounts: Amounts
    capture_method: CaptureMethod
    provider: str
    binding_id: str
    provider_payment_id: str
    references: References
    description: str
    action: CustomerAction
    failure: PaymentFailure
    cancel_requested: bool
    available_actions: _containers.RepeatedCompositeFieldContainer[AvailableAction]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    version: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    payment_method_id: str
    off_session: bool
    next_retry_time: _timestamp_pb2.Timestamp
    invoice_id: str
    checkout_id: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Payment.State, str]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., amounts: _Optional[_Union[Amounts, _Mapping]] = ..., capture_method: _Optional[_Union[CaptureMethod, str]] = ..., provider: _Optional[str] = ..., binding_id: _Optional[str] = ..., provider_payment_id: _Optional[str] = ..., references: _Optional[_Union[References, _Mapping]] = ..., description: _Optional[str] = ..., action: _Optional[_Union[CustomerAction, _Mapping]] = ..., failure: _Optional[_Union[PaymentFailure, _Mapping]] = ..., cancel_requested: _Optional[bool] = ..., available_actions: _Optional[_Iterable[_Union[AvailableAction, _Mapping]]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payment_method_id: _Optional[str] = ..., off_session: _Optional[bool] = ..., next_retry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., invoice_id: _Optional[str] = ..., checkout_id: _Optional[str] = ...) -> None: ...

class Amounts(_message.Message):
    __slots__ = ("authorized_minor", "captured_minor", "capture_pending_minor", "refunded_minor", "refund_pending_minor", "foreign_refunded_minor", "disputed_minor")
    AUTHORIZED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_PENDING_MINOR_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_MINOR_FIELD_NUMBER: _ClassVar[int]
    REFUND_PENDING_MINOR_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_REFUNDED_MINOR_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_MINOR_FIELD_NUMBER: _ClassVar[int]
    authorized_minor: int
    captured_minor: int
    capture_pending_minor: int
    refunded_minor: int
    refund_pending_minor: int
    foreign_refunded_minor: int
    disputed_minor: int
    def __init__(self, authorized_minor: _Optional[int] = ..., captured_minor: _Optional[int] = ..., capture_pending_minor: _Optional[int] = ..., refunded_minor: _Optional[int] = ..., refund_pending_minor: _Optional[int] = ..., foreign_refunded_minor: _Optional[int] = ..., disputed_minor: _Optional[int] = ...) -> None: ...

class References(_message.Message):
    __slots__ = ("customer_id", "user_id", "subscription_id", "order_id", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    user_id: str
    subscription_id: str
    order_id: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, customer_id: _Optional[str] = ..., user_id: _Optional[str] = ..., subscription_id: _Optional[str] = ..., order_id: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CustomerAction(_message.Message):
    __slots__ = ("redirect_url", "client_secret", "expire_time")
    REDIRECT_URL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    redirect_url: str
    client_secret: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, redirect_url: _Optional[str] = ..., client_secret: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PaymentFailure(_message.Message):
    __slots__ = ("kind", "reason", "provider_code", "retryable_later")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[PaymentFailure.Kind]
        KIND_DECLINED: _ClassVar[PaymentFailure.Kind]
        KIND_NOT_SENT: _ClassVar[PaymentFailure.Kind]
    KIND_UNSPECIFIED: PaymentFailure.Kind
    KIND_DECLINED: PaymentFailure.Kind
    KIND_NOT_SENT: PaymentFailure.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CODE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_LATER_FIELD_NUMBER: _ClassVar[int]
    kind: PaymentFailure.Kind
    reason: str
    provider_code: str
    retryable_later: bool
    def __init__(self, kind: _Optional[_Union[PaymentFailure.Kind, str]] = ..., reason: _Optional[str] = ..., provider_code: _Optional[str] = ..., retryable_later: _Optional[bool] = ...) -> None: ...

class AvailableAction(_message.Message):
    __slots__ = ("action", "max_amount_minor")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[AvailableAction.Action]
        ACTION_CONFIRM: _ClassVar[AvailableAction.Action]
        ACTION_CAPTURE: _ClassVar[AvailableAction.Action]
        ACTION_CANCEL: _ClassVar[AvailableAction.Action]
        ACTION_REFUND: _ClassVar[AvailableAction.Action]
        ACTION_INCREMENT: _ClassVar[AvailableAction.Action]
    ACTION_UNSPECIFIED: AvailableAction.Action
    ACTION_CONFIRM: AvailableAction.Action
    ACTION_CAPTURE: AvailableAction.Action
    ACTION_CANCEL: AvailableAction.Action
    ACTION_REFUND: AvailableAction.Action
    ACTION_INCREMENT: AvailableAction.Action
    ACTION_FIELD_NUMBER: _ClassVar[int]
    MAX_AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    action: AvailableAction.Action
    max_amount_minor: int
    def __init__(self, action: _Optional[_Union[AvailableAction.Action, str]] = ..., max_amount_minor: _Optional[int] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("id", "kind", "state", "amount", "final", "provider_operation_id", "failure", "attempts", "refund_id", "create_time", "update_time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Operation.Kind]
        KIND_AUTHORIZE: _ClassVar[Operation.Kind]
        KIND_SALE: _ClassVar[Operation.Kind]
        KIND_CAPTURE: _ClassVar[Operation.Kind]
        KIND_VOID: _ClassVar[Operation.Kind]
        KIND_REFUND: _ClassVar[Operation.Kind]
        KIND_CREATE_CUSTOMER: _ClassVar[Operation.Kind]
        KIND_UPDATE_CUSTOMER: _ClassVar[Operation.Kind]
        KIND_INCREMENT: _ClassVar[Operation.Kind]
        KIND_ATTACH_PAYMENT_METHOD: _ClassVar[Operation.Kind]
        KIND_DETACH_PAYMENT_METHOD: _ClassVar[Operation.Kind]
        KIND_SET_DEFAULT_PAYMENT_METHOD: _ClassVar[Operation.Kind]
        KIND_CREATE_PLAN: _ClassVar[Operation.Kind]
        KIND_ARCHIVE_PLAN: _ClassVar[Operation.Kind]
        KIND_CREATE_SUBSCRIPTION: _ClassVar[Operation.Kind]
        KIND_CHANGE_SUBSCRIPTION: _ClassVar[Operation.Kind]
        KIND_CANCEL_SUBSCRIPTION: _ClassVar[Operation.Kind]
        KIND_REACTIVATE_SUBSCRIPTION: _ClassVar[Operation.Kind]
        KIND_CREATE_CHECKOUT: _ClassVar[Operation.Kind]
        KIND_EXPIRE_CHECKOUT: _ClassVar[Operation.Kind]
        KIND_SUBMIT_EVIDENCE: _ClassVar[Operation.Kind]
        KIND_ACCEPT_DISPUTE: _ClassVar[Operation.Kind]
    KIND_UNSPECIFIED: Operation.Kind
    KIND_AUTHORIZE: Operation.Kind
    KIND_SALE: Operation.Kind
    KIND_CAPTURE: Operation.Kind
    KIND_VOID: Operation.Kind
    KIND_REFUND: Operation.Kind
    KIND_CREATE_CUSTOMER: Operation.Kind
    KIND_UPDATE_CUSTOMER: Operation.Kind
    KIND_INCREMENT: Operation.Kind
    KIND_ATTACH_PAYMENT_METHOD: Operation.Kind
    KIND_DETACH_PAYMENT_METHOD: Operation.Kind
    KIND_SET_DEFAULT_PAYMENT_METHOD: Operation.Kind
    KIND_CREATE_PLAN: Operation.Kind
    KIND_ARCHIVE_PLAN: Operation.Kind
    KIND_CREATE_SUBSCRIPTION: Operation.Kind
    KIND_CHANGE_SUBSCRIPTION: Operation.Kind
    KIND_CANCEL_SUBSCRIPTION: Operation.Kind
    KIND_REACTIVATE_SUBSCRIPTION: Operation.Kind
    KIND_CREATE_CHECKOUT: Operation.Kind
    KIND_EXPIRE_CHECKOUT: Operation.Kind
    KIND_SUBMIT_EVIDENCE: Operation.Kind
    KIND_ACCEPT_DISPUTE: Operation.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Operation.State]
        STATE_IN_FLIGHT: _ClassVar[Operation.State]
        STATE_PENDING: _ClassVar[Operation.State]
        STATE_REQUIRES_ACTION: _ClassVar[Operation.State]
        STATE_IN_DOUBT: _ClassVar[Operation.State]
        STATE_SUCCEEDED: _ClassVar[Operation.State]
        STATE_DECLINED: _ClassVar[Operation.State]
        STATE_NOT_SENT: _ClassVar[Operation.State]
        STATE_SUPERSEDED: _ClassVar[Operation.State]
    STATE_UNSPECIFIED: Operation.State
    STATE_IN_FLIGHT: Operation.State
    STATE_PENDING: Operation.State
    STATE_REQUIRES_ACTION: Operation.State
    STATE_IN_DOUBT: Operation.State
    STATE_SUCCEEDED: Operation.State
    STATE_DECLINED: Operation.State
    STATE_NOT_SENT: Operation.State
    STATE_SUPERSEDED: Operation.State
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: Operation.Kind
    state: Operation.State
    amount: _money_pb2.Money
    final: bool
    provider_operation_id: str
    failure: PaymentFailure
    attempts: int
    refund_id: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[Operation.Kind, str]] = ..., state: _Optional[_Union[Operation.State, str]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., final: _Optional[bool] = ..., provider_operation_id: _Optional[str] = ..., failure: _Optional[_Union[PaymentFailure, _Mapping]] = ..., attempts: _Optional[int] = ..., refund_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
