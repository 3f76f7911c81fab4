"""The life of the log: begins a new one when an older state was restored.

Owns changing the epoch, and bringing consumers back to a log that is shorter than their
places. Called by the operator's command, and by a gateway that sees its log go back; the
first epoch comes with the migration.
"""

from collections.abc import Iterable, Sequence

from event_gateway.consumers import place
from event_gateway.db import copies
from servicekit import storage

_CURRENT = storage.Statement(
    "select epoch, head from log_head where log = 'main'",
    postgresql="select epoch, head from log_head where log = 'main' for update",
)
_BEGIN = storage.Statement("update log_head set epoch = :epoch where log = 'main'")
_PLACES = storage.Statement(
    "select tenant_id, name, floor, runs from consumer order by tenant_id, name",
    postgresql="select tenant_id, name, floor, runs from consumer order by tenant_id, name "
    "for update",
)
# Of every consumer: who runs one reads it anew, and writes nothing of what it has in memory.
_MOVE = storage.Statement(
    "update consumer set floor = :floor, runs = :runs, generation = generation + 1, "
    "change_count = change_count + 1 where tenant_id = :tenant_id and name = :name"
)
# Of lost events: other ones take their positions.
_FORGET = tuple(
    storage.Statement(f"delete from {table} where position > :head")
    for table in ("consumer_retry", "consumer_parked", "webhook_delivery", "webhook_attempt")
)


def begin(conn: storage.Connection, fresh: int) -> int:
    """Makes *fresh* (a random number below 2**32) the epoch, and returns what it is now."""
    places = _places(conn)
    return _begin(conn, fresh, places, *_log(conn))


def begin_if_lost(conn: storage.Connection, fresh: int, *, epoch: int, head: int) -> bool:
    """Begins an epoch if the log is still the one of *epoch*, which was seen to go back to *head*.

    Others may have appended since: what was settled above *head* may be what was lost.
    """
    places = _places(conn)
    current, reached = _log(conn)
    if current != epoch:
        return False
    _begin(conn, fresh, places, current, min(head, reached))
    return True


def _places(conn: storage.Connection) -> Sequence[storage.Row]:
    """Locks in the order of those who write down the progress of consumers."""
    places = conn.all(_PLACES)
    copies.keep_erasure_out(conn)
    return places


def _log(conn: storage.Connection) -> tuple[int, int]:
    row = conn.one(_CURRENT)
    assert row is not None, "the migration that makes log_head fills it"
    return row[0], row[1]


def _begin(
    conn: storage.Connection, fresh: int, places: Iterable[storage.Row], current: int, head: int
) -> int:
    epoch = fresh if fresh != current else fresh ^ 1
    conn.run(_BEGIN, {"epoch": epoch})
    for forget in _FORGET:
        conn.run(forget, {"head": head})
    for tenant_id, name, floor, runs in places:
        kept = place.decode(floor, bytes(runs))
        if floor > head or any(upto > head for _, upto in kept.runs):
            # What was settled above it comes again, if it does, at other positions.
            kept = place.Place(min(floor, head))
        conn.run(
            _MOVE,
            {"tenant_id": tenant_id, "name": name, "floor": kept.floor, "runs": kept.encode()},
        )
    return epoch
