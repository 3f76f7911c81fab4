from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PluginMetadata(_message.Message):
    __slots__ = ("name", "description", "author")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    author: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class PluginDependency(_message.Message):
    __slots__ = ("plugin_id", "version_specifier", "required")
    PLUGIN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_SPECIFIER_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    plugin_id: str
    version_specifier: str
    required: bool
    def __init__(self, plugin_id: _Optional[str] = ..., version_specifier: _Optional[str] = ..., required: _Optional[bool] = ...) -> None: ...
