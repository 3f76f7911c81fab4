"""Webhook endpoints in the database, and the log of what was sent.

Owns the rows of `webhook_endpoint`, `webhook_delivery` and `webhook_attempt`. Called
by the API and by workers, inside one transaction each. Never sees a secret in the
clear.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence

from event_gateway import splice
from servicekit import storage

ATTEMPTS_SHOWN_MAX = 20
DELETED_MAX = 1_000
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request, as it is stored."""

    number: int
    sent_us: int
    elapsed_us: int
    status: int
    problem: str
    excerpt: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way, as it is stored; `state` as in the contract."""

    position: int
    event_id: str
    event_type: str
    state: int
    next_us: int
    attempts: Sequence[Attempt] = ()


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
_SEALED = storage.Statement(
    "select tenant_id, endpoint_id, secrets from webhook_endpoint "
    "where (tenant_id, endpoint_id) > (:tenant_id, :endpoint_id) "
    "order by tenant_id, endpoint_id limit :rows",
    postgresql="select tenant_id, endpoint_id, secrets from webhook_endpoint "
    "where (tenant_id, endpoint_id) > (:tenant_id, :endpoint_id) "
    "order by tenant_id, endpoint_id limit :rows for update",
)
_SEAL = storage.Statement(f"update webhook_endpoint set secrets = :secrets {_ONE}")
_DELETE = storage.Statement(f"delete from webhook_endpoint {_ONE}")
_DELETE_DELIVERIES = storage.Statement(
    "delete from webhook_delivery where endpoint_id = :endpoint_id"
)
_DELETE_ATTEMPTS = storage.Statement("delete from webhook_attempt where endpoint_id = :endpoint_id")
_SUCCEEDED = storage.Statement(
    f"update webhook_endpoint set failing_since_us = 0, success_us = :now_us {_ONE}"
)
_FAILED = storage.Statement(
    f"update webhook_endpoint set failing_since_us = :now_us {_ONE} and failing_since_us = 0"
)
_LOG = storage.Statement(
    "insert into webhook_delivery (endpoint_id, position, event_id, event_type, state, next_us, "
    "update_us) values (:endpoint_id, :position, :event_id, :event_type, :state, :next_us, "
    ":now_us) on conflict (endpoint_id, position) do update set state = excluded.state, "
    "next_us = excluded.next_us, update_us = excluded.update_us"
)
_ATTEMPT = storage.Statement(
    "insert into webhook_attempt (endpoint_id, position, number, sent_us, elapsed_us, status, "
    "problem, excerpt) select cast(:endpoint_id as text), cast(:position as bigint), "
    "coalesce(max(number), 0) + 1, cast(:sent_us as bigint), cast(:elapsed_us as bigint), "
    "cast(:status as bigint), cast(:problem as text), cast(:excerpt as text) "
    "from webhook_attempt where endpoint_id = :endpoint_id and position = :position"
)
# Locked, so that an erasure which comes now finds the attempt.
_SENT = storage.Statement(
    "select event from event_log where position = :position",
    postgresql="select event from event_log where position = :position for share",
)
_DELIVERIES = (
    "select position, event_id, event_type, state, next_us from webhook_delivery "
    "where endpoint_id = :endpoint_id and position < :before "
)
_STATE = "and (:state = 0 or state = :state) and (:event_id = '' or event_id = :event_id) "
_DELIVERY_PAGE = storage.Statement(
    f"{_DELIVERIES} {_STATE} order by position desc limit :rows",
    postgresql=f"{_DELIVERIES} "
    "and (cast(:state as bigint) = 0 or state = :state) "
    "and (cast(:event_id as text) = '' or event_id = :event_id) "
    "order by position desc limit :rows",
)
_ATTEMPTS = storage.Statement(
    "select number, sent_us, elapsed_us, status, problem, excerpt from webhook_attempt "
    "where endpoint_id = :endpoint_id and position = :position order by number desc limit :rows"
)
_OLD = storage.Statement(
    "select endpoint_id, position from webhook_delivery where update_us < :before_us "
    "order by update_us limit :rows"
)
_DROP = storage.Statement(
    "delete from webhook_delivery where endpoint_id = :endpoint_id and position = :position"
)
_DROP_ATTEMPTS = storage.Statement(
    "delete from webhook_attempt where endpoint_id = :endpoint_id and position = :position"
)
_FORGET_EXCERPTS = storage.Statement(
    "update webhook_attempt set excerpt = '' where endpoint_id in "
    "(select endpoint_id from webhook_endpoint where tenant_id = :tenant_id) "
    "and position in (select value from json_each(:positions)) and excerpt <> ''",
    postgresql="update webhook_attempt set excerpt = '' where endpoint_id in "
    "(select endpoint_id from webhook_endpoint where tenant_id = :tenant_id) "
    "and position = any(cast(:positions as bigint[])) and excerpt <> ''",
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
    "on conflict (tenant_id, name, position) do update set due_us = 0, attempts = 0"
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


def seal_anew(
    conn: storage.Connection, after: tuple[str, str], sealed: Callable[[str, bytes], bytes]
) -> list[tuple[str, str]]:
    """Replaces the secrets of up to SEALED_MAX endpoints behind (tenant, id) *after* by what
    *sealed* makes of an id and its secrets; returns which.
    """
    rows = conn.all(_SEALED, {"tenant_id": after[0], "endpoint_id": after[1], "rows": SEALED_MAX})
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
    conn.run(_DELETE_DELIVERIES, {"endpoint_id": stored.endpoint_id})
    conn.run(_DELETE_ATTEMPTS, {"endpoint_id": stored.endpoint_id})


def record(
    conn: storage.Connection,
    tenant_id: str,
    endpoint_id: str,
    delivery: Delivery,
    attempt: Attempt,
    *,
    delivered: bool,
    redacted: bool,
    now_us: int,
) -> None:
    """Logs an attempt, and what it says of the endpoint. `attempt.number` is not used; its excerpt
    is not kept if the event was erased since it was sent, unless it was sent *redacted*.
    """
    where = {"endpoint_id": endpoint_id, "position": delivery.position}
    erased = False
    if attempt.excerpt and not redacted:
        sent = conn.one(_SENT, {"position": delivery.position})
        erased = sent is not None and splice.redacted(bytes(sent[0]))
    conn.run(
        _LOG,
        {
            **where,
            "event_id": delivery.event_id,
            "event_type": delivery.event_type,
            "state": delivery.state,
            "next_us": delivery.next_us,
            "now_us": now_us,
        },
    )
    conn.run(
        _ATTEMPT,
        {
            **where,
            "sent_us": attempt.sent_us,
            "elapsed_us": attempt.elapsed_us,
            "status": attempt.status,
            "problem": attempt.problem,
            "excerpt": "" if erased else attempt.excerpt,
        },
    )
    health = {"tenant_id": tenant_id, "endpoint_id": endpoint_id, "now_us": now_us}
    conn.run(_SUCCEEDED if delivered else _FAILED, health)


def deliveries(
    conn: storage.Connection,
    endpoint_id: str,
    *,
    state: int,
    event_id: str,
    before: int,
    rows: int,
) -> list[Delivery]:
    """Returns up to *rows* deliveries before position *before*, newest first."""
    params = {
        "endpoint_id": endpoint_id,
        "state": state,
        "event_id": event_id,
        "before": before,
        "rows": rows,
    }
    found = []
    for row in conn.all(_DELIVERY_PAGE, params):
        attempts = conn.all(
            _ATTEMPTS,
            {"endpoint_id": endpoint_id, "position": row[0], "rows": ATTEMPTS_SHOWN_MAX},
        )
        found.append(
            Delivery(
                position=row[0],
                event_id=row[1],
                event_type=row[2],
                state=row[3],
                next_us=row[4],
                attempts=[
                    Attempt(
                        number=one[0],
                        sent_us=one[1],
                        elapsed_us=one[2],
                        status=one[3],
                        problem=one[4],
                        excerpt=one[5],
                    )
                    for one in reversed(attempts)
                ],
            )
        )
    return found


def forget_old(conn: storage.Connection, before_us: int) -> int:
    """Drops what was logged before a moment, at most DELETED_MAX deliveries; returns how many."""
    rows = conn.all(_OLD, {"before_us": before_us, "rows": DELETED_MAX})
    which = [{"endpoint_id": row[0], "position": row[1]} for row in rows]
    if which:
        conn.run_many(_DROP_ATTEMPTS, which)
        conn.run_many(_DROP, which)
    return len(which)


def forget_excerpts(conn: storage.Connection, tenant_id: str, positions: Sequence[int]) -> None:
    """Empties what endpoints answered to some events: receivers like to repeat what they got."""
    listed = list(positions)
    chosen = json.dumps(listed) if conn.dialect == "sqlite" else listed
    conn.run(_FORGET_EXCERPTS, {"tenant_id": tenant_id, "positions": chosen})


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
) -> None:
    """Queues one event of the log for a consumer once more."""
    conn.run(
        _AGAIN,
        {
            "tenant_id": tenant_id,
            "name": name,
            "position": position,
            "entity_key": entity_key,
        },
    )


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
