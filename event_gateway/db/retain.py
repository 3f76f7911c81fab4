"""Takes events out of the log: what is too old, too much, or to be forgotten.

Owns the statements that delete and erase. Called by the retention task and by the
operator's erasure. Never changes the place, id or version of anything, and never
deletes what readers were not told of.
"""

import dataclasses

from event_gateway import splice
from event_gateway.db import copies, progress, read, webhook_log
from servicekit import storage

# One transaction: short enough that nobody notices who appends.
DELETED_MAX = 1000
ERASED_MAX = 200
# Ids that are forgotten in one transaction.
KEYS_MAX = 1000
# Reads in which the size of the log is brought under its limit, step by step.
_SIZE_READS_MAX = 250


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is kept.

    Attributes:
        before_us: Events accepted before this moment may go, epoch microseconds; 0: none.
        size_bytes: What is kept at most; 0: no limit.
    """

    before_us: int = 0
    size_bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One entity's data that has to go, and who wants it; `entity_key` is what consumers
    call the entity.
    """

    erasure_id: str
    entity_key: str
    tenant_id: str
    entity_type: str
    entity_id: str
    reason: str
    actor: str


_LOCK = storage.Statement(
    "select head from log_head where log = 'main'",
    postgresql="select head from log_head where log = 'main' for update",
)
_PLAN = storage.Statement(
    "update log_head set expiring = :upto, expiring_us = :now_us "
    "where log = 'main' and expiring <= oldest and :upto > oldest"
)
_SIZES = storage.Statement(
    "select position, length(event) from event_log where position > :after and "
    "position <= :upto order by position limit :rows"
)
_DELETE = storage.Statement("delete from event_log where position > :after and position <= :upto")
_MOVE_OLDEST = storage.Statement(
    "update log_head set oldest = :upto, size_bytes = size_bytes - :size_bytes where log = 'main'"
)
_KEEP_IDS = storage.Statement(
    "insert into deleted_event (position, tenant_id, event_id) select position, tenant_id, "
    "event_id from event_log where position > :after and position <= :upto on conflict do nothing"
)
_OLDEST_KEYS = (
    "select d.position, d.tenant_id, d.event_id, k.append_us from deleted_event d "
    "left join event_key k on k.tenant_id = d.tenant_id and k.event_id = d.event_id "
    "and k.position = d.position order by d.position limit :rows"
)
# Locked in their order, so that gateways which forget at the same time wait for each other.
_OLD_KEYS = storage.Statement(_OLDEST_KEYS, postgresql=f"{_OLDEST_KEYS} for update of d")
_DROP_KEY = storage.Statement(
    "delete from event_key where tenant_id = :tenant_id and event_id = :event_id "
    "and position = :position"
)
_DROP_IDS = storage.Statement("delete from deleted_event where position <= :upto")
_OF_ENTITY = storage.Statement(
    "select position, event from event_log where tenant_id = :tenant_id "
    "and entity_id = :entity_id and entity_type = :entity_type and position > :after "
    "order by position limit :rows",
    # One entity has a few events, another most of the log.
    prepared=False,
)
_REPLACE = storage.Statement("update event_log set event = :event where position = :position")
_COUNT_ERASURE = storage.Statement(
    "update log_head set erasures = erasures + 1, size_bytes = size_bytes - :size_bytes "
    "where log = 'main'"
)
_RECORD = storage.Statement(
    "insert into erasure (erasure_id, tenant_id, entity_type, entity_id, reason, actor, events, "
    "erased_us) values (:erasure_id, :tenant_id, :entity_type, :entity_id, :reason, :actor, "
    ":events, :erased_us)"
)
_ENTITY = "tenant_id = :tenant_id and entity_type = :entity_type and entity_id = :entity_id"
# Only some entities have versions, and what is left of the others may be the record.
_HEARD_OF = storage.Statement(
    " union all ".join(
        f"select 1 from {table} where {_ENTITY}"
        for table in ("entity_head", "event_log", "erasure")
    )
    + " limit 1",
    prepared=False,
)


def bound(conn: storage.Connection, bounds: Bounds, current: read.State) -> int:
    """Returns the place up to which events may go; `current.oldest` if none may."""
    upto = current.oldest
    if bounds.before_us:
        upto = read.accepted_before(conn, bounds.before_us, current)
    if not bounds.size_bytes or current.size_bytes <= bounds.size_bytes:
        return upto
    excess = current.size_bytes - bounds.size_bytes
    place: int = current.oldest
    for _ in range(_SIZE_READS_MAX):
        rows = conn.all(_SIZES, {"after": place, "upto": current.head, "rows": read.ROWS_MAX})
        for position, size in rows:
            place = position
            excess -= size
            if excess <= 0:
                return max(upto, place)
        if len(rows) < read.ROWS_MAX:
            break
    return max(upto, place)


