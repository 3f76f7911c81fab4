"""Signatures of webhooks, by the scheme of Standard Webhooks.

Owns making and checking them: HMAC-SHA256 over id, time and body, one
signature per secret. Called by the sender, and by the plugin's VerifyWebhook.
Never says which secret fitted.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

ID_HEADER = "webhook-id"
TIME_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SIGNATURES_MAX = 32
_SECRET_PREFIX = b"whsec_"
_VERSION = "v1,"


def key(secret: bytes) -> bytes:
    """Returns the key that a secret spells: `whsec_` and base64, or the bytes themselves."""
    if secret.startswith(_SECRET_PREFIX):
        try:
            return base64.b64decode(secret[len(_SECRET_PREFIX) :], validate=True)
        except binascii.Error:
            return secret
    return secret


def headers(event_id: str, time_s: int, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """Returns the headers that sign *body* with each of *secrets*.

    Args:
        event_id: Of the event.
        time_s: When it is sent, epoch seconds.
        body: As sent.
        secrets: At least one.
    """
    signatures = [_signature(secret, event_id, str(time_s), body) for secret in secrets]
    return {
        ID_HEADER: event_id,
        TIME_HEADER: str(time_s),
        SIGNATURE_HEADER: " ".join(_VERSION + each for each in signatures),
    }


def fits(
    *, event_id: str, time_text: str, given: str, body: bytes, secrets: Iterable[bytes]
) -> bool:
    """Says whether one of the signatures in *given* was made with one of *secrets*."""
    sent = [each[len(_VERSION) :] for each in given.split(" ")[:SIGNATURES_MAX] if each]
    right = [_signature(secret, event_id, time_text, body) for secret in secrets]
    # Every pair, whatever fits, in constant time: how long it takes tells nothing.
    found = [hmac.compare_digest(one.encode(), other.encode()) for one in sent for other in right]
    return any(found)


def _signature(secret: bytes, event_id: str, time_text: str, body: bytes) -> str:
    signed = f"{event_id}.{time_text}.".encode() + body
    return base64.b64encode(hmac.digest(key(secret), signed, hashlib.sha256)).decode()
