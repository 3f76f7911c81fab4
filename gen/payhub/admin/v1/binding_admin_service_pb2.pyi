import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.admin.v1 import value_change_pb2 as _value_change_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.plugin.v1 import binding_pb2 as _binding_pb2
from payhub.plugin.v1 import plugin_service_pb2 as _plugin_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SecretInput(_message.Message):
    __slots__ = ("slot", "value", "expire_time", "previous_expire_time")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    slot: str
    value: bytes
    expire_time: _timestamp_pb2.Timestamp
    previous_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, slot: _Optional[str] = ..., value: _Optional[bytes] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., previous_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateBindingRequest(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "config_json", "options", "secrets", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    config_json: str
    options: _binding_pb2.BindingOptions
    secrets: _containers.RepeatedCompositeFieldContainer[SecretInput]
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., config_json: _Optional[str] = ..., options: _Optional[_Union[_binding_pb2.BindingOptions, _Mapping]] = ..., secrets: _Optional[_Iterable[_Union[SecretInput, _Mapping]]] = ..., reason: _Optional[str] = ...) -> None: ...

class CreateBindingResponse(_message.Message):
    __slots__ = ("binding", "diagnostics")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    binding: _binding_pb2.Binding
    diagnostics: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.Diagnostic]
    def __init__(self, binding: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ..., diagnostics: _Optional[_Iterable[_Union[_plugin_service_pb2.Diagnostic, _Mapping]]] = ...) -> None: ...

class UpdateBindingRequest(_message.Message):
    __slots__ = ("binding_id", "expected_generation", "config_json", "options", "secrets", "removed_secret_slots", "reason")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_SECRET_SLOTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    expected_generation: int
    config_json: str
    options: _binding_pb2.BindingOptions
    secrets: _containers.RepeatedCompositeFieldContainer[SecretInput]
    removed_secret_slots: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, binding_id: _Optional[str] = ..., expected_generation: _Optional[int] = ..., config_json: _Optional[str] = ..., options: _Optional[_Union[_binding_pb2.BindingOptions, _Mapping]] = ..., secrets: _Optional[_Iterable[_Union[SecretInput, _Mapping]]] = ..., removed_secret_slots: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class UpdateBindingResponse(_message.Message):
    __slots__ = ("binding", "diagnostics")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    binding: _binding_pb2.Binding
    diagnostics: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.Diagnostic]
    def __init__(self, binding: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ..., diagnostics: _Optional[_Iterable[_Union[_plugin_service_pb2.Diagnostic, _Mapping]]] = ...) -> None: ...

class GetBindingRequest(_message.Message):
    __slots__ = ("binding_id", "generation")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    generation: int
    def __init__(self, binding_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class GetBindingResponse(_message.Message):
    __slots__ = ("binding", "config_json")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    binding: _binding_pb2.Binding
    config_json: str
    def __init__(self, binding: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ..., config_json: _Optional[str] = ...) -> None: ...

class ListBindingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant_id", "plugin_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant_id: str
    plugin_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ...) -> None: ...

class ListBindingsResponse(_message.Message):
    __slots__ = ("bindings", "next_page_token")
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bindings: _containers.RepeatedCompositeFieldContainer[_binding_pb2.Binding]
    next_page_token: str
    def __init__(self, bindings: _Optional[_Iterable[_Union[_binding_pb2.Binding, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteBindingRequest(_message.Message):
    __slots__ = ("binding_id", "expected_generation", "reason")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    expected_generation: int
    reason: str
    def __init__(self, binding_id: _Optional[str] = ..., expected_generation: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class DeleteBindingResponse(_message.Message):
    __slots__ = ("binding",)
    BINDING_FIELD_NUMBER: _ClassVar[int]
    binding: _binding_pb2.Binding
    def __init__(self, binding: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ...) -> None: ...

class ValidateBindingRequest(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "config_json", "options", "secrets", "version", "check_credentials")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECK_CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    config_json: str
    options: _binding_pb2.BindingOptions
    secrets: _containers.RepeatedCompositeFieldContainer[SecretInput]
    version: str
    check_credentials: bool
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., config_json: _Optional[str] = ..., options: _Optional[_Union[_binding_pb2.BindingOptions, _Mapping]] = ..., secrets: _Optional[_Iterable[_Union[SecretInput, _Mapping]]] = ..., version: _Optional[str] = ..., check_credentials: _Optional[bool] = ...) -> None: ...

class ValidateBindingResponse(_message.Message):
    __slots__ = ("diagnostics", "version", "checked_by_plugin")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKED_BY_PLUGIN_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.Diagnostic]
    version: str
    checked_by_plugin: bool
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[_plugin_service_pb2.Diagnostic, _Mapping]]] = ..., version: _Optional[str] = ..., checked_by_plugin: _Optional[bool] = ...) -> None: ...

class ListBindingVersionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "binding_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    binding_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., binding_id: _Optional[str] = ...) -> None: ...

class ListBindingVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[BindingVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[BindingVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class BindingVersion(_message.Message):
    __slots__ = ("generation", "options", "config_keys", "secrets", "schema_digest", "actor", "reason", "create_time")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_KEYS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    generation: int
    options: _binding_pb2.BindingOptions
    config_keys: _containers.RepeatedScalarFieldContainer[str]
    secrets: _containers.RepeatedCompositeFieldContainer[_binding_pb2.StoredSecret]
    schema_digest: str
    actor: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, generation: _Optional[int] = ..., options: _Optional[_Union[_binding_pb2.BindingOptions, _Mapping]] = ..., config_keys: _Optional[_Iterable[str]] = ..., secrets: _Optional[_Iterable[_Union[_binding_pb2.StoredSecret, _Mapping]]] = ..., schema_digest: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DiffBindingVersionsRequest(_message.Message):
    __slots__ = ("binding_id", "from_generation", "to_generation")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_GENERATION_FIELD_NUMBER: _ClassVar[int]
    TO_GENERATION_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    from_generation: int
    to_generation: int
    def __init__(self, binding_id: _Optional[str] = ..., from_generation: _Optional[int] = ..., to_generation: _Optional[int] = ...) -> None: ...

class DiffBindingVersionsResponse(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[_value_change_pb2.ValueChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[_value_change_pb2.ValueChange, _Mapping]]] = ...) -> None: ...

class RollBackBindingRequest(_message.Message):
    __slots__ = ("binding_id", "to_generation", "expected_generation", "reason")
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    TO_GENERATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    binding_id: str
    to_generation: int
    expected_generation: int
    reason: str
    def __init__(self, binding_id: _Optional[str] = ..., to_generation: _Optional[int] = ..., expected_generation: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class RollBackBindingResponse(_message.Message):
    __slots__ = ("binding", "diagnostics")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    binding: _binding_pb2.Binding
    diagnostics: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.Diagnostic]
    def __init__(self, binding: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ..., diagnostics: _Optional[_Iterable[_Union[_plugin_service_pb2.Diagnostic, _Mapping]]] = ...) -> None: ...

class DefaultProvider(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "inherited")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    INHERITED_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    inherited: bool
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., inherited: _Optional[bool] = ...) -> None: ...

class SetDefaultProviderRequest(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetDefaultProviderResponse(_message.Message):
    __slots__ = ("default_provider",)
    DEFAULT_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    default_provider: DefaultProvider
    def __init__(self, default_provider: _Optional[_Union[DefaultProvider, _Mapping]] = ...) -> None: ...

class GetDefaultProviderRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetDefaultProviderResponse(_message.Message):
    __slots__ = ("default_provider",)
    DEFAULT_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    default_provider: DefaultProvider
    def __init__(self, default_provider: _Optional[_Union[DefaultProvider, _Mapping]] = ...) -> None: ...

class ExportedBinding(_message.Message):
    __slots__ = ("format", "tenant_id", "plugin_id", "config_json", "options", "schema_digest", "generation", "sealed_secrets")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SEALED_SECRETS_FIELD_NUMBER: _ClassVar[int]
    format: int
    tenant_id: str
    plugin_id: str
    config_json: str
    options: _binding_pb2.BindingOptions
    schema_digest: str
    generation: int
    sealed_secrets: bytes
    def __init__(self, format: _Optional[int] = ..., tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., config_json: _Optional[str] = ..., options: _Optional[_Union[_binding_pb2.BindingOptions, _Mapping]] = ..., schema_digest: _Optional[str] = ..., generation: _Optional[int] = ..., sealed_secrets: _Optional[bytes] = ...) -> None: ...

class ExportBindingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant_id", "plugin_id", "include_secrets", "passphrase")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SECRETS_FIELD_NUMBER: _ClassVar[int]
    PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant_id: str
    plugin_id: str
    include_secrets: bool
    passphrase: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., include_secrets: _Optional[bool] = ..., passphrase: _Optional[str] = ...) -> None: ...