def plan(conn: storage.Connection, upto: int, now_us: int) -> None:
    """Says that events up to *upto* go next, unless others were announced and are not gone."""
    conn.run(_PLAN, {"upto": upto, "now_us": now_us})


def delete(conn: storage.Connection, upto: int) -> int:
    """Deletes the oldest events up to *upto*, at most DELETED_MAX; returns how many."""
    conn.one(_LOCK)
    current = read.state(conn)
    rows = conn.all(
        _SIZES,
        {"after": current.oldest, "upto": min(upto, current.head), "rows": DELETED_MAX},
    )
    if not rows:
        return 0
    reached = rows[-1][0]
    conn.run(_KEEP_IDS, {"after": current.oldest, "upto": reached})
    conn.run(_DELETE, {"after": current.oldest, "upto": reached})
    conn.run(_MOVE_OLDEST, {"upto": reached, "size_bytes": sum(row[1] for row in rows)})
    return len(rows)


def drop_keys(conn: storage.Connection, before_us: int) -> int:
    """Forgets the oldest ids of events that are gone and were accepted before *before_us*, at most
    KEYS_MAX; returns how many.
    """
    due: list[dict[str, object]] = []
    for position, tenant_id, event_id, append_us in conn.all(_OLD_KEYS, {"rows": KEYS_MAX}):
        if append_us is not None and append_us >= before_us:
            break
        due.append({"tenant_id": tenant_id, "event_id": event_id, "position": position})
    if due:
        conn.run_many(_DROP_KEY, due)
        conn.run(_DROP_IDS, {"upto": due[-1]["position"]})
    return len(due)


def erase(
    conn: storage.Connection, wanted: Erasure, now_us: int, after: int = 0
) -> tuple[int, int]:
    """Erases what up to ERASED_MAX of the entity's events say of a person.

    Each step also erases the copies that consumers keep aside, what members said of them, and what
    endpoints answered. The first one, with *after* 0, begins behind what was erased before, so
    that calls which start anew come to an end.

    Returns:
        How many were changed, and the place to go on after; 0 when that was the last.
    """
    # Before the log is locked, so that nobody who appends waits for who copies.
    copies.keep_others_out(conn)
    conn.one(_LOCK)
    rows = _of_entity(conn, wanted, after or _erased_upto(conn, wanted), ERASED_MAX)
    changed = []
    freed = 0
    for position, stored in rows:
        replacement = splice.erased(bytes(stored))
        if replacement is not None:
            changed.append({"position": position, "event": replacement})
            freed += len(stored) - len(replacement)
    if changed:
        conn.run_many(_REPLACE, changed)
    # After the events: whoever keeps something of one looks at it first (`webhook_log.record`).
    copied = progress.erase(conn, wanted.entity_key)
    webhook_log.forget_excerpts(conn, wanted.tenant_id, [row[0] for row in rows])
    if changed or copied:
        conn.run(_COUNT_ERASURE, {"size_bytes": freed})
        record = dataclasses.asdict(wanted)
        del record["entity_key"]
        conn.run(
            _RECORD,
            {**record, "events": len(changed), "erased_us": now_us},
        )
    return len(changed), (rows[-1][0] if len(rows) == ERASED_MAX else 0)


def heard_of(conn: storage.Connection, wanted: Erasure) -> bool:
    """Whether the log has, or is known to have had, an event of the entity."""
    which = {
        "tenant_id": wanted.tenant_id,
        "entity_type": wanted.entity_type,
        "entity_id": wanted.entity_id,
    }
    return conn.one(_HEARD_OF, which) is not None


def _of_entity(
    conn: storage.Connection, wanted: Erasure, after: int, rows: int
) -> list[storage.Row]:
    """Returns positions and events of the entity behind position *after*."""
    params = {
        "tenant_id": wanted.tenant_id,
        "entity_type": wanted.entity_type,
        "entity_id": wanted.entity_id,
        "after": after,
        "rows": rows,
    }
    return conn.all(_OF_ENTITY, params)


def _erased_upto(conn: storage.Connection, wanted: Erasure) -> int:
    """Returns a position at or before which all events of the entity are erased; those behind it
    are not, since each erasure goes from the oldest one on. Looks at a few dozen events.
    """
    current = read.state(conn)
    low, high = current.oldest, current.head
    while low < high:
        middle = (low + high) // 2
        found = _of_entity(conn, wanted, middle, 1)
        if found and splice.erased(bytes(found[0][1])) is None:
            low = found[0][0]
        else:
            high = middle
    return low
