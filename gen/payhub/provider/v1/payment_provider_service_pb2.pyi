import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.provider.v1 import operation_pb2 as _operation_pb2
from payhub.provider.v1 import provider_object_pb2 as _provider_object_pb2
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

class AuthorizePaymentRequest(_message.Message):
    __slots__ = ("context", "amount", "payment_method", "capture_method", "return_url", "payment_id", "provider_customer_id", "description", "off_session", "save_payment_method", "previous_provider_payment_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_METHOD_FIELD_NUMBER: _ClassVar[int]
    RETURN_URL_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OFF_SESSION_FIELD_NUMBER: _ClassVar[int]
    SAVE_PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    amount: _money_pb2.Money
    payment_method: str
    capture_method: CaptureMethod
    return_url: str
    payment_id: str
    provider_customer_id: str
    description: str
    off_session: bool
    save_payment_method: bool
    previous_provider_payment_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., payment_method: _Optional[str] = ..., capture_method: _Optional[_Union[CaptureMethod, str]] = ..., return_url: _Optional[str] = ..., payment_id: _Optional[str] = ..., provider_customer_id: _Optional[str] = ..., description: _Optional[str] = ..., off_session: _Optional[bool] = ..., save_payment_method: _Optional[bool] = ..., previous_provider_payment_id: _Optional[str] = ...) -> None: ...

class AuthorizePaymentResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class CapturePaymentRequest(_message.Message):
    __slots__ = ("context", "provider_payment_id", "amount", "final")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_payment_id: str
    amount: _money_pb2.Money
    final: bool
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_payment_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., final: _Optional[bool] = ...) -> None: ...

class CapturePaymentResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class VoidPaymentRequest(_message.Message):
    __slots__ = ("context", "provider_payment_id", "target_operation_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_payment_id: str
    target_operation_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_payment_id: _Optional[str] = ..., target_operation_id: _Optional[str] = ...) -> None: ...

class VoidPaymentResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class IncrementAuthorizationRequest(_message.Message):
    __slots__ = ("context", "provider_payment_id", "amount", "total")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_payment_id: str
    amount: _money_pb2.Money
    total: _money_pb2.Money
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_payment_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., total: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class IncrementAuthorizationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class RefundPaymentRequest(_message.Message):
    __slots__ = ("context", "provider_payment_id", "amount", "reason")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_payment_id: str
    amount: _money_pb2.Money
    reason: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_payment_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class RefundPaymentResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class CustomerDetails(_message.Message):
    __slots__ = ("customer_id", "name", "email", "phone")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PHONE_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    name: str
    email: str
    phone: str
    def __init__(self, customer_id: _Optional[str] = ..., name: _Optional[str] = ..., email: _Optional[str] = ..., phone: _Optional[str] = ...) -> None: ...

class CreateCustomerRequest(_message.Message):
    __slots__ = ("context", "details")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    details: CustomerDetails
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., details: _Optional[_Union[CustomerDetails, _Mapping]] = ...) -> None: ...

class CreateCustomerResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class UpdateCustomerRequest(_message.Message):
    __slots__ = ("context", "provider_customer_id", "details")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_customer_id: str
    details: CustomerDetails
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_customer_id: _Optional[str] = ..., details: _Optional[_Union[CustomerDetails, _Mapping]] = ...) -> None: ...

class UpdateCustomerResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("binding_id", "operation_id", "hints")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    operation_id: str
    hints: OperationHints
    def __init__(self, binding_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., hints: _Optional[_Union[OperationHints, _Mapping]] = ...) -> None: ...

class OperationHints(_message.Message):
    __slots__ = ("provider_object_id", "method", "create_time", "not_after", "provider_customer_id")
    PROVIDER_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_object_id: str
    method: str
    create_time: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    provider_customer_id: str
    def __init__(self, provider_object_id: _Optional[str] = ..., method: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provider_customer_id: _Optional[str] = ...) -> None: ...

class GetOperationResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...
