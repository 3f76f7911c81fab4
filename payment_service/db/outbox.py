"""The outbox: events written in the transaction of what they tell.

Owns the table `outbox`. `append` is called by the use cases; the rest by the
relay. It is a set, not a log: the relay takes rows, publishes them and marks
them with where they are in the gateway's log. Rows are kept after that, so
that a gateway that lost its log can be filled again.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from servicekit import storage

_COLUMNS = "event_id, tenant_id, entity_type, entity_id, entity_version, envelope, created_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event to write; `envelope` is a serialised payhub.events.v1.Event."""

    event_id: str
    tenant_id: str
    entity_type: str
    entity_id: str
    entity_version: int
    envelope: bytes
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One row that is not in the log yet."""

    id: int
    event_id: str
    entity: tuple[str, str, str]
    entity_version: int
    envelope: bytes


# With {if_first}: for the transaction that also claims an idempotency key.
APPEND_IF_FIRST = storage.Statement(
    f"insert into outbox ({_COLUMNS}) select :event_id, :tenant_id, :entity_type, :entity_id, "
    f":entity_version, :envelope, :created_us {{if_first}}"
)


@functools.cache
def _append(count: int) -> storage.Statement:
    rows = ", ".join(
        "(" + ", ".join(f":{name}_{number}" for name in _COLUMNS.split(", ")) + ")"
        for number in range(count)
    )
    return storage.Statement(f"insert into outbox ({_COLUMNS}) values {rows}")


def append(entries: Sequence[Entry]) -> tuple[storage.Statement, storage.Params]:
    """Returns the one statement that writes *entries*, for `Connection.run_all`."""
    values: dict[str, object] = {}
    for number, entry in enumerate(entries):
        for name, value in params(entry).items():
            values[f"{name}_{number}"] = value
    return _append(len(entries)), values


def params(entry: Entry) -> storage.Params:
    """Returns an entry as the parameters of APPEND_IF_FIRST."""
    return {
        "event_id": entry.event_id,
        "tenant_id": entry.tenant_id,
        "entity_type": entry.entity_type,
        "entity_id": entry.entity_id,
        "entity_version": entry.entity_version,
        "envelope": entry.envelope,
        "created_us": entry.created_us,
    }
