"""Appends to the log: what is new goes in, what is known or wrong is answered.

Owns the rules of publishing: one id once, versions dense per entity. Called by the
appender inside one transaction. Never decides who may publish, and never changes what
was appended.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

from event_gateway import splice
from event_gateway.db import read, rows
from servicekit import failpoints, storage


class Outcome(enum.IntEnum):
    """What became of one event."""

    APPENDED = enum.auto()
    DUPLICATE = enum.auto()
    ID_CONFLICT = enum.auto()
    VERSION_CONFLICT = enum.auto()
    VERSION_GAP = enum.auto()


class Verdict(NamedTuple):
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


class WentBack(Exception):
    """The log is shorter than it was: what it had has been lost."""


_LOCK_HEAD = storage.Statement(
    "select epoch, head, head_append_us from log_head where log = 'main'",
    postgresql="select epoch, head, head_append_us from log_head where log = 'main' for update",
)
_KNOWN_KEYS = storage.Statement(
    """select k.tenant_id, k.event_id, k.content_hash, k.position, k.append_us
       from unnest(cast(:tenants as text[]), cast(:ids as text[])) as w (tenant_id, event_id)
       join event_key k on k.tenant_id = w.tenant_id and k.event_id = w.event_id"""
)
_ENTITY_HEADS = storage.Statement(
    """select h.tenant_id, h.entity_type, h.entity_id, h.version
       from unnest(cast(:tenants as text[]), cast(:types as text[]), cast(:ids as text[]))
         as w (tenant_id, entity_type, entity_id)
       join entity_head h on h.tenant_id = w.tenant_id and h.entity_type = w.entity_type
         and h.entity_id = w.entity_id"""
)
_VERSION = storage.Statement(
    "select version from entity_head where tenant_id = :tenant_id "
    "and entity_type = :entity_type and entity_id = :entity_id"
)
# Whether old versions are in the log under another id: asked only when a
# producer sends one that its entity has passed.
_HELD_VERSIONS = storage.Statement(
    """select e.tenant_id, e.entity_type, e.entity_id, e.entity_version
       from unnest(cast(:tenants as text[]), cast(:types as text[]), cast(:ids as text[]),
         cast(:versions as bigint[])) as w (tenant_id, entity_type, entity_id, entity_version)
       join event_log e on e.tenant_id = w.tenant_id and e.entity_id = w.entity_id
         and e.entity_type = w.entity_type and e.entity_version = w.entity_version"""
)
_Key = tuple[str, str]
_Entity = tuple[str, str, str]
_Version = tuple[str, str, str, int]


def append(
    conn: storage.Connection,
    candidates: Sequence[rows.Candidate],
    now_us: int,
    *,
    origin: str = "",
    seen: int = 0,
) -> Result:
    """Appends what is new of *candidates*, in their order, each by itself.

    Args:
        conn: The transaction; nothing is in the log unless it commits.
        candidates: May be empty, to learn where the log is.
        now_us: The gateway's clock, epoch microseconds.
        origin: Names this process in the notice to the others.
        seen: The head that the log is known to have had.

    Raises:
        WentBack: It does not reach *seen*: what is appended would take places that readers
            have passed. Nothing was.
    """
    row = conn.one(_LOCK_HEAD)
    assert row is not None, "the migration that makes log_head fills it"
    epoch, head_before, head_append_us = row
    if head_before < seen:
        raise WentBack(f"the log was at {seen} and is at {head_before}")
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


def next_version(conn: storage.Connection, tenant_id: str, entity_type: str, entity_id: str) -> int:
    """Returns the version that comes next of an entity; others append after this transaction."""
    conn.one(_LOCK_HEAD)
    row = conn.one(
        _VERSION, {"tenant_id": tenant_id, "entity_type": entity_type, "entity_id": entity_id}
    )
    return 1 + (row[0] if row else 0)


class _Judge:
    """Decides candidates one after the other, over what the log knew before."""

    def __init__(
        self,
        conn: storage.Connection,
        candidates: Sequence[rows.Candidate],
        *,
        head: int,
        append_us: int,
    ) -> None:
        self.head = head
        self.accepted: list[tuple[int, rows.Candidate]] = []
        self.raised: dict[_Entity, int] = {}
        self._append_us = append_us
        self._known = _known_keys(conn, candidates)
        self._versions = _entity_heads(conn, candidates)
        self._held = _held_versions(conn, candidates, self._known, self._versions)

    def decide(self, candidate: rows.Candidate) -> Verdict:
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
            begins = candidate.first_remaining and entity not in self._versions
            if version > expected and not begins:
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
    conn: storage.Connection, candidates: Sequence[rows.Candidate]
) -> dict[_Key, tuple[bytes, int, int]]:
    wanted = storage.columns(
        conn,
        tenants=[candidate.tenant_id for candidate in candidates],
        ids=[candidate.event_id for candidate in candidates],
    )
    found = conn.all(_KNOWN_KEYS, wanted)
    return {(row[0], row[1]): (bytes(row[2]), row[3], row[4]) for row in found}


def _entity_heads(
    conn: storage.Connection, candidates: Sequence[rows.Candidate]
) -> dict[_Entity, int]:
    entities = list(
        {
            (candidate.tenant_id, candidate.entity_type, candidate.entity_id): None
            for candidate in candidates
            if candidate.entity_version
        }
    )
    if not entities:
        return {}
    tenants, types, ids = zip(*entities, strict=True)
    wanted = storage.columns(conn, tenants=tenants, types=types, ids=ids)
    found = conn.all(_ENTITY_HEADS, wanted)
    return {(row[0], row[1], row[2]): row[3] for row in found}


def _held_versions(
    conn: storage.Connection,
    candidates: Sequence[rows.Candidate],
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
    tenants, types, ids, numbers = zip(*passed, strict=True)
    wanted = storage.columns(conn, tenants=tenants, types=types, ids=ids, versions=numbers)
    found = conn.all(_HELD_VERSIONS, wanted)
    return {(row[0], row[1], row[2], row[3]) for row in found}


def _write(
    conn: storage.Connection, judge: _Judge, append_us: int, origin: str
) -> list[read.Entry]:
    append_time = splice.append_time_field(append_us)
    stored = [
        splice.stored(candidate.body, append_time, position)
        for position, candidate in judge.accepted
    ]
    rows.write(conn, judge, stored, append_us, origin=origin)
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
