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

class SubmitEvidenceRequest(_message.Message):
    __slots__ = ("context", "provider_dispute_id", "evidence")
    class EvidenceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_DISPUTE_ID_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_dispute_id: str
    evidence: _containers.ScalarMap[str, str]
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_dispute_id: _Optional[str] = ..., evidence: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SubmitEvidenceResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class AcceptDisputeRequest(_message.Message):
    __slots__ = ("context", "provider_dispute_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_DISPUTE_ID_FIELD_NUMBER: _ClassVar[int]
    context: _operation_pb2.OperationContext
    provider_dispute_id: str
    def __init__(self, context: _Optional[_Union[_operation_pb2.OperationContext, _Mapping]] = ..., provider_dispute_id: _Optional[str] = ...) -> None: ...

class AcceptDisputeResponse(_message.Message):
    __slots__ = ("operation", "objects")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...
