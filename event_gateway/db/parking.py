"""What consumers have set aside: read, put back, dropped.

Owns what becomes of the rows of `consumer_parked`, which running consumers write by
`event_gateway.db.progress`. Called by the API, by retries of webhooks and by what tidies up,
inside one transaction each.
"""

import collections
import dataclasses
from collections.abc import Collection, Iterable

from event_gateway.db import consumers, copies, read
from servicekit import storage

# Parked events that are forgotten in one transaction.
FORGOTTEN_MAX = 1_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A parked event as it is stored; `event` is None in a marker, and where it was not read."""

    position: int
    entity_key: str
    event: bytes | None
    attempts: int
    reason: str
    parked_us: int
    blocked: bool
    skipped: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Which parked events were put back or dropped as was asked, and how many others followed."""

    positions: list[int]
    released: int


_ONE = "tenant_id = :tenant_id and name = :name"
_COUNT = storage.Statement(f"select count(*) from consumer_parked where {_ONE}")
_SELECT = (
    "select position, entity_key, {event}, attempts, reason, parked_us, blocked, skipped "
    f"from consumer_parked where {_ONE} "
)
_BARE = _SELECT.format(event="null")
_PAGE = "and position > :after order by position limit :rows"
_WHOLE_PAGE = storage.Statement(f"{_SELECT.format(event='event')} {_PAGE}")
_BARE_PAGE = storage.Statement(f"{_BARE} {_PAGE}")
_ROOTS_FIRST = storage.Statement(f"{_BARE} order by blocked, position limit :rows")
_ROOTS_LAST = storage.Statement(f"{_BARE} order by blocked desc, position limit :rows")
_OLDEST = storage.Statement(
    f"select position, parked_us from consumer_parked where {_ONE} order by position limit :rows"
)
_SOME = storage.Statement(
    f"{_BARE} and position = any(cast(:positions as bigint[])) order by position"
)
_SINCE = storage.Statement(
    f"{_BARE} and parked_us >= :since_us and skipped = 0 order by position limit :rows"
)
_ROOTS_OF = storage.Statement(
    f"select count(*) from consumer_parked where {_ONE} and entity_key = :entity_key "
    "and blocked = 0 and skipped = 0"
)
_IN_LOG = storage.Statement(
    "select p.position, l.tenant_id, l.type, l.entity_type, l.entity_id from consumer_parked p "
    "join event_log l on l.position = p.position where p.tenant_id = :tenant_id and p.name = :name "
    "and p.position > :after and p.skipped = 0 order by p.position limit :rows"
)
_UNPARK = storage.Statement(f"delete from consumer_parked where {_ONE} and position = :position")
_BLOCKED_OF = f"{_ONE} and entity_key = :entity_key and blocked = 1"
_UNPARK_BLOCKED = storage.Statement(f"delete from consumer_parked where {_BLOCKED_OF}")
# After a seek the event may be under way again, from the log, while it is parked still.
_PUT_BACK_WHERE = (
    "insert into consumer_retry (tenant_id, name, position, entity_key, attempts, due_us, reason, "
    "extra, event) select tenant_id, name, position, entity_key, 0, 0, reason, 1, event "
    "from consumer_parked where {which} "
    "on conflict (tenant_id, name, position) do update set attempts = 0, due_us = 0, "
    "event = coalesce(consumer_retry.event, excluded.event)"
)
_PUT_BACK = storage.Statement(_PUT_BACK_WHERE.format(which=f"{_ONE} and position = :position"))
_PUT_BACK_BLOCKED = storage.Statement(_PUT_BACK_WHERE.format(which=_BLOCKED_OF))


def page(
    conn: storage.Connection,
    tenant_id: str,
    name: str,
    *,
    after: int,
    rows: int,
    bare: bool = False,
) -> list[Parked]:
    """Returns up to *rows* parked events behind position *after*; *bare*: not what they say."""
    params = {"tenant_id": tenant_id, "name": name, "after": after, "rows": rows}
    return [_from_row(row) for row in conn.all(_BARE_PAGE if bare else _WHOLE_PAGE, params)]


