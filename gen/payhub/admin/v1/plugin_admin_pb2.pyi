import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.admin.v1 import value_change_pb2 as _value_change_pb2
from payhub.payments.v1 import payment_pb2 as _payment_pb2
from payhub.plugin.v1 import plugin_service_pb2 as _plugin_service_pb2
from payhub.registry.v1 import registry_service_pb2 as _registry_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginVersion(_message.Message):
    __slots__ = ("version", "handshake", "first_seen_time", "quarantine_time", "quarantine_reason", "report")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HANDSHAKE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_TIME_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_REASON_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    version: str
    handshake: _plugin_service_pb2.HandshakeResponse
    first_seen_time: _timestamp_pb2.Timestamp
    quarantine_time: _timestamp_pb2.Timestamp
    quarantine_reason: str
    report: ReportSummary
    def __init__(self, version: _Optional[str] = ..., handshake: _Optional[_Union[_plugin_service_pb2.HandshakeResponse, _Mapping]] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quarantine_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quarantine_reason: _Optional[str] = ..., report: _Optional[_Union[ReportSummary, _Mapping]] = ...) -> None: ...

class ReportSummary(_message.Message):
    __slots__ = ("passed", "schema_digest", "actor", "store_time")
    PASSED_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    STORE_TIME_FIELD_NUMBER: _ClassVar[int]
    passed: bool
    schema_digest: str
    actor: str
    store_time: _timestamp_pb2.Timestamp
    def __init__(self, passed: _Optional[bool] = ..., schema_digest: _Optional[str] = ..., actor: _Optional[str] = ..., store_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PluginInstance(_message.Message):
    __slots__ = ("instance_id", "version", "endpoint", "static", "lease_expire_time", "directive", "connected", "ready", "detail", "probe", "probe_time", "start_time")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    STATIC_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROBE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    version: str
    endpoint: str
    static: bool
    lease_expire_time: _timestamp_pb2.Timestamp
    directive: _registry_service_pb2.Directive
    connected: bool
    ready: bool
    detail: str
    probe: _plugin_service_pb2.ProbeResponse
    probe_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, instance_id: _Optional[str] = ..., version: _Optional[str] = ..., endpoint: _Optional[str] = ..., static: _Optional[bool] = ..., lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., directive: _Optional[_Union[_registry_service_pb2.Directive, str]] = ..., connected: _Optional[bool] = ..., ready: _Optional[bool] = ..., detail: _Optional[str] = ..., probe: _Optional[_Union[_plugin_service_pb2.ProbeResponse, _Mapping]] = ..., probe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PluginBreaker(_message.Message):
    __slots__ = ("binding_id", "tenant_id", "rpc_class", "state", "failures", "retry_time", "last_reason")
    class RpcClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RPC_CLASS_UNSPECIFIED: _ClassVar[PluginBreaker.RpcClass]
        RPC_CLASS_AUTHORIZE: _ClassVar[PluginBreaker.RpcClass]
        RPC_CLASS_FOLLOW_UP: _ClassVar[PluginBreaker.RpcClass]
        RPC_CLASS_CUSTOMER: _ClassVar[PluginBreaker.RpcClass]
        RPC_CLASS_BILLING: _ClassVar[PluginBreaker.RpcClass]
    RPC_CLASS_UNSPECIFIED: PluginBreaker.RpcClass
    RPC_CLASS_AUTHORIZE: PluginBreaker.RpcClass
    RPC_CLASS_FOLLOW_UP: PluginBreaker.RpcClass
    RPC_CLASS_CUSTOMER: PluginBreaker.RpcClass
    RPC_CLASS_BILLING: PluginBreaker.RpcClass
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[PluginBreaker.State]
        STATE_CLOSED: _ClassVar[PluginBreaker.State]
        STATE_OPEN: _ClassVar[PluginBreaker.State]
        STATE_HALF_OPEN: _ClassVar[PluginBreaker.State]
    STATE_UNSPECIFIED: PluginBreaker.State
    STATE_CLOSED: PluginBreaker.State
    STATE_OPEN: PluginBreaker.State
    STATE_HALF_OPEN: PluginBreaker.State
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    RPC_CLASS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    RETRY_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_REASON_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    tenant_id: str
    rpc_class: PluginBreaker.RpcClass
    state: PluginBreaker.State
    failures: int
    retry_time: _timestamp_pb2.Timestamp
    last_reason: str
    def __init__(self, binding_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., rpc_class: _Optional[_Union[PluginBreaker.RpcClass, str]] = ..., state: _Optional[_Union[PluginBreaker.State, str]] = ..., failures: _Optional[int] = ..., retry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_reason: _Optional[str] = ...) -> None: ...

class PluginHistoryEntry(_message.Message):
    __slots__ = ("plugin_id", "revision", "actor", "reason", "event_type", "changes", "change_time")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    revision: int
    actor: str
    reason: str
    event_type: str
    changes: _containers.RepeatedCompositeFieldContainer[_value_change_pb2.ValueChange]
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, plugin_id: _Optional[str] = ..., revision: _Optional[int] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., event_type: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[_value_change_pb2.ValueChange, _Mapping]]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class KillSwitch(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "operation", "actor", "reason", "set_time")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    operation: _payment_pb2.Operation.Kind
    actor: str
    reason: str
    set_time: _timestamp_pb2.Timestamp
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., operation: _Optional[_Union[_payment_pb2.Operation.Kind, str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., set_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BindingMigration(_message.Message):
    __slots__ = ("binding_id", "tenant_id", "migrated", "changes", "diagnostics")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    MIGRATED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    tenant_id: str
    migrated: bool
    changes: _containers.RepeatedCompositeFieldContainer[_value_change_pb2.ValueChange]
    diagnostics: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.Diagnostic]
    def __init__(self, binding_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., migrated: _Optional[bool] = ..., changes: _Optional[_Iterable[_Union[_value_change_pb2.ValueChange, _Mapping]]] = ..., diagnostics: _Optional[_Iterable[_Union[_plugin_service_pb2.Diagnostic, _Mapping]]] = ...) -> None: ...
