"""What the event log tells and this database has forgotten: rows of a restored back-up.

Owns the statements that only `payment_service.recovery` needs: which events are known, how far
an entity is, and moving events that nobody has taken yet behind those that the log holds.
Called inside its transactions. Never decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

from payment_service.db import outbox
from servicekit import storage

# Mirrored entities by their entity type, as `mirrors` numbers them.
_MIRRORS = {
    "payment_method": 2,
    "plan": 3,
    "subscription": 4,
    "invoice": 5,
    "checkout": 6,
    "dispute": 7,
}
# Where the version of an entity's newest event stands, and which row that is.
_ROWS: dict[str, tuple[str, str, str]] = {
    "payment": ("payments", "version", "tenant_id = :tenant_id and id = :id"),
    "customer": ("customers", "version", "tenant_id = :tenant_id and id = :id"),
    "plugin": ("plugins", "revision", "plugin_id = :id"),
    "binding": ("bindings", "revision", "binding_id = :id"),
    "api_key": ("api_keys", "version", "id = :id"),
    "retry_policy": ("retry_policies", "version", "tenant_id = :id"),
    "default_provider": ("default_provider_versions", "version", "tenant_id = :id"),
    **{
        name: ("mirrors", "version", f"tenant_id = :tenant_id and kind = {kind} and id = :id")
        for name, kind in _MIRRORS.items()
    },
}
_GET = {
    name: storage.Statement(f"select {column} from {table} where {which}")
    for name, (table, column, which) in _ROWS.items()
}
_SET = {
    name: storage.Statement(f"update {table} set {column} = :version where {which}")
    for name, (table, column, which) in _ROWS.items()
}
# Settings of a tenant that nobody has set here: their row only counts events.
_BEGIN = {
    "retry_policy": storage.Statement(
        "insert into retry_policies (tenant_id, delays, updated_us, version) "
        "values (:id, '[]', 0, 0) on conflict do nothing"
    ),
    "default_provider": storage.Statement(
        "insert into default_provider_versions (tenant_id, version) values (:id, 0) "
        "on conflict do nothing"
    ),
}
_KNOWN = storage.Statement(
    "select id, event_id, tenant_id, log_epoch from outbox "
    "where event_id = any(cast(:ids as text[]))"
)
_WAITING = storage.Statement(
    "select id, envelope from outbox where log_epoch = '' "
    "and tenant_id = :tenant_id and entity_type = :kind and entity_id = :id "
    "order by entity_version"
)
_DROP = storage.Statement("delete from outbox where id = :row_id and log_epoch = ''")
_RECORD = storage.Statement(
    "insert into outbox (event_id, tenant_id, entity_type, entity_id, entity_version, envelope, "
    "created_us, log_epoch, log_position) values (:event_id, :tenant_id, :entity_type, "
    ":entity_id, :entity_version, :envelope, :created_us, :epoch, :position)"
)
_REVOKED = storage.Statement(
    "update api_keys set revoked_us = :revoked_us where id = :id and revoked_us = 0"
)
_CAUSE = storage.Statement(
    "update operations set correlation_id = :correlation_id, idempotency_key = :key, "
    "actor = :actor where entity_id = :entity_id and id = :id and actor = ''"
)


class Entity(NamedTuple):
    """What events are about; `id` is the key of its row."""

    kind: str
    tenant_id: str
    id: str


def counts(kind: str) -> bool:
    """Whether core numbers the events of entities of that kind, and nobody else does."""
    return kind in _ROWS


class Waiting(NamedTuple):
    """An event that no log has taken yet."""

    row_id: int
    envelope: bytes


def known(
    conn: storage.Connection, event_ids: Sequence[str]
) -> dict[tuple[str, str], tuple[int, bool]]:
    """Returns which events are here, by (tenant, id): their row, and whether it is marked."""
    found = conn.all(_KNOWN, {"ids": storage.array(conn, event_ids)})
    return {(row[2], row[1]): (row[0], row[3] != "") for row in found}


def version(conn: storage.Connection, entity: Entity) -> int | None:
    """Returns the version of an entity's newest event; None if it is not there, or of no kind
    that counts.
    """
    if entity.kind not in _GET:
        return None
    if entity.kind in _BEGIN:
        conn.run(_BEGIN[entity.kind], {"id": entity.id})
    row = conn.one(_GET[entity.kind], _key(entity))
    return int(row[0]) if row else None


def set_version(conn: storage.Connection, entity: Entity, version: int) -> None:
    """Says which version an entity's newest event has."""
    conn.run(_SET[entity.kind], {**_key(entity), "version": version})


def waiting(conn: storage.Connection, entity: Entity, event_entity_id: str) -> list[Waiting]:
    """Returns the events of an entity that no log has taken, in their order."""
    key = {"tenant_id": entity.tenant_id, "kind": entity.kind, "id": event_entity_id}
    return [Waiting(row[0], bytes(row[1])) for row in conn.all(_WAITING, key)]


def drop(conn: storage.Connection, row_id: int) -> None:
    """Forgets an event that no log has taken."""
    conn.run(_DROP, {"row_id": row_id})


def append(conn: storage.Connection, entry: outbox.Entry) -> None:
    """Writes an event that waits for the log, behind all that are here."""
    statement, values = outbox.append([entry])
    conn.run(statement, values)


def record(conn: storage.Connection, entry: outbox.Entry, *, epoch: str, position: int) -> None:
    """Writes down an event that the log holds already."""
    conn.run(_RECORD, {**outbox.params(entry), "epoch": epoch, "position": position})


def revoke(conn: storage.Connection, key_id: str, revoked_us: int) -> bool:
    """Revokes an API key as of a moment; its version is set beside."""
    return bool(conn.run(_REVOKED, {"id": key_id, "revoked_us": revoked_us}))


def set_cause(
    conn: storage.Connection,
    entity_id: str,
    operation_id: str,
    *,
    correlation_id: str,
    key: str,
    actor: str,
) -> None:
    """Says who brought an operation about, if nobody is named."""
    conn.run(
        _CAUSE,
        {
            "entity_id": entity_id,
            "id": operation_id,
            "correlation_id": correlation_id,
            "key": key,
            "actor": actor,
        },
    )


def _key(entity: Entity) -> dict[str, object]:
    key: dict[str, object] = {"id": entity.id}
    if ":tenant_id" in _ROWS[entity.kind][2]:
        key["tenant_id"] = entity.tenant_id
    return key
