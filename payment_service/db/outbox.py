"""The outbox: events written in the transaction of what they tell.

Owns the table `outbox`. `append` is called by the use cases; the rest by the
relay. It is a set, not a log: the relay takes rows, publishes them and marks
them with where they are in the gateway's log. Rows are kept after that, so
that a gateway that lost its log can be filled again.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from servicekit import storage

Entity = tuple[str, str, str]

# Counting stops here; above it the numbers of `status` are lower bounds.
COUNT_MAX = 100_000

_COLUMNS = "event_id, tenant_id, entity_type, entity_id, entity_version, envelope, created_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event to write; `envelope` is a serialised payhub.events.v1.Event."""

    event_id: str
    tenant_id: str
    entity_type: str
    entity_id: str
    entity_version: int
    envelope: bytes
    created_us: int


class Waiting(NamedTuple):
    """One row that is not in the log yet; a tuple, because there are thousands a second."""

    id: int
    event_id: str
    tenant_id: str
    entity_type: str
    entity_id: str
    entity_version: int
    envelope: bytes

    @property
    def entity(self) -> Entity:
        """What events are ordered by."""
        return (self.tenant_id, self.entity_type, self.entity_id)


class Version(NamedTuple):
    """That there is a row of an entity, waiting or marked."""

    id: int
    tenant_id: str
    entity_type: str
    entity_id: str
    entity_version: int

    @property
    def entity(self) -> Entity:
        """Whose it is."""
        return (self.tenant_id, self.entity_type, self.entity_id)


