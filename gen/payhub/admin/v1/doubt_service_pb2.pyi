import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.payments.v1 import payment_pb2 as _payment_pb2
from payhub.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Doubt(_message.Message):
    __slots__ = ("operation_id", "tenant_id", "entity_id", "kind", "amount", "provider", "version", "create_time", "update_time", "attempts", "next_look_time", "settleable_time", "failure", "settleable", "plugin_version")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_LOOK_TIME_FIELD_NUMBER: _ClassVar[int]
    SETTLEABLE_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SETTLEABLE_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    tenant_id: str
    entity_id: str
    kind: str
    amount: _money_pb2.Money
    provider: str
    version: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    attempts: int
    next_look_time: _timestamp_pb2.Timestamp
    settleable_time: _timestamp_pb2.Timestamp
    failure: _payment_pb2.PaymentFailure
    settleable: bool
    plugin_version: str
    def __init__(self, operation_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., kind: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., provider: _Optional[str] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., next_look_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settleable_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure: _Optional[_Union[_payment_pb2.PaymentFailure, _Mapping]] = ..., settleable: _Optional[bool] = ..., plugin_version: _Optional[str] = ...) -> None: ...

class ListDoubtsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant_id", "provider", "entity_id", "needs_operator")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    NEEDS_OPERATOR_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant_id: str
    provider: str
    entity_id: str
    needs_operator: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant_id: _Optional[str] = ..., provider: _Optional[str] = ..., entity_id: _Optional[str] = ..., needs_operator: _Optional[bool] = ...) -> None: ...

class ListDoubtsResponse(_message.Message):
    __slots__ = ("doubts", "next_page_token")
    DOUBTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    doubts: _containers.RepeatedCompositeFieldContainer[Doubt]
    next_page_token: str
    def __init__(self, doubts: _Optional[_Iterable[_Union[Doubt, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SettleDoubtRequest(_message.Message):
    __slots__ = ("operation_id", "version", "finding", "provider_payment_id", "reason")
    class Finding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FINDING_UNSPECIFIED: _ClassVar[SettleDoubtRequest.Finding]
        FINDING_TOOK_EFFECT: _ClassVar[SettleDoubtRequest.Finding]
        FINDING_NO_EFFECT: _ClassVar[SettleDoubtRequest.Finding]
    FINDING_UNSPECIFIED: SettleDoubtRequest.Finding
    FINDING_TOOK_EFFECT: SettleDoubtRequest.Finding
    FINDING_NO_EFFECT: SettleDoubtRequest.Finding
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    version: int
    finding: SettleDoubtRequest.Finding
    provider_payment_id: str
    reason: str
    def __init__(self, operation_id: _Optional[str] = ..., version: _Optional[int] = ..., finding: _Optional[_Union[SettleDoubtRequest.Finding, str]] = ..., provider_payment_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SettleDoubtResponse(_message.Message):
    __slots__ = ("payment",)
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    payment: _payment_pb2.Payment
    def __init__(self, payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ...) -> None: ...
