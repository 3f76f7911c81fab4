"""What every change of mirrored entities within one transaction shares.

Owns `Scope`. Made by whoever begins the transaction: the settler, the resolver, webhooks.
Never holds a connection.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from payment_service.db import provider_objects
from payment_service.domain import model
from payment_service.usecases import context


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose objects they are, when it is, and who brings them.

    `new_id` gives the same ids again when the transaction runs again. `operation_id` is the
    operation that causes the changes, '' if none does.
    """

    tenant_id: str
    provider: str
    binding_id: str
    now_us: int
    new_id: Callable[[str], str]
    schedule: context.Schedule
    cause: model.Cause
    operation_id: str = ""

    @property
    def owner(self) -> provider_objects.Owner:
        """Whose objects those of the binding are."""
        return provider_objects.Owner(tenant_id=self.tenant_id, binding_id=self.binding_id)


def of_operation(
    operation: model.Operation,
    *,
    now_us: int,
    new_id: Callable[[str], str],
    schedule: context.Schedule,
    actor: str = "",
) -> Scope:
    """Returns the scope of a report on *operation*; *actor* brings it, if not its caller."""
    cause = replace(operation.cause, actor=actor) if actor else operation.cause
    return Scope(
        tenant_id=operation.tenant_id,
        provider=operation.provider,
        binding_id=operation.binding_id,
        now_us=now_us,
        new_id=new_id,
        schedule=schedule,
        cause=cause,
        operation_id=operation.id,
    )
