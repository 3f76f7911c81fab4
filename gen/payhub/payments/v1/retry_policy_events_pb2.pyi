from google.protobuf import field_mask_pb2 as _field_mask_pb2
from payhub.payments.v1 import retry_policy_service_pb2 as _retry_policy_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RetryPolicyEvent(_message.Message):
    __slots__ = ("policy", "changed", "previous")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    policy: _retry_policy_service_pb2.RetryPolicy
    changed: _field_mask_pb2.FieldMask
    previous: _retry_policy_service_pb2.RetryPolicy
    def __init__(self, policy: _Optional[_Union[_retry_policy_service_pb2.RetryPolicy, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_retry_policy_service_pb2.RetryPolicy, _Mapping]] = ...) -> None: ...
