"""What a running consumer writes down and reads: its place, redeliveries, what it parks.

Owns the rows of `consumer_retry`, and the guard that only the owner writes, and nothing
over what others changed. Called by groups and by the API of consumers, inside one
transaction each. What becomes of parked events is in `event_gateway.db.parking`.
"""

import dataclasses
import enum
from collections.abc import Collection

from event_gateway import splice
from event_gateway.consumers import records
from event_gateway.db import consumers, copies, read
from servicekit import failpoints, storage


class Written(enum.Enum):
    """What became of an owner's changes."""

    DONE = enum.auto()
    CHANGED = enum.auto()
    """Not written: somebody changed something; take it over and try again."""
    MOVED = enum.auto()
    """Not written: the place was moved."""
    ERASED = enum.auto()
    """Not written: what members said may be of events that were erased meanwhile."""
    LOST = enum.auto()
    """Not written: the consumer is deleted, or another one runs it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many events wait for another delivery, how many of these the place has passed and the
    position of the oldest of those, 0 if there is none, and how many are parked.
    """

    retrying: int
    passed: int
    oldest_passed: int
    parked: int


_ONE = "tenant_id = :tenant_id and name = :name"
# No wait is longer than two days and what spreads it: what is due later was noted by a clock that
# was ahead.
_WAIT_MAX_US = 3 * 86_400 * 1_000_000
_RETRIES = storage.Statement(
    "select position, entity_key, attempts, "
    "case when due_us > {now_us} + :wait_max_us then 0 else due_us end, reason, extra "
    "from consumer_retry "
    f"where {_ONE} order by position"
)
_RETRY_COUNT = storage.Statement(
    "select count(*), coalesce(sum(extra), 0), min(case when extra = 1 then position end) "
    f"from consumer_retry where {_ONE}"
)
_BLOCKED_KEYS = storage.Statement(
    f"select distinct entity_key from consumer_parked where {_ONE} and blocked = 0 and skipped = 0"
)
_PARKED_COUNT = storage.Statement(f"select count(*) from consumer_parked where {_ONE}")
_EVENTS = storage.Statement(
    "select w.position, coalesce(e.event, r.event) "
    "from unnest(cast(:positions as bigint[])) as w (position) "
    "left join event_log e on e.position = w.position "
    "left join consumer_retry r on r.tenant_id = :tenant_id and r.name = :name "
    "and r.position = w.position",
)
# The event goes along: the log may delete it while it waits for an operator.
_PARK = storage.Statement(
    "insert into consumer_parked (tenant_id, name, position, entity_key, event, attempts, reason, "
    "parked_us, blocked, skipped) "
    "select cast(:tenant_id as text), cast(:name as text), cast(:position as bigint), "
    "cast(:entity_key as text), coalesce(e.event, r.event), cast(:attempts as bigint), "
    "cast(:reason as text), cast(:parked_us as bigint), cast(:blocked as bigint), "
    "cast(:skipped as bigint) from (select 1 as one) o "
    "left join event_log e on e.position = :position and :skipped = 0 "
    "left join consumer_retry r on r.tenant_id = :tenant_id and r.name = :name "
    "and r.position = :position where true "
    "on conflict (tenant_id, name, position) do nothing"
)
_FORGET_RETRY = storage.Statement(
    f"delete from consumer_retry where {_ONE} and position = :position"
)
_FORGET_PASSED = storage.Statement(
    f"delete from consumer_retry where {_ONE} and extra = 0 and position <= :floor"
)
_KEEP_RETRY = storage.Statement(
    "insert into consumer_retry (tenant_id, name, position, entity_key, attempts, due_us, reason, "
    "extra) values (:tenant_id, :name, :position, :entity_key, :attempts, :due_us, :reason, :extra)"
    " on conflict (tenant_id, name, position) do update set attempts = excluded.attempts, "
    "due_us = excluded.due_us, reason = excluded.reason, extra = excluded.extra"
)
_PLACE = storage.Statement(f"update consumer set floor = :floor, runs = :runs where {_ONE}")
_PARKED_OF_ENTITY = storage.Statement(
    "select tenant_id, name, position, event from consumer_parked "
    "where entity_key = :entity_key and event is not null"
)
_RETRIES_OF_ENTITY = storage.Statement(
    "select tenant_id, name, position, event from consumer_retry "
    "where entity_key = :entity_key and event is not null"
)
_REPLACE_PARKED = storage.Statement(
    f"update consumer_parked set event = :event where {_ONE} and position = :position"
)
_REPLACE_RETRY = storage.Statement(
    f"update consumer_retry set event = :event where {_ONE} and position = :position"
)
_FORGET_REASONS = tuple(
    storage.Statement(
        f"update {table} set reason = '' where entity_key = :entity_key and reason <> ''"
    )
    for table in ("consumer_parked", "consumer_retry")
)


