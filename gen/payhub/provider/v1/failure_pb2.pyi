from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FailureReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_REASON_UNSPECIFIED: _ClassVar[FailureReason]
    FAILURE_REASON_OPERATION_MISMATCH: _ClassVar[FailureReason]
    FAILURE_REASON_OPERATION_IN_PROGRESS: _ClassVar[FailureReason]
    FAILURE_REASON_BINDING_NOT_CONFIGURED: _ClassVar[FailureReason]
    FAILURE_REASON_CREDENTIALS_REJECTED: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_RATE_LIMITED: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_UNREACHABLE: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_NO_ANSWER: _ClassVar[FailureReason]
    FAILURE_REASON_DRAINING: _ClassVar[FailureReason]
    FAILURE_REASON_STATE_CONFLICT: _ClassVar[FailureReason]
    FAILURE_REASON_LOOKUP_INCONCLUSIVE: _ClassVar[FailureReason]
    FAILURE_REASON_PLUGIN_BUSY: _ClassVar[FailureReason]
    FAILURE_REASON_TOO_LATE: _ClassVar[FailureReason]
    FAILURE_REASON_INVALID_REQUEST: _ClassVar[FailureReason]
    FAILURE_REASON_NOT_FOUND: _ClassVar[FailureReason]
    FAILURE_REASON_NOT_SUPPORTED: _ClassVar[FailureReason]
    FAILURE_REASON_PLUGIN_BUG: _ClassVar[FailureReason]
FAILURE_REASON_UNSPECIFIED: FailureReason
FAILURE_REASON_OPERATION_MISMATCH: FailureReason
FAILURE_REASON_OPERATION_IN_PROGRESS: FailureReason
FAILURE_REASON_BINDING_NOT_CONFIGURED: FailureReason
FAILURE_REASON_CREDENTIALS_REJECTED: FailureReason
FAILURE_REASON_UPSTREAM_RATE_LIMITED: FailureReason
FAILURE_REASON_UPSTREAM_UNREACHABLE: FailureReason
FAILURE_REASON_UPSTREAM_NO_ANSWER: FailureReason
FAILURE_REASON_DRAINING: FailureReason
FAILURE_REASON_STATE_CONFLICT: FailureReason
FAILURE_REASON_LOOKUP_INCONCLUSIVE: FailureReason
FAILURE_REASON_PLUGIN_BUSY: FailureReason
FAILURE_REASON_TOO_LATE: FailureReason
FAILURE_REASON_INVALID_REQUEST: FailureReason
FAILURE_REASON_NOT_FOUND: FailureReason
FAILURE_REASON_NOT_SUPPORTED: FailureReason
FAILURE_REASON_PLUGIN_BUG: FailureReason

class Failure(_message.Message):
    __slots__ = ("effect", "reason", "upstream_code")
    class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EFFECT_UNSPECIFIED: _ClassVar[Failure.Effect]
        EFFECT_NONE: _ClassVar[Failure.Effect]
        EFFECT_UNKNOWN: _ClassVar[Failure.Effect]
    EFFECT_UNSPECIFIED: Failure.Effect
    EFFECT_NONE: Failure.Effect
    EFFECT_UNKNOWN: Failure.Effect
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_CODE_FIELD_NUMBER: _ClassVar[int]
    effect: Failure.Effect
    reason: FailureReason
    upstream_code: str
    def __init__(self, effect: _Optional[_Union[Failure.Effect, str]] = ..., reason: _Optional[_Union[FailureReason, str]] = ..., upstream_code: _Optional[str] = ...) -> None: ...
