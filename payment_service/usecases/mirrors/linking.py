"""What a snapshot refers to, in core's ids.

Owns finding customers and entities by their ids at the provider. Called while a snapshot
is absorbed, inside its transaction. Never writes.
"""

from payment_service.db import provider_objects, rows
from payment_service.domain.mirrors import base, objects
from payment_service.usecases.mirrors import scopes
from servicekit import storage

_K = objects.ObjectKind


def resolve(
    conn: storage.Connection, scope: scopes.Scope, seen: objects.Seen
) -> tuple[base.Links, tuple[objects.Reference, ...]]:
    """Returns the links of a snapshot, and what core has to hear of before them."""
    match seen:
        case objects.PaymentMethod():
            customer_id, user_id = _customer(conn, scope, seen.provider_customer_id)
            return base.Links(customer_id=customer_id, user_id=user_id), ()
        case _:
            return base.Links(), ()


def _customer(
    conn: storage.Connection, scope: scopes.Scope, provider_customer_id: str
) -> tuple[str, str]:
    """Returns (customer, user); '' for each that core does not know."""
    found, profile = provider_objects.customer(conn, scope.owner, provider_customer_id)
    return found, rows.load_profile(profile).user_id if profile else ""
