"""What happens to a customer: the same outcomes, a smaller machine.

Owns create, update and what a provider's answer does to them. Called like
commands and transitions. Never refuses a profile: that is the contract's job.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from payment_service.domain import model, outcomes

# How many of a customer's newest operations, by their ids, are looked at: the newest one, and
# that which may be making it, are among them, however far apart the clocks of processes are.
NEWEST_MAX = 50

_S = model.OperationState
_Y = model.SyncState


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A customer and its operation to write, and the event that says so, if any."""

    customer: model.Customer
    operation: model.Operation
    before: model.Customer | None = None
    event_type: str = ""


def create(customer: model.Customer, operation: model.Operation) -> Change:
    """Creates a customer here; the operation makes it at the provider."""
    return Change(customer=customer, operation=operation, event_type="customer.created")


def is_being_made(customer: model.Customer, operations: Sequence[model.Operation]) -> bool:
    """Whether the provider may be making it still; another try could make it twice."""
    return not customer.provider_customer_id and any(o.is_open for o in operations)


def update(
    customer: model.Customer,
    profile: model.Profile,
    operation: model.Operation,
    now_us: int,
) -> Change:
    """Replaces the profile here; the operation does so at the provider."""
    after = replace(
        customer,
        profile=profile,
        sync_state=_Y.PENDING,
        version=customer.version + 1,
        updated_us=now_us,
    )
    return Change(
        customer=after, operation=operation, before=customer, event_type="customer.updated"
    )


def raised(customer: model.Customer, operation: model.Operation, now_us: int) -> Change:
    """Returns what says that a report on *operation* contradicts what is settled."""
    after = replace(customer, version=customer.version + 1, updated_us=now_us)
    return Change(
        customer=after,
        operation=operation,
        before=customer,
        event_type="reconciliation.discrepancy",
    )


def apply(
    customer: model.Customer,
    operation: model.Operation,
    report: outcomes.Report,
    now_us: int,
    *,
    is_newest: bool,
) -> tuple[outcomes.Verdict, Change | None]:
    """Applies a report to the operation of a customer.

    *is_newest* says that no later operation of this customer exists: only the newest
    decides whether the provider is up to date.
    """
    verdict, state = outcomes.judge(operation, report)
    if verdict is outcomes.Verdict.ILLEGAL and _is_overwritten(operation, is_newest=is_newest):
        # It ended whatever became of it.
        verdict = outcomes.Verdict.STALE
    if verdict is not outcomes.Verdict.APPLIED:
        return verdict, None
    settled = replace(
        operation,
        state=state,
        version=operation.version + 1,
        provider_operation_id=report.provider_operation_id or operation.provider_operation_id,
        failure=report.failure,
        updated_us=now_us,
    )
    # A customer that is pending may come to nothing: only one that was made has an id.
    learned = customer.provider_customer_id
    if state is _S.SUCCEEDED:
        learned = report.provider_object_id or learned
    sync = outcomes.sync_state(state) if is_newest else customer.sync_state
    if sync is customer.sync_state and learned == customer.provider_customer_id:
        return verdict, Change(customer=customer, operation=settled)
    after = replace(
        customer,
        sync_state=sync,
        provider_customer_id=learned,
        version=customer.version + 1,
        updated_us=now_us,
    )
    return verdict, Change(
        customer=after, operation=settled, before=customer, event_type="customer.updated"
    )


def _is_overwritten(operation: model.Operation, *, is_newest: bool) -> bool:
    """Whether a later update has taken the place of an operation."""
    is_update = operation.kind is model.Kind.UPDATE_CUSTOMER
    return is_update and operation.state is _S.SUPERSEDED and not is_newest
