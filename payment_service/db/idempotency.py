"""Idempotency keys: one row per (tenant, RPC, key), written with what it made.

Owns the table `idempotency_keys`. Called by the use cases in the transaction
that commits the intent, and by the one that forgets old keys. Never stores an answer: a
repeat reads the resource.
"""

from dataclasses import dataclass

from servicekit import storage

# The lease is in the database's own time, so replicas need not agree on theirs.
CLAIM = storage.Statement(
    "insert into idempotency_keys (tenant_id, rpc, key, fingerprint, resource_id, operation_id, "
    "lease_until_us, created_us) values (:tenant_id, :rpc, :key, :fingerprint, :resource_id, "
    ":operation_id, {now_us} + :lease_us, :created_us) on conflict do nothing"
)
_FIND = storage.Statement(
    "select fingerprint, resource_id, operation_id, lease_until_us > {now_us} "
    "from idempotency_keys where tenant_id = :tenant_id and rpc = :rpc and key = :key"
)
# What is old is judged by the lease, which is in the database's time.
_NEXT = storage.Statement(
    "select tenant_id, rpc, key, lease_until_us < :before_us from idempotency_keys "
    "where (tenant_id, rpc, key) > (:tenant_id, :rpc, :key) "
    "order by tenant_id, rpc, key limit :most"
)
# Of one page; in the text of _PRUNE, so that PostgreSQL plans for so few, and looks for what
# they are of by index instead of reading whole tables.
PAGE_MAX = 500
# Kept whatever their age: keys of open operations, of payments that may still be confirmed,
# captured or canceled, and of refunds, subscriptions, checkouts and disputes that are not over.
# Customers, payment methods and plans have no end that a call could be about.
_PRUNE = storage.Statement(
    f"""delete from idempotency_keys where (tenant_id, rpc, key) in (
       select tenant_id, rpc, key from (select * from idempotency_keys
         where (tenant_id, rpc, key) > (:tenant_id, :rpc, :key)
         and (tenant_id, rpc, key) <= (:last_tenant_id, :last_rpc, :last_key)
         and lease_until_us < :before_us
         order by tenant_id, rpc, key limit {PAGE_MAX}) as old
       where not exists (select 1 from operations o
         where o.entity_id = old.resource_id and o.state <= 4)
       and not exists (select 1 from operations o
         where o.id = old.operation_id and o.state <= 4)
       and not exists (select 1 from payments p where p.tenant_id = old.tenant_id
         and p.id = old.resource_id and p.state not in (5, 7))
       and not exists (select 1 from refunds r where r.tenant_id = old.tenant_id
         and r.id = old.resource_id and r.state not in (2, 3))
       and not exists (select 1 from mirrors m where m.tenant_id = old.tenant_id
         and m.kind = 4 and m.id = old.resource_id and m.state not in (6, 7))
       and not exists (select 1 from mirrors m where m.tenant_id = old.tenant_id
         and m.kind = 6 and m.id = old.resource_id and m.state not in (3, 4, 5))
       and not exists (select 1 from mirrors m where m.tenant_id = old.tenant_id
         and m.kind = 7 and m.id = old.resource_id and m.state not in (4, 5, 6)))"""
)

# Of a key that was taken back from the event log, which does not tell what was asked for.
UNKNOWN = b""

# (tenant, RPC, key): where a walk over the table is.
Place = tuple[str, str, str]
FROM_THE_FIRST: Place = ("", "", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a caller's key stands for. `lease_us` is how long its first call may take."""

    tenant_id: str
    rpc: str
    key: str
    fingerprint: bytes
    resource_id: str
    operation_id: str
    lease_us: int
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A key that was used before; `leased` while its first call may still be under way."""

    fingerprint: bytes
    resource_id: str
    operation_id: str
    leased: bool

    def is_of(self, fingerprint: bytes) -> bool:
        """Whether it was used for the same request, as far as that is known."""
        return self.fingerprint in (fingerprint, UNKNOWN)


def params(claim: Claim) -> storage.Params:
    """Returns a claim as the parameters of CLAIM."""
    return {
        "tenant_id": claim.tenant_id,
        "rpc": claim.rpc,
        "key": claim.key,
        "fingerprint": claim.fingerprint,
        "resource_id": claim.resource_id,
        "operation_id": claim.operation_id,
        "lease_us": claim.lease_us,
        "created_us": claim.created_us,
    }


def find(conn: storage.Connection, tenant_id: str, rpc: str, key: str) -> Found | None:
    """Returns what a key was used for, or None."""
    row = conn.one(_FIND, {"tenant_id": tenant_id, "rpc": rpc, "key": key})
    if row is None:
        return None
    return Found(fingerprint=row[0], resource_id=row[1], operation_id=row[2], leased=bool(row[3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Keys that follow one another: how many, how many of them are old, and the last one."""

    count: int
    old: int
    last: Place


def next_keys(conn: storage.Connection, *, after: Place, before_us: int, most: int) -> Page:
    """Looks at the next *most* keys after a place; old are those used before *before_us*."""
    found = conn.all(_NEXT, {**_place(after), "before_us": before_us, "most": most})
    last = (found[-1][0], found[-1][1], found[-1][2]) if found else after
    return Page(count=len(found), old=sum(bool(row[3]) for row in found), last=last)


def prune(conn: storage.Connection, *, after: Place, upto: Place, before_us: int) -> int:
    """Forgets old keys in (after, upto] of what has come to its end; returns how many."""
    last = {f"last_{name}": value for name, value in _place(upto).items()}
    return conn.run(_PRUNE, {**_place(after), **last, "before_us": before_us})


def _place(place: Place) -> dict[str, object]:
    return {"tenant_id": place[0], "rpc": place[1], "key": place[2]}
