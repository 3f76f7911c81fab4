"""Sending again: what was given up, and what was delivered before.

Owns the choice of events to queue once more. Called by the API inside its
transaction. Never sends anything.
"""

from payhub.events.v1 import event_pb2

from event_gateway.consumers import definition, place, records
from event_gateway.db import consumers, lag, parking, webhooks
from servicekit import errors, storage

RETRIED_MAX = 1_000


def one(conn: storage.Connection, behind: consumers.Stored, event_id: str) -> int:
    """Queues one event that the endpoint wants; returns 0 if it waits to be sent anyway.

    Raises:
        errors.RpcError: RESOURCE_NOT_FOUND, or INVALID_FIELD for one it does not want.
    """
    parked = _given_up(conn, behind, event_id)
    if parked:
        return len(parking.resolve(conn, behind, parked, again=True).positions)
    found = webhooks.event_at(conn, behind.tenant_id, event_id)
    if found is None:
        raise errors.not_found("event", event_id)
    position, entity_type, entity_id, type_name = found
    matcher = definition.read(behind).matcher
    if not matcher.matches(behind.tenant_id, type_name, entity_type, entity_id):
        raise errors.invalid_field("event_id", "is of a type that the endpoint does not want")
    if not behind.place.covers(position):
        return 0
    queued = webhooks.send_again(
        conn,
        behind.tenant_id,
        behind.name,
        position=position,
        entity_key=records.entity_key(behind.tenant_id, entity_type, entity_id),
    )
    consumers.touch(conn, behind)
    return queued


def _given_up(
    conn: storage.Connection, behind: consumers.Stored, event_id: str
) -> list[parking.Parked]:
    """Returns the event if it was given up; looked for among the first RETRIED_MAX if the log no
    longer remembers its id.
    """
    position = webhooks.position_of(conn, behind.tenant_id, event_id)
    if position is not None:
        return parking.at(conn, behind.tenant_id, behind.name, [position])
    return [
        each
        for each in parking.page(conn, behind.tenant_id, behind.name, after=-1, rows=RETRIED_MAX)
        if each.event is not None and event_pb2.Event.FromString(each.event).id == event_id
    ]


def given_up_since(conn: storage.Connection, behind: consumers.Stored, since_us: int) -> int:
    """Queues what was given up at or after a moment, at most RETRIED_MAX events."""
    chosen = parking.since(conn, behind.tenant_id, behind.name, since_us=since_us, rows=RETRIED_MAX)
    return len(parking.resolve(conn, behind, chosen, again=True).positions)


def everything_after(conn: storage.Connection, behind: consumers.Stored, floor: int) -> int:
    """Moves the endpoint's place; returns about how many events that sends. What was given up
    behind it is sent with them.
    """
    selection = definition.read(behind).matcher.selection
    backlog = lag.backlog(conn, selection, place.Place(floor), retries=0)
    consumers.seek(conn, behind, floor, discard_parked=False)
    parking.forget_sent_again(conn, behind, selection, floor)
    return backlog.count