def first(
    conn: storage.Connection, tenant_id: str, name: str, *, rows: int, again: bool
) -> list[Parked]:
    """Returns up to *rows* parked events without their content, in an order in which resolving them
    page by page resolves all: those that hold up others first if they are put back (*again*), which
    puts those back too; last if they are dropped.
    """
    params = {"tenant_id": tenant_id, "name": name, "rows": rows}
    return [_from_row(row) for row in conn.all(_ROOTS_FIRST if again else _ROOTS_LAST, params)]


def since(
    conn: storage.Connection, tenant_id: str, name: str, *, since_us: int, rows: int
) -> list[Parked]:
    """Returns up to *rows* events that were parked at or after a moment, without their content."""
    params = {"tenant_id": tenant_id, "name": name, "since_us": since_us, "rows": rows}
    return [_from_row(row) for row in conn.all(_SINCE, params)]


def at(
    conn: storage.Connection, tenant_id: str, name: str, positions: Collection[int]
) -> list[Parked]:
    """Returns those of *positions* that are parked, without their content."""
    params = {"tenant_id": tenant_id, "name": name, "positions": storage.array(conn, positions)}
    return [_from_row(row) for row in conn.all(_SOME, params)]


def resolve(
    conn: storage.Connection, stored: consumers.Stored, chosen: Iterable[Parked], *, again: bool
) -> Resolved:
    """Puts parked events back (*again*) or drops them, and puts back what nothing holds up then."""
    copies.keep_erasure_out(conn)
    which = {"tenant_id": stored.tenant_id, "name": stored.name}
    gone: list[Parked] = []
    asked: dict[str, list[int]] = collections.defaultdict(list)
    for each in chosen:
        if each.blocked and again:
            asked[each.entity_key].append(each.position)
        else:
            gone.append(each)
    back = [{**which, "position": each.position} for each in gone if again and not each.skipped]
    if back:
        conn.run_many(_PUT_BACK, back)
    if gone:
        conn.run_many(_UNPARK, [{**which, "position": each.position} for each in gone])
    resolved, released = [each.position for each in gone], 0
    for key in sorted({each.entity_key for each in gone if not each.skipped} | asked.keys()):
        of_key = {**which, "entity_key": key}
        roots = conn.one(_ROOTS_OF, of_key)
        if roots and roots[0]:
            continue
        conn.run(_PUT_BACK_BLOCKED, of_key)
        followed = conn.run(_UNPARK_BLOCKED, of_key)
        resolved += asked[key]
        released += followed - len(asked[key])
    if resolved or released:
        consumers.touch(conn, stored)
    return Resolved(positions=resolved, released=released)


def forget_sent_again(
    conn: storage.Connection, stored: consumers.Stored, selection: read.Selection, floor: int
) -> None:
    """Drops what reading on from a place delivers again, after `consumers.seek` to that place.

    Not for consumers whose parked events hold up others.
    """
    which = {"tenant_id": stored.tenant_id, "name": stored.name}
    after, rows = floor, FORGOTTEN_MAX
    while rows == FORGOTTEN_MAX:
        found = conn.all(_IN_LOG, {**which, "after": after, "rows": rows})
        gone = [{**which, "position": row[0]} for row in found if selection.matches(*row[1:])]
        if gone:
            conn.run_many(_UNPARK, gone)
        rows = len(found)
        after = found[-1][0] if found else after


def forget(
    conn: storage.Connection, tenant_id: str, name: str, *, before_us: int, most: int
) -> int:
    """Drops what was parked before a moment, and the oldest that are more than *most*.

    Looks at the first FORGOTTEN_MAX; returns how many went. Not for consumers whose parked events
    hold up others.
    """
    stored = consumers.lock(conn, tenant_id, name)
    if stored is None:
        return 0
    which = {"tenant_id": tenant_id, "name": name}
    count = conn.one(_COUNT, which) or (0,)
    rows = conn.all(_OLDEST, {**which, "rows": FORGOTTEN_MAX})
    gone = [
        {**which, "position": row[0]}
        for index, row in enumerate(rows)
        if row[1] < before_us or index < count[0] - most
    ]
    if gone:
        conn.run_many(_UNPARK, gone)
        consumers.touch(conn, stored)
    return len(gone)


def _from_row(row: storage.Row) -> Parked:
    return Parked(
        position=row[0],
        entity_key=row[1],
        event=None if row[2] is None else bytes(row[2]),
        attempts=row[3],
        reason=row[4],
        parked_us=row[5],
        blocked=bool(row[6]),
        skipped=row[7],
    )
