"""How durable consumers and what they have parked are shown.

Owns the contract's messages about what is stored. Called by ConsumerService. Never
writes.
"""

from payhub.events.v1 import consumer_pb2, event_pb2
from payhub.events.v1 import consumer_service_pb2 as pb
from payhub.events.v1 import event_stream_service_pb2 as stream_pb

from event_gateway import cursor, matching, splice
from event_gateway.consumers import definition
from event_gateway.db import consumers, lag, parking, progress
from servicekit import storage

# How much of the time that the log keeps an event has passed when what is left of it is shown.
_HEADROOM_SHARE = 0.75


def described(
    conn: storage.Connection,
    stored: consumers.Stored,
    *,
    epoch: int,
    now_us: int,
    kept_us: int,
    rows_max: int,
) -> pb.GetConsumerResponse:
    """Returns a consumer and how it does.

    Args:
        conn: The snapshot it is read from.
        stored: The consumer.
        epoch: The log's, for cursors.
        now_us: Epoch microseconds.
        kept_us: How long the log keeps what is not dealt with; 0: for ever.
        rows_max: Events of the log to look at.
    """
    selection = definition.read(stored).matcher.selection
    counts = progress.counts(conn, stored.tenant_id, stored.name)
    backlog = lag.backlog(conn, selection, stored.place, retries=counts.passed, rows_max=rows_max)
    status = consumer_pb2.ConsumerStatus(
        ack_floor_cursor=cursor.encode(epoch, stored.floor),
        backlog=backlog.count,
        backlog_estimated=backlog.estimated,
        outstanding=stored.outstanding if stored.owner else 0,
        retrying=counts.retrying,
        parked=counts.parked,
        members=stored.members if stored.owner else 0,
        owner=stored.owner,
        skipped_entries=backlog.skipped,
    )
    firsts = {each for each in (backlog.oldest, counts.oldest_passed) if each}
    found = progress.events(conn, stored.tenant_id, stored.name, firsts) if firsts else {}
    ages_us = {position: _age_us(chunk, now_us) for position, chunk in found.items()}
    if ages_us:
        status.oldest_unsettled_age.FromMicroseconds(max(ages_us.values()))
    # Of what was put back there is a copy, which retention leaves.
    age_us = ages_us.get(backlog.oldest, 0)
    if kept_us and age_us > _HEADROOM_SHARE * kept_us:
        status.retention_headroom.FromMicroseconds(max(kept_us - age_us, 0))
    return pb.GetConsumerResponse(consumer=definition.shown(stored), status=status)


def parked_event(row: parking.Parked) -> consumer_pb2.ParkedEvent:
    """Returns an event that was set aside."""
    shown = consumer_pb2.ParkedEvent(
        reason=row.reason,
        attempts=row.attempts,
        park_time=splice.timestamp(row.parked_us),
        blocked=row.blocked,
        position=row.position,
        skipped_entries=row.skipped,
    )
    if row.event is not None:
        shown.event.ParseFromString(row.event)
    return shown


def selected(spec: event_pb2.Filter, parked: consumer_pb2.ParkedEvent) -> bool:
    """Whether a filter selects an event that was set aside; a marker only if it names nothing."""
    if not parked.HasField("event"):
        return spec == event_pb2.Filter()
    event = parked.event
    matcher = matching.Matcher((event.tenant_id,), spec)
    return matcher.matches(event.tenant_id, event.type, event.entity_type, event.entity_id)


def _age_us(chunk: bytes, now_us: int) -> int:
    event = stream_pb.GetEventResponse.FromString(chunk).event
    return max(now_us - event.append_time.ToMicroseconds(), 0)
