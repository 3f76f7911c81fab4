import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InboundWebhook(_message.Message):
    __slots__ = ("id", "provider", "binding_id", "tenant_id", "state", "event_type", "provider_event_id", "receive_time", "update_time", "attempts", "next_attempt_time", "detail", "body_bytes", "http_status", "entity_ids")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[InboundWebhook.State]
        STATE_RECEIVED: _ClassVar[InboundWebhook.State]
        STATE_APPLIED: _ClassVar[InboundWebhook.State]
        STATE_DUPLICATE: _ClassVar[InboundWebhook.State]
        STATE_IGNORED: _ClassVar[InboundWebhook.State]
        STATE_REJECTED: _ClassVar[InboundWebhook.State]
        STATE_PARKED: _ClassVar[InboundWebhook.State]
        STATE_FAILED: _ClassVar[InboundWebhook.State]
    STATE_UNSPECIFIED: InboundWebhook.State
    STATE_RECEIVED: InboundWebhook.State
    STATE_APPLIED: InboundWebhook.State
    STATE_DUPLICATE: InboundWebhook.State
    STATE_IGNORED: InboundWebhook.State
    STATE_REJECTED: InboundWebhook.State
    STATE_PARKED: InboundWebhook.State
    STATE_FAILED: InboundWebhook.State
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    binding_id: str
    tenant_id: str
    state: InboundWebhook.State
    event_type: str
    provider_event_id: str
    receive_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    attempts: int
    next_attempt_time: _timestamp_pb2.Timestamp
    detail: str
    body_bytes: int
    http_status: int
    entity_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., binding_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., state: _Optional[_Union[InboundWebhook.State, str]] = ..., event_type: _Optional[str] = ..., provider_event_id: _Optional[str] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., detail: _Optional[str] = ..., body_bytes: _Optional[int] = ..., http_status: _Optional[int] = ..., entity_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListInboundWebhooksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider", "tenant_id", "state", "provider_event_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: str
    tenant_id: str
    state: InboundWebhook.State
    provider_event_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[str] = ..., tenant_id: _Optional[str] = ..., state: _Optional[_Union[InboundWebhook.State, str]] = ..., provider_event_id: _Optional[str] = ...) -> None: ...

class ListInboundWebhooksResponse(_message.Message):
    __slots__ = ("webhooks", "next_page_token")
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[InboundWebhook]
    next_page_token: str
    def __init__(self, webhooks: _Optional[_Iterable[_Union[InboundWebhook, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetInboundWebhookRequest(_message.Message):
    __slots__ = ("webhook_id",)
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    webhook_id: str
    def __init__(self, webhook_id: _Optional[str] = ...) -> None: ...

class GetInboundWebhookResponse(_message.Message):
    __slots__ = ("webhook", "body", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    webhook: InboundWebhook
    body: bytes
    headers: _containers.ScalarMap[str, str]
    def __init__(self, webhook: _Optional[_Union[InboundWebhook, _Mapping]] = ..., body: _Optional[bytes] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReplayInboundWebhookRequest(_message.Message):
    __slots__ = ("webhook_id",)
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    webhook_id: str
    def __init__(self, webhook_id: _Optional[str] = ...) -> None: ...

class ReplayInboundWebhookResponse(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: InboundWebhook
    def __init__(self, webhook: _Optional[_Union[InboundWebhook, _Mapping]] = ...) -> None: ...
