"""Reads the log: where it is, what lies behind a place, one event.

Owns the statements that read; which rows each of them looks at is in
`event_gateway.db.narrowing`. Called by the tail, streams that catch up, consumers and queries.
Never reads more than its limits, and never decides who may see it.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

from event_gateway import splice
from event_gateway.db import narrowing
from servicekit import storage

# Rows looked at in one read. A row costs about a microsecond, so a read gives
# the thread back within a few milliseconds.
ROWS_MAX = 2000


class Entry(NamedTuple):
    """One event of the log and what filters look at."""

    position: int
    tenant_id: str
    type_name: str
    entity_type: str
    entity_id: str
    # The event as one element of a response, from `splice.chunk`.
    chunk: bytes


class PaymentsHead(NamedTuple):
    """The newest event of the payment service, and the life of the log that it came to."""

    epoch: int
    position: int
    event_id: str


Matches = Callable[[str, str, str, str], bool]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where the log is.

    Attributes:
        epoch: Which life of the log.
        head: Position of the newest event, 0 in an empty log.
        oldest: Everything after this position is kept.
        head_append_us: When the newest event was accepted, epoch microseconds.
        size_bytes: Of the events kept.
        expiring: Events up to here go next.
        expiring_us: When that was decided, epoch microseconds.
        erasures: How often stored events were changed.
    """

    epoch: int
    head: int
    oldest: int
    head_append_us: int
    size_bytes: int = 0
    expiring: int = 0
    expiring_us: int = 0
    erasures: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one bounded read found.

    Attributes:
        state: Of the log in the same snapshot.
        entries: What matched, in log order.
        upto: Nothing else matches at or before this position.
    """

    state: State
    entries: list[Entry]
    upto: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What lies behind a place, on its way.

    Attributes:
        state: Of the log in the same snapshot.
        events: Position and bytes of what matches, in log order; fetched as they are taken,
            as long as the transaction lasts.
        upto: Nothing else matches at or before this position.
    """

    state: State
    events: Iterable[tuple[int, bytes]]
    upto: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The first events behind a place, as elements of `repeated Event events = 1`.

    Attributes:
        data: All of them.
        count: How many.
        upto: Nothing else matches at or before this position.
    """

    data: bytes
    count: int
    upto: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a read may return: `tenants` and, if not empty, `entity_ids` narrow the rows
    looked at, `matches(tenant, type, entity type, entity)` decides. `by_rows` says that
    every row looked at matches.
    """

    tenants: tuple[str, ...]
    entity_ids: tuple[str, ...]
    matches: Matches
    by_rows: bool = False


_STATE = storage.Statement(
    "select epoch, head, oldest, head_append_us, size_bytes, expiring, expiring_us, erasures "
    "from log_head where log = 'main'"
)
_PAYMENTS_HEAD = storage.Statement(
    "select h.payments_epoch, h.payments_head, e.event_id from log_head h "
    "join event_log e on e.position = h.payments_head where h.log = 'main'"
)
_FACTS = narrowing.statements("position, tenant_id, type, entity_type, entity_id, length(event)")
# PostgreSQL sends a result whole, so it must stop by itself: after the first row that is more
# than :bytes, which tells the reader that there are others.
_WHOLE = narrowing.statements(
    "position, event",
    "select position, event from (select tenant_id, sum(length(event)) over (order by {order} "
    "rows between unbounded preceding and 1 preceding) as before, {rows}) as rows "
    "where before is null or before <= :bytes order by {order}",
)
_IS_EVEN = f"size between {splice.EVEN_SIZES.start} and {splice.EVEN_SIZES.stop - 1}"
_PREFIX = f"(size - {splice.EVEN_SIZES.start}) * {splice.EVEN_PREFIX_BYTES} + 1"
# Rows come to the aggregate in the order of the query below it. SQLite calls the result a text
# until it is cast back, and keeps its bytes.
_JOINED = narrowing.statements(
    "position, event, length(event) as size",
    sqlite="select count(*), max(position), sum(size), cast(group_concat("
    f"iif({_IS_EVEN}, substr(:prefixes, {_PREFIX}, {splice.EVEN_PREFIX_BYTES}) || event, ''), '') "
    "as blob) from (select {rows})",
)
_EVENTS = storage.Statement(
    "select position, event from event_log where position = any(cast(:positions as bigint[]))"
)
_BY_ID = storage.Statement(
    "select e.position, e.event from event_key k join event_log e on e.position = k.position "
    "where k.tenant_id = :tenant_id and k.event_id = :event_id"
)


