import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.events.v1 import event_pb2 as _event_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StartPoint(_message.Message):
    __slots__ = ("after_cursor", "anchor", "from_time", "expired_policy")
    class Anchor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ANCHOR_UNSPECIFIED: _ClassVar[StartPoint.Anchor]
        ANCHOR_NEWEST: _ClassVar[StartPoint.Anchor]
        ANCHOR_OLDEST: _ClassVar[StartPoint.Anchor]
    ANCHOR_UNSPECIFIED: StartPoint.Anchor
    ANCHOR_NEWEST: StartPoint.Anchor
    ANCHOR_OLDEST: StartPoint.Anchor
    class ExpiredPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXPIRED_POLICY_UNSPECIFIED: _ClassVar[StartPoint.ExpiredPolicy]
        EXPIRED_POLICY_FAIL: _ClassVar[StartPoint.ExpiredPolicy]
        EXPIRED_POLICY_OLDEST: _ClassVar[StartPoint.ExpiredPolicy]
        EXPIRED_POLICY_NEWEST: _ClassVar[StartPoint.ExpiredPolicy]
    EXPIRED_POLICY_UNSPECIFIED: StartPoint.ExpiredPolicy
    EXPIRED_POLICY_FAIL: StartPoint.ExpiredPolicy
    EXPIRED_POLICY_OLDEST: StartPoint.ExpiredPolicy
    EXPIRED_POLICY_NEWEST: StartPoint.ExpiredPolicy
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_POLICY_FIELD_NUMBER: _ClassVar[int]
    after_cursor: str
    anchor: StartPoint.Anchor
    from_time: _timestamp_pb2.Timestamp
    expired_policy: StartPoint.ExpiredPolicy
    def __init__(self, after_cursor: _Optional[str] = ..., anchor: _Optional[_Union[StartPoint.Anchor, str]] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expired_policy: _Optional[_Union[StartPoint.ExpiredPolicy, str]] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("start", "filter", "max_batch_events", "heartbeat_interval", "stop_at_head", "client_name", "max_batch_bytes", "max_batch_delay", "checkpoint_every", "thin")
    START_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_EVENTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    STOP_AT_HEAD_FIELD_NUMBER: _ClassVar[int]
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_DELAY_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_EVERY_FIELD_NUMBER: _ClassVar[int]
    THIN_FIELD_NUMBER: _ClassVar[int]
    start: StartPoint
    filter: _event_pb2.Filter
    max_batch_events: int
    heartbeat_interval: _duration_pb2.Duration
    stop_at_head: bool
    client_name: str
    max_batch_bytes: int
    max_batch_delay: _duration_pb2.Duration
    checkpoint_every: int
    thin: bool
    def __init__(self, start: _Optional[_Union[StartPoint, _Mapping]] = ..., filter: _Optional[_Union[_event_pb2.Filter, _Mapping]] = ..., max_batch_events: _Optional[int] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stop_at_head: _Optional[bool] = ..., client_name: _Optional[str] = ..., max_batch_bytes: _Optional[int] = ..., max_batch_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., checkpoint_every: _Optional[int] = ..., thin: _Optional[bool] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("events", "cursor", "phase", "server_time", "head_position", "notice", "head_time")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[SubscribeResponse.Phase]
        PHASE_CATCHING_UP: _ClassVar[SubscribeResponse.Phase]
        PHASE_LIVE: _ClassVar[SubscribeResponse.Phase]
    PHASE_UNSPECIFIED: SubscribeResponse.Phase
    PHASE_CATCHING_UP: SubscribeResponse.Phase
    PHASE_LIVE: SubscribeResponse.Phase
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    HEAD_POSITION_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    HEAD_TIME_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    cursor: str
    phase: SubscribeResponse.Phase
    server_time: _timestamp_pb2.Timestamp
    head_position: int
    notice: Notice
    head_time: _timestamp_pb2.Timestamp
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., cursor: _Optional[str] = ..., phase: _Optional[_Union[SubscribeResponse.Phase, str]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., head_position: _Optional[int] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ..., head_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("started", "fell_behind", "closing", "skipped")
    class Started(_message.Message):
        __slots__ = ("subscription_id", "log_epoch", "heartbeat_interval", "max_stream_age", "max_batch_delay")
        SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
        LOG_EPOCH_FIELD_NUMBER: _ClassVar[int]
        HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
        MAX_STREAM_AGE_FIELD_NUMBER: _ClassVar[int]
        MAX_BATCH_DELAY_FIELD_NUMBER: _ClassVar[int]
        subscription_id: str
        log_epoch: str
        heartbeat_interval: _duration_pb2.Duration
        max_stream_age: _duration_pb2.Duration
        max_batch_delay: _duration_pb2.Duration
        def __init__(self, subscription_id: _Optional[str] = ..., log_epoch: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_stream_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_batch_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class FellBehind(_message.Message):
        __slots__ = ("entries_behind", "retention_headroom")
        ENTRIES_BEHIND_FIELD_NUMBER: _ClassVar[int]
        RETENTION_HEADROOM_FIELD_NUMBER: _ClassVar[int]
        entries_behind: int
        retention_headroom: _duration_pb2.Duration
        def __init__(self, entries_behind: _Optional[int] = ..., retention_headroom: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class Skipped(_message.Message):
        __slots__ = ("requested_cursor", "resumed_cursor")
        REQUESTED_CURSOR_FIELD_NUMBER: _ClassVar[int]
        RESUMED_CURSOR_FIELD_NUMBER: _ClassVar[int]
        requested_cursor: str
        resumed_cursor: str
        def __init__(self, requested_cursor: _Optional[str] = ..., resumed_cursor: _Optional[str] = ...) -> None: ...
    class Closing(_message.Message):
        __slots__ = ("reason", "reconnect_after")
        class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            REASON_UNSPECIFIED: _ClassVar[Notice.Closing.Reason]
            REASON_DRAINING: _ClassVar[Notice.Closing.Reason]
            REASON_MAX_AGE: _ClassVar[Notice.Closing.Reason]
            REASON_AUTH_EXPIRED: _ClassVar[Notice.Closing.Reason]
            REASON_END_REACHED: _ClassVar[Notice.Closing.Reason]
            REASON_STALLED: _ClassVar[Notice.Closing.Reason]
        REASON_UNSPECIFIED: Notice.Closing.Reason
        REASON_DRAINING: Notice.Closing.Reason
        REASON_MAX_AGE: Notice.Closing.Reason
        REASON_AUTH_EXPIRED: Notice.Closing.Reason
        REASON_END_REACHED: Notice.Closing.Reason
        REASON_STALLED: Notice.Closing.Reason
        REASON_FIELD_NUMBER: _ClassVar[int]
        RECONNECT_AFTER_FIELD_NUMBER: _ClassVar[int]
        reason: Notice.Closing.Reason
        reconnect_after: _duration_pb2.Duration
        def __init__(self, reason: _Optional[_Union[Notice.Closing.Reason, str]] = ..., reconnect_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FELL_BEHIND_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    started: Notice.Started
    fell_behind: Notice.FellBehind
    closing: Notice.Closing
    skipped: Notice.Skipped
    def __init__(self, started: _Optional[_Union[Notice.Started, _Mapping]] = ..., fell_behind: _Optional[_Union[Notice.FellBehind, _Mapping]] = ..., closing: _Optional[_Union[Notice.Closing, _Mapping]] = ..., skipped: _Optional[_Union[Notice.Skipped, _Mapping]] = ...) -> None: ...

class QueryEventsRequest(_message.Message):
    __slots__ = ("filter", "after_cursor", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: _event_pb2.Filter
    after_cursor: str
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[_event_pb2.Filter, _Mapping]] = ..., after_cursor: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class QueryEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token", "cursor")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    next_page_token: str
    cursor: str
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., cursor: _Optional[str] = ...) -> None: ...

class GetEventRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetEventResponse(_message.Message):
    __slots__ = ("event", "cursor")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    cursor: str
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class GetLogInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLogInfoResponse(_message.Message):
    __slots__ = ("log_epoch", "oldest_cursor", "head_cursor", "head_position", "head_append_time", "oldest_append_time", "kept_events", "kept_bytes", "retention", "dedup_horizon", "payments_head")
    LOG_EPOCH_FIELD_NUMBER: _ClassVar[int]
    OLDEST_CURSOR_FIELD_NUMBER: _ClassVar[int]
    HEAD_CURSOR_FIELD_NUMBER: _ClassVar[int]
    HEAD_POSITION_FIELD_NUMBER: _ClassVar[int]
    HEAD_APPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    OLDEST_APPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    KEPT_EVENTS_FIELD_NUMBER: _ClassVar[int]
    KEPT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    DEDUP_HORIZON_FIELD_NUMBER: _ClassVar[int]
    PAYMENTS_HEAD_FIELD_NUMBER: _ClassVar[int]
    log_epoch: str
    oldest_cursor: str
    head_cursor: str
    head_position: int
    head_append_time: _timestamp_pb2.Timestamp
    oldest_append_time: _timestamp_pb2.Timestamp
    kept_events: int
    kept_bytes: int
    retention: _duration_pb2.Duration
    dedup_horizon: _duration_pb2.Duration
    payments_head: PaymentsHead
    def __init__(self, log_epoch: _Optional[str] = ..., oldest_cursor: _Optional[str] = ..., head_cursor: _Optional[str] = ..., head_position: _Optional[int] = ..., head_append_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., oldest_append_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kept_events: _Optional[int] = ..., kept_bytes: _Optional[int] = ..., retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dedup_horizon: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., payments_head: _Optional[_Union[PaymentsHead, _Mapping]] = ...) -> None: ...

class PaymentsHead(_message.Message):
    __slots__ = ("log_epoch", "position", "event_id")
    LOG_EPOCH_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    log_epoch: str
    position: int
    event_id: str
    def __init__(self, log_epoch: _Optional[str] = ..., position: _Optional[int] = ..., event_id: _Optional[str] = ...) -> None: ...
