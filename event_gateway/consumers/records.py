"""What is known of one event of a consumer, in memory and for the database.

Owns the records that machine, ordering and storage pass on. Never decides anything.
"""

import dataclasses
from collections.abc import Collection, Sequence

from event_gateway.consumers import leases, members

# Between the parts of a key; a part that holds it only joins two orders into one.
_BETWEEN = "\x1f"


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """An event that is not settled.

    Attributes:
        after: Everything in (after, position] is settled with it.
        key: Of its order.
        chunk: The event as part of a response; None if it has to be read.
        attempts: Deliveries so far.
        due_us: Not before this.
        reason: Of the last rejection.
        extra: It is not found by reading on from the floor: it was parked before.
        ahead: It may not go yet: reading on has not come to its position.
        stored: There is a row about it.
        lease: The last one, while that can be settled.
        queued: It is in one of the heaps.
    """

    position: int
    after: int
    key: str
    chunk: bytes | None = None
    attempts: int = 0
    due_us: int = 0
    reason: str = ""
    extra: bool = False
    ahead: bool = False
    stored: bool = False
    lease: leases.Lease | None = None
    queued: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What is written down about an event that is delivered again."""

    position: int
    key: str
    attempts: int
    due_us: int
    reason: str
    extra: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """An event to be set aside. `skipped` is set in a marker of lost history."""

    position: int
    key: str
    attempts: int
    reason: str
    parked_us: int
    blocked: bool
    skipped: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one transaction has to write."""

    floor: int
    runs: bytes
    retries: Sequence[Retry]
    settled: Sequence[int]
    parks: Sequence[Park]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What storage knows besides the place. `erasures`: how often stored events were changed;
    `epoch`: which life of the log that is.
    """

    retries: Sequence[Retry]
    blocked_keys: Collection[str]
    parked: int
    erasures: int = 0
    epoch: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """One delivery to one session."""

    session: members.Session
    entry: Entry
    lease: leases.Lease
    attempt: int
    reason: str


def retry(entry: Entry) -> Retry:
    """Returns what is written down about an entry. A delivery under way is no attempt yet: if this
    process ends before it is settled, the event is delivered again.
    """
    under_way = entry.lease is not None and entry.lease.held
    return Retry(
        position=entry.position,
        key=entry.key,
        attempts=entry.attempts - under_way,
        due_us=entry.due_us,
        reason=entry.reason,
        extra=entry.extra,
    )


def entity_key(tenant_id: str, entity_type: str, entity_id: str) -> str:
    """Returns what orders the events of one entity."""
    return f"{tenant_id}{_BETWEEN}{entity_type}{_BETWEEN}{entity_id}"
