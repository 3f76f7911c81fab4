"""Objects at providers: which entity of whom each of them is.

Owns the table `provider_objects`, and finding a customer by its provider's id. Called by
the use cases inside their transactions. Ordinary payments are in it only once they were
fetched: the provider's metadata name those.
"""

from dataclasses import dataclass

from payment_service.domain.mirrors import objects
from servicekit import storage

CLAIM = storage.Statement(
    "insert into provider_objects (binding_id, kind, provider_object_id, tenant_id, entity_id) "
    "values (:binding_id, :kind, :provider_object_id, :tenant_id, :entity_id) "
    "on conflict do nothing"
)
_FIND = storage.Statement(
    "select entity_id from provider_objects where binding_id = :binding_id and kind = :kind "
    "and provider_object_id = :provider_object_id and tenant_id = :tenant_id"
)
_CUSTOMER = storage.Statement(
    "select id, profile from customers where binding_id = :binding_id "
    "and provider_customer_id = :provider_customer_id and provider_customer_id <> '' "
    "and tenant_id = :tenant_id order by id limit 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose objects those of a binding are."""

    tenant_id: str
    binding_id: str


def claim(
    conn: storage.Connection, owner: Owner, reference: objects.Reference, entity_id: str
) -> str:
    """Notes which entity an object belongs to; returns the one it belongs to, perhaps another.

    Once noted it stays: a second claim gets the first one's entity.
    """
    key = {
        "binding_id": owner.binding_id,
        "kind": int(reference.kind),
        "provider_object_id": reference.provider_object_id,
        "tenant_id": owner.tenant_id,
    }
    if conn.run(CLAIM, {**key, "entity_id": entity_id}):
        return entity_id
    row = conn.one(_FIND, key)
    return str(row[0]) if row is not None else ""


def find(conn: storage.Connection, owner: Owner, reference: objects.Reference) -> str:
    """Returns the entity that an object is, '' if core does not know it."""
    if not reference.provider_object_id:
        return ""
    row = conn.one(
        _FIND,
        {
            "binding_id": owner.binding_id,
            "kind": int(reference.kind),
            "provider_object_id": reference.provider_object_id,
            "tenant_id": owner.tenant_id,
        },
    )
    return str(row[0]) if row is not None else ""


def customer(conn: storage.Connection, owner: Owner, provider_customer_id: str) -> tuple[str, str]:
    """Returns (customer, its profile as text) by the provider's id; '' where there is none."""
    if not provider_customer_id:
        return "", ""
    row = conn.one(
        _CUSTOMER,
        {
            "binding_id": owner.binding_id,
            "provider_customer_id": provider_customer_id,
            "tenant_id": owner.tenant_id,
        },
    )
    return (str(row[0]), str(row[1])) if row is not None else ("", "")
