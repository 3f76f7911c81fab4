"""Idempotency keys: one row per (tenant, RPC, key), written with what it made.

Owns the table `idempotency_keys`. Called by the use cases in the transaction
that commits the intent. Never stores an answer: a repeat reads the resource.
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
