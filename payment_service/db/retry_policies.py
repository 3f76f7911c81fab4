"""Retry policies: one row per tenant that has set one.

Owns the table `retry_policies`, and finding payments whose next try is due. Called by the
use cases inside their transactions. Never decides.
"""

import json
from collections.abc import Sequence

from payment_service.domain import retries
from servicekit import storage

_BEGIN = storage.Statement(
    "insert into retry_policies (tenant_id, delays, updated_us, version) "
    "values (:tenant_id, '[]', 0, 0) on conflict do nothing"
)
_SAVE = storage.Statement(
    "update retry_policies set delays = :delays, updated_us = :updated_us, version = :version "
    "where tenant_id = :tenant_id"
)
_SELECT = "select delays, updated_us, version from retry_policies where tenant_id = :tenant_id"
_LOAD = storage.Statement(_SELECT)
_LOCK = storage.Statement(_SELECT, postgresql=f"{_SELECT} for update")
_DUE_TEXT = (
    "select tenant_id, id, next_retry_us from payments where next_retry_us > 0 "
    "and {later}(next_retry_us, put_off_until_us) <= :now_us "
    "order by {later}(next_retry_us, put_off_until_us) limit :most"
)
_DUE = storage.Statement(
    _DUE_TEXT.format(later="max"), postgresql=_DUE_TEXT.format(later="greatest")
)
# What no decision rests on, so the revision stays.
_PUT_OFF = storage.Statement(
    "update payments set put_off_until_us = :until_us "
    "where tenant_id = :tenant_id and id = :id and next_retry_us = :slot_us"
)


def lock(conn: storage.Connection, tenant_id: str) -> retries.Policy:
    """Returns a tenant's policy, which nobody else changes until the transaction ends.

    It has a row from now on, so a policy must be saved if the tenant never set one.
    """
    conn.run(_BEGIN, {"tenant_id": tenant_id})
    return _policy(tenant_id, conn.one(_LOCK, {"tenant_id": tenant_id}))


def save(conn: storage.Connection, policy: retries.Policy) -> None:
    """Stores a tenant's policy that was locked in place of the one before."""
    conn.run(
        _SAVE,
        {
            "tenant_id": policy.tenant_id,
            "delays": json.dumps(policy.delays_us),
            "updated_us": policy.updated_us,
            "version": policy.version,
        },
    )


def load(conn: storage.Connection, tenant_id: str) -> retries.Policy:
    """Returns a tenant's policy; one without delays if it never set any."""
    return _policy(tenant_id, conn.one(_LOAD, {"tenant_id": tenant_id}))


def _policy(tenant_id: str, row: storage.Row | None) -> retries.Policy:
    if row is None:
        return retries.Policy(tenant_id=tenant_id)
    return retries.Policy(
        tenant_id=tenant_id,
        delays_us=tuple(json.loads(row[0])),
        updated_us=row[1],
        version=row[2],
    )


def due(conn: storage.Connection, *, now_us: int, most: int) -> Sequence[tuple[str, str, int]]:
    """Returns (tenant, payment, when it was due) of at most *most* tries; those that were put
    off wait until then.
    """
    found = conn.all(_DUE, {"now_us": now_us, "most": most})
    return [(row[0], row[1], row[2]) for row in found]


def put_off(
    conn: storage.Connection, tenant_id: str, payment_id: str, slot_us: int, until_us: int
) -> None:
    """Keeps a try that was due at *slot_us* from being made before *until_us*."""
    conn.run(
        _PUT_OFF,
        {
            "tenant_id": tenant_id,
            "id": payment_id,
            "slot_us": slot_us,
            "until_us": until_us,
        },
    )
