import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("id", "type", "type_version", "source", "tenant_id", "entity_type", "entity_id", "entity_version", "occur_time", "append_time", "position", "content_type", "data_schema", "data", "user_id", "cause", "redacted", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TYPE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_VERSION_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REDACTED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    type_version: int
    source: str
    tenant_id: str
    entity_type: str
    entity_id: str
    entity_version: int
    occur_time: _timestamp_pb2.Timestamp
    append_time: _timestamp_pb2.Timestamp
    position: int
    content_type: str
    data_schema: str
    data: bytes
    user_id: str
    cause: Cause
    redacted: bool
    labels: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., type_version: _Optional[int] = ..., source: _Optional[str] = ..., tenant_id: _Optional[str] = ..., entity_type: _Optional[str] = ..., entity_id: _Optional[str] = ..., entity_version: _Optional[int] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., append_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., position: _Optional[int] = ..., content_type: _Optional[str] = ..., data_schema: _Optional[str] = ..., data: _Optional[bytes] = ..., user_id: _Optional[str] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ..., redacted: _Optional[bool] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Cause(_message.Message):
    __slots__ = ("correlation_id", "causation_id", "idempotency_key", "actor")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    causation_id: str
    idempotency_key: str
    actor: str
    def __init__(self, correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("types", "tenant_ids", "entity_types", "entity_ids")
    TYPES_FIELD_NUMBER: _ClassVar[int]
    TENANT_IDS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TYPES_FIELD_NUMBER: _ClassVar[int]
    ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedScalarFieldContainer[str]
    tenant_ids: _containers.RepeatedScalarFieldContainer[str]
    entity_types: _containers.RepeatedScalarFieldContainer[str]
    entity_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, types: _Optional[_Iterable[str]] = ..., tenant_ids: _Optional[_Iterable[str]] = ..., entity_types: _Optional[_Iterable[str]] = ..., entity_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class CursorExpired(_message.Message):
    __slots__ = ("requested_cursor", "oldest_cursor", "oldest_append_time")
    REQUESTED_CURSOR_FIELD_NUMBER: _ClassVar[int]
    OLDEST_CURSOR_FIELD_NUMBER: _ClassVar[int]
    OLDEST_APPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    requested_cursor: str
    oldest_cursor: str
    oldest_append_time: _timestamp_pb2.Timestamp
    def __init__(self, requested_cursor: _Optional[str] = ..., oldest_cursor: _Optional[str] = ..., oldest_append_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
