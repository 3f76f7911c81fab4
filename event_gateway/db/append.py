"""Appends to the log: what is new goes in, what is known or wrong is answered.

Owns the rules of publishing (one id once, versions dense per entity) and the
statements that write. Called by the appender inside one transaction. Never
decides who may publish, and never changes what was appended.
"""

import dataclasses
import enum
import json
from collections.abc import Sequence

from event_gateway import splice
from event_gateway.db import read
from servicekit import failpoints, storage


class Outcome(enum.Enum):
    """What became of one event."""

    APPENDED = enum.auto()
    DUPLICATE = enum.auto()
    ID_CONFLICT = enum.auto()
    VERSION_CONFLICT = enum.auto()
    VERSION_GAP = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer for one candidate.

    Attributes:
        outcome: What happened.
        position: Of the event or of its first copy; 0 if there is none or it is not known.
        append_us: When that was accepted, epoch microseconds; 0 likewise.
        expected_version: For a gap: the version that is missing.
    """

    outcome: Outcome
    position: int = 0
    append_us: int = 0
    expected_version: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one transaction did. Every event in (head_before, head] is in `entries`, each
    accepted at `append_us`.
    """

    verdicts: list[Verdict]
    entries: list[read.Entry]
    epoch: int
    head_before: int
    head: int
    append_us: int


_LOCK_HEAD = storage.Statement(
    "select epoch, head, head_append_us from log_head where log = 'main'",
    postgresql="select epoch, head, head_append_us from log_head where log = 'main' for update",
)
_MOVE_HEAD = storage.Statement(
    "update log_head set head = :head, head_append_us = :append_us, "
    "size_bytes = size_bytes + :size_bytes where log = 'main'"
)
_KNOWN_KEYS = storage.Statement(
    """select k.tenant_id, k.event_id, k.content_hash, k.position, k.append_us
       from json_each(:wanted) w
       join event_key k on k.tenant_id = json_extract(w.value, '$[0]')
         and k.event_id = json_extract(w.value, '$[1]')""",
    postgresql="""select k.tenant_id, k.event_id, k.content_hash, k.position, k.append_us
       from unnest(cast(:tenants as text[]), cast(:ids as text[])) as w (tenant_id, event_id)
       join event_key k on k.tenant_id = w.tenant_id and k.event_id = w.event_id""",
)
_ENTITY_HEADS = storage.Statement(
    """select h.tenant_id, h.entity_type, h.entity_id, h.version
       from json_each(:wanted) w
       join entity_head h on h.tenant_id = json_extract(w.value, '$[0]')
         and h.entity_type = json_extract(w.value, '$[1]')
         and h.entity_id = json_extract(w.value, '$[2]')""",
    postgresql="""select h.tenant_id, h.entity_type, h.entity_id, h.version
       from unnest(cast(:tenants as text[]), cast(:types as text[]), cast(:ids as text[]))
         as w (tenant_id, entity_type, entity_id)
       join entity_head h on h.tenant_id = w.tenant_id and h.entity_type = w.entity_type
         and h.entity_id = w.entity_id""",
)
# Whether old versions are in the log under another id: asked only when a
# producer sends one that its entity has passed.
_HELD_VERSIONS = storage.Statement(
    """select e.tenant_id, e.entity_type, e.entity_id, e.entity_version
       from json_each(:wanted) w
       join event_log e on e.tenant_id = json_extract(w.value, '$[0]')
         and e.entity_id = json_extract(w.value, '$[2]')
         and e.entity_type = json_extract(w.value, '$[1]')
         and e.entity_version = json_extract(w.value, '$[3]')""",
    postgresql="""select e.tenant_id, e.entity_type, e.entity_id, e.entity_version
       from unnest(cast(:tenants as text[]), cast(:types as text[]), cast(:ids as text[]),
         cast(:versions as bigint[])) as w (tenant_id, entity_type, entity_id, entity_version)
       join event_log e on e.tenant_id = w.tenant_id and e.entity_id = w.entity_id
         and e.entity_type = w.entity_type and e.entity_version = w.entity_version""",
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
    """with keys as (
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
         size_bytes = size_bytes + :size_bytes
       from (select pg_notify(:channel, :notice)) as told where log = 'main'"""
)