def known(conn: storage.Connection, tenant_id: str, name: str) -> records.Known:
    """Returns what is stored about a consumer besides its place."""
    which = {"tenant_id": tenant_id, "name": name}
    count = conn.one(_PARKED_COUNT, which)
    state = read.state(conn)
    return records.Known(
        retries=[
            records.Retry(
                position=row[0],
                key=row[1],
                attempts=row[2],
                due_us=row[3],
                reason=row[4],
                extra=bool(row[5]),
            )
            for row in conn.all(_RETRIES, {**which, "wait_max_us": _WAIT_MAX_US})
        ],
        blocked_keys={row[0] for row in conn.all(_BLOCKED_KEYS, which)},
        parked=count[0] if count else 0,
        erasures=state.erasures,
        epoch=state.epoch,
    )


def counts(conn: storage.Connection, tenant_id: str, name: str) -> Counts:
    """Returns how many events a consumer keeps aside."""
    which = {"tenant_id": tenant_id, "name": name}
    retrying = conn.one(_RETRY_COUNT, which) or (0, 0, None)
    parked = conn.one(_PARKED_COUNT, which) or (0,)
    return Counts(
        retrying=retrying[0],
        passed=int(retrying[1]),
        oldest_passed=retrying[2] or 0,
        parked=parked[0],
    )


def write(
    conn: storage.Connection, mine: consumers.Stored, made: records.Changes, *, erasures: int = 0
) -> Written:
    """Writes what an owner's machine changed, if *mine* is how things still are, and so is
    *erasures* where members said something.
    """
    now = consumers.lock(conn, mine.tenant_id, mine.name)
    if now is None or (now.owner, now.term) != (mine.owner, mine.term):
        return Written.LOST
    if now.generation != mine.generation:
        return Written.MOVED
    if now.change_count != mine.change_count:
        return Written.CHANGED
    said = any(park.reason for park in made.parks) or any(one.reason for one in made.retries)
    if said or made.parks:
        copies.keep_erasure_out(conn)
    if said and read.state(conn).erasures != erasures:
        return Written.ERASED
    which = {"tenant_id": mine.tenant_id, "name": mine.name}
    if made.parks:
        conn.run_many(_PARK, [{**which, **_park(park)} for park in made.parks])
    if made.settled:
        conn.run_many(_FORGET_RETRY, [{**which, "position": one} for one in made.settled])
    if made.floor > now.floor:
        conn.run(_FORGET_PASSED, {**which, "floor": made.floor})
    if made.retries:
        conn.run_many(_KEEP_RETRY, [{**which, **_retry(retry)} for retry in made.retries])
    conn.run(_PLACE, {**which, "floor": made.floor, "runs": made.runs})
    failpoints.hit("event_gateway.before_progress_commit")
    return Written.DONE


def events(
    conn: storage.Connection, tenant_id: str, name: str, positions: Collection[int]
) -> dict[int, bytes]:
    """Returns the chunks of a consumer's unsettled events; those no longer kept are missing."""
    params = {
        "tenant_id": tenant_id,
        "name": name,
        **storage.columns(conn, positions=positions),
    }
    rows = conn.all(_EVENTS, params)
    return {row[0]: splice.chunk(bytes(row[1])) for row in rows if row[1] is not None}


def erase(conn: storage.Connection, entity_key: str) -> int:
    """Erases what the copies of an entity's events and the reasons of members say of a person;
    returns how many did. `copies.keep_others_out` must come first.
    """
    changed = 0
    for forget in _FORGET_REASONS:
        changed += conn.run(forget, {"entity_key": entity_key})
    for find, replace in (
        (_PARKED_OF_ENTITY, _REPLACE_PARKED),
        (_RETRIES_OF_ENTITY, _REPLACE_RETRY),
    ):
        for tenant_id, name, position, event in conn.all(find, {"entity_key": entity_key}):
            replacement = splice.erased(bytes(event))
            if replacement is not None:
                where = {"tenant_id": tenant_id, "name": name, "position": position}
                changed += conn.run(replace, {**where, "event": replacement})
    return changed


def _park(park: records.Park) -> dict[str, object]:
    return {
        "position": park.position,
        "entity_key": park.key,
        "attempts": park.attempts,
        "reason": park.reason,
        "parked_us": park.parked_us,
        "blocked": int(park.blocked),
        "skipped": park.skipped,
    }


def _retry(retry: records.Retry) -> dict[str, object]:
    return {
        "position": retry.position,
        "entity_key": retry.key,
        "attempts": retry.attempts,
        "due_us": retry.due_us,
        "reason": retry.reason,
        "extra": int(retry.extra),
    }
