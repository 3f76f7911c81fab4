"""Reading mirrored entities under their lock, and writing what became of them.

Owns the order of locks, and that an entity, its events and those of its siblings are
written together. Called inside transactions. Never decides what an entity becomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from payment_service.db import mirrors, outbox
from payment_service.domain.mirrors import base, objects, payment_methods
from payment_service.usecases import adopting, changing
from payment_service.usecases.mirrors import scopes, telling
from servicekit import storage

_METHOD = objects.ObjectKind.PAYMENT_METHOD
_DISPUTE = objects.ObjectKind.DISPUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """An entity, locked until the commit, None if there is none, and what changes with it."""

    entity: Any
    siblings: tuple[Any, ...] = ()


def lock(conn: storage.Connection, rules: base.AnyRules, tenant_id: str, entity_id: str) -> Locked:
    """Returns an entity, locked with those that may change together with it.

    Payment methods of one customer decide together which of them is the default. They are
    locked in the order of their ids, so that two transactions never wait for each other.
    """
    siblings: tuple[Any, ...] = ()
    if rules.kind is _METHOD:
        seen = mirrors.load(conn, rules, tenant_id, entity_id)
        if seen is not None:
            siblings = lock_siblings(conn, rules, tenant_id, seen.customer_id)
    entity = mirrors.load(conn, rules, tenant_id, entity_id, lock=True)
    return Locked(entity=entity, siblings=tuple(one for one in siblings if one.id != entity_id))


def lock_siblings(
    conn: storage.Connection, rules: base.AnyRules, tenant_id: str, customer_id: str
) -> tuple[Any, ...]:
    """Returns what a new entity of a customer changes together with."""
    if rules.kind is not _METHOD:
        return ()
    most = 2 * payment_methods.METHODS_MAX
    return tuple(mirrors.lock_of_customer(conn, rules, tenant_id, customer_id, most))


def finish(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    before: Any,
    after: Any,
    siblings: Sequence[Any] | None = None,
    *,
    fetch_us: int = 0,
) -> Any:
    """Writes that *before*, None for a new one, became *after*; returns it as written.

    *siblings* change with it, None where they don't; *fetch_us* is when the object is
    fetched, if not by its rules.
    """
    others: list[tuple[Any, Any]] = []
    if rules.kind is _METHOD and siblings is not None:
        known = {one.id: one for one in siblings}
        for changed in payment_methods.elect([*siblings, after]):
            if changed.id == after.id:
                after = changed
            else:
                others.append((known[changed.id], changed))
    written = _write(conn, scope, rules, before, after, fetch_us)
    for old, new in others:
        _write(conn, scope, rules, old, new, 0)
    return written


def _write(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    before: Any,
    after: Any,
    fetch_us: int,
) -> Any:
    change = base.change(rules, before, after, scope.now_us)
    if change is None:
        if fetch_us:
            mirrors.fetch_at(conn, after, fetch_us)
        return after
    written = write(conn, scope, rules, change, is_new=before is None, fetch_us=fetch_us)
    if rules.kind is _DISPUTE:
        taken_minor = before.taken_minor if before is not None else 0
        adopting.take_in(conn, scope, after.payment_id, after.taken_minor - taken_minor)
    return written


def write(
    conn: storage.Connection,
    scope: scopes.Scope,
    rules: base.AnyRules,
    change: base.Change,
    *,
    is_new: bool,
    fetch_us: int = 0,
) -> Any:
    """Writes a change with its events; returns the entity as written."""
    entity: Any = change.entity
    waits_us = rules.waits(entity)
    if not fetch_us and waits_us is not None:
        soon_us = scope.now_us + round(scope.schedule.pending_first_s * 1_000_000)
        fetch_us = max(waits_us, soon_us)
    statement = mirrors.INSERT if is_new else mirrors.UPDATE
    statements: changing.Batch = [(statement, mirrors.params(entity, fetch_us))]
    if change.steps:
        statements.append(outbox.append(telling.entries(change, scope)))
    changing.write(conn, statements)
    return entity if is_new else replace(entity, revision=entity.revision + 1)
