"""Inbound webhooks: their rows, and which event of a provider was applied.

Owns the tables `inbound_webhooks` and `webhook_events`. Called by the use cases inside their
transactions. Never changes a state on its own.
"""

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass

from payment_service.db import rows
from payment_service.domain import webhooks
from servicekit import ids, storage

_LIGHT = (
    "id, provider, binding_id, tenant_id, state, body_bytes, event_type, provider_event_id, "
    "attempts, next_attempt_us, detail, http_status, entity_ids, received_us, updated_us"
).split(", ")
_HEAVY = ("headers", "body", "told")
_ALL = [*_LIGHT, *_HEAVY]
_INSERT = storage.Statement(
    f"insert into inbound_webhooks ({', '.join(_ALL)}) "
    f"values ({', '.join(f':{name}' for name in _ALL)})"
)
_UPDATE = storage.Statement(
    "update inbound_webhooks set state = :state, headers = :headers, body = :body, told = :told, "
    "event_type = :event_type, provider_event_id = :provider_event_id, attempts = :attempts, "
    "next_attempt_us = :next_attempt_us, detail = :detail, http_status = :http_status, "
    "entity_ids = :entity_ids, updated_us = :updated_us where id = :id"
)
_LOAD = storage.Statement(f"select {', '.join(_ALL)} from inbound_webhooks where id = :id")
_LOCK = storage.Statement(
    f"select {', '.join(_ALL)} from inbound_webhooks where id = :id",
    postgresql=f"select {', '.join(_ALL)} from inbound_webhooks where id = :id for update",
)
# Provider by provider, so that nothing reads those of one that is busy, however many are due.
# Each further try has a longer lease: two replicas would take from each other for ever what
# always takes longer than a short one.
# How many leases long the longest is.
LEASES_MAX = 64
_DUE = (
    "with recursive names (name) as (select (select provider from inbound_webhooks "
    "where next_attempt_us > 0 order by provider limit 1) union all select (select provider "
    "from inbound_webhooks where next_attempt_us > 0 and provider > names.name "
    "order by provider limit 1) from names where names.name is not null) "
    "update inbound_webhooks set next_attempt_us = :now_us + :lease_us * case "
    f"when attempts > 8 then {LEASES_MAX} when attempts > 1 then attempts * attempts else 1 end, "
    "attempts = attempts + 1 "
    "where id in (select due.id from names {due} order by due.next_attempt_us limit :most) "
    f"returning {', '.join(_ALL)}"
)
_DUE_OF_ONE = (
    "(select {columns} from inbound_webhooks where provider = names.name and next_attempt_us > 0 "
    "and next_attempt_us <= :now_us and id <> all(cast(:held as text[])) "
    "order by next_attempt_us limit :most{locked})"
)
_CLAIM_DUE = storage.Statement(
    _DUE.format(
        due="cross join inbound_webhooks as due where names.name <> all(cast(:busy as text[])) "
        "and due.id in " + _DUE_OF_ONE.format(columns="id", locked="")
    ),
    postgresql=_DUE.format(
        due="cross join lateral "
        + _DUE_OF_ONE.format(columns="id, next_attempt_us", locked=" for update skip locked")
        + " as due where names.name <> all(cast(:busy as text[]))"
    ),
)
_PULL_IN = storage.Statement(
    "update inbound_webhooks set next_attempt_us = :now_us where id in (select id "
    "from inbound_webhooks where next_attempt_us > 0 and next_attempt_us > :beyond_us limit :most)"
)
_NOT_TRIED = storage.Statement(
    "update inbound_webhooks set attempts = attempts - 1, next_attempt_us = :lease_until_us "
    "where id = :id"
)
# Unless somebody has written since what came of it, or taken it over.
_GIVE_BACK = storage.Statement(
    "update inbound_webhooks set attempts = attempts - 1, next_attempt_us = :now_us "
    "where id = :id and attempts = :attempts and next_attempt_us = :lease_until_us"
)
# Each event of a provider is applied once, whatever brings it.
_CLAIM_EVENT = storage.Statement(
    "insert into webhook_events (binding_id, provider_event_id, webhook_id, applied_us) "
    "values (:binding_id, :provider_event_id, :webhook_id, :applied_us) on conflict do nothing"
)
_OF_EVENT = storage.Statement(
    "select webhook_id from webhook_events where binding_id = :binding_id "
    "and provider_event_id = :provider_event_id"
)
# In bounded steps: a long delete would keep everybody waiting. Ids are ordered by time, so what
# is young is not looked at. What waits (1, RECEIVED, and 6, PARKED) is kept, but not what a crash
# left unjudged.
_PRUNE = storage.Statement(
    "delete from inbound_webhooks where id in (select id from inbound_webhooks where "
    "id < :before_id and (state not in (1, 6) or next_attempt_us = 0) "
    "and received_us < :before_us order by id limit :most)"
)
# 5 is REJECTED.
_PRUNE_REJECTED = storage.Statement(
    "delete from inbound_webhooks where id in (select id from inbound_webhooks where state = 5 "
    "and id <= (select id from inbound_webhooks where state = 5 order by id desc limit 1 "
    "offset :keep) order by id limit :most)"
)
_PRUNE_EVENTS = storage.Statement(
    "delete from webhook_events where (binding_id, provider_event_id) in (select binding_id, "
    "provider_event_id from webhook_events where applied_us < :before_us limit :most)"
)
_COUNT_WAITING = storage.Statement(
    "select count(*) from (select 1 from inbound_webhooks where next_attempt_us > 0 "
    "limit :most) as found"
)
_UNVERIFIED_ONES = (
    "select count(*) from (select 1 from inbound_webhooks where next_attempt_us > 0 "
    "and told = {nothing} limit :most) as waiting"
)
_UNVERIFIED = storage.Statement(
    _UNVERIFIED_ONES.format(nothing="x''"),
    postgresql=_UNVERIFIED_ONES.format(nothing="'\\x'::bytea"),
)


