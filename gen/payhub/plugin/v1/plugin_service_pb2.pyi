import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.plugin.v1 import capability_pb2 as _capability_pb2
from payhub.plugin.v1 import manifest_pb2 as _manifest_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLUGIN_KIND_UNSPECIFIED: _ClassVar[PluginKind]
    PLUGIN_KIND_PROVIDER: _ClassVar[PluginKind]

class CoreCapability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CORE_CAPABILITY_UNSPECIFIED: _ClassVar[CoreCapability]
    CORE_CAPABILITY_CUSTOMER_ACTION: _ClassVar[CoreCapability]
    CORE_CAPABILITY_PENDING_OPERATIONS: _ClassVar[CoreCapability]
PLUGIN_KIND_UNSPECIFIED: PluginKind
PLUGIN_KIND_PROVIDER: PluginKind
CORE_CAPABILITY_UNSPECIFIED: CoreCapability
CORE_CAPABILITY_CUSTOMER_ACTION: CoreCapability
CORE_CAPABILITY_PENDING_OPERATIONS: CoreCapability

class HandshakeRequest(_message.Message):
    __slots__ = ("core_version", "services", "core_capabilities")
    CORE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    CORE_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    core_version: str
    services: _containers.RepeatedScalarFieldContainer[str]
    core_capabilities: _containers.RepeatedScalarFieldContainer[CoreCapability]
    def __init__(self, core_version: _Optional[str] = ..., services: _Optional[_Iterable[str]] = ..., core_capabilities: _Optional[_Iterable[_Union[CoreCapability, str]]] = ...) -> None: ...

class HandshakeResponse(_message.Message):
    __slots__ = ("identity", "services", "capabilities", "currency_codes", "schema_digest", "max_concurrent_calls", "upstream_idempotency_retention", "metadata", "dependencies", "requested_permissions", "config_schema_version", "upstream_request_max")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODES_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_CALLS_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_IDEMPOTENCY_RETENTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_REQUEST_MAX_FIELD_NUMBER: _ClassVar[int]
    identity: PluginIdentity
    services: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedCompositeFieldContainer[_capability_pb2.CapabilityStatus]
    currency_codes: _containers.RepeatedScalarFieldContainer[str]
    schema_digest: str
    max_concurrent_calls: int
    upstream_idempotency_retention: _duration_pb2.Duration
    metadata: _manifest_pb2.PluginMetadata
    dependencies: _containers.RepeatedCompositeFieldContainer[_manifest_pb2.PluginDependency]
    requested_permissions: _containers.RepeatedScalarFieldContainer[str]
    config_schema_version: int
    upstream_request_max: _duration_pb2.Duration
    def __init__(self, identity: _Optional[_Union[PluginIdentity, _Mapping]] = ..., services: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[_Union[_capability_pb2.CapabilityStatus, _Mapping]]] = ..., currency_codes: _Optional[_Iterable[str]] = ..., schema_digest: _Optional[str] = ..., max_concurrent_calls: _Optional[int] = ..., upstream_idempotency_retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., metadata: _Optional[_Union[_manifest_pb2.PluginMetadata, _Mapping]] = ..., dependencies: _Optional[_Iterable[_Union[_manifest_pb2.PluginDependency, _Mapping]]] = ..., requested_permissions: _Optional[_Iterable[str]] = ..., config_schema_version: _Optional[int] = ..., upstream_request_max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PluginIdentity(_message.Message):
    __slots__ = ("plugin_id", "plugin_version", "instance_id", "kind")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    plugin_version: str
    instance_id: str
    kind: PluginKind
    def __init__(self, plugin_id: _Optional[str] = ..., plugin_version: _Optional[str] = ..., instance_id: _Optional[str] = ..., kind: _Optional[_Union[PluginKind, str]] = ...) -> None: ...

class GetConfigSchemaRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetConfigSchemaResponse(_message.Message):
    __slots__ = ("json_schema", "schema_digest", "secret_slots")
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SECRET_SLOTS_FIELD_NUMBER: _ClassVar[int]
    json_schema: str
    schema_digest: str
    secret_slots: _containers.RepeatedCompositeFieldContainer[SecretSlot]
    def __init__(self, json_schema: _Optional[str] = ..., schema_digest: _Optional[str] = ..., secret_slots: _Optional[_Iterable[_Union[SecretSlot, _Mapping]]] = ...) -> None: ...

class SecretSlot(_message.Message):
    __slots__ = ("slot", "description", "required")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    slot: str
    description: str
    required: bool
    def __init__(self, slot: _Optional[str] = ..., description: _Optional[str] = ..., required: _Optional[bool] = ...) -> None: ...

class ValidateConfigRequest(_message.Message):
    __slots__ = ("config", "check_credentials")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CHECK_CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    config: BindingConfig
    check_credentials: bool
    def __init__(self, config: _Optional[_Union[BindingConfig, _Mapping]] = ..., check_credentials: _Optional[bool] = ...) -> None: ...

class ValidateConfigResponse(_message.Message):
    __slots__ = ("diagnostics",)
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ...) -> None: ...

class ConfigureRequest(_message.Message):
    __slots__ = ("binding_id", "generation", "config")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    generation: int
    config: BindingConfig
    def __init__(self, binding_id: _Optional[str] = ..., generation: _Optional[int] = ..., config: _Optional[_Union[BindingConfig, _Mapping]] = ...) -> None: ...

class ConfigureResponse(_message.Message):
    __slots__ = ("applied_generation", "diagnostics")
    APPLIED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    applied_generation: int
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    def __init__(self, applied_generation: _Optional[int] = ..., diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ...) -> None: ...

class BindingConfig(_message.Message):
    __slots__ = ("config_json", "secrets")
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    config_json: str
    secrets: _containers.RepeatedCompositeFieldContainer[SecretValue]
    def __init__(self, config_json: _Optional[str] = ..., secrets: _Optional[_Iterable[_Union[SecretValue, _Mapping]]] = ...) -> None: ...

class SecretValue(_message.Message):
    __slots__ = ("slot", "version", "value", "expire_time")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    value: bytes
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., value: _Optional[bytes] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Diagnostic(_message.Message):
    __slots__ = ("severity", "summary", "json_pointer")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[Diagnostic.Severity]
        SEVERITY_ERROR: _ClassVar[Diagnostic.Severity]
        SEVERITY_WARNING: _ClassVar[Diagnostic.Severity]
    SEVERITY_UNSPECIFIED: Diagnostic.Severity
    SEVERITY_ERROR: Diagnostic.Severity
    SEVERITY_WARNING: Diagnostic.Severity
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    JSON_POINTER_FIELD_NUMBER: _ClassVar[int]
    severity: Diagnostic.Severity
    summary: str
    json_pointer: str
    def __init__(self, severity: _Optional[_Union[Diagnostic.Severity, str]] = ..., summary: _Optional[str] = ..., json_pointer: _Optional[str] = ...) -> None: ...

class RemoveBindingRequest(_message.Message):
    __slots__ = ("binding_id",)
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    def __init__(self, binding_id: _Optional[str] = ...) -> None: ...

class RemoveBindingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MigrateConfigRequest(_message.Message):
    __slots__ = ("from_schema_digest", "from_config_schema_version", "config_json")
    FROM_SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FROM_CONFIG_SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    from_schema_digest: str
    from_config_schema_version: int
    config_json: str
    def __init__(self, from_schema_digest: _Optional[str] = ..., from_config_schema_version: _Optional[int] = ..., config_json: _Optional[str] = ...) -> None: ...

class MigrateConfigResponse(_message.Message):
    __slots__ = ("config_json", "diagnostics")
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    config_json: str
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    def __init__(self, config_json: _Optional[str] = ..., diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ...) -> None: ...

