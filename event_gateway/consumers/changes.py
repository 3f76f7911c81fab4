"""Changes of consumers by others than who runs them: the row and its event, in one transaction.

Owns what belongs together when a consumer is made, changed, moved or deleted, and when parked
events are put back or dropped. Called by the API and by the tidying of groups with a connection.
Never decides whether to. What members do is told by no event: consumers get these events, too.
"""

import dataclasses
import enum
from collections.abc import Iterable

from payhub.events.v1 import consumer_events_pb2, consumer_pb2

from event_gateway import cursor, telling
from event_gateway.consumers import definition
from event_gateway.db import append, consumers, parking, progress, read
from servicekit import storage

# Of consumers that callers make; those of webhook endpoints tell nothing here.
KIND = "consumer"
ENTITY = "consumer"
POSITIONS_MAX = 1_000

Event = consumer_events_pb2.ConsumerEvent


class Change(enum.StrEnum):
    """What happened, as the types of events say it."""

    CREATED = enum.auto()
    UPDATED = enum.auto()
    SOUGHT = enum.auto()
    PARKED_REDRIVEN = enum.auto()
    PARKED_DISCARDED = enum.auto()
    DELETED = enum.auto()


def make(
    conn: storage.Connection,
    tenant_id: str,
    made: consumer_pb2.Consumer,
    *,
    floor: int,
    by: telling.By,
) -> consumers.Stored | None:
    """Makes a consumer that begins after position *floor*; None if one of that name exists."""
    if not consumers.create(
        conn,
        tenant_id,
        made.name,
        kind=KIND,
        definition=definition.encode(made),
        floor=floor,
        idle_expiry_us=made.idle_expiry.ToMicroseconds(),
        now_us=by.now_us,
    ):
        return None
    stored = consumers.get(conn, tenant_id, made.name)
    assert stored is not None, "it was made just now"
    _tell(conn, Change.CREATED, stored, Event(), by)
    return stored


def change(
    conn: storage.Connection,
    stored: consumers.Stored,
    after: consumer_pb2.Consumer,
    *,
    by: telling.By,
) -> consumers.Stored:
    """Replaces the definition of a consumer that was locked, by another one."""
    encoded = definition.encode(after)
    consumers.update(conn, stored, encoded, idle_expiry_us=after.idle_expiry.ToMicroseconds())
    before = consumer_pb2.Consumer.FromString(stored.definition)
    told = Event(previous=before)
    for field in before.DESCRIPTOR.fields:
        if getattr(before, field.name) == getattr(after, field.name):
            told.previous.ClearField(field.name)
        else:
            told.changed.paths.append(field.name)
    now = dataclasses.replace(stored, definition=encoded, revision=stored.revision + 1)
    _tell(conn, Change.UPDATED, now, told, by)
    return now


def seek(
    conn: storage.Connection,
    stored: consumers.Stored,
    floor: int,
    *,
    discard_parked: bool,
    by: telling.By,
) -> None:
    """Moves the place of a consumer that was locked. It is a change wherever it stood: what is in
    flight is void, and what was settled above the floor comes again.
    """
    told = _dropped(conn, stored) if discard_parked else Event()
    consumers.seek(conn, stored, floor, discard_parked=discard_parked)
    told.previous_cursor = cursor.encode(read.state(conn).epoch, stored.floor)
    told.previous_position = stored.floor
    now = dataclasses.replace(stored, floor=floor)
    _tell(conn, Change.SOUGHT, now, told, by)


def resolve(
    conn: storage.Connection,
    stored: consumers.Stored,
    chosen: Iterable[parking.Parked],
    *,
    again: bool,
    by: telling.By,
) -> parking.Resolved:
    """Puts parked events of a consumer that was locked back (*again*), or drops them."""
    done = parking.resolve(conn, stored, chosen, again=again)
    if done.positions or done.released:
        told = Event(
            parked=len(done.positions),
            parked_positions=sorted(done.positions)[:POSITIONS_MAX],
            released=done.released,
        )
        kind = Change.PARKED_REDRIVEN if again else Change.PARKED_DISCARDED
        _tell(conn, kind, stored, told, by)
    return done


def delete(conn: storage.Connection, stored: consumers.Stored, *, by: telling.By) -> None:
    """Deletes a consumer that was locked, with everything about it."""
    told = _dropped(conn, stored)
    consumers.delete(conn, stored.tenant_id, stored.name)
    _tell(conn, Change.DELETED, stored, told, by)


def delete_idle(conn: storage.Connection, *, aged_us: int, by: telling.By) -> list[tuple[str, str]]:
    """Deletes up to `consumers.IDLE_MAX` consumers that no member asked for in time; returns
    tenants and names.
    """
    gone = consumers.lock_idle(conn, aged_us)
    for stored in gone:
        delete(conn, stored, by=by)
    return [(stored.tenant_id, stored.name) for stored in gone]


def _dropped(
    conn: storage.Connection, stored: consumers.Stored
) -> consumer_events_pb2.ConsumerEvent:
    """Returns an event that says what is parked and about to be dropped."""
    count = progress.counts(conn, stored.tenant_id, stored.name).parked
    some = parking.page(
        conn, stored.tenant_id, stored.name, after=-1, rows=POSITIONS_MAX, bare=True
    )
    return Event(parked=count, parked_positions=[each.position for each in some])


def _tell(
    conn: storage.Connection,
    what: Change,
    stored: consumers.Stored,
    told: consumer_events_pb2.ConsumerEvent,
    by: telling.By,
) -> None:
    told.consumer.CopyFrom(definition.shown(stored))
    told.cursor = cursor.encode(read.state(conn).epoch, stored.floor)
    told.position = stored.floor
    if told.ByteSize() > telling.DATA_BYTES_MAX:
        told.shortened = True
        for one in (told.consumer, told.previous):
            # Nothing else is long.
            if one.filter.entity_ids:
                one.filter.ClearField("entity_ids")
    # Last, since nobody else appends from here on. The name may have been used before.
    version = append.next_version(conn, stored.tenant_id, ENTITY, stored.name)
    entity = telling.Entity(
        tenant_id=stored.tenant_id, kind=ENTITY, id=stored.name, version=version
    )
    telling.tell(conn, f"{ENTITY}.{what}", entity, told, by=by)
