"""Writes events, their ids and the versions of their entities.

Owns the statements of an append, and the notice to other gateways that goes with it.
Called by `event_gateway.db.append` once everything is decided. Never decides anything.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from servicekit import storage

Entity = tuple[str, str, str]


class Candidate(NamedTuple):
    """An event that a producer may publish, and what the log asks of it."""

    event_id: str
    tenant_id: str
    type_name: str
    entity_type: str
    entity_id: str
    # 0 = not numbered.
    entity_version: int
    # From `splice.content`.
    body: bytes
    content_hash: bytes
    # Nothing of its entity is left from before it.
    first_remaining: bool = False
    # Whether it comes from the outbox of the payment service.
    of_payments: bool = False


class Accepted(Protocol):
    """What a transaction writes: events with their places, entities with their new versions."""

    @property
    def accepted(self) -> Sequence[tuple[int, Candidate]]:
        """Events and where they go."""

    @property
    def raised(self) -> Mapping[Entity, int]:
        """Newest versions of their entities."""

    @property
    def head(self) -> int:
        """Place of the last one."""


# Without a statement more: appends are what producers wait for.
_PAYMENTS_HEAD = (
    "payments_epoch = case when :payments_head > 0 then epoch else payments_epoch end, "
    "payments_head = case when :payments_head > 0 then :payments_head else payments_head end"
)
_MOVE_HEAD = storage.Statement(
    "update log_head set head = :head, head_append_us = :append_us, "
    f"size_bytes = size_bytes + :size_bytes, {_PAYMENTS_HEAD} where log = 'main'"
)
_ADD_KEY = storage.Statement(
    "insert into event_key (tenant_id, event_id, position, append_us, content_hash) "
    "values (:tenant_id, :event_id, :position, :append_us, :content_hash)"
)
_ADD_EVENT = storage.Statement(
    "insert into event_log (position, event_id, tenant_id, type, entity_type, entity_id, "
    "entity_version, event) values (:position, :event_id, :tenant_id, :type, :entity_type, "
    ":entity_id, :entity_version, :event)"
)
_RAISE_ENTITY_HEAD = storage.Statement(
    "insert into entity_head (tenant_id, entity_type, entity_id, version) "
    "values (:tenant_id, :entity_type, :entity_id, :version) "
    "on conflict (tenant_id, entity_type, entity_id) do update set version = excluded.version"
)
# One statement, because each one costs PostgreSQL a round trip. Its notice, one per
# transaction that appends, wakes the tails of other gateways.
_ADD_ALL_POSTGRESQL = storage.Statement(
    f"""with keys as (
         insert into event_key (tenant_id, event_id, position, append_us, content_hash)
         select tenant_id, event_id, position, :append_us, content_hash
         from unnest(cast(:tenants as text[]), cast(:ids as text[]),
           cast(:positions as bigint[]), cast(:hashes as bytea[]))
           as n (tenant_id, event_id, position, content_hash)
       ), events as (
         insert into event_log (position, event_id, tenant_id, type, entity_type, entity_id,
           entity_version, event)
         select * from unnest(cast(:positions as bigint[]), cast(:ids as text[]),
           cast(:tenants as text[]), cast(:types as text[]), cast(:entity_types as text[]),
           cast(:entity_ids as text[]), cast(:versions as bigint[]), cast(:events as bytea[]))
       ), heads as (
         insert into entity_head (tenant_id, entity_type, entity_id, version)
         select * from unnest(cast(:head_tenants as text[]), cast(:head_types as text[]),
           cast(:head_ids as text[]), cast(:head_versions as bigint[]))
         on conflict (tenant_id, entity_type, entity_id)
           do update set version = excluded.version
       )
       update log_head set head = :head, head_append_us = :append_us,
         size_bytes = size_bytes + :size_bytes, {_PAYMENTS_HEAD}
       from (select pg_notify(:channel, :notice)) as told where log = 'main'"""
)

# On which gateways tell each other that the log has grown.
CHANNEL = "payhub_event_log"


def write(
    conn: storage.Connection,
    wanted: Accepted,
    stored: Sequence[bytes],
    append_us: int,
    *,
    origin: str,
) -> None:
    """Writes *wanted* and its bytes, *stored*, asking nothing."""
    if conn.dialect == "sqlite":
        _write_sqlite(conn, wanted, stored, append_us)
    else:
        _write_postgresql(conn, wanted, stored, append_us, origin)


def _write_sqlite(
    conn: storage.Connection, wanted: Accepted, stored: Sequence[bytes], append_us: int
) -> None:
    conn.run_many(
        _ADD_KEY,
        [
            {
                "tenant_id": candidate.tenant_id,
                "event_id": candidate.event_id,
                "position": position,
                "append_us": append_us,
                "content_hash": candidate.content_hash,
            }
            for position, candidate in wanted.accepted
        ],
    )
    conn.run_many(
        _ADD_EVENT,
        [
            {
                "position": position,
                "event_id": candidate.event_id,
                "tenant_id": candidate.tenant_id,
                "type": candidate.type_name,
                "entity_type": candidate.entity_type,
                "entity_id": candidate.entity_id,
                "entity_version": candidate.entity_version,
                "event": event,
            }
            for (position, candidate), event in zip(wanted.accepted, stored, strict=True)
        ],
    )
    conn.run_many(
        _RAISE_ENTITY_HEAD,
        [
            {"tenant_id": tenant, "entity_type": kind, "entity_id": ident, "version": version}
            for (tenant, kind, ident), version in wanted.raised.items()
        ],
    )
    conn.run(
        _MOVE_HEAD,
        {
            "head": wanted.head,
            "append_us": append_us,
            "size_bytes": sum(map(len, stored)),
            "payments_head": _payments_head(wanted),
        },
    )


def _write_postgresql(
    conn: storage.Connection,
    wanted: Accepted,
    stored: Sequence[bytes],
    append_us: int,
    origin: str,
) -> None:
    candidates = [candidate for _, candidate in wanted.accepted]
    conn.run(
        _ADD_ALL_POSTGRESQL,
        {
            "positions": [position for position, _ in wanted.accepted],
            "ids": [candidate.event_id for candidate in candidates],
            "tenants": [candidate.tenant_id for candidate in candidates],
            "types": [candidate.type_name for candidate in candidates],
            "entity_types": [candidate.entity_type for candidate in candidates],
            "entity_ids": [candidate.entity_id for candidate in candidates],
            "versions": [candidate.entity_version for candidate in candidates],
            "hashes": [candidate.content_hash for candidate in candidates],
            "events": list(stored),
            "head_tenants": [entity[0] for entity in wanted.raised],
            "head_types": [entity[1] for entity in wanted.raised],
            "head_ids": [entity[2] for entity in wanted.raised],
            "head_versions": list(wanted.raised.values()),
            "append_us": append_us,
            "head": wanted.head,
            "size_bytes": sum(map(len, stored)),
            "payments_head": _payments_head(wanted),
            "channel": CHANNEL,
            "notice": origin,
        },
    )


def _payments_head(wanted: Accepted) -> int:
    """Returns the place of the last event of the payment service; 0 if there is none."""
    return next((position for position, each in reversed(wanted.accepted) if each.of_payments), 0)