_AT_OR_AFTER = storage.Statement(
    "select position, event from event_log where position >= :position order by position limit 1"
)


def state(conn: storage.Connection) -> State:
    """Returns where the log is."""
    row = conn.one(_STATE)
    assert row is not None, "the migration that makes log_head fills it"
    return State(
        epoch=row[0],
        head=row[1],
        oldest=row[2],
        head_append_us=row[3],
        size_bytes=row[4],
        expiring=row[5],
        expiring_us=row[6],
        erasures=row[7],
    )


def payments_head(conn: storage.Connection) -> PaymentsHead | None:
    """Returns the newest event of the payment service; None if it is no longer kept."""
    row = conn.one(_PAYMENTS_HEAD)
    return PaymentsHead._make(row) if row else None


def accepted_before(conn: storage.Connection, moment_us: int, current: State) -> int:
    """Returns the place before the first event accepted at or after *moment_us*.

    `current.oldest` if all that is kept was, `current.head` if none was. Append times
    never decrease along the log, so it looks at a few dozen events at most.
    """
    if moment_us > current.head_append_us:
        return current.head
    low, high = current.oldest, current.head
    # Everything at or before `low` was accepted earlier, everything after `high` was not.
    while low < high:
        middle = (low + high) // 2 + 1
        row = conn.one(_AT_OR_AFTER, {"position": middle})
        if row is None or row[0] > high or splice.append_us(row[1]) >= moment_us:
            high = middle - 1
        else:
            low = row[0]
    return low


def oldest_append_us(conn: storage.Connection, current: State) -> int:
    """Returns when the oldest event kept was accepted, epoch microseconds; 0 if none is."""
    row = conn.one(_AT_OR_AFTER, {"position": current.oldest + 1})
    return splice.append_us(row[1]) if row else 0


def event(conn: storage.Connection, tenant_id: str, event_id: str) -> tuple[int, bytes] | None:
    """Returns position and chunk of one event, or None if it is unknown or no longer kept."""
    row = conn.one(_BY_ID, {"tenant_id": tenant_id, "event_id": event_id})
    return (row[0], splice.chunk(row[1])) if row else None


def page(
    conn: storage.Connection,
    selection: Selection | None,
    *,
    after: int,
    upto: int,
    events_max: int,
    bytes_max: int,
) -> Page:
    """Reads what matches in (*after*, *upto*], or the first part of it.

    Sizes are looked at before any event is fetched, so that a page never holds more
    than *bytes_max*, one larger event excepted, which comes alone.

    Args:
        conn: A read-only snapshot.
        selection: What to return; None for everything.
        after: Position to read after.
        upto: Last position to read; the log's head bounds it too.
        events_max: Most events, at least 1.
        bytes_max: Most bytes of events, at least 1.
    """
    current = state(conn)
    upto = min(upto, current.head)
    if upto <= after:
        return Page(state=current, entries=[], upto=after)
    wanted, upto = _wanted(
        conn, selection, after=after, upto=upto, events_max=events_max, bytes_max=bytes_max
    )
    return Page(state=current, entries=_entries(conn, wanted), upto=upto)