class Postponed(NamedTuple):
    """A row that is not sent again before `retry_us`; `refused` is '' if it only waits
    behind another one of its entity.
    """

    id: int
    retry_us: int
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What waits: how many rows, since when (0 if none), since when without those that were
    refused or are behind such a one (0 if none), how many the gateway refused.
    """

    waiting: int
    oldest_us: int
    oldest_free_us: int
    blocked: int


# With {if_first}: for the transaction that also claims an idempotency key.
APPEND_IF_FIRST = storage.Statement(
    f"insert into outbox ({_COLUMNS}) select :event_id, :tenant_id, :entity_type, :entity_id, "
    f":entity_version, :envelope, :created_us where {{if_first}}"
)


@functools.cache
def _append(count: int) -> storage.Statement:
    rows = ", ".join(
        "(" + ", ".join(f":{name}_{number}" for name in _COLUMNS.split(", ")) + ")"
        for number in range(count)
    )
    return storage.Statement(
        f"insert into outbox ({_COLUMNS}) select * from (values {rows}) as entry where {{if_first}}"
    )


def append(entries: Sequence[Entry]) -> tuple[storage.Statement, storage.Params]:
    """Returns the one statement that writes *entries*, for `Connection.run_all`."""
    values: dict[str, object] = {}
    for number, entry in enumerate(entries):
        for name, value in params(entry).items():
            values[f"{name}_{number}"] = value
    return _append(len(entries)), values


def params(entry: Entry) -> storage.Params:
    """Returns an entry as the parameters of APPEND_IF_FIRST."""
    return {
        "event_id": entry.event_id,
        "tenant_id": entry.tenant_id,
        "entity_type": entry.entity_type,
        "entity_id": entry.entity_id,
        "entity_version": entry.entity_version,
        "envelope": entry.envelope,
        "created_us": entry.created_us,
    }


# Nothing is put off for longer: what is was put off while a clock was ahead.
RETRY_MAX_US = 300_000_000
# Sizes are summed before envelopes are read, so that a batch never takes more
# memory than it may.
_TAKE_WAITING = storage.Statement(
    """select o.id, o.event_id, o.tenant_id, o.entity_type, o.entity_id, o.entity_version,
      o.envelope
    from (
      select id, size, sum(size) over (order by id rows unbounded preceding) as total
      from (
        select id, length(envelope) as size from outbox
        where log_epoch = '' and (retry_us <= :now_us or retry_us > :beyond_us)
          and id <> all(cast(:skipped as bigint[]))
        order by id limit :rows_max
      ) as first
    ) as sized
    join outbox o on o.id = sized.id
    where total <= :bytes_max or total = size
    order by o.id"""
)
_MARK = storage.Statement(
    """update outbox set log_epoch = :epoch, log_position = m.position,
         retry_us = 0, refused = ''
       from unnest(cast(:ids as bigint[]), cast(:positions as bigint[])) as m (id, position)
       where outbox.id = m.id and log_epoch = ''"""
)
_POSTPONE = storage.Statement(
    """update outbox set retry_us = p.retry_us,
         refused = coalesce(nullif(p.refused, ''), outbox.refused)
       from unnest(cast(:ids as bigint[]), cast(:retries as bigint[]), cast(:texts as text[]))
         as p (id, retry_us, refused)
       where outbox.id = p.id and log_epoch = ''"""
)
_REFUSED = storage.Statement(
    """select tenant_id, entity_type, entity_id, min(entity_version), max(retry_us) from outbox
       where log_epoch = '' and refused <> '' group by tenant_id, entity_type, entity_id
       limit :most"""
)
_HIGHEST = storage.Statement(
    """select log_position from outbox where log_epoch <> '' and log_epoch = :epoch
       order by log_position desc limit 1"""
)
# `<` and `>` and not `<>`, each by itself and in the order of the index: so that
# no plan reads the whole table, whatever the statistics say.
_NOT_IN_LOG = tuple(
    storage.Statement(
        f"select id from outbox where log_epoch <> '' and {belied} "
        "order by log_epoch, log_position limit :most"
    )
    for belied in (
        "log_epoch < :epoch",
        "log_epoch > :epoch",
        "log_epoch = :epoch and log_position > :head",
    )
)
_UNMARK = storage.Statement(
    """update outbox set log_epoch = '', log_position = 0
       where id = any(cast(:ids as bigint[])) and log_epoch <> ''""",
)
_NEXT_BY_AGE = storage.Statement(
    "select id, created_us from outbox where id > :after_id order by id limit :most"
)
_VERSIONS = storage.Statement(
    "select id, tenant_id, entity_type, entity_id, entity_version from outbox "
    "where id > :after_id order by id limit :most"
)
# Old events that are kept of an entity because it goes on changing; payments end before that.
KEPT_MAX = 1_000
# No condition of an index but that of the ids: SQLite would read all that was ever marked.
_PRUNE = storage.Statement(
    """delete from outbox where id > :after_id and id <= :upto_id
       and :epoch <> '' and log_epoch = :epoch and log_position <= :head
       and created_us < :before_us
       and not exists (select 1 from payments p where p.tenant_id = outbox.tenant_id
         and p.id = outbox.entity_id and p.updated_us >= :before_us)
       and not exists (select 1 from customers c where c.tenant_id = outbox.tenant_id
         and c.id = outbox.entity_id and c.updated_us >= :before_us
         and c.version - :kept < outbox.entity_version)
       and not exists (select 1 from mirrors m where m.tenant_id = outbox.tenant_id
         and m.kind in (2, 3, 4, 5, 6, 7) and m.id = outbox.entity_id
         and m.updated_us >= :before_us and m.version - :kept < outbox.entity_version)
       and not exists (select 1 from bindings b where b.binding_id = outbox.entity_id
         and b.updated_us >= :before_us and b.revision - :kept < outbox.entity_version)
       and not exists (select 1 from plugins g where g.plugin_id = outbox.entity_id
         and g.updated_us >= :before_us and g.revision - :kept < outbox.entity_version)
       and not exists (select 1 from api_keys k where k.id = outbox.entity_id
         and k.revoked_us >= :before_us)
       and not exists (select 1 from retry_policies r where r.tenant_id = outbox.entity_id
         and outbox.entity_type = 'retry_policy' and r.updated_us >= :before_us
         and r.version - :kept < outbox.entity_version)
       and (outbox.entity_type <> 'default_provider' or exists (
         select 1 from default_provider_versions d where d.tenant_id = outbox.entity_id
         and d.version - :kept >= outbox.entity_version))"""
)
_COUNT_WAITING = storage.Statement(
    "select count(*) from (select 1 from outbox where log_epoch = '' limit :most) as found"
)
_OLDEST_WAITING = storage.Statement(
    "select created_us from outbox where log_epoch = '' order by id limit 1"
)
_BLOCKED_AND_FREE = storage.Statement(
    "select count(case when refused <> '' then 1 end), "
    "min(case when retry_us = 0 then created_us end) from (select refused, retry_us, created_us "
    "from outbox where log_epoch = '' order by id limit :most) as found"
)


def take(
    conn: storage.Connection,
    *,
    now_us: int,
    skipped: Sequence[int],
    rows_max: int,
    bytes_max: int,
) -> list[Waiting]:
    """Returns what waits and may be sent now, in the order of ids, without rows *skipped*.

    At most *rows_max* rows whose envelopes take at most *bytes_max* together; one that
    alone takes more comes alone.
    """
    found = conn.all(
        _TAKE_WAITING,
        {
            "now_us": now_us,
            "beyond_us": now_us + RETRY_MAX_US,
            "skipped": storage.array(conn, skipped),
            "rows_max": rows_max,
            "bytes_max": bytes_max,
        },
    )
    return [Waiting._make(row) for row in found]


def mark(conn: storage.Connection, epoch: str, marks: Sequence[tuple[int, int]]) -> int:
    """Marks rows as being in the log: pairs of row id and position. Returns how many were not."""
    wanted = storage.columns(
        conn,
        ids=[row_id for row_id, _ in marks],
        positions=[position for _, position in marks],
    )
    return conn.run(_MARK, {"epoch": epoch, **wanted})


def postpone(conn: storage.Connection, postponed: Sequence[Postponed]) -> None:
    """Keeps rows from being sent again before their time."""
    ids, retries, texts = zip(*postponed, strict=True)
    conn.run(_POSTPONE, storage.columns(conn, ids=ids, retries=retries, texts=texts))


def refused(conn: storage.Connection, most: int) -> list[tuple[Entity, int, int]]:
    """Returns at most *most* entities with a refused row: its version and when it is due."""
    rows = conn.all(_REFUSED, {"most": most})
    return [((row[0], row[1], row[2]), row[3], row[4]) for row in rows]


def highest_position(conn: storage.Connection, epoch: str) -> int:
    """Returns the highest position marked in *epoch*; 0 if there is none."""
    row = conn.one(_HIGHEST, {"epoch": epoch})
    return row[0] if row else 0


def not_in_log(conn: storage.Connection, *, epoch: str, head: int, most: int) -> list[int]:
    """Returns at most *most* ids of rows whose marks a log with this epoch and head belies."""
    params = {"epoch": epoch, "head": head, "most": most}
    ids: list[int] = []
    for statement in _NOT_IN_LOG:
        ids.extend(row[0] for row in conn.all(statement, params))
    return ids[:most]


def unmark(conn: storage.Connection, ids: Sequence[int]) -> int:
    """Makes marked rows wait again; returns how many."""
    return conn.run(_UNMARK, {"ids": storage.array(conn, ids)})


def next_by_age(conn: storage.Connection, *, after_id: int, most: int) -> tuple[int, int, int]:
    """Returns how many of the next *most* rows there are, the last one's id and its time."""
    rows = conn.all(_NEXT_BY_AGE, {"after_id": after_id, "most": most})
    return (len(rows), rows[-1][0], rows[-1][1]) if rows else (0, after_id, 0)


