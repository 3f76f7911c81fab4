from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ValueChange(_message.Message):
    __slots__ = ("json_pointer", "old_json", "new_json", "secret")
    JSON_POINTER_FIELD_NUMBER: _ClassVar[int]
    OLD_JSON_FIELD_NUMBER: _ClassVar[int]
    NEW_JSON_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    json_pointer: str
    old_json: str
    new_json: str
    secret: bool
    def __init__(self, json_pointer: _Optional[str] = ..., old_json: _Optional[str] = ..., new_json: _Optional[str] = ..., secret: _Optional[bool] = ...) -> None: ...
