"""What is written into the metadata of Stripe's objects, so that they are found again.

Owns the keys. Called by the operations, which write them, and by `objects` and `lookup`,
which read them. An object carries the operation that made it under `OPERATION`. Captures and
increments, of which there are few, have an entry each, named by their id; other later
operations share a fixed number of entries, the newest of each staying.
"""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

OPERATION = "payhub_operation_id"
# Identifier of core's object: payment, customer, plan, subscription, checkout.
CORE = "payhub_id"
# Stripe takes 50 entries, and a customer may be changed more often than that.
SHARED = 32


class Done(NamedTuple):
    """What a later operation did: `capture`, `increment`, and how much in Stripe's units."""

    what: str
    amount: int


def made_by(operation_id: str, core_id: str = "") -> dict[str, str]:
    """Returns the metadata of an object that an operation makes."""
    return {OPERATION: operation_id} | ({CORE: core_id} if core_id else {})


def done(operation_id: str, what: str, amount: int) -> dict[str, str]:
    """Returns the entry of a capture or increment, which stays."""
    return {operation_id: f"{what}:{amount}"}


def changed(operation_id: str, what: str) -> dict[str, str]:
    """Returns the entry of another later operation, until one takes its place."""
    return {_shared(operation_id): f"{operation_id} {what}:0"}


def _shared(operation_id: str) -> str:
    return f"payhub_change_{zlib.crc32(operation_id.encode()) % SHARED}"


def read(metadata: Mapping[str, Any] | None, operation_id: str) -> Done | None:
    """Returns what an operation left on an object, or None if it was never there."""
    entries = metadata or {}
    text = str(entries.get(operation_id, ""))
    if not text:
        named, _, text = str(entries.get(_shared(operation_id), "")).partition(" ")
        text = text if named == operation_id else ""
    what, separator, amount = text.partition(":")
    return Done(what, int(amount)) if separator and amount.isdecimal() else None


def sum_of(metadata: Mapping[str, Any] | None, what: str) -> int:
    """Returns how much all operations of one sort did, in Stripe's units."""
    found = (read(metadata, key) for key in metadata or {})
    return sum(entry.amount for entry in found if entry is not None and entry.what == what)
