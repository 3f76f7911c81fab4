"""Rules that live in the contract, checked at the edge.

Owns the translation of protovalidate's violations into field paths. Called by
the pipeline for every request; never knows a message by name.
"""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from servicekit import errors

# Of a larger message the first wrong field is told: what is wrong with each of two million
# items takes minutes to collect.
ALL_BYTES_MAX = 4_096

_validator = protovalidate.Validator()


def validate(msg: Message) -> None:
    """Check `msg` against the rules of its contract.

    Raises:
        errors.RpcError: INVALID_FIELD with a dotted path for each violation, or for the first
            one of a message over 4 KiB.
    """
    violations = _validator.collect_violations(msg, fail_fast=True)
    if violations and msg.ByteSize() <= ALL_BYTES_MAX:
        violations = _validator.collect_violations(msg)
    if violations:
        raise errors.invalid_fields([_translate(violation) for violation in violations])


def _translate(violation: protovalidate.Violation) -> tuple[str, str]:
    proto = violation.proto
    path = _path(proto.field)
    text = proto.message or proto.rule_id or "is invalid"
    return path, f"key {text}" if proto.for_key else text


def _path(field: Any) -> str:
    if field is None:
        return ""
    parts: list[str] = []
    for element in field.elements:
        name = element.field_name
        subscript = getattr(element, "subscript", None)
        if subscript is not None:
            name += f"[{_subscript(subscript)}]"
        parts.append(name)
    return ".".join(parts)


def _subscript(subscript: Any) -> str:
    value = subscript.value if hasattr(subscript, "value") else subscript
    return f'"{value}"' if isinstance(value, str) else str(value)
