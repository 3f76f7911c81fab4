"""Events that tell no state: a provider's notice about an entity.

Owns giving such an event its place among the versions of the entity. Called inside the
transaction that applies a webhook. Changes nothing of the entity but that it is overdue.
"""

from collections.abc import Iterable

from payment_service.domain.mirrors import base, invoices, kinds
from payment_service.usecases.mirrors import scopes, writing
from servicekit import storage

# What a provider may say of an entity without a state that shows it.
TYPES = frozenset({"subscription.trial_ending", "invoice.overdue"})


def note_in(
    conn: storage.Connection, scope: scopes.Scope, entity_ids: Iterable[str], event_type: str
) -> None:
    """Emits *event_type*, one of TYPES, for those of *entity_ids* whose kind has such events."""
    for entity_id in entity_ids:
        rules = kinds.BY_PREFIX.get(entity_id.partition("_")[0])
        if rules is None or not event_type.startswith(f"{rules.name}."):
            continue
        before = writing.lock(conn, rules, scope.tenant_id, entity_id).entity
        if before is None:
            continue
        if isinstance(before, invoices.Invoice) and event_type == "invoice.overdue":
            # A state after all: kept until it is paid, told once however it becomes known.
            writing.finish(conn, scope, rules, before, invoices.overdue(before))
            continue
        change = base.noticed(before, event_type, scope.now_us)
        writing.write(conn, scope, rules, change, is_new=False)