def _params(webhook: webhooks.Webhook) -> storage.Params:
    return {
        "id": webhook.id,
        "provider": webhook.provider,
        "binding_id": webhook.binding_id,
        "tenant_id": webhook.tenant_id,
        "state": int(webhook.state),
        "headers": json.dumps(webhook.headers),
        "body": webhook.body,
        "body_bytes": webhook.body_bytes,
        "told": webhook.told,
        "event_type": webhook.event_type,
        "provider_event_id": webhook.provider_event_id,
        "attempts": webhook.attempts,
        "next_attempt_us": webhook.next_attempt_us,
        "detail": webhook.detail,
        "http_status": webhook.http_status,
        "entity_ids": " ".join(webhook.entity_ids),
        "received_us": webhook.received_us,
        "updated_us": webhook.updated_us,
    }


def _from_row(row: storage.Row) -> webhooks.Webhook:
    whole = len(row) > len(_LIGHT)
    return webhooks.Webhook(
        id=row[0],
        provider=row[1],
        binding_id=row[2],
        tenant_id=row[3],
        state=webhooks.State(row[4]),
        body_bytes=row[5],
        event_type=row[6],
        provider_event_id=row[7],
        attempts=row[8],
        next_attempt_us=row[9],
        detail=row[10],
        http_status=row[11],
        entity_ids=tuple(row[12].split()),
        received_us=row[13],
        updated_us=row[14],
        headers=tuple((name, value) for name, value in json.loads(row[15])) if whole else (),
        body=bytes(row[16]) if whole else b"",
        told=bytes(row[17]) if whole else b"",
    )


def insert(conn: storage.Connection, webhook: webhooks.Webhook) -> None:
    """Stores a new webhook."""
    conn.run(_INSERT, _params(webhook))


def update(conn: storage.Connection, webhook: webhooks.Webhook) -> None:
    """Replaces what changes of a webhook."""
    values = _params(webhook)
    for name in ("provider", "binding_id", "tenant_id", "body_bytes", "received_us"):
        del values[name]  # type: ignore[attr-defined]
    conn.run(_UPDATE, values)


def load(
    conn: storage.Connection, webhook_id: str, *, lock: bool = False
) -> webhooks.Webhook | None:
    """Returns a webhook, with *lock* until the commit."""
    row = conn.one(_LOCK if lock else _LOAD, {"id": webhook_id})
    return None if row is None else _from_row(row)


