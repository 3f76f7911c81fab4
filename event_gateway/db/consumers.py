"""Consumers in the database: definitions, and who runs them.

Owns the rows of `consumer`. Called by the API of consumers and by their groups,
inside one transaction each. What a running consumer writes down is in
`event_gateway.db.progress`, how far behind it is in `event_gateway.db.lag`.
"""

import dataclasses

from event_gateway.consumers import place
from event_gateway.db import copies
from servicekit import storage

# Idle consumers of one transaction, whose events keep the log from others.
IDLE_MAX = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A consumer as it is stored.

    Attributes:
        kind: `consumer`, or who else uses the machinery.
        definition: The contract's message, serialized.
        revision: Of the definition; the etag.
        generation: Rises when the place is moved.
        change_count: Rises with every change by others than the owner.
        owner: Who runs it, '' if nobody or if the lease has ended.
        owner_endpoint: Where that is reached.
        members: As of the owner's last heartbeat.
        outstanding: Likewise.
    """

    tenant_id: str
    name: str
    kind: str
    definition: bytes
    revision: int
    generation: int
    change_count: int
    floor: int
    runs: bytes
    owner: str
    owner_endpoint: str
    term: int
    members: int
    outstanding: int
    create_us: int

    @property
    def place(self) -> place.Place:
        """Its place."""
        return place.decode(self.floor, self.runs)


_COLUMNS = (
    "select tenant_id, name, kind, definition, revision, generation, change_count, floor, runs, "
    "case when lease_until_us > {now_us} then owner else '' end, "
    "case when lease_until_us > {now_us} then owner_endpoint else '' end, "
    "term, members, outstanding, create_us from consumer "
)
_ONE = "where tenant_id = :tenant_id and name = :name"
_GET = storage.Statement(f"{_COLUMNS} {_ONE}")
_LOCK = storage.Statement(f"{_COLUMNS} {_ONE}", postgresql=f"{_COLUMNS} {_ONE} for update")
_PAGE = storage.Statement(
    f"{_COLUMNS} where tenant_id = :tenant_id and kind = :kind and name > :after "
    "order by name limit :rows"
)
# In a subquery the clock is read once, without which PostgreSQL uses no index.
_UNOWNED = storage.Statement(
    f"{_COLUMNS} where kind = :kind and lease_until_us <= (select {{now_us}}) "
    "order by lease_until_us limit :rows"
)
_COUNT = storage.Statement("select count(*) from consumer where tenant_id = :tenant_id")
_CREATE = storage.Statement(
    "insert into consumer (tenant_id, name, kind, definition, revision, generation, change_count, "
    "floor, runs, owner, owner_endpoint, term, lease_until_us, members, outstanding, create_us, "
    "active_us, idle_expiry_us) values (:tenant_id, :name, :kind, :definition, 1, 1, 1, :floor, "
    ":runs, '', '', 0, 0, 0, 0, :now_us, :now_us, :idle_expiry_us) "
    "on conflict (tenant_id, name) do nothing"
)
_UPDATE = storage.Statement(
    "update consumer set definition = :definition, idle_expiry_us = :idle_expiry_us, "
    f"revision = revision + 1, change_count = change_count + 1 {_ONE}"
)
_TOUCH = storage.Statement(f"update consumer set change_count = change_count + 1 {_ONE}")
_SET_KIND = storage.Statement(f"update consumer set kind = :kind {_ONE}")
_SEEK = storage.Statement(
    "update consumer set floor = :floor, runs = :runs, generation = generation + 1, "
    f"change_count = change_count + 1 {_ONE}"
)
_DELETE = storage.Statement(f"delete from consumer {_ONE}")
_DELETE_RETRIES = storage.Statement(f"delete from consumer_retry {_ONE}")
# What was put back by an operator stays, unless reading on finds it again.
_FORGET_RETRIES = storage.Statement(
    f"delete from consumer_retry {_ONE} and (extra = 0 or position > :floor)"
)
_DELETE_PARKED = storage.Statement(f"delete from consumer_parked {_ONE}")
_TAKE = storage.Statement(
    "update consumer set owner = :owner, owner_endpoint = :endpoint, term = term + 1, "
    "members = 0, outstanding = 0, active_us = {now_us}, "
    f"lease_until_us = {{now_us}} + :lease_us {_ONE}"
)
_RENEW = storage.Statement(
    "update consumer set lease_until_us = {now_us} + :lease_us, members = :members, "
    "outstanding = :outstanding, "
    "active_us = case when :active > 0 then {now_us} else active_us end "
    f"{_ONE} and owner = :owner and term = :term returning change_count, generation"
)
_RELEASE = storage.Statement(
    "update consumer set owner = '', owner_endpoint = '', lease_until_us = 0, members = 0, "
    f"outstanding = 0 {_ONE} and owner = :owner and term = :term"
)
# One process has the file of SQLite open: what another one left is nobody's.
_ORPHANS = storage.Statement(
    "update consumer set owner = '', owner_endpoint = '', lease_until_us = 0 where owner <> ''"
)
_IDLE_ROWS = (
    f"{_COLUMNS} where idle_expiry_us > 0 and lease_until_us <= {{now_us}} "
    f"and active_us + idle_expiry_us <= :aged_us limit {IDLE_MAX}"
)
# What another gateway deletes at this moment, or a member takes, is not idle any more.
_LOCK_IDLE = storage.Statement(_IDLE_ROWS, postgresql=f"{_IDLE_ROWS} for update skip locked")


def get(conn: storage.Connection, tenant_id: str, name: str) -> Stored | None:
    """Returns a consumer, or None."""
    row = conn.one(_GET, {"tenant_id": tenant_id, "name": name})
    return _stored(row) if row else None


def lock(conn: storage.Connection, tenant_id: str, name: str) -> Stored | None:
    """Returns a consumer and keeps others from writing about it in this transaction."""
    row = conn.one(_LOCK, {"tenant_id": tenant_id, "name": name})
    return _stored(row) if row else None


def page(
    conn: storage.Connection, tenant_id: str, kind: str, *, after: str, rows: int
) -> list[Stored]:
    """Returns up to *rows* consumers of a tenant whose names come after *after*."""
    params = {"tenant_id": tenant_id, "kind": kind, "after": after, "rows": rows}
    return [_stored(row) for row in conn.all(_PAGE, params)]


def count(conn: storage.Connection, tenant_id: str) -> int:
    """Returns how many consumers a tenant has, of every kind."""
    row = conn.one(_COUNT, {"tenant_id": tenant_id})
    return row[0] if row else 0


def unowned(conn: storage.Connection, kind: str, *, rows: int) -> list[Stored]:
    """Returns consumers of *kind* that nobody runs, longest first."""
    return [_stored(row) for row in conn.all(_UNOWNED, {"kind": kind, "rows": rows})]


def create(
    conn: storage.Connection,
    tenant_id: str,
    name: str,
    *,
    kind: str,
    definition: bytes,
    floor: int,
    idle_expiry_us: int,
    now_us: int,
) -> bool:
    """Makes a consumer; False if one of that name exists."""
    params = {
        "tenant_id": tenant_id,
        "name": name,
        "kind": kind,
        "definition": definition,
        "floor": floor,
        "runs": b"",
        "idle_expiry_us": idle_expiry_us,
        "now_us": now_us,
    }
    return conn.run(_CREATE, params) == 1


def update(
    conn: storage.Connection, stored: Stored, definition: bytes, *, idle_expiry_us: int
) -> None:
    """Replaces the definition of a consumer that `lock` returned."""
    params = {"definition": definition, "idle_expiry_us": idle_expiry_us, **_name(stored)}
    conn.run(_UPDATE, params)


def set_kind(conn: storage.Connection, stored: Stored, kind: str) -> None:
    """Changes who looks for the consumer to run it."""
    conn.run(_SET_KIND, {"kind": kind, **_name(stored)})


def touch(conn: storage.Connection, stored: Stored) -> None:
    """Tells the owner that something beside the definition changed."""
    conn.run(_TOUCH, _name(stored))


def seek(conn: storage.Connection, stored: Stored, floor: int, *, discard_parked: bool) -> None:
    """Moves the place of a consumer that `lock` returned; nothing is delivered again but by
    reading on from there.
    """
    copies.keep_erasure_out(conn)
    conn.run(_SEEK, {"floor": floor, "runs": b"", **_name(stored)})
    conn.run(_FORGET_RETRIES, {"floor": floor, **_name(stored)})
    if discard_parked:
        conn.run(_DELETE_PARKED, _name(stored))


def delete(conn: storage.Connection, tenant_id: str, name: str) -> None:
    """Deletes a consumer and everything about it."""
    copies.keep_erasure_out(conn)
    params = {"tenant_id": tenant_id, "name": name}
    for statement in (_DELETE, _DELETE_RETRIES, _DELETE_PARKED):
        conn.run(statement, params)


def acquire(
    conn: storage.Connection, tenant_id: str, name: str, *, owner: str, endpoint: str, lease_us: int
) -> Stored | None:
    """Makes *owner* the one that runs a consumer, unless another one's lease is good. Ends what
    *owner* itself had before.

    Returns:
        The consumer, whose `owner` says who runs it now; None if there is none.
    """
    stored = lock(conn, tenant_id, name)
    if stored is None or stored.owner not in ("", owner):
        return stored
    params = {"owner": owner, "endpoint": endpoint, "lease_us": lease_us, **_name(stored)}
    conn.run(_TAKE, params)
    return dataclasses.replace(stored, owner=owner, owner_endpoint=endpoint, term=stored.term + 1)


def renew(
    conn: storage.Connection,
    stored: Stored,
    *,
    members: int,
    outstanding: int,
    active: bool,
    lease_us: int,
) -> tuple[int, int] | None:
    """Prolongs an owner's lease; returns change count and generation, or None if it is lost.

    *active* says that members used it since.
    """
    params = {
        "owner": stored.owner,
        "term": stored.term,
        "members": members,
        "outstanding": outstanding,
        "active": int(active),
        "lease_us": lease_us,
        **_name(stored),
    }
    row = conn.one(_RENEW, params)
    return (row[0], row[1]) if row else None


def release(conn: storage.Connection, stored: Stored) -> None:
    """Ends an owner's lease, if it still has it."""
    conn.run(_RELEASE, {"owner": stored.owner, "term": stored.term, **_name(stored)})


def adopt_orphans(conn: storage.Connection) -> None:
    """Ends every lease on SQLite, at the start of the one process that can have any."""
    if conn.dialect == "sqlite":
        conn.run(_ORPHANS)


def lock_idle(conn: storage.Connection, aged_us: int) -> list[Stored]:
    """Returns up to IDLE_MAX consumers that no member asked for in time, as `lock` does; *aged_us*
    is the time they age by.
    """
    return [_stored(row) for row in conn.all(_LOCK_IDLE, {"aged_us": aged_us})]


def _name(stored: Stored) -> dict[str, str]:
    return {"tenant_id": stored.tenant_id, "name": stored.name}


def _stored(row: storage.Row) -> Stored:
    return Stored(
        tenant_id=row[0],
        name=row[1],
        kind=row[2],
        definition=bytes(row[3]),
        revision=row[4],
        generation=row[5],
        change_count=row[6],
        floor=row[7],
        runs=bytes(row[8]),
        owner=row[9],
        owner_endpoint=row[10],
        term=row[11],
        members=row[12],
        outstanding=row[13],
        create_us=row[14],
    )
