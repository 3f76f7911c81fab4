"""Reading requests: who calls, what a key stands for, amounts and page tokens.

Owns the checks that protovalidate can't do. Called by the servicers. Never
touches a database.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import Message
from payhub.type.v1 import money_pb2

from payment_service.api import normal
from payment_service.domain import money
from payment_service.usecases import context, intents
from servicekit import errors, rpc, validation

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound="_Row")

PAGE_DEFAULT = 50
# gRPC's clients take 4 MiB in one response, by default.
PAGE_BYTES_MAX = 3 * 1024 * 1024
INT64_MAX = 2**63 - 1
_NO_PLACE = re.compile(r"(javascript|vbscript|data|blob|file):", re.IGNORECASE)
_FINGERPRINT_BYTES = 8


class _Row(Protocol):
    @property
    def id(self) -> str: ...


def check(request: Message) -> None:
    """Refuses what breaks the contract's rules, and texts that PostgreSQL can't keep.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    validation.validate(request)
    # Most requests hold no zero byte at all, which is seen at once.
    if b"\0" in request.SerializeToString() and (paths := list(_with_nul(request, ""))):
        raise errors.invalid_fields([(path, "must not contain NUL") for path in paths])


def _with_nul(message: Message, prefix: str) -> Iterator[str]:
    """Returns the paths of texts with a NUL character."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        parts: list[tuple[str, Any]] = [(path, value)]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            pairs = list(value.items())
            parts = [(f'{path}["{key}"]', f"{key}{one}") for key, one in pairs]
        elif field.is_repeated:
            parts = [(f"{path}[{number}]", one) for number, one in enumerate(value)]
        for place, one in parts:
            if isinstance(one, Message):
                yield from _with_nul(one, f"{place}.")
            elif isinstance(one, str) and "\0" in one:
                yield place.replace("\0", "\\0")


def caller() -> context.Caller:
    """Returns who makes the current call."""
    call = rpc.current()
    principal = call.principal
    return context.Caller(
        tenant_id=principal.tenant_id,
        actor=f"key:{principal.key_id}",
        request_id=call.request_id,
    )


def keyed(name: str, request: M) -> intents.Request:
    """Returns what a repeat of *request* is known by. Changes *request*: read it before.

    The fingerprint covers every field but the key, in the request's normal form; the wire
    form of unset fields is empty, so a new field with its default leaves old fingerprints
    valid.
    """
    key: str = request.idempotency_key  # type: ignore[attr-defined]
    request.ClearField("idempotency_key")
    content = request.SerializeToString(deterministic=True)
    given = None
    form = normal.FORMS.get(name)
    if form is not None and form(request):
        content, given = request.SerializeToString(deterministic=True), content
    fingerprint = intents.fingerprint(content)
    return intents.Request(rpc=name, key=key, fingerprint=fingerprint, given=given)


def currency(value: money_pb2.Money, path: str) -> str:
    """Returns the currency of an amount.

    Raises:
        errors.RpcError: INVALID_FIELD, if nobody pays with it.
    """
    if not money.is_currency(value.currency_code):
        raise errors.invalid_field(
            f"{path}.currency_code", "must be an ISO 4217 currency in circulation, like EUR"
        )
    return value.currency_code


def address(value: str, path: str) -> str:
    """Returns where a payer is sent, or ''.

    Raises:
        errors.RpcError: INVALID_FIELD, if a browser would run it or open a file.
    """
    if _NO_PLACE.match(value):
        text = "must be an address of the web or of an app: no javascript, data or file"
        raise errors.invalid_field(path, text)
    return value


def _digest(request: Message) -> str:
    copy = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("page_token")
    copy.ClearField("page_size")
    # By its type too: lists without filters all have the same content.
    content = request.DESCRIPTOR.full_name.encode() + copy.SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()[: 2 * _FINGERPRINT_BYTES]


def next_page_token(request: Message, *last: str | int) -> str:
    """Returns the token of the page after the one that ends with *last*."""
    content = json.dumps([_digest(request), *last], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def page_start(request: Message, *kinds: type) -> Any:
    """Returns the *last* of the previous page as a tuple, or None on the first page.

    Args:
        request: One with a `page_token`.
        kinds: The type of each value, `str` or `int`.

    Raises:
        errors.RpcError: PAGE_TOKEN_INVALID, if it is not a token of this query.
    """
    token: str = request.page_token  # type: ignore[attr-defined]
    if not token:
        return None
    try:
        content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        digest, *last = json.loads(content)
    except (binascii.Error, ValueError, TypeError):
        digest, last = "", []
    # Anybody can make a token, so what it holds is checked like any other input.
    if digest != _digest(request) or tuple(map(type, last)) != kinds or not all(map(_plain, last)):
        raise page_token_invalid()
    return tuple(last)


def page_token_invalid() -> errors.RpcError:
    """A page token is not one of its query."""
    return errors.RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        "page_token is not one of this query; start from the first page, "
        "and keep all other fields equal while paging",
        violations=[("page_token", "is not a token of this query")],
    )


def _plain(value: str | int) -> bool:
    """Whether it can be the id or the time of a row."""
    if isinstance(value, str):
        return bool(value) and value.isascii() and value.isprintable()
    return 0 <= value <= INT64_MAX


def page(request: Message, found: Sequence[R], show: Callable[[R], M]) -> tuple[list[M], str]:
    """Returns the messages of a page, and the token of the next one if others follow.

    A page that would be too large for one response ends earlier, but holds one row at least.

    Args:
        request: One with a `page_size`.
        found: The rows by id, one more than `page_size` if others follow.
        show: Returns a row's message.
    """
    shown: list[M] = []
    left_bytes = PAGE_BYTES_MAX
    for one in found[: page_size(request)]:
        message = show(one)
        left_bytes -= message.ByteSize()
        if left_bytes < 0 and shown:
            break
        shown.append(message)
    if len(found) == len(shown):
        return shown, ""
    return shown, next_page_token(request, found[len(shown) - 1].id)


def page_size(request: Message) -> int:
    """Returns how many rows the caller wants, the default for 0."""
    size: int = request.page_size  # type: ignore[attr-defined]
    return size or PAGE_DEFAULT
