"""Signatures as Standard Webhooks describe them, and the secrets they are made with.

Owns the form `whsec_...` and the three headers. Called by the sender and by the API.
Never keeps a secret.
"""

import base64
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32
_PLAIN_ID = re.compile(r"[!-~]+")


def new_secret() -> str:
    """Returns a fresh secret."""
    return PREFIX + base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode()


def message_id(event_id: str) -> str:
    """Returns what receivers deduplicate on: the event's id, or a digest of one that a header does
    not carry unchanged, since producers may choose ids with any characters.
    """
    if _PLAIN_ID.fullmatch(event_id):
        return event_id
    return f"evt_{hashlib.sha256(event_id.encode()).hexdigest()[:32]}"


def headers(secrets: Sequence[str], *, message_id: str, sent_s: int, body: bytes) -> dict[str, str]:
    """Returns the headers of one attempt; every one of *secrets*, at least one, signs it.

    Args:
        secrets: From `new_secret`, newest first.
        message_id: The same for every attempt.
        sent_s: Time of this attempt, epoch seconds.
        body: The bytes that are sent.
    """
    content = f"{message_id}.{sent_s}.".encode() + body
    signatures = [
        base64.b64encode(hmac.new(_key(secret), content, hashlib.sha256).digest()).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))