def stretch(
    conn: storage.Connection,
    selection: Selection,
    *,
    after: int,
    upto: int,
    events_max: int,
    bytes_max: int,
) -> Stretch:
    """Reads what `page` reads, without the facts about each event.

    Where the rows of the table decide alone, they are fetched without a look at them first:
    at most *events_max*, of which whoever takes them leaves what is more than *bytes_max*.
    """
    current = state(conn)
    upto = min(upto, current.head)
    if upto <= after:
        return Stretch(state=current, events=(), upto=after)
    if selection.by_rows:
        name, params, upto = _rows(conn, selection, after=after, upto=upto, rows=events_max)
        events = conn.each(_WHOLE[name], {**params, "bytes": bytes_max})
        return Stretch(state=current, events=events, upto=upto)
    wanted, upto = _wanted(
        conn, selection, after=after, upto=upto, events_max=events_max, bytes_max=bytes_max
    )
    return Stretch(state=current, events=_events(conn, wanted), upto=upto)


def joined(
    conn: storage.Connection, selection: Selection, *, after: int, upto: int, rows: int
) -> Joined | None:
    """Returns the first *rows* events in (*after*, *upto*], joined by SQLite.

    None: one of them has a size without a prefix, which is seen by the bytes that are missing.
    For a selection whose rows decide alone.
    """
    name, params, upto = _rows(conn, selection, after=after, upto=upto, rows=rows)
    row = conn.one(_JOINED[name], {**params, "prefixes": splice.EVEN_PREFIXES})
    if row is None or not row[0]:
        return Joined(data=b"", count=0, upto=upto)
    count, last, size_bytes, data = row
    if len(data) != size_bytes + count * splice.EVEN_PREFIX_BYTES:
        return None
    return Joined(data=data, count=count, upto=last if count == rows else upto)


def _wanted(
    conn: storage.Connection,
    selection: Selection | None,
    *,
    after: int,
    upto: int,
    events_max: int,
    bytes_max: int,
) -> tuple[list[storage.Row], int]:
    """Returns the facts of what matches and fits, and up to where nothing else matches."""
    rows, upto = _facts(conn, selection, after=after, upto=upto)
    wanted: list[storage.Row] = []
    total = 0
    for row in rows:
        if selection is not None and not selection.matches(row[1], row[2], row[3], row[4]):
            continue
        total += row[5]
        if wanted and (len(wanted) == events_max or total > bytes_max):
            upto = wanted[-1][0]
            break
        wanted.append(row)
    return wanted, upto


def _facts(
    conn: storage.Connection, selection: Selection | None, *, after: int, upto: int
) -> tuple[list[storage.Row], int]:
    """Returns rows to look at and the position up to which there are no others."""
    name, params, upto = _rows(conn, selection, after=after, upto=upto, rows=ROWS_MAX)
    rows = conn.all(_FACTS[name], params)
    return rows, (rows[-1][0] if len(rows) == ROWS_MAX else upto)


def _rows(
    conn: storage.Connection, selection: Selection | None, *, after: int, upto: int, rows: int
) -> tuple[str, dict[str, object], int]:
    """Returns which statement looks at the rows of a selection; see `narrowing.choose`."""
    tenants = None if selection is None else selection.tenants
    entity_ids = () if selection is None else selection.entity_ids
    return narrowing.choose(conn, tenants, entity_ids, after=after, upto=upto, rows=rows)


def _events(conn: storage.Connection, rows: list[storage.Row]) -> list[storage.Row]:
    """Returns positions and events for the facts in *rows*, in their order."""
    if not rows:
        return []
    return sorted(conn.all(_EVENTS, {"positions": storage.array(conn, [row[0] for row in rows])}))


def _entries(conn: storage.Connection, rows: list[storage.Row]) -> list[Entry]:
    return [
        Entry(row[0], row[1], row[2], row[3], row[4], splice.chunk(event))
        for row, (_, event) in zip(rows, _events(conn, rows), strict=True)
    ]
