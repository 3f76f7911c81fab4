"""Identifiers: a prefix that says what it is, and a UUIDv7 that sorts by time.

Owns their form. Called wherever an id is minted; pass `new_id` in, so that
tests and simulations can make ids of their own.
"""

import uuid_utils


def new_id(prefix: str) -> str:
    """Return `<prefix>_<32 hex digits>`, ordered by creation within a millisecond's reach."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def lowest_id(prefix: str, moment_us: int) -> str:
    """Return what no id of that prefix minted at *moment_us* (epoch) or later is below."""
    return f"{prefix}_{max(moment_us, 0) // 1_000:012x}"
