import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeclineReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECLINE_REASON_UNSPECIFIED: _ClassVar[DeclineReason]
    DECLINE_REASON_OTHER: _ClassVar[DeclineReason]
    DECLINE_REASON_INSUFFICIENT_FUNDS: _ClassVar[DeclineReason]
    DECLINE_REASON_INSTRUMENT_INVALID: _ClassVar[DeclineReason]
    DECLINE_REASON_SUSPECTED_FRAUD: _ClassVar[DeclineReason]
    DECLINE_REASON_AUTHENTICATION_FAILED: _ClassVar[DeclineReason]
    DECLINE_REASON_LIMIT_EXCEEDED: _ClassVar[DeclineReason]
    DECLINE_REASON_INSTRUMENT_EXPIRED: _ClassVar[DeclineReason]
    DECLINE_REASON_DO_NOT_HONOR: _ClassVar[DeclineReason]
    DECLINE_REASON_NOT_ALLOWED: _ClassVar[DeclineReason]
DECLINE_REASON_UNSPECIFIED: DeclineReason
DECLINE_REASON_OTHER: DeclineReason
DECLINE_REASON_INSUFFICIENT_FUNDS: DeclineReason
DECLINE_REASON_INSTRUMENT_INVALID: DeclineReason
DECLINE_REASON_SUSPECTED_FRAUD: DeclineReason
DECLINE_REASON_AUTHENTICATION_FAILED: DeclineReason
DECLINE_REASON_LIMIT_EXCEEDED: DeclineReason
DECLINE_REASON_INSTRUMENT_EXPIRED: DeclineReason
DECLINE_REASON_DO_NOT_HONOR: DeclineReason
DECLINE_REASON_NOT_ALLOWED: DeclineReason

class OperationContext(_message.Message):
    __slots__ = ("binding_id", "operation_id", "attempt", "config_generation", "not_after")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_GENERATION_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    operation_id: str
    attempt: int
    config_generation: int
    not_after: _timestamp_pb2.Timestamp
    def __init__(self, binding_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., attempt: _Optional[int] = ..., config_generation: _Optional[int] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("operation_id", "state", "provider_object_id", "provider_operation_id", "amount", "decline", "action", "state_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Operation.State]
        STATE_PENDING: _ClassVar[Operation.State]
        STATE_ACTION_REQUIRED: _ClassVar[Operation.State]
        STATE_SUCCEEDED: _ClassVar[Operation.State]
        STATE_DECLINED: _ClassVar[Operation.State]
        STATE_VOIDED: _ClassVar[Operation.State]
    STATE_UNSPECIFIED: Operation.State
    STATE_PENDING: Operation.State
    STATE_ACTION_REQUIRED: Operation.State
    STATE_SUCCEEDED: Operation.State
    STATE_DECLINED: Operation.State
    STATE_VOIDED: Operation.State
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    state: Operation.State
    provider_object_id: str
    provider_operation_id: str
    amount: _money_pb2.Money
    decline: Decline
    action: CustomerAction
    state_time: _timestamp_pb2.Timestamp
    def __init__(self, operation_id: _Optional[str] = ..., state: _Optional[_Union[Operation.State, str]] = ..., provider_object_id: _Optional[str] = ..., provider_operation_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., decline: _Optional[_Union[Decline, _Mapping]] = ..., action: _Optional[_Union[CustomerAction, _Mapping]] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Decline(_message.Message):
    __slots__ = ("reason", "provider_code", "retryable_later")
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CODE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_LATER_FIELD_NUMBER: _ClassVar[int]
    reason: DeclineReason
    provider_code: str
    retryable_later: bool
    def __init__(self, reason: _Optional[_Union[DeclineReason, str]] = ..., provider_code: _Optional[str] = ..., retryable_later: _Optional[bool] = ...) -> None: ...

class CustomerAction(_message.Message):
    __slots__ = ("redirect_url", "client_secret", "expire_time")
    REDIRECT_URL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    redirect_url: str
    client_secret: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, redirect_url: _Optional[str] = ..., client_secret: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