def versions(conn: storage.Connection, *, after_id: int, most: int) -> list[Version]:
    """Returns whose the next *most* rows are, by id."""
    return [Version._make(row) for row in conn.all(_VERSIONS, {"after_id": after_id, "most": most})]


def prune(
    conn: storage.Connection,
    *,
    after_id: int,
    upto_id: int,
    epoch: str,
    head: int,
    before_us: int,
) -> int:
    """Deletes rows in (after_id, upto_id] that nobody will need; returns how many.

    Kept whatever their age: rows that wait, rows that a log with this epoch and head
    does not hold, and the KEPT_MAX newest of an entity that has changed since *before_us*,
    so that an empty log gets its events, mostly from the first on.
    """
    return conn.run(
        _PRUNE,
        {
            "after_id": after_id,
            "upto_id": upto_id,
            "epoch": epoch,
            "head": head,
            "before_us": before_us,
            "kept": KEPT_MAX,
        },
    )


def count_waiting(conn: storage.Connection) -> int:
    """Returns how many rows wait; COUNT_MAX stands for more."""
    counted = conn.one(_COUNT_WAITING, {"most": COUNT_MAX})
    return counted[0] if counted else 0


def status(conn: storage.Connection) -> Status:
    """Returns what waits; looks at the first COUNT_MAX rows only."""
    oldest = conn.one(_OLDEST_WAITING)
    blocked, free_us = conn.one(_BLOCKED_AND_FREE, {"most": COUNT_MAX}) or (0, None)
    return Status(
        waiting=count_waiting(conn),
        oldest_us=oldest[0] if oldest else 0,
        oldest_free_us=free_us or 0,
        blocked=blocked,
    )
