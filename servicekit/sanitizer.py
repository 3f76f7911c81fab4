"""What must never be shown: masking for logs, clearing for snapshots.

Owns the rules: fields marked with the contract's sensitive option (given by the
caller, found by walking descriptors), names that sound secret, and text that
looks like an API key. Called by `logs` and by whoever writes events.
"""

import base64
import re
import urllib.parse
from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf import symbol_database
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

MASK = "***"
STRING_CHARS_MAX = 256
TEXT_CHARS_MAX = 65_536
# Shorter ones turn up by chance.
HIDDEN_CHARS_MIN = 4
ENCODED_CHARS_MIN = 8
ITEMS_MAX = 20
DEPTH_MAX = 12

_ANY = "google.protobuf.Any"

_SECRET_WORDS = r"secret|token|password|authorization|api_?key|payment_?method|private_?key"
_SECRET_NAME = re.compile(rf"(?i){_SECRET_WORDS}")
# Names that hold a secret word and are none: cursors, types and ids of methods.
_HARMLESS_NAME = re.compile(r"(?i)page_token|next_page_token|payment_method_(id|type|kind)")
_API_KEY = re.compile(r"phk_[a-z0-9]+(?:_[A-Za-z0-9_-]+)?|\bsk_[a-z]+_\w+")
# Each name is looked at once, from its beginning: what is scrubbed may be one long word.
_ASSIGNMENT = re.compile(
    rf"""(?i)(?<!\w)(?=\w*?(?:{_SECRET_WORDS}))(\w++["']?\s*+[:=]\s*+(?:bearer\s++)?)"""
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;)}\]]+)"""
)
_BEARER = re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+")

_verdicts: dict[str, bool] = {}
_VERDICTS_MAX = 10_000


def is_secret_name(name: str) -> bool:
    """Tell whether a value under this name is to be masked."""
    verdict = _verdicts.get(name)
    if verdict is None:
        verdict = bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)
        if len(_verdicts) < _VERDICTS_MAX:
            _verdicts[name] = verdict
    return verdict


def scrub_text(text: str, hidden: tuple[str, ...] = ()) -> str:
    """Return free text (a traceback, a library's message) without secrets.

    Masks API keys, bearer tokens, `name=value` where the name sounds secret,
    and every string of `hidden`. No more than 65,536 characters are kept.
    """
    text = without(text, hidden)
    # Half a secret is not known for one: what is cut ends well behind what is kept.
    text = text[: 4 * TEXT_CHARS_MAX]
    text = _BEARER.sub(rf"\1{MASK}", _ASSIGNMENT.sub(rf"\1{MASK}", text))
    text = _API_KEY.sub(MASK, text)
    return text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "…"


def without(text: str, hidden: Iterable[str]) -> str:
    """Return `text` with every string of `hidden` masked, the longest first."""
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def scrub_keys(text: str) -> str:
    """Return `text` with anything that looks like an API key masked."""
    return _API_KEY.sub(MASK, text)


def sanitize_value(value: Any, depth: int = 0) -> Any:
    """Return `value` fit for a log line: masked, bounded, JSON-like."""
    if isinstance(value, str):
        return scrub_keys(value) if "phk_" in value or "sk_" in value else value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, dict):
        return {
            str(key): MASK if is_secret_name(str(key)) else sanitize_value(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [sanitize_value(item, depth + 1) for item in value]
    return scrub_text(str(value))


class _Step(NamedTuple):
    field: FieldDescriptor
    clear: bool


_Plan = tuple[_Step, ...]
_plans: dict[tuple[Any, Descriptor], _Plan] = {}


def strip_sensitive(msg: Message, sensitive_ext: Any) -> None:
    """Clear every field marked with `sensitive_ext`, however deep, in place.

    A packed `Any` is opened; one of an unknown type is emptied.
    """
    for field, clear in _plan(msg.DESCRIPTOR, sensitive_ext):
        if clear:
            msg.ClearField(field.name)
        elif not field.is_repeated:
            if msg.HasField(field.name):
                _strip_inner(getattr(msg, field.name), sensitive_ext)
        elif _is_map(field):
            for inner in getattr(msg, field.name).values():
                _strip_inner(inner, sensitive_ext)
        else:
            for inner in getattr(msg, field.name):
                _strip_inner(inner, sensitive_ext)


def sensitive_values(msg: Message, sensitive_ext: Any) -> list[str]:
    """Return the texts in marked fields, to keep them out of a traceback."""
    found: list[str] = []
    _collect(msg, sensitive_ext, found)
    return [value for value in found if len(value) >= HIDDEN_CHARS_MIN]


def forms(secret: bytes) -> list[str]:
    """Return how a secret may turn up in a text.

    As it is, escaped as Python shows texts and bytes, quoted for a URL or header, and in base64,
    alone or beside the name of a user: what is shared with a neighbour is left out there.
    """
    text = secret.decode(errors="ignore")
    found = {text, repr(text)[1:-1], repr(secret)[2:-1]}
    found |= {urllib.parse.quote(secret, safe=safe) for safe in ("/", "")}
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(before) + secret).rstrip(b"=")[shared:-1].decode()
            found.add(encoded if len(encoded) >= ENCODED_CHARS_MIN else "")
    return [one for one in found if len(one) >= HIDDEN_CHARS_MIN]


def sanitize_message(msg: Message, sensitive_ext: Any) -> dict[str, Any]:
    """Return `msg` for a log line: marked and secret-sounding fields masked, sizes bounded."""
    shown: dict[str, Any] = {}
    for field, value in msg.ListFields():
        if _is_marked(field, sensitive_ext) or is_secret_name(field.name):
            shown[field.name] = MASK
        elif _is_map(field):
            shown[field.name] = {
                str(key): MASK if is_secret_name(str(key)) else _show(item, sensitive_ext)
                for key, item in list(value.items())[:ITEMS_MAX]
            }
        elif field.is_repeated:
            shown[field.name] = [_show(item, sensitive_ext) for item in value[:ITEMS_MAX]]
            if len(value) > ITEMS_MAX:
                shown[field.name].append(f"… {len(value) - ITEMS_MAX} more")
        else:
            shown[field.name] = _show(value, sensitive_ext)
    return shown


def _show(value: Any, sensitive_ext: Any) -> Any:
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name == _ANY:
            packed: Any = value
            return {"type_url": packed.type_url, "value": f"<{len(packed.value)} bytes>"}
        return sanitize_message(value, sensitive_ext)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str):
        text = scrub_keys(value)
        return text if len(text) <= STRING_CHARS_MAX else text[:STRING_CHARS_MAX] + "…"
    return value


def _strip_inner(msg: Any, sensitive_ext: Any) -> None:
    # By name: a message of another descriptor pool has an Any class of its own.
    if msg.DESCRIPTOR.full_name != _ANY:
        strip_sensitive(msg, sensitive_ext)
        return
    inner = _unpack(msg)
    if inner is None:
        msg.ClearField("value")
    elif _plan(inner.DESCRIPTOR, sensitive_ext):
        strip_sensitive(inner, sensitive_ext)
        msg.value = inner.SerializeToString()


def _unpack(msg: Any) -> Message | None:
    try:
        name = msg.type_url.rpartition("/")[2]
        inner: Message = symbol_database.Default().GetSymbol(name)()
        inner.ParseFromString(msg.value)
    except (KeyError, DecodeError):
        return None
    return inner


def _collect(msg: Message, sensitive_ext: Any, found: list[str]) -> None:
    for field, value in msg.ListFields():
        marked = _is_marked(field, sensitive_ext) or is_secret_name(field.name)
        if _is_map(field):
            items = list(value.values())
        else:
            items = list(value) if field.is_repeated else [value]
        for item in items[:ITEMS_MAX]:
            if isinstance(item, Message):
                _collect(item, sensitive_ext, found)
            elif marked and isinstance(item, str):
                found.append(item)
            elif marked and isinstance(item, bytes):
                found += forms(item)


def _plan(descriptor: Any, sensitive_ext: Any) -> _Plan:
    cached = _plans.get((sensitive_ext, descriptor))
    if cached is not None:
        return cached
    steps = tuple(
        _Step(field, clear)
        for field in descriptor.fields
        if (clear := _is_marked(field, sensitive_ext))
        or (
            (inner := _inner_type(field)) is not None
            and _reaches(inner, sensitive_ext, {descriptor.full_name})
        )
    )
    _plans[sensitive_ext, descriptor] = steps
    return steps


def _reaches(descriptor: Descriptor, sensitive_ext: Any, seen: set[str]) -> bool:
    if descriptor.full_name == _ANY:
        return True
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    return any(
        _is_marked(field, sensitive_ext)
        or ((inner := _inner_type(field)) is not None and _reaches(inner, sensitive_ext, seen))
        for field in descriptor.fields
    )


def _inner_type(field: FieldDescriptor) -> Descriptor | None:
    """Return the message type that a field's values have, a map's included."""
    if field.message_type is None:
        return None
    if _is_map(field):
        return field.message_type.fields_by_name["value"].message_type
    return field.message_type


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_marked(field: FieldDescriptor, sensitive_ext: Any) -> bool:
    return sensitive_ext is not None and bool(field.GetOptions().Extensions[sensitive_ext])
