from google.protobuf import field_mask_pb2 as _field_mask_pb2
from payhub.admin.v1 import key_service_pb2 as _key_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyEvent(_message.Message):
    __slots__ = ("key", "changed", "previous")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    key: _key_service_pb2.Key
    changed: _field_mask_pb2.FieldMask
    previous: _key_service_pb2.Key
    def __init__(self, key: _Optional[_Union[_key_service_pb2.Key, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_key_service_pb2.Key, _Mapping]] = ...) -> None: ...