class NotifyLifecycleRequest(_message.Message):
    __slots__ = ("change", "reason")
    class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHANGE_UNSPECIFIED: _ClassVar[NotifyLifecycleRequest.Change]
        CHANGE_ENABLED: _ClassVar[NotifyLifecycleRequest.Change]
        CHANGE_DISABLED: _ClassVar[NotifyLifecycleRequest.Change]
        CHANGE_UNINSTALLED: _ClassVar[NotifyLifecycleRequest.Change]
    CHANGE_UNSPECIFIED: NotifyLifecycleRequest.Change
    CHANGE_ENABLED: NotifyLifecycleRequest.Change
    CHANGE_DISABLED: NotifyLifecycleRequest.Change
    CHANGE_UNINSTALLED: NotifyLifecycleRequest.Change
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    change: NotifyLifecycleRequest.Change
    reason: str
    def __init__(self, change: _Optional[_Union[NotifyLifecycleRequest.Change, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class NotifyLifecycleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProbeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProbeResponse(_message.Message):
    __slots__ = ("readiness", "bindings", "active_calls", "degraded_reasons", "time")
    class Readiness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        READINESS_UNSPECIFIED: _ClassVar[ProbeResponse.Readiness]
        READINESS_INITIALIZING: _ClassVar[ProbeResponse.Readiness]
        READINESS_READY: _ClassVar[ProbeResponse.Readiness]
        READINESS_DEGRADED: _ClassVar[ProbeResponse.Readiness]
        READINESS_DRAINING: _ClassVar[ProbeResponse.Readiness]
    READINESS_UNSPECIFIED: ProbeResponse.Readiness
    READINESS_INITIALIZING: ProbeResponse.Readiness
    READINESS_READY: ProbeResponse.Readiness
    READINESS_DEGRADED: ProbeResponse.Readiness
    READINESS_DRAINING: ProbeResponse.Readiness
    READINESS_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CALLS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    readiness: ProbeResponse.Readiness
    bindings: _containers.RepeatedCompositeFieldContainer[BindingStatus]
    active_calls: int
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    time: _timestamp_pb2.Timestamp
    def __init__(self, readiness: _Optional[_Union[ProbeResponse.Readiness, str]] = ..., bindings: _Optional[_Iterable[_Union[BindingStatus, _Mapping]]] = ..., active_calls: _Optional[int] = ..., degraded_reasons: _Optional[_Iterable[str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BindingStatus(_message.Message):
    __slots__ = ("binding_id", "applied_generation", "credential_status", "credential_time", "degraded_reasons", "secret_warnings")
    class CredentialStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CREDENTIAL_STATUS_UNSPECIFIED: _ClassVar[BindingStatus.CredentialStatus]
        CREDENTIAL_STATUS_ACCEPTED: _ClassVar[BindingStatus.CredentialStatus]
        CREDENTIAL_STATUS_REJECTED: _ClassVar[BindingStatus.CredentialStatus]
    CREDENTIAL_STATUS_UNSPECIFIED: BindingStatus.CredentialStatus
    CREDENTIAL_STATUS_ACCEPTED: BindingStatus.CredentialStatus
    CREDENTIAL_STATUS_REJECTED: BindingStatus.CredentialStatus
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_STATUS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_TIME_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    SECRET_WARNINGS_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    applied_generation: int
    credential_status: BindingStatus.CredentialStatus
    credential_time: _timestamp_pb2.Timestamp
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    secret_warnings: _containers.RepeatedCompositeFieldContainer[SecretWarning]
    def __init__(self, binding_id: _Optional[str] = ..., applied_generation: _Optional[int] = ..., credential_status: _Optional[_Union[BindingStatus.CredentialStatus, str]] = ..., credential_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[str]] = ..., secret_warnings: _Optional[_Iterable[_Union[SecretWarning, _Mapping]]] = ...) -> None: ...

class SecretWarning(_message.Message):
    __slots__ = ("slot", "version", "expire_time")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("grace_period",)
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    grace_period: _duration_pb2.Duration
    def __init__(self, grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ("remaining_calls",)
    REMAINING_CALLS_FIELD_NUMBER: _ClassVar[int]
    remaining_calls: int
    def __init__(self, remaining_calls: _Optional[int] = ...) -> None: ...
