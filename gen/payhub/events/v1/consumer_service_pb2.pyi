import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.events.v1 import consumer_pb2 as _consumer_pb2
from payhub.events.v1 import event_pb2 as _event_pb2
from payhub.events.v1 import event_stream_service_pb2 as _event_stream_service_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateConsumerRequest(_message.Message):
    __slots__ = ("consumer",)
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    consumer: _consumer_pb2.Consumer
    def __init__(self, consumer: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ...) -> None: ...

class CreateConsumerResponse(_message.Message):
    __slots__ = ("consumer",)
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    consumer: _consumer_pb2.Consumer
    def __init__(self, consumer: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ...) -> None: ...

class GetConsumerRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetConsumerResponse(_message.Message):
    __slots__ = ("consumer", "status")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    consumer: _consumer_pb2.Consumer
    status: _consumer_pb2.ConsumerStatus
    def __init__(self, consumer: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ..., status: _Optional[_Union[_consumer_pb2.ConsumerStatus, _Mapping]] = ...) -> None: ...

class ListConsumersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListConsumersResponse(_message.Message):
    __slots__ = ("consumers", "next_page_token")
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    consumers: _containers.RepeatedCompositeFieldContainer[GetConsumerResponse]
    next_page_token: str
    def __init__(self, consumers: _Optional[_Iterable[_Union[GetConsumerResponse, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateConsumerRequest(_message.Message):
    __slots__ = ("consumer", "update_mask")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    consumer: _consumer_pb2.Consumer
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, consumer: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateConsumerResponse(_message.Message):
    __slots__ = ("consumer",)
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    consumer: _consumer_pb2.Consumer
    def __init__(self, consumer: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ...) -> None: ...

class DeleteConsumerRequest(_message.Message):
    __slots__ = ("name", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteConsumerResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("join", "credit", "settlement")
    class Join(_message.Message):
        __slots__ = ("consumer", "member", "credit", "max_batch_events", "heartbeat_interval")
        CONSUMER_FIELD_NUMBER: _ClassVar[int]
        MEMBER_FIELD_NUMBER: _ClassVar[int]
        CREDIT_FIELD_NUMBER: _ClassVar[int]
        MAX_BATCH_EVENTS_FIELD_NUMBER: _ClassVar[int]
        HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
        consumer: str
        member: str
        credit: int
        max_batch_events: int
        heartbeat_interval: _duration_pb2.Duration
        def __init__(self, consumer: _Optional[str] = ..., member: _Optional[str] = ..., credit: _Optional[int] = ..., max_batch_events: _Optional[int] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class Credit(_message.Message):
        __slots__ = ("events",)
        EVENTS_FIELD_NUMBER: _ClassVar[int]
        events: int
        def __init__(self, events: _Optional[int] = ...) -> None: ...
    JOIN_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_FIELD_NUMBER: _ClassVar[int]
    join: ConsumeRequest.Join
    credit: ConsumeRequest.Credit
    settlement: _consumer_pb2.Settlement
    def __init__(self, join: _Optional[_Union[ConsumeRequest.Join, _Mapping]] = ..., credit: _Optional[_Union[ConsumeRequest.Credit, _Mapping]] = ..., settlement: _Optional[_Union[_consumer_pb2.Settlement, _Mapping]] = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("deliveries", "failures", "settled_through", "remaining_credit", "closing", "heartbeat_interval", "server_time")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    REMAINING_CREDIT_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[_consumer_pb2.Delivery]
    failures: _containers.RepeatedCompositeFieldContainer[_consumer_pb2.SettlementFailure]
    settled_through: int
    remaining_credit: int
    closing: bool
    heartbeat_interval: _duration_pb2.Duration
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, deliveries: _Optional[_Iterable[_Union[_consumer_pb2.Delivery, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[_consumer_pb2.SettlementFailure, _Mapping]]] = ..., settled_through: _Optional[int] = ..., remaining_credit: _Optional[int] = ..., closing: _Optional[bool] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("consumer", "member", "max_events", "wait")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    member: str
    max_events: int
    wait: _duration_pb2.Duration
    def __init__(self, consumer: _Optional[str] = ..., member: _Optional[str] = ..., max_events: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("deliveries",)
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[_consumer_pb2.Delivery]
    def __init__(self, deliveries: _Optional[_Iterable[_Union[_consumer_pb2.Delivery, _Mapping]]] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("consumer", "settlements")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    settlements: _containers.RepeatedCompositeFieldContainer[_consumer_pb2.Settlement]
    def __init__(self, consumer: _Optional[str] = ..., settlements: _Optional[_Iterable[_Union[_consumer_pb2.Settlement, _Mapping]]] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("failures",)
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    failures: _containers.RepeatedCompositeFieldContainer[_consumer_pb2.SettlementFailure]
    def __init__(self, failures: _Optional[_Iterable[_Union[_consumer_pb2.SettlementFailure, _Mapping]]] = ...) -> None: ...

class SeekConsumerRequest(_message.Message):
    __slots__ = ("name", "target", "discard_parked", "dry_run", "idempotency_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DISCARD_PARKED_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: _event_stream_service_pb2.StartPoint
    discard_parked: bool
    dry_run: bool
    idempotency_key: str
    def __init__(self, name: _Optional[str] = ..., target: _Optional[_Union[_event_stream_service_pb2.StartPoint, _Mapping]] = ..., discard_parked: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SeekConsumerResponse(_message.Message):
    __slots__ = ("previous_cursor", "cursor", "backlog")
    PREVIOUS_CURSOR_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    previous_cursor: str
    cursor: str
    backlog: int
    def __init__(self, previous_cursor: _Optional[str] = ..., cursor: _Optional[str] = ..., backlog: _Optional[int] = ...) -> None: ...

class ListParkedEventsRequest(_message.Message):
    __slots__ = ("consumer", "filter", "page_size", "page_token")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    filter: _event_pb2.Filter
    page_size: int
    page_token: str
    def __init__(self, consumer: _Optional[str] = ..., filter: _Optional[_Union[_event_pb2.Filter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListParkedEventsResponse(_message.Message):
    __slots__ = ("parked_events", "next_page_token")
    PARKED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parked_events: _containers.RepeatedCompositeFieldContainer[_consumer_pb2.ParkedEvent]
    next_page_token: str
    def __init__(self, parked_events: _Optional[_Iterable[_Union[_consumer_pb2.ParkedEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResolveParkedEventsRequest(_message.Message):
    __slots__ = ("consumer", "positions", "all", "resolution")
    class Resolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RESOLUTION_UNSPECIFIED: _ClassVar[ResolveParkedEventsRequest.Resolution]
        RESOLUTION_RETRY: _ClassVar[ResolveParkedEventsRequest.Resolution]
        RESOLUTION_DISCARD: _ClassVar[ResolveParkedEventsRequest.Resolution]
    RESOLUTION_UNSPECIFIED: ResolveParkedEventsRequest.Resolution
    RESOLUTION_RETRY: ResolveParkedEventsRequest.Resolution
    RESOLUTION_DISCARD: ResolveParkedEventsRequest.Resolution
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    positions: _containers.RepeatedScalarFieldContainer[int]
    all: bool
    resolution: ResolveParkedEventsRequest.Resolution
    def __init__(self, consumer: _Optional[str] = ..., positions: _Optional[_Iterable[int]] = ..., all: _Optional[bool] = ..., resolution: _Optional[_Union[ResolveParkedEventsRequest.Resolution, str]] = ...) -> None: ...

class ResolveParkedEventsResponse(_message.Message):
    __slots__ = ("resolved", "released", "remaining")
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    resolved: int
    released: int
    remaining: bool
    def __init__(self, resolved: _Optional[int] = ..., released: _Optional[int] = ..., remaining: _Optional[bool] = ...) -> None: ...
