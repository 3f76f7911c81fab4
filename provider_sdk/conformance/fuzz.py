"""Random messages that are valid by type and by nothing else.

Owns making and spoiling them. Called by the fuzzing check. Never makes the same
choice twice for different reasons: every choice comes from the given generator.
"""

import random
import sys
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

DEPTH_MAX = 6
ITEMS_MAX = 3
SET_SHARE = 0.8

_NUMBERS = (0, 1, 2, 3, 10, 99, 1_000, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1)
_WORDS = (
    "",
    " ",
    "x",
    "EUR",
    "eur",
    # ISO 4217's code for no currency.
    "XXX",
    "€",
    "op_12345678",
    "tok_approve",
    "tok_",
    "null",
    "{}",
    "[]",
    '{"a": 1}',
    "../../etc/passwd",
    "'; drop table operations; --",
    "%00%0d%0a",
    "line\r\nInjected: header",
    "\x00\x01\x7f",
    "\u202e\u0000\ufffd",
    "\U0001f4b8" * 8,
    "a" * 64,
    "a" * 255,
    "A" * 256,
    "z" * 5_000,
    "00000000-0000-0000-0000-000000000000",
    "https://shop.example/return?x=1",
    f"sha256:{'0' * 64}",
)


def message(kind: type[Message], choose: random.Random) -> Message:
    """Returns a message with random values in most fields."""
    made = kind()
    _fill(made, choose, _WORDS, depth=0)
    return made


def spoil(valid: Message, choose: random.Random, *, words: tuple[str, ...] = ()) -> Message:
    """Returns a copy of *valid* with one field, at any depth, made random.

    *words* mean something to the provider and are used now and then.
    """
    copy = type(valid)()
    copy.CopyFrom(valid)
    inside: Any = copy
    while True:
        field = choose.choice(inside.DESCRIPTOR.fields)
        is_message = field.type == FieldDescriptor.TYPE_MESSAGE and not field.is_repeated
        if is_message and inside.HasField(field.name) and choose.random() < 0.8:
            inside = getattr(inside, field.name)
            continue
        inside.ClearField(field.name)
        if choose.random() < 0.9:
            _set(inside, field, choose, _WORDS + words, depth=0)
        return copy


def _fill(made: Any, choose: random.Random, words: tuple[str, ...], *, depth: int) -> None:
    for field in made.DESCRIPTOR.fields:
        if choose.random() < SET_SHARE:
            _set(made, field, choose, words, depth=depth)


def _set(
    made: Any, field: FieldDescriptor, choose: random.Random, words: tuple[str, ...], *, depth: int
) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if depth >= DEPTH_MAX:
            return
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            for _ in range(choose.randint(0, ITEMS_MAX)):
                # Maps of messages would need more; the contract has none.
                pair = _value(key, choose, words), _value(value, choose, words)
                getattr(made, field.name)[pair[0]] = pair[1]
        elif field.is_repeated:
            for _ in range(choose.randint(0, ITEMS_MAX)):
                _fill(getattr(made, field.name).add(), choose, words, depth=depth + 1)
        else:
            getattr(made, field.name).SetInParent()
            _fill(getattr(made, field.name), choose, words, depth=depth + 1)
    elif field.is_repeated:
        values = [_value(field, choose, words) for _ in range(choose.randint(0, ITEMS_MAX))]
        getattr(made, field.name).extend(values)
    else:
        setattr(made, field.name, _value(field, choose, words))


def _value(field: FieldDescriptor, choose: random.Random, words: tuple[str, ...]) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return choose.randbytes(choose.choice((0, 1, 16, 300)))
        return choose.choice(words)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return choose.random() < 0.5
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return choose.choice((0.0, -1.5, sys.float_info.max, float("inf"), float("nan")))
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        numbers = [value.number for value in field.enum_type.values]
        return choose.choice([*numbers, -1, 99, 2**31 - 1])
    number = choose.choice(_NUMBERS) * (1 if choose.random() < 0.7 else -1)
    low, high = _RANGES[kind]
    return min(max(number, low), high)


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
