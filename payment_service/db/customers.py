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
    f"insert into customers ({_COLUMNS}, user_id) select :id, :tenant_id, :profile, :provider, "
    ":binding_id, :provider_customer_id, :sync_state, :version, :created_us, :updated_us, "
    ":user_id where {if_first}"
)
UPDATE = storage.Statement(
    "update customers set profile = :profile, user_id = :user_id, "
    "provider_customer_id = :provider_customer_id, "
    "sync_state = :sync_state, version = :version, updated_us = :updated_us "
    "where tenant_id = :tenant_id and id = :id and {if_first}"
)
_SELECT = f"select {_COLUMNS} from customers where tenant_id = :tenant_id and id = :id"
_LOAD = storage.Statement(_SELECT)
_OF_USER = storage.Statement(
    f"select {_COLUMNS} from customers where tenant_id = :tenant_id and user_id = :user_id "
    "and user_id <> '' and provider = :provider order by id limit 1"
)
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
        "user_id": customer.profile.user_id,
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
    return None if row is None else _from_row(row)


def of_user(
    conn: storage.Connection, tenant_id: str, user_id: str, provider: str
) -> model.Customer | None:
    """Returns the first customer at a provider whose profile names a user, or None."""
    key = {"tenant_id": tenant_id, "user_id": user_id, "provider": provider}
    row = conn.one(_OF_USER, key)
    return None if row is None else _from_row(row)


def _from_row(row: storage.Row) -> model.Customer:
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
