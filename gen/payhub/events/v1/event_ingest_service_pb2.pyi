import datetime

from buf.validate import validate_pb2 as _validate_pb2
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

class PublishEventsRequest(_message.Message):
    __slots__ = ("events", "first_remaining")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_REMAINING_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    first_remaining: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., first_remaining: _Optional[_Iterable[int]] = ...) -> None: ...

class PublishEventsResponse(_message.Message):
    __slots__ = ("results", "log_epoch", "head_position")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    LOG_EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEAD_POSITION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[PublishResult]
    log_epoch: str
    head_position: int
    def __init__(self, results: _Optional[_Iterable[_Union[PublishResult, _Mapping]]] = ..., log_epoch: _Optional[str] = ..., head_position: _Optional[int] = ...) -> None: ...

class PublishResult(_message.Message):
    __slots__ = ("id", "outcome", "position", "append_time", "reject_reason", "message", "expected_version")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[PublishResult.Outcome]
        OUTCOME_APPENDED: _ClassVar[PublishResult.Outcome]
        OUTCOME_DUPLICATE: _ClassVar[PublishResult.Outcome]
        OUTCOME_REJECTED: _ClassVar[PublishResult.Outcome]
    OUTCOME_UNSPECIFIED: PublishResult.Outcome
    OUTCOME_APPENDED: PublishResult.Outcome
    OUTCOME_DUPLICATE: PublishResult.Outcome
    OUTCOME_REJECTED: PublishResult.Outcome
    class RejectReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REJECT_REASON_UNSPECIFIED: _ClassVar[PublishResult.RejectReason]
        REJECT_REASON_EVENT_ID_CONFLICT: _ClassVar[PublishResult.RejectReason]
        REJECT_REASON_ENTITY_VERSION_CONFLICT: _ClassVar[PublishResult.RejectReason]
        REJECT_REASON_ENTITY_VERSION_GAP: _ClassVar[PublishResult.RejectReason]
        REJECT_REASON_TENANT_FORBIDDEN: _ClassVar[PublishResult.RejectReason]
        REJECT_REASON_INVALID: _ClassVar[PublishResult.RejectReason]
        REJECT_REASON_TYPE_FORBIDDEN: _ClassVar[PublishResult.RejectReason]
    REJECT_REASON_UNSPECIFIED: PublishResult.RejectReason
    REJECT_REASON_EVENT_ID_CONFLICT: PublishResult.RejectReason
    REJECT_REASON_ENTITY_VERSION_CONFLICT: PublishResult.RejectReason
    REJECT_REASON_ENTITY_VERSION_GAP: PublishResult.RejectReason
    REJECT_REASON_TENANT_FORBIDDEN: PublishResult.RejectReason
    REJECT_REASON_INVALID: PublishResult.RejectReason
    REJECT_REASON_TYPE_FORBIDDEN: PublishResult.RejectReason
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    REJECT_REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    outcome: PublishResult.Outcome
    position: int
    append_time: _timestamp_pb2.Timestamp
    reject_reason: PublishResult.RejectReason
    message: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., outcome: _Optional[_Union[PublishResult.Outcome, str]] = ..., position: _Optional[int] = ..., append_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reject_reason: _Optional[_Union[PublishResult.RejectReason, str]] = ..., message: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...
