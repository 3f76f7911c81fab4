from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Capability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPABILITY_UNSPECIFIED: _ClassVar[Capability]
    CAPABILITY_MANUAL_CAPTURE: _ClassVar[Capability]
    CAPABILITY_SALE: _ClassVar[Capability]
    CAPABILITY_PARTIAL_CAPTURE: _ClassVar[Capability]
    CAPABILITY_MULTIPLE_CAPTURE: _ClassVar[Capability]
    CAPABILITY_VOID: _ClassVar[Capability]
    CAPABILITY_REFUND: _ClassVar[Capability]
    CAPABILITY_PARTIAL_REFUND: _ClassVar[Capability]
    CAPABILITY_CUSTOMER_ACTION: _ClassVar[Capability]
    CAPABILITY_CUSTOMERS: _ClassVar[Capability]
    CAPABILITY_UPSTREAM_IDEMPOTENCY: _ClassVar[Capability]
    CAPABILITY_OPERATION_LOOKUP: _ClassVar[Capability]
    CAPABILITY_CREDENTIAL_CHECK: _ClassVar[Capability]
    CAPABILITY_OVERLAPPING_SECRETS: _ClassVar[Capability]
    CAPABILITY_PAYMENT_METHODS: _ClassVar[Capability]
    CAPABILITY_SAVE_PAYMENT_METHOD: _ClassVar[Capability]
    CAPABILITY_OFF_SESSION: _ClassVar[Capability]
    CAPABILITY_INCREMENTAL_AUTHORIZATION: _ClassVar[Capability]
    CAPABILITY_PLANS: _ClassVar[Capability]
    CAPABILITY_SUBSCRIPTIONS: _ClassVar[Capability]
    CAPABILITY_CHECKOUT: _ClassVar[Capability]
    CAPABILITY_DISPUTES: _ClassVar[Capability]
    CAPABILITY_WEBHOOKS: _ClassVar[Capability]
    CAPABILITY_OBJECT_FETCH: _ClassVar[Capability]
CAPABILITY_UNSPECIFIED: Capability
CAPABILITY_MANUAL_CAPTURE: Capability
CAPABILITY_SALE: Capability
CAPABILITY_PARTIAL_CAPTURE: Capability
CAPABILITY_MULTIPLE_CAPTURE: Capability
CAPABILITY_VOID: Capability
CAPABILITY_REFUND: Capability
CAPABILITY_PARTIAL_REFUND: Capability
CAPABILITY_CUSTOMER_ACTION: Capability
CAPABILITY_CUSTOMERS: Capability
CAPABILITY_UPSTREAM_IDEMPOTENCY: Capability
CAPABILITY_OPERATION_LOOKUP: Capability
CAPABILITY_CREDENTIAL_CHECK: Capability
CAPABILITY_OVERLAPPING_SECRETS: Capability
CAPABILITY_PAYMENT_METHODS: Capability
CAPABILITY_SAVE_PAYMENT_METHOD: Capability
CAPABILITY_OFF_SESSION: Capability
CAPABILITY_INCREMENTAL_AUTHORIZATION: Capability
CAPABILITY_PLANS: Capability
CAPABILITY_SUBSCRIPTIONS: Capability
CAPABILITY_CHECKOUT: Capability
CAPABILITY_DISPUTES: Capability
CAPABILITY_WEBHOOKS: Capability
CAPABILITY_OBJECT_FETCH: Capability

class CapabilityStatus(_message.Message):
    __slots__ = ("capability", "enabled", "disabled_reason")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_REASON_FIELD_NUMBER: _ClassVar[int]
    capability: Capability
    enabled: bool
    disabled_reason: str
    def __init__(self, capability: _Optional[_Union[Capability, str]] = ..., enabled: _Optional[bool] = ..., disabled_reason: _Optional[str] = ...) -> None: ...
