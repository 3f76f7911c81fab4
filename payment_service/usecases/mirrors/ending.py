"""Ending operations on mirrored entities: from a report to what is committed.

Owns applying a report together with the objects that came with it. Called by the settler,
inside its transaction or that of a webhook. Never calls a provider.
"""

from dataclasses import dataclass, replace
from typing import Any

from payment_service.db import operations, provider_objects
from payment_service.domain import model, outcomes
from payment_service.domain.mirrors import base, kinds, objects
from payment_service.provider_client import reading
from payment_service.usecases import context
from payment_service.usecases.mirrors import absorbing, linking, scopes, writing
from servicekit import storage

_S = model.OperationState
# The object of the answer is there, and is of whom it was asked for.
_MAKING = frozenset(
    {
        outcomes.Outcome.SUCCEEDED,
        outcomes.Outcome.PENDING,
        outcomes.Outcome.ACTION_REQUIRED,
    }
)
_MAKES_DEFAULT = frozenset(
    {model.Kind.ATTACH_PAYMENT_METHOD, model.Kind.SET_DEFAULT_PAYMENT_METHOD}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a report: the entity after it, and what must be fetched to know all."""

    verdict: outcomes.Verdict
    operation: model.Operation
    entity: Any
    refetch: tuple[objects.Reference, ...] = ()


def settle_in(
    conn: storage.Connection,
    scope: scopes.Scope,
    operation: model.Operation,
    report: outcomes.Report,
) -> Ended:
    """Applies *report* and its objects to the entity of *operation*, with their events.

    The caller schedules the next look at an operation that the report was not applied to, and
    keeps a report that is ILLEGAL.

    Raises:
        LookupError: The operation is on no mirrored entity.
    """
    rules = kinds.BY_OPERATION[operation.kind]
    locked = writing.lock(conn, rules, operation.tenant_id, operation.entity_id)
    before = locked.entity
    if before is None:
        raise LookupError(f"{operation.id} is on no {rules.name}")
    current, is_newest = _current(conn, operation)
    main, others = _split(rules, before, operation, report)
    if main is not None and report.outcome in _MAKING:
        report = _claimed(conn, scope, rules, before, main, report)
    verdict, settled, after = base.settle(
        rules, before, current, report, scope.now_us, is_newest=is_newest
    )
    if verdict is outcomes.Verdict.APPLIED:
        settled = _kept(conn, scope, settled)
    # A doubt that stays one waits for an operator from now on.
    stays = verdict is outcomes.Verdict.APPLIED and current.state is settled.state
    if stays or verdict is outcomes.Verdict.ILLEGAL:
        change = base.raised(before, scope.now_us)
        written = writing.write(conn, scope, rules, change, is_new=False)
        return Ended(verdict=verdict, operation=settled, entity=written)
    refetch: list[objects.Reference] = []
    if main is not None and report.seen:
        after, refetch = _absorbed(conn, scope, rules, after, main)
        if settled.state is _S.SUCCEEDED and operation.kind in _MAKES_DEFAULT:
            after = _newest_default(after, locked.siblings)
    elif settled.state is _S.SUCCEEDED and verdict is outcomes.Verdict.APPLIED:
        after = _dated(after, scope, report)
    ambiguous = main is not None and main.reference in refetch
    soon_us = scope.now_us + round(scope.schedule.doubt_first_s * 1_000_000) if ambiguous else 0
    written = writing.finish(conn, scope, rules, before, after, locked.siblings, fetch_us=soon_us)
    for absorbed in absorbing.absorb_all_in(conn, scope, others, final=True):
        refetch += absorbed.refetch
    return Ended(
        verdict=verdict,
        operation=settled,
        entity=written,
        refetch=_unknown(conn, scope, main, refetch),
    )


def _current(conn: storage.Connection, operation: model.Operation) -> tuple[model.Operation, bool]:
    """Returns the operation as it is, and whether it is the newest at its provider.

    An operation is begun only when all before it have ended: the newest is the one beside which
    no other is open.
    """
    own = operations.newest(conn, operation.entity_id, base.OPERATIONS_SHOWN)
    there = [one for one in own if one.provider == operation.provider]
    current = next((one for one in there if one.id == operation.id), None)
    current = current or operations.load(conn, operation.entity_id, operation.id)
    if current is None:
        raise LookupError(f"{operation.id} is not there")
    return current, not any(one.is_open and one.id != current.id for one in there)


def _split(
    rules: base.AnyRules, entity: Any, operation: model.Operation, report: outcomes.Report
) -> tuple[objects.Seen | None, list[objects.Seen]]:
    """Returns the snapshot of the entity itself, and the others."""
    place = entity.place_at(operation.provider)
    known = place.provider_object_id if place is not None else ""
    main = None
    others: list[objects.Seen] = []
    for one in report.seen:
        own = one.core_id == entity.id or (not one.core_id and one.provider_object_id == known)
        fits = not known or one.provider_object_id == known
        if main is None and one.kind is rules.kind and own and fits:
            main = one
        else:
            others.append(one)
    return main, others


def _claimed(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    entity: Any,
    main: objects.Seen,
    report: outcomes.Report,
) -> outcomes.Report:
    """An answer with the object of another entity contradicts what is known, as does one
    that is not what was asked for.
    """
    text = rules.contradicts(entity, main)
    if not text:
        owner = provider_objects.claim(conn, scope.owner, main.reference, entity.id)
        if owner == entity.id:
            return report
        text = f"the answer names {main.provider_object_id[:64]}, which is {owner}"
    return replace(reading.mismatch(report.operation_version, text), seen=())


def _kept(
    conn: storage.Connection, scope: scopes.Scope, settled: model.Operation
) -> model.Operation:
    """Writes an operation with the time of its next look; returns it."""
    check_us = context.next_check_us(scope.schedule, settled, scope.now_us)
    settled = replace(settled, next_check_us=check_us)
    conn.run(operations.UPDATE, operations.update_params(settled))
    return settled


def _absorbed(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    entity: Any,
    main: objects.Seen,
) -> tuple[Any, list[objects.Reference]]:
    """Returns the entity after its own snapshot, and what must be fetched to know all of it."""
    found = linking.resolve(conn, scope, main)
    seen, entity = base.absorb(rules, entity, scope.provider, main, found.links)
    wanted = list(found.wanted)
    if seen is base.Verdict.AMBIGUOUS:
        wanted.append(main.reference)
    return entity, wanted


def _unknown(
    conn: storage.Connection,
    scope: scopes.Scope,
    main: objects.Seen | None,
    wanted: list[objects.Reference],
) -> tuple[objects.Reference, ...]:
    """Returns those of *wanted* that are of no entity yet; the main object stays in any case."""
    own = main.reference if main is not None else None
    return tuple(
        one for one in wanted if one == own or not provider_objects.find(conn, scope.owner, one)
    )


def _newest_default(entity: Any, siblings: tuple[Any, ...]) -> Any:
    """The provider may only know seconds; the operation that succeeded last is the newest."""
    if not entity.default_us:
        return entity
    newest = max((one.default_us for one in siblings), default=0)
    return replace(entity, default_us=max(entity.default_us, newest + 1))


def _dated(entity: Any, scope: scopes.Scope, report: outcomes.Report) -> Any:
    """What succeeded without a snapshot is newer than every snapshot before it."""
    place = entity.place_at(scope.provider)
    moment_us = max(place.provider_time_us, report.state_time_us or scope.now_us)
    return entity.with_place(replace(place, provider_time_us=moment_us))
