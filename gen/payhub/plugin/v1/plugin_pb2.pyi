import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.plugin.v1 import manifest_pb2 as _manifest_pb2
from payhub.plugin.v1 import plugin_service_pb2 as _plugin_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Plugin(_message.Message):
    __slots__ = ("id", "allowance", "state", "failure", "conditions", "revision", "metadata", "requested_permissions", "dependencies", "current_version", "previous_version", "canary_version", "canary_percent", "create_time", "update_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Plugin.State]
        STATE_DISCOVERED: _ClassVar[Plugin.State]
        STATE_REGISTERED: _ClassVar[Plugin.State]
        STATE_INITIALIZED: _ClassVar[Plugin.State]
        STATE_ENABLED: _ClassVar[Plugin.State]
        STATE_DISABLED: _ClassVar[Plugin.State]
        STATE_UNINSTALLED: _ClassVar[Plugin.State]
        STATE_ERROR: _ClassVar[Plugin.State]
    STATE_UNSPECIFIED: Plugin.State
    STATE_DISCOVERED: Plugin.State
    STATE_REGISTERED: Plugin.State
    STATE_INITIALIZED: Plugin.State
    STATE_ENABLED: Plugin.State
    STATE_DISABLED: Plugin.State
    STATE_UNINSTALLED: Plugin.State
    STATE_ERROR: Plugin.State
    class Transition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TRANSITION_UNSPECIFIED: _ClassVar[Plugin.Transition]
        TRANSITION_REGISTER: _ClassVar[Plugin.Transition]
        TRANSITION_INITIALIZE: _ClassVar[Plugin.Transition]
        TRANSITION_ENABLE: _ClassVar[Plugin.Transition]
        TRANSITION_DISABLE: _ClassVar[Plugin.Transition]
        TRANSITION_UNINSTALL: _ClassVar[Plugin.Transition]
    TRANSITION_UNSPECIFIED: Plugin.Transition
    TRANSITION_REGISTER: Plugin.Transition
    TRANSITION_INITIALIZE: Plugin.Transition
    TRANSITION_ENABLE: Plugin.Transition
    TRANSITION_DISABLE: Plugin.Transition
    TRANSITION_UNINSTALL: Plugin.Transition
    ID_FIELD_NUMBER: _ClassVar[int]
    ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    allowance: PluginAllowance
    state: Plugin.State
    failure: PluginFailure
    conditions: _containers.RepeatedCompositeFieldContainer[PluginCondition]
    revision: int
    metadata: _manifest_pb2.PluginMetadata
    requested_permissions: _containers.RepeatedScalarFieldContainer[str]
    dependencies: _containers.RepeatedCompositeFieldContainer[_manifest_pb2.PluginDependency]
    current_version: str
    previous_version: str
    canary_version: str
    canary_percent: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., allowance: _Optional[_Union[PluginAllowance, _Mapping]] = ..., state: _Optional[_Union[Plugin.State, str]] = ..., failure: _Optional[_Union[PluginFailure, _Mapping]] = ..., conditions: _Optional[_Iterable[_Union[PluginCondition, _Mapping]]] = ..., revision: _Optional[int] = ..., metadata: _Optional[_Union[_manifest_pb2.PluginMetadata, _Mapping]] = ..., requested_permissions: _Optional[_Iterable[str]] = ..., dependencies: _Optional[_Iterable[_Union[_manifest_pb2.PluginDependency, _Mapping]]] = ..., current_version: _Optional[str] = ..., previous_version: _Optional[str] = ..., canary_version: _Optional[str] = ..., canary_percent: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PluginAllowance(_message.Message):
    __slots__ = ("plugin_id", "kind", "version_specifier", "endpoint_pattern", "permissions", "priority", "dependencies", "static_endpoint", "requires_report")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_SPECIFIER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_PATTERN_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    STATIC_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_REPORT_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    kind: _plugin_service_pb2.PluginKind
    version_specifier: str
    endpoint_pattern: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    dependencies: _containers.RepeatedCompositeFieldContainer[_manifest_pb2.PluginDependency]
    static_endpoint: str
    requires_report: bool
    def __init__(self, plugin_id: _Optional[str] = ..., kind: _Optional[_Union[_plugin_service_pb2.PluginKind, str]] = ..., version_specifier: _Optional[str] = ..., endpoint_pattern: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., dependencies: _Optional[_Iterable[_Union[_manifest_pb2.PluginDependency, _Mapping]]] = ..., static_endpoint: _Optional[str] = ..., requires_report: _Optional[bool] = ...) -> None: ...

class PluginFailure(_message.Message):
    __slots__ = ("transition", "reason", "detail", "fail_time")
    TRANSITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FAIL_TIME_FIELD_NUMBER: _ClassVar[int]
    transition: Plugin.Transition
    reason: str
    detail: str
    fail_time: _timestamp_pb2.Timestamp
    def __init__(self, transition: _Optional[_Union[Plugin.Transition, str]] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., fail_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PluginCondition(_message.Message):
    __slots__ = ("type", "status", "reason", "detail", "change_time")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[PluginCondition.Type]
        TYPE_AVAILABLE: _ClassVar[PluginCondition.Type]
        TYPE_READY: _ClassVar[PluginCondition.Type]
        TYPE_QUARANTINED: _ClassVar[PluginCondition.Type]
        TYPE_CONFIG_CURRENT: _ClassVar[PluginCondition.Type]
        TYPE_CREDENTIALS_ACCEPTED: _ClassVar[PluginCondition.Type]
        TYPE_UPGRADING: _ClassVar[PluginCondition.Type]
    TYPE_UNSPECIFIED: PluginCondition.Type
    TYPE_AVAILABLE: PluginCondition.Type
    TYPE_READY: PluginCondition.Type
    TYPE_QUARANTINED: PluginCondition.Type
    TYPE_CONFIG_CURRENT: PluginCondition.Type
    TYPE_CREDENTIALS_ACCEPTED: PluginCondition.Type
    TYPE_UPGRADING: PluginCondition.Type
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[PluginCondition.Status]
        STATUS_TRUE: _ClassVar[PluginCondition.Status]
        STATUS_FALSE: _ClassVar[PluginCondition.Status]
        STATUS_UNKNOWN: _ClassVar[PluginCondition.Status]
    STATUS_UNSPECIFIED: PluginCondition.Status
    STATUS_TRUE: PluginCondition.Status
    STATUS_FALSE: PluginCondition.Status
    STATUS_UNKNOWN: PluginCondition.Status
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    type: PluginCondition.Type
    status: PluginCondition.Status
    reason: str
    detail: str
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[_Union[PluginCondition.Type, str]] = ..., status: _Optional[_Union[PluginCondition.Status, str]] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
