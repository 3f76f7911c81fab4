"""The machine of every mirrored entity.

Owns what they have in common: where they are at the provider, which snapshot counts, what
the outcome of an operation does, and that each step is one event. Called by the use cases
with the entity as locked. What differs between the kinds is in their `Rules`.
"""

import abc
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

from payment_service.domain import bindings, model, outcomes
from payment_service.domain.mirrors import objects

# Beyond these a mirrored entity shows no operation; the newest tell whether it is in step.
OPERATIONS_SHOWN = 50

_S = model.OperationState
_Y = model.SyncState


class Verdict(enum.Enum):
    """What became of a snapshot."""

    # It is newer than what was known.
    APPLIED = "applied"
    # It was known already.
    REPEAT = "repeat"
    # Something newer is known.
    STALE = "stale"
    # Another one of the same moment says something else: the object must be fetched.
    AMBIGUOUS = "ambiguous"
    # It is of nobody whom core knows, so it is not kept.
    FOREIGN = "foreign"
    # It refers to what core has not heard of yet: that comes first.
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an entity is at one provider; see `payhub.payments.v1.Mirror`.

    `provider_time_us` is the moment of the newest snapshot, 0 for none.
    """

    provider: str
    binding_id: str
    provider_object_id: str = ""
    sync_state: model.SyncState = model.SyncState.PENDING
    failure: model.Failure | None = None
    provider_time_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity(abc.ABC):
    """What every mirrored entity has; `revision` counts writes of its row."""

    id: str
    tenant_id: str
    version: int = 1
    revision: int = 1
    created_us: int
    updated_us: int

    @abc.abstractmethod
    def places(self) -> tuple[Place, ...]:
        """Returns where it is."""

    @abc.abstractmethod
    def with_place(self, place: Place) -> Self:
        """Returns it with *place* instead of the one at the same provider."""

    def place_at(self, provider: str) -> Place | None:
        """Returns where it is at *provider*."""
        return next((place for place in self.places() if place.provider == provider), None)

    def bare(self) -> Self:
        """Returns it without what may change and is no event."""
        entity = replace(self, version=0, revision=0, updated_us=0)
        for place in entity.places():
            entity = entity.with_place(replace(place, provider_time_us=0))
        return entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored(Entity):
    """An entity that is at one provider."""

    place: Place

    def places(self) -> tuple[Place, ...]:
        """Returns where it is."""
        return (self.place,)

    def with_place(self, place: Place) -> Self:
        """Returns it with *place*."""
        return replace(self, place=place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Core's ids of what a snapshot refers to; '' for what it does not know."""

    customer_id: str = ""
    user_id: str = ""
    plan_id: str = ""
    payment_method_id: str = ""
    subscription_id: str = ""
    invoice_id: str = ""
    checkout_id: str = ""
    payment_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What of an entity lists are filtered by."""

    state: int
    customer_id: str = ""
    user_id: str = ""
    parent_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """What an entity gets that the provider made by itself."""

    id: str
    tenant_id: str
    place: Place
    now_us: int


E = TypeVar("E", bound=Entity)
O = TypeVar("O", bound=objects.Seen)  # noqa: E741
Told = tuple[tuple[str, E], ...]


def _same(entity: E, operation: model.Operation) -> E:
    return entity


def _never(entity: E) -> int | None:
    return None


def _goes_on(entity: E) -> bool:
    return False


def _agrees(entity: E, seen: O) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Generic[E, O]):
    """What one kind of entity adds to the machine.

    Args:
        kind: Its objects at the provider.
        prefix: Of its ids.
        name: Entity type of its events, and what their types begin with.
        entity: Its dataclass.
        show: Returns the entity with the content of a snapshot.
        tell: Returns the steps from one content to another: event types with the content
            after each, empty if no event follows.
        columns: What lists are filtered by.
        adopt: Makes one of a snapshot; None if core keeps only what it made itself.
        done: What an operation does that succeeded, beside the snapshot that came with it.
        missed: What an operation does that ended without effect.
        waits: From when on it waits for the provider, so that it is fetched from time to
            time, epoch microseconds; None for never.
        ended: Whether it has ended, which nothing of the same moment can have undone; what was
            asked for right before the end may be answered after it.
        contradicts: Returns in what a snapshot can't be of the entity, or ''.
        kinds: Operations on it.
    """

    kind: objects.ObjectKind
    prefix: str
    name: str
    entity: type[E]
    show: Callable[[E, O, Links], E]
    tell: Callable[[E | None, E], Told[E]]
    columns: Callable[[E], Columns]
    adopt: Callable[[New, O, Links], E | None] | None = None
    done: Callable[[E, model.Operation], E] = _same
    missed: Callable[[E, model.Operation], E] = _same
    waits: Callable[[E], int | None] = _never
    ended: Callable[[E], bool] = _goes_on
    contradicts: Callable[[E, O], str] = _agrees
    kinds: frozenset[model.Kind] = field(default_factory=frozenset)


AnyRules = Rules[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event: its type and the entity right before and right after."""

    event_type: str
    before: Entity | None
    after: Entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An entity to write and the events that say so, of which there may be none."""

    entity: Entity
    steps: tuple[Step, ...] = ()


def change(rules: AnyRules, before: Entity | None, after: Entity, now_us: int) -> Change | None:
    """Returns what to write so that *before* becomes *after*; None for nothing."""
    if before == after:
        return None
    steps: list[Step] = []
    last, version = before, before.version if before is not None else 0
    for event_type, content in rules.tell(before, after):
        version += 1
        told: Entity = replace(content, version=version, updated_us=now_us)
        steps.append(Step(event_type=event_type, before=last, after=told))
        last = told
    return Change(entity=steps[-1].after if steps else after, steps=tuple(steps))


def raised(entity: Entity, now_us: int) -> Change:
    """Returns the step that says of *entity* that a report contradicts what is settled."""
    return noticed(entity, "reconciliation.discrepancy", now_us)


def noticed(entity: Entity, event_type: str, now_us: int) -> Change:
    """Returns the step that tells something of *entity* which is no change of it."""
    after = replace(entity, version=entity.version + 1, updated_us=now_us)
    step = Step(event_type=event_type, before=entity, after=after)
    return Change(entity=after, steps=(step,))


def absorb(
    rules: AnyRules,
    before: Any,
    provider: str,
    seen: objects.Seen,
    links: Links,
    *,
    fetched: bool = False,
) -> tuple[Verdict, Any]:
    """Applies a snapshot to an entity at *provider*.

    *fetched* says that the object was asked for just now: it decides between snapshots of
    the same moment.

    Raises:
        LookupError: The entity is not at that provider.
    """
    place = before.place_at(provider)
    if place is None:
        raise LookupError(f"{before.id} is not at {provider}")
    if seen.state_time_us < place.provider_time_us:
        return Verdict.STALE, before
    known = replace(
        place, provider_object_id=seen.provider_object_id, provider_time_us=seen.state_time_us
    )
    after = rules.show(before.with_place(known), seen, links)
    if after == before:
        return Verdict.REPEAT, before
    if seen.state_time_us == place.provider_time_us:
        if rules.ended(before) and not rules.ended(after):
            return Verdict.STALE, before
        if not fetched:
            return Verdict.AMBIGUOUS, before
    return Verdict.APPLIED, after


def begin(entity: Any, provider: str) -> Any:
    """Returns *entity* with an operation under way at *provider*."""
    place = entity.place_at(provider)
    return entity.with_place(replace(place, sync_state=_Y.PENDING, failure=None))


def settle(
    rules: AnyRules,
    before: Any,
    operation: model.Operation,
    report: outcomes.Report,
    now_us: int,
    *,
    is_newest: bool,
) -> tuple[outcomes.Verdict, model.Operation, Any]:
    """Applies a report to an operation of an entity; returns both after it.

    *is_newest* says that no later operation at the same provider exists: only the newest
    decides whether the provider is up to date.
    """
    verdict, state = outcomes.judge(operation, report)
    if verdict is not outcomes.Verdict.APPLIED:
        return verdict, operation, before
    failed = state in (_S.DECLINED, _S.NOT_SENT, _S.IN_DOUBT)
    settled = replace(
        operation,
        state=state,
        version=operation.version + 1,
        provider_operation_id=report.provider_operation_id or operation.provider_operation_id,
        failure=report.failure if failed else None,
        next_check_us=0,
        updated_us=now_us,
    )
    after = before
    if state is _S.SUCCEEDED:
        after = rules.done(after, settled)
    elif not settled.is_open:
        after = rules.missed(after, settled)
    place = after.place_at(operation.provider)
    if is_newest and place is not None:
        sync = outcomes.sync_state(state)
        failure = settled.failure if sync is _Y.FAILED else None
        after = after.with_place(replace(place, sync_state=sync, failure=failure))
    return verdict, settled, after


def busy(operations: Sequence[model.Operation], provider: str) -> model.Operation | None:
    """Returns the operation at *provider* whose outcome is still to come."""
    return next((o for o in operations if o.is_open and o.provider == provider), None)


def conflict(message: str, state: str, allowed: Sequence[str] = ()) -> bindings.Refusal:
    """Returns the refusal of what the state of an entity does not allow."""
    return bindings.Refusal(
        reason="STATE_CONFLICT",
        message=message,
        metadata={"state": state, "allowed_actions": ",".join(allowed)},
    )


def under_way(entity: Entity, operation: model.Operation) -> bindings.Refusal:
    """Returns the refusal while nobody knows what becomes of another operation."""
    return conflict(
        f"{operation.kind.name.lower()} of {entity.id} at {operation.provider} is still "
        "under way; wait until its sync_state is SYNCED or FAILED",
        f"SYNC_STATE_{outcomes.sync_state(operation.state).name}",
    )
