import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.provider.v1 import operation_pb2 as _operation_pb2
from payhub.provider.v1 import provider_object_pb2 as _provider_object_pb2
from payhub.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateCheckoutRequest(_message.Message):
    __slots__ = ("context", "checkout_id", "provider_customer_id", "amount", "provider_price_id", "quantity", "trial_days", "success_url", "cancel_url", "expire_time", "description", "embedded")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TRIAL_DAYS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_URL_FIELD_NUMBER: _ClassVar[int]
    CANCEL_URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    checkout_id: str
    provider_customer_id: str
    amount: _money_pb2.Money
    provider_price_id: str
    quantity: int
    trial_days: int
    success_url: str
    cancel_url: str
    expire_time: _timestamp_pb2.Timestamp
    description: str
    embedded: bool
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., checkout_id: _Optional[str] = ..., provider_customer_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., provider_price_id: _Optional[str] = ..., quantity: _Optional[int] = ..., trial_days: _Optional[int] = ..., success_url: _Optional[str] = ..., cancel_url: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., description: _Optional[str] = ..., embedded: _Optional[bool] = ...) -> None: ...

class CreateCheckoutResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class ExpireCheckoutRequest(_message.Message):
    __slots__ = ("context", "provider_checkout_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CHECKOUT_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_checkout_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_checkout_id: _Optional[str] = ...) -> None: ...

class ExpireCheckoutResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...
