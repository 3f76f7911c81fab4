"""Messages as bytes, with what this version of the contract does not know.

Owns unknown fields. Called by the checks of the transport. Never sends anything.
"""

from collections.abc import Sequence
from typing import Any

UNKNOWN_FIELD = 15_000


def filler(size_bytes: int) -> bytes:
    """Returns a valid message of that size whose only field nobody knows."""
    head = unknown_field(b"x" * size_bytes)
    return unknown_field(b"x" * (size_bytes - (len(head) - size_bytes)))


def unknown_field(value: bytes) -> bytes:
    """Returns field 15,000 with *value*, as it stands on the wire."""
    return _varint(UNKNOWN_FIELD << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def add_unknown(message: Any) -> Any:
    """Returns *message* with a field nobody knows in it and in every part of it."""
    parts: Sequence[Any]
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        parts = value if field.is_repeated else [value]
        for part in parts:
            add_unknown(part)
    message.MergeFromString(unknown_field(b"from a later version of the contract"))
    return message
