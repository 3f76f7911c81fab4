"""Customers: their rows.

Owns the table `customers`. Called by the use cases inside their transactions.
"""

from payment_service.db import rows
from payment_service.domain import model
from servicekit import storage

_COLUMNS = (
    "id, tenant_id, profile, provider, binding_id, provider_customer_id, sync_state, version, "
    "created_us, updated_us"
)
INSERT = storage.Statement(
    f"insert into customers ({_COLUMNS}) select :id, :tenant_id, :profile, :provider, "
    ":binding_id, :provider_customer_id, :sync_state, :version, :created_us, :updated_us "
    "where {if_first}"
)
UPDATE = storage.Statement(
    "update customers set profile = :profile, provider_customer_id = :provider_customer_id, "
    "sync_state = :sync_state, version = :version, updated_us = :updated_us "
    "where tenant_id = :tenant_id and id = :id and {if_first}"
)
_SELECT = f"select {_COLUMNS} from customers where tenant_id = :tenant_id and id = :id"
_LOAD = storage.Statement(_SELECT)
_LOCK = storage.Statement(_SELECT, postgresql=f"{_SELECT} for update")


def params(customer: model.Customer) -> storage.Params:
    """Returns a customer as the parameters of INSERT and UPDATE."""
    return {
        **update_params(customer),
        "provider": customer.provider,
        "binding_id": customer.binding_id,
        "created_us": customer.created_us,
    }


def update_params(customer: model.Customer) -> dict[str, object]:
    """Returns a customer as the parameters of UPDATE."""
    return {
        "id": customer.id,
        "tenant_id": customer.tenant_id,
        "profile": rows.dump_profile(customer.profile),
        "provider_customer_id": customer.provider_customer_id,
        "sync_state": int(customer.sync_state),
        "version": customer.version,
        "updated_us": customer.updated_us,
    }


def load(
    conn: storage.Connection, tenant_id: str, customer_id: str, *, lock: bool = False
) -> model.Customer | None:
    """Returns a customer, or None; with *lock* until the commit."""
    row = conn.one(_LOCK if lock else _LOAD, {"tenant_id": tenant_id, "id": customer_id})
    if row is None:
        return None
    return model.Customer(
        id=row[0],
        tenant_id=row[1],
        profile=rows.load_profile(row[2]),
        provider=row[3],
        binding_id=row[4],
        provider_customer_id=row[5],
        sync_state=model.SyncState(row[6]),
        version=row[7],
        created_us=row[8],
        updated_us=row[9],
    )
