"""Mirrored entities: their rows, and which of them the resolver fetches next.

Owns the table `mirrors`. Called by the use cases inside their transactions. Never checks a
rule; what an entity holds is in its JSON, what it is found by is in columns beside.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import pydantic

from payment_service.db import rows
from payment_service.domain.mirrors import base, kinds, objects
from servicekit import storage

_VALUES = (
    "tenant_id, kind, id, state, customer_id, user_id, parent_id, body, version, revision, "
    "next_fetch_us, created_us, updated_us"
)
INSERT = storage.Statement(
    f"insert into mirrors ({_VALUES}) select :tenant_id, :kind, :id, :state, :customer_id, "
    ":user_id, :parent_id, :body, :version, :revision, :next_fetch_us, :created_us, "
    ":updated_us where {if_first}"
)
UPDATE = storage.Statement(
    "update mirrors set state = :state, customer_id = :customer_id, user_id = :user_id, "
    "parent_id = :parent_id, body = :body, version = :version, revision = revision + 1, "
    "next_fetch_us = :next_fetch_us, updated_us = :updated_us, fetches = "
    "case when :next_fetch_us = 0 or state <> :state then 0 else fetches end "
    "where tenant_id = :tenant_id and kind = :kind and id = :id and revision = :revision "
    "and {if_first}"
)
_READ = "select kind, body, version, revision from mirrors"
_SELECT = f"{_READ} where tenant_id = :tenant_id and kind = :kind and id = :id"
_LOAD = storage.Statement(_SELECT)
_LOCK = storage.Statement(_SELECT, postgresql=f"{_SELECT} for update")
_OF_CUSTOMER = (
    f"{_READ} where tenant_id = :tenant_id and kind = :kind and customer_id = :customer_id "
    "and customer_id <> '' and state in (1, 2) order by id limit :most"
)
_LOCK_OF_CUSTOMER = storage.Statement(_OF_CUSTOMER, postgresql=f"{_OF_CUSTOMER} for update")
_CLAIM_DUE = (
    "update mirrors set next_fetch_us = :lease_until_us, fetches = fetches + 1 where "
    "(tenant_id, kind, id) in (select tenant_id, kind, id from mirrors where next_fetch_us > 0 "
    "and next_fetch_us <= :now_us order by next_fetch_us limit :most{locked}) "
    "returning kind, body, version, revision, fetches, id"
)
_CLAIM = storage.Statement(
    _CLAIM_DUE.format(locked=""), postgresql=_CLAIM_DUE.format(locked=" for update skip locked")
)
_SCHEDULE = storage.Statement(
    "update mirrors set next_fetch_us = :next_fetch_us where tenant_id = :tenant_id "
    "and kind = :kind and id = :id and next_fetch_us > 0 and (next_fetch_us = :lease_until_us "
    "or next_fetch_us > :next_fetch_us or :changed = 1)"
)
_FETCHED = storage.Statement(
    "update mirrors set next_fetch_us = 0 where tenant_id = :tenant_id "
    "and kind = :kind and id = :id and next_fetch_us = :lease_until_us"
)
_FETCH_AT = storage.Statement(
    "update mirrors set next_fetch_us = :next_fetch_us where tenant_id = :tenant_id "
    "and kind = :kind and id = :id"
)


@functools.cache
def _adapter(kind: objects.ObjectKind) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kinds.RULES[kind].entity)


def _rules(entity: base.Entity) -> base.AnyRules:
    return kinds.BY_PREFIX[entity.id.partition("_")[0]]


def params(entity: base.Entity, next_fetch_us: int) -> storage.Params:
    """Returns an entity as the parameters of INSERT and UPDATE."""
    rules = _rules(entity)
    columns = rules.columns(entity)
    return {
        "tenant_id": entity.tenant_id,
        "kind": int(rules.kind),
        "id": entity.id,
        "state": columns.state,
        "customer_id": columns.customer_id,
        "user_id": columns.user_id,
        "parent_id": columns.parent_id,
        "body": _adapter(rules.kind).dump_json(entity).decode(),
        "version": entity.version,
        "revision": entity.revision,
        "next_fetch_us": next_fetch_us,
        "created_us": entity.created_us,
        "updated_us": entity.updated_us,
    }


def _from_row(row: storage.Row) -> Any:
    adapter = _adapter(objects.ObjectKind(row[0]))
    return replace(adapter.validate_json(row[1]), version=row[2], revision=row[3])


def load(
    conn: storage.Connection,
    rules: base.AnyRules,
    tenant_id: str,
    entity_id: str,
    *,
    lock: bool = False,
) -> Any:
    """Returns an entity, or None; with *lock* until the commit."""
    key = {"tenant_id": tenant_id, "kind": int(rules.kind), "id": entity_id}
    row = conn.one(_LOCK if lock else _LOAD, key)
    return None if row is None else _from_row(row)


def lock_of_customer(
    conn: storage.Connection, rules: base.AnyRules, tenant_id: str, customer_id: str, most: int
) -> list[Any]:
    """Returns a customer's entities in the states 1 and 2, oldest first, locked."""
    key = {
        "tenant_id": tenant_id,
        "kind": int(rules.kind),
        "customer_id": customer_id,
        "most": most,
    }
    return [_from_row(row) for row in conn.all(_LOCK_OF_CUSTOMER, key)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Which entities to list; empty fields match everything. `before_id` is exclusive."""

    states: tuple[int, ...] = ()
    customer_id: str = ""
    user_id: str = ""
    parent_id: str = ""
    before_id: str = ""


def list_newest_first(
    conn: storage.Connection,
    rules: base.AnyRules,
    tenant_id: str,
    wanted: ListFilter,
    most: int,
) -> list[Any]:
    """Returns at most *most* entities of one kind, newest first."""
    clauses = ["tenant_id = :tenant_id", "kind = :kind"]
    values: dict[str, object] = {"tenant_id": tenant_id, "kind": int(rules.kind), "most": most}
    for name in ("customer_id", "user_id", "parent_id"):
        if value := getattr(wanted, name):
            clauses.append(f"{name} = :{name} and {name} <> ''")
            values[name] = value
    if wanted.before_id:
        clauses.append("id < :before_id")
        values["before_id"] = wanted.before_id
    if wanted.states:
        clauses.append(f"state in ({', '.join(str(int(state)) for state in wanted.states)})")
    text = f"{_READ} where {' and '.join(clauses)} order by id desc limit :most"
    return [_from_row(row) for row in conn.query(text, values)]


def claim_due(
    conn: storage.Connection, *, now_us: int, lease_until_us: int, most: int
) -> list[tuple[Any, int]]:
    """Takes entities whose fetch is due, each with how often it was fetched in this state;
    nobody else gets them before the lease ends.
    """
    found = conn.all(_CLAIM, {"now_us": now_us, "lease_until_us": lease_until_us, "most": most})
    return rows.readable(found, lambda row: (_from_row(row), row[4]), table="mirrors", id_at=5)


def fetch_at(conn: storage.Connection, entity: base.Entity, next_fetch_us: int) -> None:
    """Makes an entity be fetched at a time, whether it waits for the provider or not."""
    conn.run(
        _FETCH_AT,
        {
            "next_fetch_us": next_fetch_us,
            "tenant_id": entity.tenant_id,
            "kind": int(_rules(entity).kind),
            "id": entity.id,
        },
    )


def fetched(conn: storage.Connection, entity: base.Entity, lease_until_us: int) -> None:
    """Has an entity be fetched no more, unless somebody asked for it since it was claimed."""
    conn.run(
        _FETCHED,
        {
            "lease_until_us": lease_until_us,
            "tenant_id": entity.tenant_id,
            "kind": int(_rules(entity).kind),
            "id": entity.id,
        },
    )


def schedule(
    conn: storage.Connection,
    entity: base.Entity,
    next_fetch_us: int,
    *,
    lease_until_us: int,
    changed: bool,
) -> None:
    """Sets when an entity that is due is fetched next, unless somebody asked for it earlier since
    it was claimed. Whoever has *changed* it has set the time anew and does not count.
    """
    conn.run(
        _SCHEDULE,
        {
            "next_fetch_us": next_fetch_us,
            "tenant_id": entity.tenant_id,
            "kind": int(_rules(entity).kind),
            "id": entity.id,
            "lease_until_us": lease_until_us,
            "changed": int(changed),
        },
    )
