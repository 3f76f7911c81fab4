"""Reads the log: where it is, what lies behind a place, one event.

Owns the statements that read. Called by the tail, by catching-up streams and
by queries. Never reads more than its limits, and never decides who may see it.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import NamedTuple

from event_gateway import splice
from servicekit import storage

# Rows looked at in one read. A row costs about a microsecond, so a read gives
# the thread back within a few milliseconds.
ROWS_MAX = 2000
# Places covered by one read that no index narrows down to its tenants.
SPAN_MAX = 10_000


class Entry(NamedTuple):
    """One event of the log and what filters look at."""

    position: int
    tenant_id: str
    type_name: str
    entity_type: str
    entity_id: str
    # The event as one element of a response, from `splice.chunk`.
    chunk: bytes


Matches = Callable[[str, str, str, str], bool]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where the log is.

    Attributes:
        epoch: Which life of the log.
        head: Position of the newest event, 0 in an empty log.
        oldest: Everything after this position is kept.
        head_append_us: When the newest event was accepted, epoch microseconds.
    """

    epoch: int
    head: int
    oldest: int
    head_append_us: int


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
class Selection:
    """What a read may return: `tenants` and, if not empty, `entity_ids` narrow the rows
    looked at, `matches(tenant, type, entity type, entity)` decides.
    """

    tenants: tuple[str, ...]
    entity_ids: tuple[str, ...]
    matches: Matches


_STATE = storage.Statement(
    "select epoch, head, oldest, head_append_us from log_head where log = 'main'"
)
_HAS_SCHEMA = storage.Statement(
    "select count(*) from sqlite_master where name = 'alembic_version'",
    postgresql="select count(to_regclass('alembic_version'))",
)
_REVISION = storage.Statement("select version_num from alembic_version")
_COLUMNS = "select position, tenant_id, type, entity_type, entity_id, length(event) from event_log "
_RANGE = " position > :after and position <= :upto order by position limit :rows"
_TENANTS = "tenant_id in (select value from json_each(:tenants)) and "
_TENANTS_POSTGRESQL = "tenant_id = any(cast(:tenants as text[])) and "
_ENTITIES = "entity_id in (select value from json_each(:entity_ids)) and "
_ENTITIES_POSTGRESQL = "entity_id = any(cast(:entity_ids as text[])) and "

_FACTS = storage.Statement(f"{_COLUMNS} where {_RANGE}")
_FACTS_OF_TENANT = storage.Statement(f"{_COLUMNS} where tenant_id = :tenant and {_RANGE}")
_FACTS_OF_TENANTS = storage.Statement(
    f"{_COLUMNS} where {_TENANTS} {_RANGE}",
    postgresql=f"{_COLUMNS} where {_TENANTS_POSTGRESQL} {_RANGE}",
)
_FACTS_OF_ENTITIES = storage.Statement(
    f"{_COLUMNS} where {_TENANTS} {_ENTITIES} {_RANGE}",
    postgresql=f"{_COLUMNS} where {_TENANTS_POSTGRESQL} {_ENTITIES_POSTGRESQL} {_RANGE}",
)
_EVENTS = storage.Statement(
    "select position, event from event_log "
    "where position in (select value from json_each(:positions))",
    postgresql="select position, event from event_log "
    "where position = any(cast(:positions as bigint[]))",
)
_BY_ID = storage.Statement(
    "select e.position, e.event from event_key k join event_log e on e.position = k.position "
    "where k.tenant_id = :tenant_id and k.event_id = :event_id"
)


def schema_revision(conn: storage.Connection) -> str:
    """Returns the newest migration that the database has had; '' if none."""
    found = conn.one(_HAS_SCHEMA)
    row = conn.one(_REVISION) if found and found[0] else None
    return str(row[0]) if row else ""


def state(conn: storage.Connection) -> State:
    """Returns where the log is."""
    row = conn.one(_STATE)
    assert row is not None, "the migration that makes log_head fills it"
    return State(epoch=row[0], head=row[1], oldest=row[2], head_append_us=row[3])


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
    return Page(state=current, entries=_with_events(conn, wanted), upto=upto)


def _facts(
    conn: storage.Connection, selection: Selection | None, *, after: int, upto: int
) -> tuple[list[storage.Row], int]:
    """Returns rows to look at and the position up to which there are no others."""
    params: dict[str, object] = {"after": after, "rows": ROWS_MAX}
    if selection is None:
        statement = _FACTS
    elif selection.entity_ids:
        statement = _FACTS_OF_ENTITIES
        params["tenants"] = _array(conn, selection.tenants)
        params["entity_ids"] = _array(conn, selection.entity_ids)
    elif len(selection.tenants) == 1:
        statement = _FACTS_OF_TENANT
        params["tenant"] = selection.tenants[0]
    else:
        statement = _FACTS_OF_TENANTS
        params["tenants"] = _array(conn, selection.tenants)
        upto = min(upto, after + SPAN_MAX)
    params["upto"] = upto
    rows = conn.all(statement, params)
    return rows, (rows[-1][0] if len(rows) == ROWS_MAX else upto)


def _with_events(conn: storage.Connection, rows: list[storage.Row]) -> list[Entry]:
    if not rows:
        return []
    positions = _array(conn, [row[0] for row in rows])
    events: dict[int, bytes] = dict(conn.all(_EVENTS, {"positions": positions}))
    return [
        Entry(row[0], row[1], row[2], row[3], row[4], splice.chunk(events[row[0]])) for row in rows
    ]


def _array(conn: storage.Connection, values: "tuple[str, ...] | list[int]") -> object:
    return json.dumps(values) if conn.dialect == "sqlite" else list(values)