def claim_due(
    conn: storage.Connection,
    *,
    now_us: int,
    lease_us: int,
    busy: Sequence[str] = (),
    held: Sequence[str] = (),
    most: int,
) -> list[webhooks.Webhook]:
    """Takes webhooks whose try is due, but for those *held*, by id, and those of providers that
    are *busy*; nobody else gets them before their lease ends: *lease_us* for the second try, and
    longer with each further one up to the ninth. What this version can't read loses no try,
    and is due again after *lease_us*.
    """
    values = {
        "now_us": now_us,
        "lease_us": lease_us,
        "busy": storage.array(conn, busy),
        "held": storage.array(conn, held),
        "most": most,
    }
    found = conn.all(_CLAIM_DUE, values)
    taken = rows.readable(found, _from_row, table="inbound_webhooks", id_at=0)
    known = {webhook.id for webhook in taken}
    for row in found:
        if row[0] not in known:
            conn.run(_NOT_TRIED, {"id": row[0], "lease_until_us": now_us + lease_us})
    return taken


def pull_in(conn: storage.Connection, *, now_us: int, beyond_us: int, most: int) -> int:
    """Makes what is due after *beyond_us* due now; returns how many that were."""
    return conn.run(_PULL_IN, {"now_us": now_us, "beyond_us": beyond_us, "most": most})


def give_back(conn: storage.Connection, taken: Sequence[webhooks.Webhook], *, now_us: int) -> None:
    """Makes those due at once that `claim_due` returned and nobody came to an end with; no try
    of theirs is lost. Called when this process works on none of them any more.
    """
    if taken:
        conn.run_many(
            _GIVE_BACK,
            [
                {
                    "id": one.id,
                    "attempts": one.attempts,
                    "lease_until_us": one.next_attempt_us,
                    "now_us": now_us,
                }
                for one in taken
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Which webhooks to list; empty texts and state 0 for all of them."""

    provider: str = ""
    tenant_id: str = ""
    state: int = 0
    provider_event_id: str = ""
    before_id: str = ""


def list_newest_first(
    conn: storage.Connection, wanted: ListFilter, most: int
) -> list[webhooks.Webhook]:
    """Returns at most *most* webhooks without headers and bodies, newest first."""
    clauses: list[str] = []
    values: dict[str, object] = {"most": most}
    for name, clause in (
        ("provider", "provider = :provider"),
        ("tenant_id", "tenant_id = :tenant_id"),
        ("state", "state = :state"),
        ("provider_event_id", "provider_event_id = :provider_event_id and provider_event_id <> ''"),
        ("before_id", "id < :before_id"),
    ):
        if value := getattr(wanted, name):
            clauses.append(clause)
            values[name] = value
    where = f"where {' and '.join(clauses)} " if clauses else ""
    text = f"select {', '.join(_LIGHT)} from inbound_webhooks {where}order by id desc limit :most"
    return [_from_row(row) for row in conn.query(text, values)]


class Claim(enum.Enum):
    """What was known of a provider's event: nothing, its own webhook's effects, another's."""

    NEW = "new"
    AGAIN = "again"
    TAKEN = "taken"


def claim_event(conn: storage.Connection, webhook: webhooks.Webhook, *, now_us: int) -> Claim:
    """Notes that a provider's event is applied by *webhook*, unless another one did.

    The transaction that applies it calls this first, so that the note and the effects are
    committed together or not at all.
    """
    key = {
        "binding_id": webhook.binding_id,
        "provider_event_id": webhook.provider_event_id,
    }
    if conn.run(_CLAIM_EVENT, {**key, "webhook_id": webhook.id, "applied_us": now_us}):
        return Claim.NEW
    row = conn.one(_OF_EVENT, key)
    return Claim.AGAIN if row is not None and row[0] == webhook.id else Claim.TAKEN


def prune(
    conn: storage.Connection,
    *,
    before_us: int,
    events_before_us: int,
    rejected_keep: int,
    most: int,
) -> int:
    """Deletes what is done with and old, at most *most* rows of a sort; returns how many."""
    return (
        conn.run(
            _PRUNE,
            {
                "before_id": ids.lowest_id("whk", before_us),
                "before_us": before_us,
                "most": most,
            },
        )
        + conn.run(_PRUNE_REJECTED, {"keep": rejected_keep, "most": most})
        + conn.run(_PRUNE_EVENTS, {"before_us": events_before_us, "most": most})
    )


def unverified(conn: storage.Connection, most: int) -> int:
    """Returns how many webhooks wait to be verified; counts up to *most*."""
    row = conn.one(_UNVERIFIED, {"most": most})
    return int(row[0]) if row else 0


def count_waiting(conn: storage.Connection, most: int) -> int:
    """Returns how many webhooks are not worked off; counts up to *most*."""
    row = conn.one(_COUNT_WAITING, {"most": most})
    return int(row[0]) if row else 0
