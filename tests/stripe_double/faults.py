"""Faults that tests order: what goes wrong with which request.

Owns the list of orders and their matching. Ordered by the control API, by the header
`Double-Fault` or by the metadata key `double_fault`; applied by server.
"""

import re
from typing import Any

from tests.stripe_double import errors, store

Json = dict[str, Any]

HEADER = "double-fault"
METADATA_KEY = "double_fault"

# What happens, and whether the effect is there afterwards.
KINDS = {
    "drop_before_commit": "closes the connection without having done anything",
    "drop_after_commit": "does it, then closes the connection without an answer",
    "slow": "holds the idempotency key for delay_s, then does it",
    "slow_after_commit": "does it, then answers after delay_s",
    "rate_limit": "answers 429 with Retry-After and does nothing",
    "lock_timeout": "answers 429 because the object is in use, and does nothing",
    "error_500": "answers 500, does nothing and forgets the key",
    "error_500_stored": "answers 500, does nothing and replays the 500 for the key",
    "error_500_after_commit": "does it, answers 500 and replays the 500 for the key",
    "truncate": "does it and answers with half a body",
}
FIELDS = frozenset(
    {"kind", "method", "path", "times", "skip", "idempotency_key", "metadata", "delay_s"}
    | {"retry_after_s", "should_retry"}
)


def order(world: store.World, fault: Json) -> Json:
    """Adds an order.

    Args:
        world: The double.
        fault: kind, and optionally: method and path (a regular expression), idempotency_key,
            metadata (all of these keys and values), skip (matches to let pass, 0), times (1),
            delay_s (1.0), retry_after_s (1), should_retry ("true" or "false", the header).

    Raises:
        errors.Refusal: It has an unknown kind or field.
    """
    if fault.get("kind") not in KINDS:
        raise errors.bad_parameter(f"kind must be one of {', '.join(KINDS)}", "kind")
    unknown = set(fault) - FIELDS
    if unknown:
        raise errors.bad_parameter(f"unknown fields: {', '.join(sorted(unknown))}")
    kept = {"times": 1, "skip": 0, "delay_s": 1.0, "retry_after_s": 1, **fault}
    world.faults.append(kept)
    return kept


def parse(text: str) -> Json:
    """Returns the fault of a header or metadata value such as `slow;delay_s=2`."""
    kind, *rest = text.split(";")
    fault: Json = {"kind": kind.strip(), "delay_s": 1.0, "retry_after_s": 1}
    for part in rest:
        name, _, value = part.strip().partition("=")
        fault[name] = value if name == "should_retry" else float(value)
    if fault["kind"] not in KINDS or set(fault) - FIELDS:
        raise errors.bad_parameter(f"{text}: no such fault", HEADER)
    return fault


def _matches(fault: Json, method: str, path: str, key: str | None, metadata: Json) -> bool:
    return (
        fault.get("method", method) == method
        and re.search(fault.get("path", ""), path) is not None
        and fault.get("idempotency_key", key) == key
        and all(metadata.get(name) == value for name, value in fault.get("metadata", {}).items())
    )


def take(
    world: store.World,
    *,
    method: str,
    path: str,
    key: str | None,
    metadata: Json,
    header: str | None,
) -> Json | None:
    """Returns the fault that this request meets, and uses it up.

    A fault that a request itself orders hits once per idempotency key, so that a retry of the
    very same request gets through.
    """
    asked = header or metadata.get(METADATA_KEY)
    if asked is not None and isinstance(asked, str):
        spot = f"{method} {path} {key}"
        if key is None or spot not in world.faulted:
            world.faulted.add(spot)
            return parse(asked)
    for fault in world.faults:
        if not _matches(fault, method, path, key, metadata):
            continue
        if fault["skip"] > 0:
            fault["skip"] -= 1
            continue
        fault["times"] -= 1
        if fault["times"] <= 0:
            world.faults.remove(fault)
        return fault
    return None
