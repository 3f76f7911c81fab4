from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class PluginErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLUGIN_ERROR_REASON_UNSPECIFIED: _ClassVar[PluginErrorReason]
    PLUGIN_ERROR_REASON_STALE_GENERATION: _ClassVar[PluginErrorReason]
    PLUGIN_ERROR_REASON_CONFIG_INVALID: _ClassVar[PluginErrorReason]
PLUGIN_ERROR_REASON_UNSPECIFIED: PluginErrorReason
PLUGIN_ERROR_REASON_STALE_GENERATION: PluginErrorReason
PLUGIN_ERROR_REASON_CONFIG_INVALID: PluginErrorReason