# On which gateways tell each other that the log has grown.
CHANNEL = "payhub_event_log"

_Key = tuple[str, str]
_Entity = tuple[str, str, str]
_Version = tuple[str, str, str, int]


def append(
    conn: storage.Connection, candidates: Sequence[Candidate], now_us: int, *, origin: str = ""
) -> Result:
    """Appends what is new of *candidates*, in their order, each by itself.

    Args:
        conn: The transaction; nothing is in the log unless it commits.
        candidates: May be empty, to learn where the log is.
        now_us: The gateway's clock, epoch microseconds.
        origin: Names this process in the notice to the others.
    """
    row = conn.one(_LOCK_HEAD)
    assert row is not None, "the migration that makes log_head fills it"
    epoch, head_before, head_append_us = row
    append_us = max(now_us, head_append_us)
    judge = _Judge(conn, candidates, head=head_before, append_us=append_us)
    verdicts = [judge.decide(candidate) for candidate in candidates]
    entries: list[read.Entry] = []
    if judge.accepted:
        entries = _write(conn, judge, append_us, origin)
    failpoints.hit("event_gateway.before_append_commit")
    return Result(
        verdicts=verdicts,
        entries=entries,
        epoch=epoch,
        head_before=head_before,
        head=judge.head,
        append_us=append_us,
    )


class _Judge:
    """Decides candidates one after the other, over what the log knew before."""

    def __init__(
        self,
        conn: storage.Connection,
        candidates: Sequence[Candidate],
        *,
        head: int,
        append_us: int,
    ) -> None:
        self.head = head
        self.accepted: list[tuple[int, Candidate]] = []
        self.raised: dict[_Entity, int] = {}
        self._append_us = append_us
        self._known = _known_keys(conn, candidates)
        self._versions = _entity_heads(conn, candidates)
        self._held = _held_versions(conn, candidates, self._known, self._versions)

    def decide(self, candidate: Candidate) -> Verdict:
        key = (candidate.tenant_id, candidate.event_id)
        known = self._known.get(key)
        if known is not None:
            content_hash, position, append_us = known
            if content_hash != candidate.content_hash:
                return Verdict(outcome=Outcome.ID_CONFLICT)
            return Verdict(outcome=Outcome.DUPLICATE, position=position, append_us=append_us)
        version = candidate.entity_version
        if version:
            entity = (candidate.tenant_id, candidate.entity_type, candidate.entity_id)
            expected = self._versions.get(entity, 0) + 1
            if version > expected:
                return Verdict(outcome=Outcome.VERSION_GAP, expected_version=expected)
            if version < expected:
                if (*entity, version) in self._held:
                    return Verdict(outcome=Outcome.VERSION_CONFLICT)
                # The entity has passed this version and the log no longer keeps the
                # event, so nothing can tell it from the one it had: a late repeat.
                return Verdict(outcome=Outcome.DUPLICATE)
            self._versions[entity] = self.raised[entity] = version
            self._held.add((*entity, version))
        self.head += 1
        self._known[key] = (candidate.content_hash, self.head, self._append_us)
        self.accepted.append((self.head, candidate))
        return Verdict(outcome=Outcome.APPENDED, position=self.head, append_us=self._append_us)


def _known_keys(
    conn: storage.Connection, candidates: Sequence[Candidate]
) -> dict[_Key, tuple[bytes, int, int]]:
    tenants = [candidate.tenant_id for candidate in candidates]
    ids = [candidate.event_id for candidate in candidates]
    if conn.dialect == "sqlite":
        rows = conn.all(_KNOWN_KEYS, {"wanted": json.dumps(list(zip(tenants, ids, strict=True)))})
    else:
        rows = conn.all(_KNOWN_KEYS, {"tenants": tenants, "ids": ids})
    return {(row[0], row[1]): (bytes(row[2]), row[3], row[4]) for row in rows}


