import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.payments.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyncState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNC_STATE_UNSPECIFIED: _ClassVar[SyncState]
    SYNC_STATE_PENDING: _ClassVar[SyncState]
    SYNC_STATE_SYNCED: _ClassVar[SyncState]
    SYNC_STATE_FAILED: _ClassVar[SyncState]
    SYNC_STATE_IN_DOUBT: _ClassVar[SyncState]
SYNC_STATE_UNSPECIFIED: SyncState
SYNC_STATE_PENDING: SyncState
SYNC_STATE_SYNCED: SyncState
SYNC_STATE_FAILED: SyncState
SYNC_STATE_IN_DOUBT: SyncState

class Mirror(_message.Message):
    __slots__ = ("provider", "binding_id", "provider_object_id", "sync_state", "failure", "provider_time", "operations")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SYNC_STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TIME_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    binding_id: str
    provider_object_id: str
    sync_state: SyncState
    failure: _payment_pb2.PaymentFailure
    provider_time: _timestamp_pb2.Timestamp
    operations: _containers.RepeatedCompositeFieldContainer[_payment_pb2.Operation]
    def __init__(self, provider: _Optional[str] = ..., binding_id: _Optional[str] = ..., provider_object_id: _Optional[str] = ..., sync_state: _Optional[_Union[SyncState, str]] = ..., failure: _Optional[_Union[_payment_pb2.PaymentFailure, _Mapping]] = ..., provider_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., operations: _Optional[_Iterable[_Union[_payment_pb2.Operation, _Mapping]]] = ...) -> None: ...
