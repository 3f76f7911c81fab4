"""Page tokens by name or place, idempotency keys, and who calls: what several services share.

Owns their forms. Called by the services of consumers and of webhooks. Never reads a
database.
"""

import base64
import binascii
from typing import Any

from google.protobuf.message import Message

from event_gateway import cursor, problems, telling
from event_gateway.api import normal
from event_gateway.db import commands
from servicekit import auth, rpc


def encode_name(name: str) -> str:
    """Returns the token of the page after *name*."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def decode_name(token: str) -> str:
    """Returns the name that a token stands for, '' for an empty one.

    Raises:
        errors.RpcError: PAGE_TOKEN_INVALID.
    """
    try:
        name = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise problems.page_token_invalid() from None
    return text(name)


def position_of(token: str, fingerprint: bytes, *, otherwise: int) -> int:
    """Returns the position that a token of this query stands for; *otherwise* if it is empty.

    Raises:
        errors.RpcError: PAGE_TOKEN_INVALID.
    """
    if not token:
        return otherwise
    try:
        page = cursor.decode_page(token)
    except cursor.MalformedError:
        raise problems.page_token_invalid() from None
    if page.fingerprint != fingerprint:
        raise problems.page_token_invalid()
    return page.cursor.position


def text(given: str) -> str:
    """Returns *given* without NUL, which PostgreSQL has in no text, so that nothing matches."""
    return given.replace("\0", "\ufffd")


def command(principal: auth.Principal, name: str, request: Message) -> commands.Command:
    """Returns what makes a request with an idempotency key the same as another one."""
    bare: Any = type(request)()
    bare.CopyFrom(request)
    key: str = bare.idempotency_key
    bare.idempotency_key = ""
    given = cursor.fingerprint(bare.SerializeToString(deterministic=True))
    normal.FORMS[name](bare)
    return commands.Command(
        tenant_id=principal.tenant_id,
        command=name,
        key=text(key),
        fingerprint=cursor.fingerprint(bare.SerializeToString(deterministic=True)),
        given=given,
    )


def by(principal: auth.Principal, now_us: int, key: str = "") -> telling.By:
    """Returns who makes the call being served, for the events of what it changes."""
    return telling.By(
        actor=f"key:{principal.key_id}",
        now_us=now_us,
        key=key,
        request_id=rpc.current().request_id,
    )
