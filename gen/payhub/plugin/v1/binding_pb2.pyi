import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.payments.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Binding(_message.Message):
    __slots__ = ("id", "tenant_id", "plugin_id", "generation", "options", "config_keys", "secrets", "schema_digest", "revision", "create_time", "update_time", "delete_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_KEYS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant_id: str
    plugin_id: str
    generation: int
    options: BindingOptions
    config_keys: _containers.RepeatedScalarFieldContainer[str]
    secrets: _containers.RepeatedCompositeFieldContainer[StoredSecret]
    schema_digest: str
    revision: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    delete_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., generation: _Optional[int] = ..., options: _Optional[_Union[BindingOptions, _Mapping]] = ..., config_keys: _Optional[_Iterable[str]] = ..., secrets: _Optional[_Iterable[_Union[StoredSecret, _Mapping]]] = ..., schema_digest: _Optional[str] = ..., revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BindingOptions(_message.Message):
    __slots__ = ("limits", "time_zone", "disabled_operations", "disabled_capture_methods", "disabled")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    DISABLED_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    DISABLED_CAPTURE_METHODS_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[CurrencyLimit]
    time_zone: str
    disabled_operations: _containers.RepeatedScalarFieldContainer[_payment_pb2.Operation.Kind]
    disabled_capture_methods: _containers.RepeatedScalarFieldContainer[_payment_pb2.CaptureMethod]
    disabled: bool
    def __init__(self, limits: _Optional[_Iterable[_Union[CurrencyLimit, _Mapping]]] = ..., time_zone: _Optional[str] = ..., disabled_operations: _Optional[_Iterable[_Union[_payment_pb2.Operation.Kind, str]]] = ..., disabled_capture_methods: _Optional[_Iterable[_Union[_payment_pb2.CaptureMethod, str]]] = ..., disabled: _Optional[bool] = ...) -> None: ...

class CurrencyLimit(_message.Message):
    __slots__ = ("currency_code", "min_minor", "max_minor", "daily_minor")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    MIN_MINOR_FIELD_NUMBER: _ClassVar[int]
    MAX_MINOR_FIELD_NUMBER: _ClassVar[int]
    DAILY_MINOR_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    min_minor: int
    max_minor: int
    daily_minor: int
    def __init__(self, currency_code: _Optional[str] = ..., min_minor: _Optional[int] = ..., max_minor: _Optional[int] = ..., daily_minor: _Optional[int] = ...) -> None: ...

class StoredSecret(_message.Message):
    __slots__ = ("slot", "version", "create_time", "expire_time")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
