import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.admin.v1 import health_pb2 as _health_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.plugin.v1 import plugin_pb2 as _plugin_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "providers", "outbox", "open_operations", "oldest_doubt_time", "health", "health_reasons", "plugins", "kill_switches")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_FIELD_NUMBER: _ClassVar[int]
    OPEN_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_DOUBT_TIME_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    HEALTH_REASONS_FIELD_NUMBER: _ClassVar[int]
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    KILL_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    version: str
    providers: _containers.RepeatedCompositeFieldContainer[ProviderStatus]
    outbox: OutboxStatus
    open_operations: _containers.RepeatedCompositeFieldContainer[OperationCount]
    oldest_doubt_time: _timestamp_pb2.Timestamp
    health: _health_pb2.Health
    health_reasons: _containers.RepeatedScalarFieldContainer[str]
    plugins: _containers.RepeatedCompositeFieldContainer[PluginStatus]
    kill_switches: int
    def __init__(self, version: _Optional[str] = ..., providers: _Optional[_Iterable[_Union[ProviderStatus, _Mapping]]] = ..., outbox: _Optional[_Union[OutboxStatus, _Mapping]] = ..., open_operations: _Optional[_Iterable[_Union[OperationCount, _Mapping]]] = ..., oldest_doubt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., health: _Optional[_Union[_health_pb2.Health, str]] = ..., health_reasons: _Optional[_Iterable[str]] = ..., plugins: _Optional[_Iterable[_Union[PluginStatus, _Mapping]]] = ..., kill_switches: _Optional[int] = ...) -> None: ...

class ProviderStatus(_message.Message):
    __slots__ = ("provider", "endpoint", "ready", "detail", "plugin_version", "default")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    provider: str
    endpoint: str
    ready: bool
    detail: str
    plugin_version: str
    default: bool
    def __init__(self, provider: _Optional[str] = ..., endpoint: _Optional[str] = ..., ready: _Optional[bool] = ..., detail: _Optional[str] = ..., plugin_version: _Optional[str] = ..., default: _Optional[bool] = ...) -> None: ...

class PluginStatus(_message.Message):
    __slots__ = ("plugin_id", "state", "conditions", "health", "current_version", "canary_version", "instances", "ready_instances", "open_breakers")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    READY_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    OPEN_BREAKERS_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    state: _plugin_pb2.Plugin.State
    conditions: _containers.RepeatedCompositeFieldContainer[_plugin_pb2.PluginCondition]
    health: _health_pb2.Health
    current_version: str
    canary_version: str
    instances: int
    ready_instances: int
    open_breakers: int
    def __init__(self, plugin_id: _Optional[str] = ..., state: _Optional[_Union[_plugin_pb2.Plugin.State, str]] = ..., conditions: _Optional[_Iterable[_Union[_plugin_pb2.PluginCondition, _Mapping]]] = ..., health: _Optional[_Union[_health_pb2.Health, str]] = ..., current_version: _Optional[str] = ..., canary_version: _Optional[str] = ..., instances: _Optional[int] = ..., ready_instances: _Optional[int] = ..., open_breakers: _Optional[int] = ...) -> None: ...

class OutboxStatus(_message.Message):
    __slots__ = ("waiting", "oldest_time", "blocked")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TIME_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    waiting: int
    oldest_time: _timestamp_pb2.Timestamp
    blocked: int
    def __init__(self, waiting: _Optional[int] = ..., oldest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., blocked: _Optional[int] = ...) -> None: ...

class OperationCount(_message.Message):
    __slots__ = ("state", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: str
    count: int
    def __init__(self, state: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
