"""How far behind consumers are: one of them, and all together.

Owns the reads that tell it. Called by the API, by retention, which keeps what they wait for,
and by what watches the gateway. Never writes.
"""

import dataclasses

from event_gateway.consumers import place
from event_gateway.db import read
from servicekit import storage

# Rows looked at to tell how far behind a consumer is.
ROWS_MAX = 10_000
# The same for each of many.
ROWS_EACH = 1_000
# Kind of a consumer that events pass by: what it has not dealt with, it never will.
PASSED_BY = "webhook_disabled"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How far behind a consumer is.

    Attributes:
        count: Events that match and are not settled.
        estimated: Whether `count` is extrapolated.
        oldest: Position of the first of them, 0 if none.
        skipped: Positions that are not settled and that the log has deleted.
    """

    count: int
    estimated: bool
    oldest: int
    skipped: int


_NEARLY_OVERTAKEN = storage.Statement(
    "select tenant_id, name from consumer where floor < :bound "
    f"and kind <> '{PASSED_BY}' order by floor limit 20"
)
_LOWEST = storage.Statement(f"select min(floor) from consumer where kind <> '{PASSED_BY}'")
_OVERTAKEN = storage.Statement(
    "select count(*) from consumer c join log_head h on c.floor < h.oldest "
    f"where h.log = 'main' and c.kind <> '{PASSED_BY}'"
)
# Consumer by consumer: a join would read what all the others have set aside.
_PARKED = storage.Statement(
    "select count(*) from (select 1 from consumer c join consumer_parked p "
    "on p.tenant_id = c.tenant_id and p.name = c.name where c.kind = :kind limit :most) as found",
    postgresql="select count(*) from (select 1 from consumer c cross join lateral (select 1 "
    "from consumer_parked p where p.tenant_id = c.tenant_id and p.name = c.name limit :most) "
    "as own where c.kind = :kind limit :most) as found",
)
_PASSED_BY = storage.Statement(f"select count(*) from consumer where kind = '{PASSED_BY}'")
_BACKLOG = storage.Statement(
    "select position, tenant_id, type, entity_type, entity_id from event_log "
    "where tenant_id = any(cast(:tenants as text[])) and position > :after "
    "order by position limit :rows"
)


def nearly_overtaken(conn: storage.Connection) -> list[tuple[str, str]]:
    """Returns up to 20 consumers in the oldest quarter of a log that deletes events."""
    state = read.state(conn)
    if not state.oldest:
        return []
    bound = state.oldest + (state.head - state.oldest) // 4
    return [(row[0], row[1]) for row in conn.all(_NEARLY_OVERTAKEN, {"bound": bound})]


def lowest_floor(conn: storage.Connection) -> int | None:
    """Returns the place up to which all consumers are done; None if nobody waits for events."""
    row = conn.one(_LOWEST)
    return row[0] if row else None


def count_overtaken(conn: storage.Connection) -> int:
    """Returns to how many consumers events are lost that the log deleted before they were done
    with them, and who do not know it yet.
    """
    row = conn.one(_OVERTAKEN)
    return int(row[0]) if row else 0


def count_parked(conn: storage.Connection, kind: str, most: int) -> int:
    """Returns how many events the consumers of a kind have set aside; counts up to *most*."""
    row = conn.one(_PARKED, {"kind": kind, "most": most})
    return int(row[0]) if row else 0


def count_disabled(conn: storage.Connection) -> int:
    """Returns how many webhook endpoints are disabled."""
    row = conn.one(_PASSED_BY)
    return int(row[0]) if row else 0


def backlog(
    conn: storage.Connection,
    selection: read.Selection,
    at: place.Place,
    *,
    retries: int,
    rows_max: int = ROWS_MAX,
) -> Backlog:
    """Counts what matches behind a place and is not settled; looks at *rows_max* events."""
    log = read.state(conn)
    skipped = at.unsettled(log.oldest)
    params: dict[str, object] = {
        "tenants": storage.array(conn, selection.tenants),
        "after": at.floor,
        "rows": rows_max,
    }
    rows = conn.all(_BACKLOG, params)
    count = oldest = 0
    for row in rows:
        if selection.matches(row[1], row[2], row[3], row[4]) and not at.covers(row[0]):
            count += 1
            oldest = oldest or row[0]
    if len(rows) < rows_max or rows[-1][0] >= log.head:
        return Backlog(count=count + retries, estimated=False, oldest=oldest, skipped=skipped)
    count = round(count * (log.head - at.floor) / (rows[-1][0] - at.floor))
    return Backlog(count=count + retries, estimated=True, oldest=oldest, skipped=skipped)
