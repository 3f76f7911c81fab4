import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from payhub.admin.v1 import health_pb2 as _health_pb2
from payhub.admin.v1 import plugin_admin_pb2 as _plugin_admin_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.payments.v1 import payment_pb2 as _payment_pb2
from payhub.plugin.v1 import plugin_pb2 as _plugin_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AllowPluginRequest(_message.Message):
    __slots__ = ("allowance", "reason", "must_be_new", "expected_revision")
    ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MUST_BE_NEW_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    allowance: _plugin_pb2.PluginAllowance
    reason: str
    must_be_new: bool
    expected_revision: int
    def __init__(self, allowance: _Optional[_Union[_plugin_pb2.PluginAllowance, _Mapping]] = ..., reason: _Optional[str] = ..., must_be_new: _Optional[bool] = ..., expected_revision: _Optional[int] = ...) -> None: ...

class AllowPluginResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class GetPluginRequest(_message.Message):
    __slots__ = ("plugin_id",)
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    def __init__(self, plugin_id: _Optional[str] = ...) -> None: ...

class GetPluginResponse(_message.Message):
    __slots__ = ("plugin", "versions")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    versions: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.PluginVersion]
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[_plugin_admin_pb2.PluginVersion, _Mapping]]] = ...) -> None: ...

class ListPluginsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "enabled_only", "active_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    ENABLED_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_plugin_pb2.Plugin.State]
    enabled_only: bool
    active_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_plugin_pb2.Plugin.State, str]]] = ..., enabled_only: _Optional[bool] = ..., active_only: _Optional[bool] = ...) -> None: ...

class ListPluginsResponse(_message.Message):
    __slots__ = ("plugins", "next_page_token")
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    plugins: _containers.RepeatedCompositeFieldContainer[_plugin_pb2.Plugin]
    next_page_token: str
    def __init__(self, plugins: _Optional[_Iterable[_Union[_plugin_pb2.Plugin, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class InitializePluginRequest(_message.Message):
    __slots__ = ("plugin_id", "reason")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class InitializePluginResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class EnablePluginRequest(_message.Message):
    __slots__ = ("plugin_id", "reason", "with_dependencies")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WITH_DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    with_dependencies: bool
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ..., with_dependencies: _Optional[bool] = ...) -> None: ...

class EnablePluginResponse(_message.Message):
    __slots__ = ("plugin", "changed_plugin_ids")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    CHANGED_PLUGIN_IDS_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    changed_plugin_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., changed_plugin_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DisablePluginRequest(_message.Message):
    __slots__ = ("plugin_id", "reason", "cascade")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CASCADE_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    cascade: bool
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ..., cascade: _Optional[bool] = ...) -> None: ...

class DisablePluginResponse(_message.Message):
    __slots__ = ("plugin", "changed_plugin_ids")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    CHANGED_PLUGIN_IDS_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    changed_plugin_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., changed_plugin_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class StopPluginRequest(_message.Message):
    __slots__ = ("plugin_id", "reason", "cascade", "grace_period")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CASCADE_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    cascade: bool
    grace_period: _duration_pb2.Duration
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ..., cascade: _Optional[bool] = ..., grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StopPluginResponse(_message.Message):
    __slots__ = ("plugin", "changed_plugin_ids", "remaining_calls")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    CHANGED_PLUGIN_IDS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_CALLS_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    changed_plugin_ids: _containers.RepeatedScalarFieldContainer[str]
    remaining_calls: int
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., changed_plugin_ids: _Optional[_Iterable[str]] = ..., remaining_calls: _Optional[int] = ...) -> None: ...

class UninstallPluginRequest(_message.Message):
    __slots__ = ("plugin_id", "reason")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UninstallPluginResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class GetPluginHealthRequest(_message.Message):
    __slots__ = ("plugin_id",)
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    def __init__(self, plugin_id: _Optional[str] = ...) -> None: ...

class GetPluginHealthResponse(_message.Message):
    __slots__ = ("health", "state", "conditions", "instances", "breakers", "kill_switches")
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    BREAKERS_FIELD_NUMBER: _ClassVar[int]
    KILL_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    health: _health_pb2.Health
    state: _plugin_pb2.Plugin.State
    conditions: _containers.RepeatedCompositeFieldContainer[_plugin_pb2.PluginCondition]
    instances: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.PluginInstance]
    breakers: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.PluginBreaker]
    kill_switches: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.KillSwitch]
    def __init__(self, health: _Optional[_Union[_health_pb2.Health, str]] = ..., state: _Optional[_Union[_plugin_pb2.Plugin.State, str]] = ..., conditions: _Optional[_Iterable[_Union[_plugin_pb2.PluginCondition, _Mapping]]] = ..., instances: _Optional[_Iterable[_Union[_plugin_admin_pb2.PluginInstance, _Mapping]]] = ..., breakers: _Optional[_Iterable[_Union[_plugin_admin_pb2.PluginBreaker, _Mapping]]] = ..., kill_switches: _Optional[_Iterable[_Union[_plugin_admin_pb2.KillSwitch, _Mapping]]] = ...) -> None: ...

class ListPluginHistoryRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "plugin_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    plugin_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., plugin_id: _Optional[str] = ...) -> None: ...

class ListPluginHistoryResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.PluginHistoryEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_plugin_admin_pb2.PluginHistoryEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StartUpgradeRequest(_message.Message):
    __slots__ = ("plugin_id", "version", "percent", "reason", "dry_run")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    version: str
    percent: int
    reason: str
    dry_run: bool
    def __init__(self, plugin_id: _Optional[str] = ..., version: _Optional[str] = ..., percent: _Optional[int] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class StartUpgradeResponse(_message.Message):
    __slots__ = ("plugin", "migrations")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    migrations: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.BindingMigration]
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., migrations: _Optional[_Iterable[_Union[_plugin_admin_pb2.BindingMigration, _Mapping]]] = ...) -> None: ...

class PromoteUpgradeRequest(_message.Message):
    __slots__ = ("plugin_id", "reason")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PromoteUpgradeResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class RollBackUpgradeRequest(_message.Message):
    __slots__ = ("plugin_id", "reason", "version")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    reason: str
    version: str
    def __init__(self, plugin_id: _Optional[str] = ..., reason: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class RollBackUpgradeResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class QuarantineVersionRequest(_message.Message):
    __slots__ = ("plugin_id", "version", "reason")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    version: str
    reason: str
    def __init__(self, plugin_id: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class QuarantineVersionResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class ReleaseVersionRequest(_message.Message):
    __slots__ = ("plugin_id", "version", "reason")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    version: str
    reason: str
    def __init__(self, plugin_id: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseVersionResponse(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ...) -> None: ...

class StoreConformanceReportRequest(_message.Message):
    __slots__ = ("plugin_id", "version", "schema_digest", "report_json", "reason")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REPORT_JSON_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    version: str
    schema_digest: str
    report_json: str
    reason: str
    def __init__(self, plugin_id: _Optional[str] = ..., version: _Optional[str] = ..., schema_digest: _Optional[str] = ..., report_json: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class StoreConformanceReportResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: _plugin_admin_pb2.ReportSummary
    def __init__(self, report: _Optional[_Union[_plugin_admin_pb2.ReportSummary, _Mapping]] = ...) -> None: ...

class SetKillSwitchRequest(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "operation", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    operation: _payment_pb2.Operation.Kind
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., operation: _Optional[_Union[_payment_pb2.Operation.Kind, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class SetKillSwitchResponse(_message.Message):
    __slots__ = ("kill_switch",)
    KILL_SWITCH_FIELD_NUMBER: _ClassVar[int]
    kill_switch: _plugin_admin_pb2.KillSwitch
    def __init__(self, kill_switch: _Optional[_Union[_plugin_admin_pb2.KillSwitch, _Mapping]] = ...) -> None: ...

class ClearKillSwitchRequest(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "operation", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    operation: _payment_pb2.Operation.Kind
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., operation: _Optional[_Union[_payment_pb2.Operation.Kind, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ClearKillSwitchResponse(_message.Message):
    __slots__ = ("cleared",)
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    cleared: bool
    def __init__(self, cleared: _Optional[bool] = ...) -> None: ...

class ListKillSwitchesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "plugin_id", "tenant_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    plugin_id: str
    tenant_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., plugin_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class ListKillSwitchesResponse(_message.Message):
    __slots__ = ("kill_switches", "next_page_token")
    KILL_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    kill_switches: _containers.RepeatedCompositeFieldContainer[_plugin_admin_pb2.KillSwitch]
    next_page_token: str
    def __init__(self, kill_switches: _Optional[_Iterable[_Union[_plugin_admin_pb2.KillSwitch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
