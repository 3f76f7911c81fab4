"""Idempotency keys as Stripe keeps them.

Owns the stored answers by account and key. Called by server around each POST. Never keeps an
answer to refused parameters or conflicts: such a request may be sent again with its key.
"""

import hashlib
import json
from typing import Any

from tests.stripe_double import clock, errors, store

Json = dict[str, Any]

KEY_CHARS_MAX = 255
RETENTION_S = clock.DAY_S


def begin(world: store.World, account: str, key: str, path: str, params: Json) -> Json:
    """Returns the entry of a key: a new one to fill, or a done one to replay.

    Raises:
        errors.Refusal: The key is too long, was used for something else, or is in use.
    """
    if len(key) > KEY_CHARS_MAX:
        raise errors.bad_parameter(f"Idempotency keys hold up to {KEY_CHARS_MAX} characters.")
    spot = f"{account} {key}"
    fingerprint = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    entry = world.answers.get(spot)
    if entry is not None and entry["at_s"] + RETENTION_S <= world.clock.exact_s():
        entry = None
    if entry is None:
        entry = {
            "path": path,
            "fingerprint": fingerprint,
            "at_s": world.clock.exact_s(),
            "done": False,
        }
        world.answers[spot] = entry
        return entry
    if entry["path"] != path:
        raise errors.idempotency_mismatch(
            "Keys for idempotent requests can only be used for the same endpoint they were first "
            f"used for ('{entry['path']}' vs '{path}'). Try using a key other than '{key}' if you "
            "meant to execute a different request."
        )
    if entry["fingerprint"] != fingerprint:
        raise errors.idempotency_mismatch(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request."
        )
    if not entry["done"]:
        raise errors.idempotency_conflict(key)
    return entry


def keep(entry: Json, *, status: int, body: Json, headers: Json, request_id: str) -> None:
    """Stores the answer of a key."""
    entry |= {
        "done": True,
        "status": status,
        # Text, because the objects inside go on changing.
        "body": json.dumps(body),
        "headers": headers,
        "request_id": request_id,
    }


def forget(world: store.World, account: str, key: str) -> None:
    """Frees a key whose request was refused before it began."""
    world.answers.pop(f"{account} {key}", None)
