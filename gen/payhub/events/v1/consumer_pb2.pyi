import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.events.v1 import event_pb2 as _event_pb2
from payhub.events.v1 import event_stream_service_pb2 as _event_stream_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Consumer(_message.Message):
    __slots__ = ("name", "filter", "start", "ordering", "ack_timeout", "max_deliveries", "retry_backoff", "max_outstanding", "park_scope", "paused", "idle_expiry", "etag", "create_time")
    class Ordering(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORDERING_UNSPECIFIED: _ClassVar[Consumer.Ordering]
        ORDERING_PER_ENTITY: _ClassVar[Consumer.Ordering]
        ORDERING_NONE: _ClassVar[Consumer.Ordering]
        ORDERING_TOTAL: _ClassVar[Consumer.Ordering]
    ORDERING_UNSPECIFIED: Consumer.Ordering
    ORDERING_PER_ENTITY: Consumer.Ordering
    ORDERING_NONE: Consumer.Ordering
    ORDERING_TOTAL: Consumer.Ordering
    class ParkScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PARK_SCOPE_UNSPECIFIED: _ClassVar[Consumer.ParkScope]
        PARK_SCOPE_ENTITY: _ClassVar[Consumer.ParkScope]
        PARK_SCOPE_EVENT: _ClassVar[Consumer.ParkScope]
        PARK_SCOPE_CONSUMER: _ClassVar[Consumer.ParkScope]
    PARK_SCOPE_UNSPECIFIED: Consumer.ParkScope
    PARK_SCOPE_ENTITY: Consumer.ParkScope
    PARK_SCOPE_EVENT: Consumer.ParkScope
    PARK_SCOPE_CONSUMER: Consumer.ParkScope
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    ACK_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    PARK_SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    IDLE_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    filter: _event_pb2.Filter
    start: _event_stream_service_pb2.StartPoint
    ordering: Consumer.Ordering
    ack_timeout: _duration_pb2.Duration
    max_deliveries: int
    retry_backoff: _containers.RepeatedCompositeFieldContainer[_duration_pb2.Duration]
    max_outstanding: int
    park_scope: Consumer.ParkScope
    paused: bool
    idle_expiry: _duration_pb2.Duration
    etag: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., filter: _Optional[_Union[_event_pb2.Filter, _Mapping]] = ..., start: _Optional[_Union[_event_stream_service_pb2.StartPoint, _Mapping]] = ..., ordering: _Optional[_Union[Consumer.Ordering, str]] = ..., ack_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_deliveries: _Optional[int] = ..., retry_backoff: _Optional[_Iterable[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]]] = ..., max_outstanding: _Optional[int] = ..., park_scope: _Optional[_Union[Consumer.ParkScope, str]] = ..., paused: _Optional[bool] = ..., idle_expiry: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ConsumerStatus(_message.Message):
    __slots__ = ("ack_floor_cursor", "backlog", "backlog_estimated", "oldest_unsettled_age", "outstanding", "retrying", "parked", "members", "owner", "retention_headroom", "skipped_entries")
    ACK_FLOOR_CURSOR_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNSETTLED_AGE_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    RETRYING_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    RETENTION_HEADROOM_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ack_floor_cursor: str
    backlog: int
    backlog_estimated: bool
    oldest_unsettled_age: _duration_pb2.Duration
    outstanding: int
    retrying: int
    parked: int
    members: int
    owner: str
    retention_headroom: _duration_pb2.Duration
    skipped_entries: int
    def __init__(self, ack_floor_cursor: _Optional[str] = ..., backlog: _Optional[int] = ..., backlog_estimated: _Optional[bool] = ..., oldest_unsettled_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., outstanding: _Optional[int] = ..., retrying: _Optional[int] = ..., parked: _Optional[int] = ..., members: _Optional[int] = ..., owner: _Optional[str] = ..., retention_headroom: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., skipped_entries: _Optional[int] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("event", "lease", "attempt", "deadline", "last_reason")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    LAST_REASON_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    lease: str
    attempt: int
    deadline: _timestamp_pb2.Timestamp
    last_reason: str
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., lease: _Optional[str] = ..., attempt: _Optional[int] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_reason: _Optional[str] = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("number", "leases", "verdict", "delay", "reason")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[Settlement.Verdict]
        VERDICT_ACK: _ClassVar[Settlement.Verdict]
        VERDICT_REJECT: _ClassVar[Settlement.Verdict]
        VERDICT_PARK: _ClassVar[Settlement.Verdict]
        VERDICT_EXTEND: _ClassVar[Settlement.Verdict]
        VERDICT_RELEASE: _ClassVar[Settlement.Verdict]
    VERDICT_UNSPECIFIED: Settlement.Verdict
    VERDICT_ACK: Settlement.Verdict
    VERDICT_REJECT: Settlement.Verdict
    VERDICT_PARK: Settlement.Verdict
    VERDICT_EXTEND: Settlement.Verdict
    VERDICT_RELEASE: Settlement.Verdict
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    leases: _containers.RepeatedScalarFieldContainer[str]
    verdict: Settlement.Verdict
    delay: _duration_pb2.Duration
    reason: str
    def __init__(self, number: _Optional[int] = ..., leases: _Optional[_Iterable[str]] = ..., verdict: _Optional[_Union[Settlement.Verdict, str]] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class SettlementFailure(_message.Message):
    __slots__ = ("lease", "reason")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[SettlementFailure.Reason]
        REASON_LEASE_EXPIRED: _ClassVar[SettlementFailure.Reason]
        REASON_CONFLICT: _ClassVar[SettlementFailure.Reason]
        REASON_UNKNOWN: _ClassVar[SettlementFailure.Reason]
    REASON_UNSPECIFIED: SettlementFailure.Reason
    REASON_LEASE_EXPIRED: SettlementFailure.Reason
    REASON_CONFLICT: SettlementFailure.Reason
    REASON_UNKNOWN: SettlementFailure.Reason
    LEASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    lease: str
    reason: SettlementFailure.Reason
    def __init__(self, lease: _Optional[str] = ..., reason: _Optional[_Union[SettlementFailure.Reason, str]] = ...) -> None: ...

class ParkedEvent(_message.Message):
    __slots__ = ("event", "reason", "attempts", "park_time", "blocked", "position", "skipped_entries")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PARK_TIME_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    reason: str
    attempts: int
    park_time: _timestamp_pb2.Timestamp
    blocked: bool
    position: int
    skipped_entries: int
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., reason: _Optional[str] = ..., attempts: _Optional[int] = ..., park_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., blocked: _Optional[bool] = ..., position: _Optional[int] = ..., skipped_entries: _Optional[int] = ...) -> None: ...
