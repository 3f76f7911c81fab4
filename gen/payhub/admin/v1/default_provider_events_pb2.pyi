from google.protobuf import field_mask_pb2 as _field_mask_pb2
from payhub.admin.v1 import binding_admin_service_pb2 as _binding_admin_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DefaultProviderEvent(_message.Message):
    __slots__ = ("default_provider", "changed", "previous", "reason")
    DEFAULT_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    default_provider: _binding_admin_service_pb2.DefaultProvider
    changed: _field_mask_pb2.FieldMask
    previous: _binding_admin_service_pb2.DefaultProvider
    reason: str
    def __init__(self, default_provider: _Optional[_Union[_binding_admin_service_pb2.DefaultProvider, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_binding_admin_service_pb2.DefaultProvider, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...
