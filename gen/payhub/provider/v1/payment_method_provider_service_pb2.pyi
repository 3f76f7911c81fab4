from buf.validate import validate_pb2 as _validate_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.provider.v1 import operation_pb2 as _operation_pb2
from payhub.provider.v1 import provider_object_pb2 as _provider_object_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttachPaymentMethodRequest(_message.Message):
    __slots__ = ("context", "payment_method_id", "token", "provider_customer_id", "set_default")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    SET_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    payment_method_id: str
    token: str
    provider_customer_id: str
    set_default: bool
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., payment_method_id: _Optional[str] = ..., token: _Optional[str] = ..., provider_customer_id: _Optional[str] = ..., set_default: _Optional[bool] = ...) -> None: ...

class AttachPaymentMethodResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class DetachPaymentMethodRequest(_message.Message):
    __slots__ = ("context", "provider_payment_method_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_payment_method_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_payment_method_id: _Optional[str] = ...) -> None: ...

class DetachPaymentMethodResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class SetDefaultPaymentMethodRequest(_message.Message):
    __slots__ = ("context", "provider_payment_method_id", "provider_customer_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_payment_method_id: str
    provider_customer_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_payment_method_id: _Optional[str] = ..., provider_customer_id: _Optional[str] = ...) -> None: ...

class SetDefaultPaymentMethodResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...
