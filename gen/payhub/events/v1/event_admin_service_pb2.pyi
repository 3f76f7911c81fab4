import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.events.v1 import event_pb2 as _event_pb2
from payhub.events.v1 import event_stream_service_pb2 as _event_stream_service_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListStreamsRequest(_message.Message):
    __slots__ = ("tenant_id", "page_size", "page_token")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    page_size: int
    page_token: str
    def __init__(self, tenant_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStreamsResponse(_message.Message):
    __slots__ = ("streams", "next_page_token", "gateway", "head_position", "open_streams")
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    HEAD_POSITION_FIELD_NUMBER: _ClassVar[int]
    OPEN_STREAMS_FIELD_NUMBER: _ClassVar[int]
    streams: _containers.RepeatedCompositeFieldContainer[OpenStream]
    next_page_token: str
    gateway: str
    head_position: int
    open_streams: int
    def __init__(self, streams: _Optional[_Iterable[_Union[OpenStream, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., gateway: _Optional[str] = ..., head_position: _Optional[int] = ..., open_streams: _Optional[int] = ...) -> None: ...

class OpenStream(_message.Message):
    __slots__ = ("subscription_id", "client_name", "tenant_id", "key_id", "filter", "phase", "cursor", "entries_behind", "lag", "events_sent", "events_per_second", "open_time", "write_time", "max_batch_delay", "thin", "blocked")
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_BEHIND_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    EVENTS_SENT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    WRITE_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_DELAY_FIELD_NUMBER: _ClassVar[int]
    THIN_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    subscription_id: str
    client_name: str
    tenant_id: str
    key_id: str
    filter: _event_pb2.Filter
    phase: _event_stream_service_pb2.SubscribeResponse.Phase
    cursor: str
    entries_behind: int
    lag: _duration_pb2.Duration
    events_sent: int
    events_per_second: float
    open_time: _timestamp_pb2.Timestamp
    write_time: _timestamp_pb2.Timestamp
    max_batch_delay: _duration_pb2.Duration
    thin: bool
    blocked: bool
    def __init__(self, subscription_id: _Optional[str] = ..., client_name: _Optional[str] = ..., tenant_id: _Optional[str] = ..., key_id: _Optional[str] = ..., filter: _Optional[_Union[_event_pb2.Filter, _Mapping]] = ..., phase: _Optional[_Union[_event_stream_service_pb2.SubscribeResponse.Phase, str]] = ..., cursor: _Optional[str] = ..., entries_behind: _Optional[int] = ..., lag: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., events_sent: _Optional[int] = ..., events_per_second: _Optional[float] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., write_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_batch_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., thin: _Optional[bool] = ..., blocked: _Optional[bool] = ...) -> None: ...

class EraseEntityRequest(_message.Message):
    __slots__ = ("tenant_id", "entity_type", "entity_id", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    entity_type: str
    entity_id: str
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., entity_type: _Optional[str] = ..., entity_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class EraseEntityResponse(_message.Message):
    __slots__ = ("erased_events", "done", "unknown_entity")
    ERASED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_ENTITY_FIELD_NUMBER: _ClassVar[int]
    erased_events: int
    done: bool
    unknown_entity: bool
    def __init__(self, erased_events: _Optional[int] = ..., done: _Optional[bool] = ..., unknown_entity: _Optional[bool] = ...) -> None: ...
