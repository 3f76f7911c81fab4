"""Webhook endpoints in the database, and how they do.

Owns the rows of `webhook_endpoint`; what was sent to them is in `event_gateway.db.webhook_log`.
Called by the API and by workers, inside one transaction each. Never sees a secret in the clear.
"""

import dataclasses
from collections.abc import Callable

from event_gateway.db import webhook_log
from servicekit import storage

SEALED_MAX = 50


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint as it is stored.

    Attributes:
        definition: The contract's message without what the gateway sets, serialized.
        secrets: Encrypted.
        revision: The etag, and the version of its last event.
        failing_since_us: First failure since the last success, 0 if there was none.
        success_us: Last success, 0 if there was none.
    """

    tenant_id: str
    endpoint_id: str
    definition: bytes
    secrets: bytes = dataclasses.field(repr=False)
    revision: int
    failing_since_us: int
    success_us: int
    create_us: int


_COLUMNS = (
    "select tenant_id, endpoint_id, definition, secrets, revision, failing_since_us, success_us, "
    "create_us from webhook_endpoint "
)
_ONE = "where tenant_id = :tenant_id and endpoint_id = :endpoint_id"
_GET = storage.Statement(f"{_COLUMNS} {_ONE}")
_LOCK = storage.Statement(f"{_COLUMNS} {_ONE}", postgresql=f"{_COLUMNS} {_ONE} for update")
_PAGE = storage.Statement(
    f"{_COLUMNS} where tenant_id = :tenant_id and endpoint_id > :after order by endpoint_id "
    "limit :rows"
)
_COUNT = storage.Statement("select count(*) from webhook_endpoint where tenant_id = :tenant_id")
_ADD = storage.Statement(
    "insert into webhook_endpoint (tenant_id, endpoint_id, definition, secrets, revision, "
    "failing_since_us, success_us, create_us) values (:tenant_id, :endpoint_id, :definition, "
    ":secrets, 1, 0, 0, :now_us)"
)
_CHANGE = storage.Statement(
    "update webhook_endpoint set definition = :definition, secrets = :secrets, "
    f"revision = revision + 1, failing_since_us = :failing_since_us {_ONE}"
)
_NEXT_SEALED = (
    "select tenant_id, endpoint_id, secrets from webhook_endpoint "
    "where (tenant_id, endpoint_id) > (:tenant_id, :endpoint_id) "
    "order by tenant_id, endpoint_id limit :rows"
)
_SEALED = storage.Statement(_NEXT_SEALED)
_LOCK_SEALED = storage.Statement(_NEXT_SEALED, postgresql=f"{_NEXT_SEALED} for update")
_SEAL = storage.Statement(f"update webhook_endpoint set secrets = :secrets {_ONE}")
_DELETE = storage.Statement(f"delete from webhook_endpoint {_ONE}")
_SUCCEEDED = storage.Statement(
    f"update webhook_endpoint set failing_since_us = 0, success_us = :now_us {_ONE}"
)
_FAILED = storage.Statement(
    f"update webhook_endpoint set failing_since_us = :now_us {_ONE} "
    "and (failing_since_us = 0 or failing_since_us > :now_us)"
)
_POSITION = storage.Statement(
    "select k.position, e.entity_type, e.entity_id, e.type from event_key k "
    "join event_log e on e.position = k.position "
    "where k.tenant_id = :tenant_id and k.event_id = :event_id"
)
_KNOWN = storage.Statement(
    "select position from event_key where tenant_id = :tenant_id and event_id = :event_id"
)
_AGAIN = storage.Statement(
    "insert into consumer_retry (tenant_id, name, position, entity_key, attempts, due_us, reason, "
    "extra) values (:tenant_id, :name, :position, :entity_key, 0, 0, '', 1) "
    "on conflict (tenant_id, name, position) do nothing"
)
_SOONER = storage.Statement(
    "update consumer_retry set due_us = 0, attempts = 0 "
    "where tenant_id = :tenant_id and name = :name and position = :position"
)


def get(conn: storage.Connection, tenant_id: str, endpoint_id: str) -> Endpoint | None:
    """Returns an endpoint, or None."""
    row = conn.one(_GET, {"tenant_id": tenant_id, "endpoint_id": endpoint_id})
    return _endpoint(row) if row else None


def lock(conn: storage.Connection, tenant_id: str, endpoint_id: str) -> Endpoint | None:
    """Returns an endpoint and keeps others from changing it in this transaction."""
    row = conn.one(_LOCK, {"tenant_id": tenant_id, "endpoint_id": endpoint_id})
    return _endpoint(row) if row else None


def page(conn: storage.Connection, tenant_id: str, *, after: str, rows: int) -> list[Endpoint]:
    """Returns up to *rows* endpoints whose ids come after *after*."""
    params = {"tenant_id": tenant_id, "after": after, "rows": rows}
    return [_endpoint(row) for row in conn.all(_PAGE, params)]


def count(conn: storage.Connection, tenant_id: str) -> int:
    """Returns how many endpoints a tenant has."""
    row = conn.one(_COUNT, {"tenant_id": tenant_id})
    return row[0] if row else 0


def add(
    conn: storage.Connection,
    tenant_id: str,
    endpoint_id: str,
    *,
    definition: bytes,
    secrets: bytes,
    now_us: int,
) -> None:
    """Makes an endpoint; its revision is 1."""
    params = {
        "tenant_id": tenant_id,
        "endpoint_id": endpoint_id,
        "definition": definition,
        "secrets": secrets,
        "now_us": now_us,
    }
    conn.run(_ADD, params)


def change(
    conn: storage.Connection,
    stored: Endpoint,
    *,
    definition: bytes,
    secrets: bytes,
    failing_since_us: int,
) -> None:
    """Replaces what an endpoint that `lock` returned says; its revision rises by one."""
    params = {
        "definition": definition,
        "secrets": secrets,
        "failing_since_us": failing_since_us,
        **_which(stored),
    }
    conn.run(_CHANGE, params)


def sealed(conn: storage.Connection, after: tuple[str, str]) -> list[tuple[str, str, bytes]]:
    """Returns tenant, id and secrets of up to SEALED_MAX endpoints behind (tenant, id) *after*."""
    rows = conn.all(_SEALED, _behind(after))
    return [(tenant_id, endpoint_id, bytes(held)) for tenant_id, endpoint_id, held in rows]


def seal_anew(
    conn: storage.Connection, after: tuple[str, str], sealed: Callable[[str, bytes], bytes]
) -> list[tuple[str, str]]:
    """Replaces the secrets of up to SEALED_MAX endpoints behind (tenant, id) *after* by what
    *sealed* makes of an id and its secrets; returns which.
    """
    rows = conn.all(_LOCK_SEALED, _behind(after))
    for tenant_id, endpoint_id, held in rows:
        conn.run(
            _SEAL,
            {
                "tenant_id": tenant_id,
                "endpoint_id": endpoint_id,
                "secrets": sealed(endpoint_id, bytes(held)),
            },
        )
    return [(row[0], row[1]) for row in rows]


def delete(conn: storage.Connection, stored: Endpoint) -> None:
    """Deletes an endpoint and its log."""
    conn.run(_DELETE, _which(stored))
    webhook_log.delete(conn, stored.endpoint_id)


def answered(
    conn: storage.Connection, tenant_id: str, endpoint_id: str, *, delivered: bool, now_us: int
) -> None:
    """Notes how an endpoint does: whether it took what was sent to it."""
    params = {"tenant_id": tenant_id, "endpoint_id": endpoint_id, "now_us": now_us}
    conn.run(_SUCCEEDED if delivered else _FAILED, params)


def position_of(conn: storage.Connection, tenant_id: str, event_id: str) -> int | None:
    """Returns the position of an event whose id is remembered, kept or not; or None."""
    row = conn.one(_KNOWN, {"tenant_id": tenant_id, "event_id": event_id})
    return row[0] if row else None


def event_at(
    conn: storage.Connection, tenant_id: str, event_id: str
) -> tuple[int, str, str, str] | None:
    """Returns position, entity type, entity id and type of a kept event, or None."""
    row = conn.one(_POSITION, {"tenant_id": tenant_id, "event_id": event_id})
    return (row[0], row[1], row[2], row[3]) if row else None


def send_again(
    conn: storage.Connection, tenant_id: str, name: str, *, position: int, entity_key: str
) -> int:
    """Queues one event of the log for a consumer once more; returns 0 if it was queued already."""
    where = {"tenant_id": tenant_id, "name": name, "position": position}
    queued = conn.run(_AGAIN, {**where, "entity_key": entity_key})
    if not queued:
        conn.run(_SOONER, where)
    return queued


def _behind(after: tuple[str, str]) -> dict[str, str | int]:
    return {"tenant_id": after[0], "endpoint_id": after[1], "rows": SEALED_MAX}


def _which(stored: Endpoint) -> dict[str, str]:
    return {"tenant_id": stored.tenant_id, "endpoint_id": stored.endpoint_id}


def _endpoint(row: storage.Row) -> Endpoint:
    return Endpoint(
        tenant_id=row[0],
        endpoint_id=row[1],
        definition=bytes(row[2]),
        secrets=bytes(row[3]),
        revision=row[4],
        failing_since_us=row[5],
        success_us=row[6],
        create_us=row[7],
    )
