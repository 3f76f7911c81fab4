from buf.validate import validate_pb2 as _validate_pb2
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

class Proration(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRORATION_UNSPECIFIED: _ClassVar[Proration]
    PRORATION_NEXT_INVOICE: _ClassVar[Proration]
    PRORATION_NOW: _ClassVar[Proration]
    PRORATION_NONE: _ClassVar[Proration]
PRORATION_UNSPECIFIED: Proration
PRORATION_NEXT_INVOICE: Proration
PRORATION_NOW: Proration
PRORATION_NONE: Proration

class CreatePlanRequest(_message.Message):
    __slots__ = ("context", "plan_id", "name", "amount", "interval", "interval_count")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    plan_id: str
    name: str
    amount: _money_pb2.Money
    interval: _provider_object_pb2.BillingInterval
    interval_count: int
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., plan_id: _Optional[str] = ..., name: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., interval: _Optional[_Union[_provider_object_pb2.BillingInterval, str]] = ..., interval_count: _Optional[int] = ...) -> None: ...

class CreatePlanResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class ArchivePlanRequest(_message.Message):
    __slots__ = ("context", "provider_price_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_price_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_price_id: _Optional[str] = ...) -> None: ...

class ArchivePlanResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class CreateSubscriptionRequest(_message.Message):
    __slots__ = ("context", "subscription_id", "provider_customer_id", "provider_price_id", "quantity", "trial_days", "provider_payment_method_id", "amount")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TRIAL_DAYS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    subscription_id: str
    provider_customer_id: str
    provider_price_id: str
    quantity: int
    trial_days: int
    provider_payment_method_id: str
    amount: _money_pb2.Money
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., subscription_id: _Optional[str] = ..., provider_customer_id: _Optional[str] = ..., provider_price_id: _Optional[str] = ..., quantity: _Optional[int] = ..., trial_days: _Optional[int] = ..., provider_payment_method_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class CreateSubscriptionResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class ChangeSubscriptionRequest(_message.Message):
    __slots__ = ("context", "provider_subscription_id", "provider_price_id", "quantity", "proration")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRORATION_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_subscription_id: str
    provider_price_id: str
    quantity: int
    proration: Proration
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_subscription_id: _Optional[str] = ..., provider_price_id: _Optional[str] = ..., quantity: _Optional[int] = ..., proration: _Optional[_Union[Proration, str]] = ...) -> None: ...

class ChangeSubscriptionResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class CancelSubscriptionRequest(_message.Message):
    __slots__ = ("context", "provider_subscription_id", "at_period_end")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    AT_PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_subscription_id: str
    at_period_end: bool
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_subscription_id: _Optional[str] = ..., at_period_end: _Optional[bool] = ...) -> None: ...

class CancelSubscriptionResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class ReactivateSubscriptionRequest(_message.Message):
    __slots__ = ("context", "provider_subscription_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_subscription_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_subscription_id: _Optional[str] = ...) -> None: ...

class ReactivateSubscriptionResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...
