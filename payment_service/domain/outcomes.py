"""What a provider may answer, and what each answer does to an operation.

Owns the (operation state x outcome) table. Called by `transitions` and by the
provider client, which makes outcomes. Never decides what a payment becomes.
"""

import enum
from dataclasses import dataclass
from typing import assert_never

from payment_service.domain import model
from payment_service.domain.mirrors import objects


class Outcome(enum.Enum):
    """What is known of one attempt or look-up."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    NOT_SENT = "not_sent"
    PENDING = "pending"
    ACTION_REQUIRED = "action_required"
    VOIDED = "voided"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An outcome with what the provider said beside it.

    `operation_version` is the version of the operation that was acted or looked
    upon. `needs_operator` stops automatic settlement. `seen` is what the provider told
    beside; `state_time_us` is when it says the state was reached, 0 if it did not.
    """

    outcome: Outcome
    operation_version: int
    provider_object_id: str = ""
    provider_operation_id: str = ""
    failure: model.Failure | None = None
    action: model.CustomerAction | None = None
    detail: str = ""
    needs_operator: bool = False
    seen: tuple[objects.Seen, ...] = ()
    state_time_us: int = 0

    @property
    def tells_nothing(self) -> bool:
        """Whether a doubt is after it what it was before."""
        return self.outcome is Outcome.UNKNOWN and not self.needs_operator and not self.seen


class Verdict(enum.Enum):
    """What became of a report."""

    APPLIED = "applied"
    REPEAT = "repeat"
    STALE = "stale"
    ILLEGAL = "illegal"


_S = model.OperationState
_O = Outcome

# Why an operation counts as never sent that an operator found to have had no effect.
FOUND_BY_OPERATOR = "SETTLED_BY_OPERATOR"

# Facts that a provider never takes back: they count whatever was known when
# the question was asked. The others count only for the version they answer.
FINAL_FACTS = frozenset({_O.SUCCEEDED, _O.DECLINED, _O.VOIDED})

_APPLIED: dict[tuple[model.OperationState, Outcome], model.OperationState] = {
    (_S.IN_FLIGHT, _O.SUCCEEDED): _S.SUCCEEDED,
    (_S.IN_FLIGHT, _O.DECLINED): _S.DECLINED,
    (_S.IN_FLIGHT, _O.NOT_SENT): _S.NOT_SENT,
    (_S.IN_FLIGHT, _O.PENDING): _S.PENDING,
    (_S.IN_FLIGHT, _O.ACTION_REQUIRED): _S.REQUIRES_ACTION,
    (_S.IN_FLIGHT, _O.VOIDED): _S.SUPERSEDED,
    (_S.IN_FLIGHT, _O.UNKNOWN): _S.IN_DOUBT,
    (_S.PENDING, _O.SUCCEEDED): _S.SUCCEEDED,
    (_S.PENDING, _O.DECLINED): _S.DECLINED,
    (_S.PENDING, _O.ACTION_REQUIRED): _S.REQUIRES_ACTION,
    (_S.PENDING, _O.VOIDED): _S.SUPERSEDED,
    (_S.REQUIRES_ACTION, _O.SUCCEEDED): _S.SUCCEEDED,
    (_S.REQUIRES_ACTION, _O.DECLINED): _S.DECLINED,
    (_S.REQUIRES_ACTION, _O.PENDING): _S.PENDING,
    (_S.REQUIRES_ACTION, _O.VOIDED): _S.SUPERSEDED,
    (_S.IN_DOUBT, _O.SUCCEEDED): _S.SUCCEEDED,
    (_S.IN_DOUBT, _O.DECLINED): _S.DECLINED,
    (_S.IN_DOUBT, _O.NOT_SENT): _S.NOT_SENT,
    (_S.IN_DOUBT, _O.PENDING): _S.PENDING,
    (_S.IN_DOUBT, _O.ACTION_REQUIRED): _S.REQUIRES_ACTION,
    (_S.IN_DOUBT, _O.VOIDED): _S.SUPERSEDED,
}

_REPEATS = frozenset(
    {
        (_S.PENDING, _O.PENDING),
        (_S.REQUIRES_ACTION, _O.ACTION_REQUIRED),
        (_S.IN_DOUBT, _O.UNKNOWN),
        (_S.SUCCEEDED, _O.SUCCEEDED),
        (_S.DECLINED, _O.DECLINED),
        (_S.NOT_SENT, _O.NOT_SENT),
        (_S.SUPERSEDED, _O.VOIDED),
    }
)

# A report that contradicts what was settled: money may have moved although we
# said it did not, or the other way round. Kept and raised, never applied. What was
# declined may be closed later, as before another attempt: no money either way.
_ILLEGAL = frozenset(
    {
        (_S.PENDING, _O.NOT_SENT),
        (_S.REQUIRES_ACTION, _O.NOT_SENT),
        (_S.SUCCEEDED, _O.DECLINED),
        (_S.SUCCEEDED, _O.NOT_SENT),
        (_S.SUCCEEDED, _O.VOIDED),
        (_S.DECLINED, _O.SUCCEEDED),
        (_S.DECLINED, _O.NOT_SENT),
        (_S.NOT_SENT, _O.SUCCEEDED),
        (_S.NOT_SENT, _O.DECLINED),
        (_S.NOT_SENT, _O.PENDING),
        (_S.NOT_SENT, _O.ACTION_REQUIRED),
        (_S.NOT_SENT, _O.VOIDED),
        (_S.SUPERSEDED, _O.SUCCEEDED),
        (_S.SUPERSEDED, _O.NOT_SENT),
    }
)


def judge(operation: model.Operation, report: Report) -> tuple[Verdict, model.OperationState]:
    """Returns what to do with *report* and the operation's state after it."""
    pair = (operation.state, report.outcome)
    old = report.operation_version != operation.version
    if old and report.outcome not in FINAL_FACTS:
        return Verdict.STALE, operation.state
    if report.needs_operator and operation.is_open and not _is_contradicted(operation):
        # Something has happened at the provider, and not what was asked for.
        return Verdict.APPLIED, _S.IN_DOUBT
    if pair in _APPLIED:
        return Verdict.APPLIED, _APPLIED[pair]
    if pair in _REPEATS or _is_what_was_found(operation, report):
        return Verdict.REPEAT, operation.state
    if pair in _ILLEGAL:
        return Verdict.ILLEGAL, operation.state
    return Verdict.STALE, operation.state


def _is_what_was_found(operation: model.Operation, report: Report) -> bool:
    """Whether an operator has seen that nothing was taken, which a refusal says as well."""
    if operation.state is not _S.NOT_SENT or operation.failure is None:
        return False
    found = operation.failure.reason == FOUND_BY_OPERATOR
    return found and report.outcome in (_O.DECLINED, _O.VOIDED)


def _is_contradicted(operation: model.Operation) -> bool:
    """Whether a doubt says already that an answer contradicted the question."""
    return operation.state is _S.IN_DOUBT and operation.failure is not None


def sync_state(state: model.OperationState) -> model.SyncState:
    """Returns what the newest operation's state says of whether the provider is in step."""
    match state:
        case _S.SUCCEEDED:
            return model.SyncState.SYNCED
        case _S.DECLINED | _S.NOT_SENT | _S.SUPERSEDED:
            return model.SyncState.FAILED
        case _S.IN_DOUBT:
            return model.SyncState.IN_DOUBT
        case _S.PENDING | _S.REQUIRES_ACTION | _S.IN_FLIGHT:
            return model.SyncState.PENDING
        case _:
            assert_never(state)