def _entity_heads(conn: storage.Connection, candidates: Sequence[Candidate]) -> dict[_Entity, int]:
    entities = list(
        {
            (candidate.tenant_id, candidate.entity_type, candidate.entity_id): None
            for candidate in candidates
            if candidate.entity_version
        }
    )
    if not entities:
        return {}
    if conn.dialect == "sqlite":
        rows = conn.all(_ENTITY_HEADS, {"wanted": json.dumps(entities)})
    else:
        tenants, types, ids = (list(column) for column in zip(*entities, strict=True))
        rows = conn.all(_ENTITY_HEADS, {"tenants": tenants, "types": types, "ids": ids})
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def _held_versions(
    conn: storage.Connection,
    candidates: Sequence[Candidate],
    known: dict[_Key, tuple[bytes, int, int]],
    versions: dict[_Entity, int],
) -> set[_Version]:
    passed = []
    for candidate in candidates:
        entity = (candidate.tenant_id, candidate.entity_type, candidate.entity_id)
        if (
            0 < candidate.entity_version <= versions.get(entity, 0)
            and (candidate.tenant_id, candidate.event_id) not in known
        ):
            passed.append((*entity, candidate.entity_version))
    if not passed:
        return set()
    if conn.dialect == "sqlite":
        rows = conn.all(_HELD_VERSIONS, {"wanted": json.dumps(passed)})
    else:
        tenants, types, ids, numbers = (list(column) for column in zip(*passed, strict=True))
        rows = conn.all(
            _HELD_VERSIONS,
            {"tenants": tenants, "types": types, "ids": ids, "versions": numbers},
        )
    return {(row[0], row[1], row[2], row[3]) for row in rows}


def _write(
    conn: storage.Connection, judge: _Judge, append_us: int, origin: str
) -> list[read.Entry]:
    append_time = splice.append_time_field(append_us)
    stored = [
        splice.stored(candidate.body, append_time, position)
        for position, candidate in judge.accepted
    ]
    if conn.dialect == "sqlite":
        _write_sqlite(conn, judge, stored, append_us)
    else:
        _write_postgresql(conn, judge, stored, append_us, origin)
    return [
        read.Entry(
            position,
            candidate.tenant_id,
            candidate.type_name,
            candidate.entity_type,
            candidate.entity_id,
            splice.chunk(event),
        )
        for (position, candidate), event in zip(judge.accepted, stored, strict=True)
    ]


def _write_sqlite(
    conn: storage.Connection, judge: _Judge, stored: Sequence[bytes], append_us: int
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
            for position, candidate in judge.accepted
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
            for (position, candidate), event in zip(judge.accepted, stored, strict=True)
        ],
    )
    conn.run_many(
        _RAISE_ENTITY_HEAD,
        [
            {"tenant_id": tenant, "entity_type": kind, "entity_id": ident, "version": version}
            for (tenant, kind, ident), version in judge.raised.items()
        ],
    )
    conn.run(
        _MOVE_HEAD,
        {"head": judge.head, "append_us": append_us, "size_bytes": sum(map(len, stored))},
    )


def _write_postgresql(
    conn: storage.Connection,
    judge: _Judge,
    stored: Sequence[bytes],
    append_us: int,
    origin: str,
) -> None:
    candidates = [candidate for _, candidate in judge.accepted]
    conn.run(
        _ADD_ALL_POSTGRESQL,
        {
            "positions": [position for position, _ in judge.accepted],
            "ids": [candidate.event_id for candidate in candidates],
            "tenants": [candidate.tenant_id for candidate in candidates],
            "types": [candidate.type_name for candidate in candidates],
            "entity_types": [candidate.entity_type for candidate in candidates],
            "entity_ids": [candidate.entity_id for candidate in candidates],
            "versions": [candidate.entity_version for candidate in candidates],
            "hashes": [candidate.content_hash for candidate in candidates],
            "events": list(stored),
            "head_tenants": [entity[0] for entity in judge.raised],
            "head_types": [entity[1] for entity in judge.raised],
            "head_ids": [entity[2] for entity in judge.raised],
            "head_versions": list(judge.raised.values()),
            "append_us": append_us,
            "head": judge.head,
            "size_bytes": sum(map(len, stored)),
            "channel": CHANNEL,
            "notice": origin,
        },
    )