class ExportBindingsResponse(_message.Message):
    __slots__ = ("bindings", "next_page_token")
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bindings: _containers.RepeatedCompositeFieldContainer[ExportedBinding]
    next_page_token: str
    def __init__(self, bindings: _Optional[_Iterable[_Union[ExportedBinding, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ImportBindingsRequest(_message.Message):
    __slots__ = ("bindings", "passphrase", "dry_run", "overwrite", "reason")
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    bindings: _containers.RepeatedCompositeFieldContainer[ExportedBinding]
    passphrase: str
    dry_run: bool
    overwrite: bool
    reason: str
    def __init__(self, bindings: _Optional[_Iterable[_Union[ExportedBinding, _Mapping]]] = ..., passphrase: _Optional[str] = ..., dry_run: _Optional[bool] = ..., overwrite: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class ImportBindingsResponse(_message.Message):
    __slots__ = ("results", "applied")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImportResult]
    applied: bool
    def __init__(self, results: _Optional[_Iterable[_Union[ImportResult, _Mapping]]] = ..., applied: _Optional[bool] = ...) -> None: ...

class ImportResult(_message.Message):
    __slots__ = ("tenant_id", "plugin_id", "binding_id", "outcome", "diagnostics")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ImportResult.Outcome]
        OUTCOME_CREATED: _ClassVar[ImportResult.Outcome]
        OUTCOME_UPDATED: _ClassVar[ImportResult.Outcome]
        OUTCOME_UNCHANGED: _ClassVar[ImportResult.Outcome]
        OUTCOME_REFUSED: _ClassVar[ImportResult.Outcome]
    OUTCOME_UNSPECIFIED: ImportResult.Outcome
    OUTCOME_CREATED: ImportResult.Outcome
    OUTCOME_UPDATED: ImportResult.Outcome
    OUTCOME_UNCHANGED: ImportResult.Outcome
    OUTCOME_REFUSED: ImportResult.Outcome
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    plugin_id: str
    binding_id: str
    outcome: ImportResult.Outcome
    diagnostics: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.Diagnostic]
    def __init__(self, tenant_id: _Optional[str] = ..., plugin_id: _Optional[str] = ..., binding_id: _Optional[str] = ..., outcome: _Optional[_Union[ImportResult.Outcome, str]] = ..., diagnostics: _Optional[_Iterable[_Union[_plugin_service_pb2.Diagnostic, _Mapping]]] = ...) -> None: ...

class RotateEncryptionKeyRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class RotateEncryptionKeyResponse(_message.Message):
    __slots__ = ("rotated_count", "current_count")
    ROTATED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    rotated_count: int
    current_count: int
    def __init__(self, rotated_count: _Optional[int] = ..., current_count: _Optional[int] = ...) -> None: ...

class GetConfigSchemaRequest(_message.Message):
    __slots__ = ("plugin_id", "version")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    version: str
    def __init__(self, plugin_id: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class GetConfigSchemaResponse(_message.Message):
    __slots__ = ("version", "json_schema", "schema_digest", "config_schema_version", "secret_slots")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONFIG_SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SECRET_SLOTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    json_schema: str
    schema_digest: str
    config_schema_version: int
    secret_slots: _containers.RepeatedCompositeFieldContainer[_plugin_service_pb2.SecretSlot]
    def __init__(self, version: _Optional[str] = ..., json_schema: _Optional[str] = ..., schema_digest: _Optional[str] = ..., config_schema_version: _Optional[int] = ..., secret_slots: _Optional[_Iterable[_Union[_plugin_service_pb2.SecretSlot, _Mapping]]] = ...) -> None: ...
