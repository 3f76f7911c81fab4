from google.protobuf import field_mask_pb2 as _field_mask_pb2
from payhub.payments.v1 import customer_service_pb2 as _customer_service_pb2
from payhub.payments.v1 import payment_pb2 as _payment_pb2
from payhub.payments.v1 import refund_service_pb2 as _refund_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentEvent(_message.Message):
    __slots__ = ("payment", "changed", "previous", "operation_id", "refund")
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    payment: _payment_pb2.Payment
    changed: _field_mask_pb2.FieldMask
    previous: _payment_pb2.Payment
    operation_id: str
    refund: _refund_service_pb2.Refund
    def __init__(self, payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., operation_id: _Optional[str] = ..., refund: _Optional[_Union[_refund_service_pb2.Refund, _Mapping]] = ...) -> None: ...

class CustomerEvent(_message.Message):
    __slots__ = ("customer", "changed", "previous")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    customer: _customer_service_pb2.Customer
    changed: _field_mask_pb2.FieldMask
    previous: _customer_service_pb2.Customer
    def __init__(self, customer: _Optional[_Union[_customer_service_pb2.Customer, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_customer_service_pb2.Customer, _Mapping]] = ...) -> None: ...
