import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.provider.v1 import operation_pb2 as _operation_pb2
from payhub.provider.v1 import provider_object_pb2 as _provider_object_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Authenticity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTHENTICITY_UNSPECIFIED: _ClassVar[Authenticity]
    AUTHENTICITY_AUTHENTIC: _ClassVar[Authenticity]
    AUTHENTICITY_FAILED: _ClassVar[Authenticity]
    AUTHENTICITY_MALFORMED: _ClassVar[Authenticity]
AUTHENTICITY_UNSPECIFIED: Authenticity
AUTHENTICITY_AUTHENTIC: Authenticity
AUTHENTICITY_FAILED: Authenticity
AUTHENTICITY_MALFORMED: Authenticity

class ParseWebhookRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: WebhookRequest
    def __init__(self, request: _Optional[_Union[WebhookRequest, _Mapping]] = ...) -> None: ...

class ParseWebhookResponse(_message.Message):
    __slots__ = ("provider_account_id", "provider_event_id", "event_type")
    PROVIDER_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    provider_account_id: str
    provider_event_id: str
    event_type: str
    def __init__(self, provider_account_id: _Optional[str] = ..., provider_event_id: _Optional[str] = ..., event_type: _Optional[str] = ...) -> None: ...

class VerifyWebhookRequest(_message.Message):
    __slots__ = ("binding_id", "request", "tolerance")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    request: WebhookRequest
    tolerance: _duration_pb2.Duration
    def __init__(self, binding_id: _Optional[str] = ..., request: _Optional[_Union[WebhookRequest, _Mapping]] = ..., tolerance: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class VerifyWebhookResponse(_message.Message):
    __slots__ = ("authenticity", "provider_event_id", "event_type", "event_time", "operations", "objects", "refetch", "detail", "irrelevant", "notices")
    AUTHENTICITY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    REFETCH_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    IRRELEVANT_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    authenticity: Authenticity
    provider_event_id: str
    event_type: str
    event_time: _timestamp_pb2.Timestamp
    operations: _containers.RepeatedCompositeFieldContainer[_operation_pb2.Operation]
    objects: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    refetch: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ObjectReference]
    detail: str
    irrelevant: bool
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, authenticity: _Optional[_Union[Authenticity, str]] = ..., provider_event_id: _Optional[str] = ..., event_type: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., operations: _Optional[_Iterable[_Union[_operation_pb2.Operation, _Mapping]]] = ..., objects: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ..., refetch: _Optional[_Iterable[_Union[_provider_object_pb2.ObjectReference, _Mapping]]] = ..., detail: _Optional[str] = ..., irrelevant: _Optional[bool] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class FetchObjectRequest(_message.Message):
    __slots__ = ("binding_id", "reference")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    reference: _provider_object_pb2.ObjectReference
    def __init__(self, binding_id: _Optional[str] = ..., reference: _Optional[_Union[_provider_object_pb2.ObjectReference, _Mapping]] = ...) -> None: ...

class FetchObjectResponse(_message.Message):
    __slots__ = ("object", "related")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    RELATED_FIELD_NUMBER: _ClassVar[int]
    object: _provider_object_pb2.ProviderObject
    related: _containers.RepeatedCompositeFieldContainer[_provider_object_pb2.ProviderObject]
    def __init__(self, object: _Optional[_Union[_provider_object_pb2.ProviderObject, _Mapping]] = ..., related: _Optional[_Iterable[_Union[_provider_object_pb2.ProviderObject, _Mapping]]] = ...) -> None: ...

class WebhookRequest(_message.Message):
    __slots__ = ("headers", "body", "receive_time")
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    headers: _containers.RepeatedCompositeFieldContainer[HttpHeader]
    body: bytes
    receive_time: _timestamp_pb2.Timestamp
    def __init__(self, headers: _Optional[_Iterable[_Union[HttpHeader, _Mapping]]] = ..., body: _Optional[bytes] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HttpHeader(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
