from google.protobuf import field_mask_pb2 as _field_mask_pb2
from payhub.events.v1 import consumer_pb2 as _consumer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConsumerEvent(_message.Message):
    __slots__ = ("consumer", "changed", "previous", "cursor", "previous_cursor", "position", "previous_position", "parked", "parked_positions", "released", "shortened")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_CURSOR_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_POSITION_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    PARKED_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    SHORTENED_FIELD_NUMBER: _ClassVar[int]
    consumer: _consumer_pb2.Consumer
    changed: _field_mask_pb2.FieldMask
    previous: _consumer_pb2.Consumer
    cursor: str
    previous_cursor: str
    position: int
    previous_position: int
    parked: int
    parked_positions: _containers.RepeatedScalarFieldContainer[int]
    released: int
    shortened: bool
    def __init__(self, consumer: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ..., changed: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., previous: _Optional[_Union[_consumer_pb2.Consumer, _Mapping]] = ..., cursor: _Optional[str] = ..., previous_cursor: _Optional[str] = ..., position: _Optional[int] = ..., previous_position: _Optional[int] = ..., parked: _Optional[int] = ..., parked_positions: _Optional[_Iterable[int]] = ..., released: _Optional[int] = ..., shortened: _Optional[bool] = ...) -> None: ...
