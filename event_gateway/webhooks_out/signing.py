"""Signatures as Standard Webhooks describe them, and the secrets they are made with.

Owns the form `whsec_...` and the three headers. Called by the sender and by the API.
Never keeps a secret.
"""

import base64
import hashlib
import hmac
import secrets as randomness
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Returns a fresh secret."""
    return PREFIX + base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode()


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
