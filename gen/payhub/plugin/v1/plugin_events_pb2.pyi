from google.protobuf import field_mask_pb2 as _field_mask_pb2
from payhub.plugin.v1 import binding_pb2 as _binding_pb2
from payhub.plugin.v1 import plugin_pb2 as _plugin_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginEvent(_message.Message):
    __slots__ = ("plugin", "changed", "previous", "reason", "version", "binding_id", "config_keys")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BINDING_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_KEYS_FIELD_NUMBER: _ClassVar[int]
    plugin: _plugin_pb2.Plugin
    changed: _field_mask_pb2.FieldMask
    previous: _plugin_pb2.Plugin
    reason: str
    version: str
    binding_id: str
    config_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, plugin: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_plugin_pb2.Plugin, _Mapping]] = ..., reason: _Optional[str] = ..., version: _Optional[str] = ..., binding_id: _Optional[str] = ..., config_keys: _Optional[_Iterable[str]] = ...) -> None: ...

class BindingEvent(_message.Message):
    __slots__ = ("binding", "changed", "previous", "reason", "changed_config_keys", "changed_secret_slots")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHANGED_CONFIG_KEYS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_SECRET_SLOTS_FIELD_NUMBER: _ClassVar[int]
    binding: _binding_pb2.Binding
    changed: _field_mask_pb2.FieldMask
    previous: _binding_pb2.Binding
    reason: str
    changed_config_keys: _containers.RepeatedScalarFieldContainer[str]
    changed_secret_slots: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, binding: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_binding_pb2.Binding, _Mapping]] = ..., reason: _Optional[str] = ..., changed_config_keys: _Optional[_Iterable[str]] = ..., changed_secret_slots: _Optional[_Iterable[str]] = ...) -> None: ...
