"""The log of what was sent to webhook endpoints, and what they answered.

Owns the rows of `webhook_delivery` and `webhook_attempt`. Called by workers, by the API, by
erasure and by what tidies up, inside one transaction each. Never decides what is sent.
"""

import dataclasses
from collections.abc import Sequence

from event_gateway import splice
from servicekit import storage

ATTEMPTS_SHOWN_MAX = 20
DELETED_MAX = 1_000


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


_DELETE_DELIVERIES = storage.Statement(
    "delete from webhook_delivery where endpoint_id = :endpoint_id"
)
_DELETE_ATTEMPTS = storage.Statement("delete from webhook_attempt where endpoint_id = :endpoint_id")
_LOGGED = (
    "insert into webhook_delivery (endpoint_id, position, event_id, event_type, state, next_us, "
    "update_us) values (:endpoint_id, :position, :event_id, :event_type, :state, :next_us, "
    ":now_us) on conflict (endpoint_id, position) do update set update_us = excluded.update_us"
)
_LOG = storage.Statement(f"{_LOGGED}, state = excluded.state, next_us = excluded.next_us")
_LOG_LATE = storage.Statement(_LOGGED)
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
_DELIVERIES = "select position, event_id, event_type, state, next_us from webhook_delivery"
_OF_ENDPOINT = "where endpoint_id = :endpoint_id and"
_NEWEST = "position < :before order by position desc limit :rows"


def _through(index: str, condition: str) -> storage.Statement:
    """Returns a statement for which SQLite, which knows no sizes, would read the whole log."""
    return storage.Statement(
        f"{_DELIVERIES} indexed by {index} {_OF_ENDPOINT} {condition}",
        postgresql=f"{_DELIVERIES} {_OF_ENDPOINT} {condition}",
    )


_DELIVERY_PAGE = storage.Statement(f"{_DELIVERIES} {_OF_ENDPOINT} {_NEWEST}")
_DELIVERY_PAGE_BY_STATE = _through("webhook_delivery_by_state", f"state = :state and {_NEWEST}")
_DELIVERIES_OF_EVENT = _through("webhook_delivery_by_event", "event_id = :event_id")
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
    "and position = any(cast(:positions as bigint[])) and excerpt <> ''"
)


def record(
    conn: storage.Connection,
    endpoint_id: str,
    delivery: Delivery,
    attempt: Attempt,
    *,
    redacted: bool,
    now_us: int,
    late: bool = False,
) -> None:
    """Logs an attempt. `attempt.number` is not used; its excerpt is not kept if the event was
    erased since it was sent, unless it was sent *redacted*. If it comes *late*, others say where
    the delivery stands.
    """
    where = {"endpoint_id": endpoint_id, "position": delivery.position}
    erased = False
    if attempt.excerpt and not redacted:
        sent = conn.one(_SENT, {"position": delivery.position})
        erased = sent is not None and splice.redacted(bytes(sent[0]))
    conn.run(
        _LOG_LATE if late else _LOG,
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


def deliveries(
    conn: storage.Connection,
    endpoint_id: str,
    *,
    state: int,
    event_id: str,
    before: int,
    rows: int,
) -> list[Delivery]:
    """Returns up to *rows* deliveries before position *before*, newest first; those in *state* and
    of *event_id*, unless these are 0 and ''.
    """
    params = {"endpoint_id": endpoint_id, "before": before, "rows": rows}
    if event_id:
        # One, unless the log has forgotten the id and got it anew.
        which = {"endpoint_id": endpoint_id, "event_id": event_id}
        of_event = sorted(conn.all(_DELIVERIES_OF_EVENT, which), reverse=True)
        chosen = [row for row in of_event if row[0] < before and state in (0, row[3])][:rows]
    elif state:
        chosen = conn.all(_DELIVERY_PAGE_BY_STATE, {**params, "state": state})
    else:
        chosen = conn.all(_DELIVERY_PAGE, params)
    found = []
    for row in chosen:
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
    chosen = storage.array(conn, positions)
    conn.run(_FORGET_EXCERPTS, {"tenant_id": tenant_id, "positions": chosen})


def delete(conn: storage.Connection, endpoint_id: str) -> None:
    """Deletes the log of an endpoint."""
    conn.run(_DELETE_DELIVERIES, {"endpoint_id": endpoint_id})
    conn.run(_DELETE_ATTEMPTS, {"endpoint_id": endpoint_id})
