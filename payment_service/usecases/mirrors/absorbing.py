"""Absorbing: what a provider tells of its objects becomes what core knows of them.

Owns the one way every snapshot takes, whether it came with an answer, a fetch or a
webhook. Called inside the caller's transaction, so that all effects commit together with the
note that the snapshot was taken. Never calls a provider: what has to be fetched first is
returned.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.db import provider_objects
from payment_service.domain import model
from payment_service.domain.mirrors import base, kinds, objects
from payment_service.usecases import adopting
from payment_service.usecases.mirrors import linking, scopes, writing
from servicekit import storage

_K = objects.ObjectKind
# What others refer to comes first; also the order in which locks are taken.
_ORDER = (
    _K.PAYMENT_METHOD,
    _K.PLAN,
    _K.SUBSCRIPTION,
    _K.INVOICE,
    _K.PAYMENT,
    _K.CHECKOUT,
    _K.DISPUTE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbed:
    """What became of a snapshot.

    `entity_id` is what it is of, '' for FOREIGN and MISSING; `refetch` is what has to be
    fetched and absorbed so that all is told: the object itself for AMBIGUOUS, what it
    refers to for MISSING, what belongs to it and is not known for APPLIED, and for a REPEAT
    that was asked for.
    """

    verdict: base.Verdict
    reference: objects.Reference
    entity_id: str = ""
    refetch: tuple[objects.Reference, ...] = ()


def ordered(seen: Iterable[objects.Seen]) -> list[objects.Seen]:
    """Returns snapshots in the order in which they are to be absorbed."""
    return sorted(
        seen,
        key=lambda one: (_ORDER.index(one.kind), one.provider_object_id, one.state_time_us),
    )


def absorb_all_in(
    conn: storage.Connection,
    scope: scopes.Scope,
    seen: Iterable[objects.Seen],
    *,
    fetched: bool = False,
    final: bool = False,
) -> list[Absorbed]:
    """Absorbs snapshots that came together; see `absorb_in`.

    What belongs to one of them and came with them is not to be fetched.
    """
    told = [absorb_in(conn, scope, one, fetched=fetched, final=final) for one in ordered(seen)]
    return [
        replace(one, refetch=_unknown(conn, scope, one.refetch))
        if one.verdict in (base.Verdict.APPLIED, base.Verdict.REPEAT) and one.refetch
        else one
        for one in told
    ]


def _unknown(
    conn: storage.Connection, scope: scopes.Scope, named: Iterable[objects.Reference]
) -> tuple[objects.Reference, ...]:
    return tuple(one for one in named if not provider_objects.find(conn, scope.owner, one))


def absorb_in(
    conn: storage.Connection,
    scope: scopes.Scope,
    seen: objects.Seen,
    *,
    fetched: bool = False,
    final: bool = False,
) -> Absorbed:
    """Applies a snapshot, with its events, inside the caller's transaction.

    Args:
        conn: The transaction.
        scope: Whose object it is, and who brings it.
        seen: The snapshot.
        fetched: It was asked for just now, so it decides between two of the same moment.
        final: Nothing more can be fetched: apply it with the links there are.
    """
    rules = kinds.RULES.get(seen.kind)
    found = linking.resolve(conn, scope, seen)
    if found.missing and not final:
        return Absorbed(
            verdict=base.Verdict.MISSING, reference=seen.reference, refetch=found.missing
        )
    if isinstance(seen, objects.Payment):
        return _payment(conn, scope, seen, found.links, fetched=fetched)
    if rules is None:
        return Absorbed(verdict=base.Verdict.FOREIGN, reference=seen.reference)
    entity_id = provider_objects.find(conn, scope.owner, seen.reference)
    if not entity_id and seen.core_id.startswith(f"{rules.prefix}_"):
        entity_id = seen.core_id
    locked = writing.Locked(entity=None)
    if entity_id:
        locked = writing.lock(conn, rules, scope.tenant_id, entity_id)
        found = _again(conn, scope, seen, found)
    if locked.entity is None:
        return _adopt(conn, scope, rules, seen, found, fetched=fetched)
    return _apply(conn, scope, rules, locked, seen, found, fetched=fetched)


def _again(
    conn: storage.Connection, scope: scopes.Scope, seen: objects.Seen, found: linking.Found
) -> linking.Found:
    """Returns the links of a snapshot whose entity is locked now.

    Whoever had the lock may have made known, and linked, what was looked for before.
    """
    return linking.resolve(conn, scope, seen) if found.wanted else found


def _payment(
    conn: storage.Connection,
    scope: scopes.Scope,
    seen: objects.Payment,
    links: base.Links,
    *,
    fetched: bool,
) -> Absorbed:
    told = adopting.absorb_in(conn, scope, seen, links, fetched=fetched)
    if told.payment_id and links.invoice_id:
        linking.paid_by(conn, scope, links.invoice_id, told.payment_id)
    return Absorbed(
        verdict=told.verdict,
        reference=seen.reference,
        entity_id=told.payment_id,
        refetch=(seen.reference,) if told.verdict is base.Verdict.AMBIGUOUS else (),
    )


def _apply(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    locked: writing.Locked,
    seen: objects.Seen,
    links: linking.Found,
    *,
    fetched: bool,
) -> Absorbed:
    before = locked.entity
    place: base.Place | None = before.place_at(scope.provider)
    if place is None:
        return Absorbed(verdict=base.Verdict.FOREIGN, reference=seen.reference)
    found = Absorbed(verdict=base.Verdict.REPEAT, reference=seen.reference, entity_id=before.id)
    known = provider_objects.find(conn, scope.owner, seen.reference)
    if place.provider_object_id and place.provider_object_id != seen.provider_object_id:
        # Made twice at the provider, or a second object claims to be this one: raised once.
        if not known:
            provider_objects.claim(conn, scope.owner, seen.reference, before.id)
            raised = base.raised(before, scope.now_us)
            writing.write(conn, scope, rules, raised, is_new=False)
        return found
    if not known and provider_objects.claim(conn, scope.owner, seen.reference, before.id) != (
        before.id
    ):
        return found
    verdict, after = base.absorb(rules, before, scope.provider, seen, links.links, fetched=fetched)
    if verdict is base.Verdict.APPLIED:
        writing.finish(conn, scope, rules, before, after, locked.siblings)
    # What belongs to it may not have been asked for when this was told first.
    told = verdict is base.Verdict.APPLIED or (fetched and verdict is base.Verdict.REPEAT)
    refetch = links.wanted if told else ()
    if verdict is base.Verdict.AMBIGUOUS:
        refetch = (seen.reference,)
    return replace(found, verdict=verdict, refetch=refetch)


def _adopt(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    seen: objects.Seen,
    links: linking.Found,
    *,
    fetched: bool,
) -> Absorbed:
    """Makes an entity of an object that core did not make."""
    foreign = Absorbed(verdict=base.Verdict.FOREIGN, reference=seen.reference)
    place = base.Place(
        provider=scope.provider,
        binding_id=scope.binding_id,
        provider_object_id=seen.provider_object_id,
        sync_state=model.SyncState.SYNCED,
    )
    new = base.New(
        id=scope.new_id(rules.prefix),
        tenant_id=scope.tenant_id,
        place=place,
        now_us=scope.now_us,
    )
    made: Any = rules.adopt(new, seen, links.links) if rules.adopt is not None else None
    if made is None:
        return foreign
    owner = provider_objects.claim(conn, scope.owner, seen.reference, made.id)
    if owner != made.id:
        # Another transaction was first; its entity is there by now.
        locked = writing.lock(conn, rules, scope.tenant_id, owner) if owner else None
        if locked is None or locked.entity is None:
            return foreign
        links = _again(conn, scope, seen, links)
        return _apply(conn, scope, rules, locked, seen, links, fetched=fetched)
    customer_id = rules.columns(made).customer_id
    siblings = writing.lock_siblings(conn, rules, scope.tenant_id, customer_id)
    _, after = base.absorb(rules, made, scope.provider, seen, links.links, fetched=True)
    written = writing.finish(conn, scope, rules, None, after, siblings)
    linking.complete(conn, scope, written)
    return Absorbed(
        verdict=base.Verdict.APPLIED,
        reference=seen.reference,
        entity_id=after.id,
        refetch=links.wanted,
    )
