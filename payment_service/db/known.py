"""Whether an event of the log is or was in this outbox.

Owns the table `log_known`: for each epoch of the log, the position up to which events have been
pruned from the outbox. Called by the relay, and by a recovery that has read the log. Never decides.
"""

from payment_service.db import outbox
from servicekit import storage

_NOTE = storage.Statement(
    "insert into log_known (log_epoch, log_position) values (:epoch, :position) "
    "on conflict (log_epoch) do update set log_position = excluded.log_position "
    "where excluded.log_position > log_known.log_position"
)
_HAS_LEFT = storage.Statement(
    "select 1 from log_known where log_epoch = :epoch and log_position >= :position"
)
_IS_MARKED = storage.Statement(
    "select 1 from outbox where log_epoch <> '' and log_epoch = :epoch "
    "and log_position = :position and event_id = :event_id"
)
_IS_PASSED = storage.Statement(
    "select 1 from outbox where log_epoch <> '' and log_epoch = :epoch "
    "and log_position > :position limit 1"
)
_NEXT_EPOCH = storage.Statement(
    "select log_epoch from outbox where log_epoch <> '' and log_epoch > :epoch "
    "order by log_epoch limit 1"
)
# What was published last is among the oldest that wait, so this ends soon.
_WAITS = storage.Statement(
    "select 1 from (select event_id from outbox where log_epoch = '' order by id limit :most) "
    "as waiting where event_id = :event_id limit 1"
)


def note(conn: storage.Connection, epoch: str, position: int) -> None:
    """Notes that every event of this service up to a place of the log is or was here."""
    if position:
        conn.run(_NOTE, {"epoch": epoch, "position": position})


def is_missing(conn: storage.Connection, epoch: str, position: int, event_id: str) -> bool:
    """Whether an event was surely never in this outbox.

    It was or may have been here if it is marked in some epoch, lies before an event that is,
    waits for its mark, or has been pruned. If more rows wait than are looked at, it may be
    among the others.
    """
    place = {"epoch": epoch, "position": position}
    if conn.one(_HAS_LEFT, place):
        return False
    # A log that was restored has the event at the same place under another epoch.
    marked = {"epoch": "", "position": position, "event_id": event_id}
    while row := conn.one(_NEXT_EPOCH, {"epoch": marked["epoch"]}):
        marked["epoch"] = row[0]
        if conn.one(_IS_MARKED, marked):
            return False
    # Of an older version: gateways note no newest event, and relays not what they delete.
    if conn.one(_IS_PASSED, place):
        return False
    if conn.one(_WAITS, {"event_id": event_id, "most": outbox.COUNT_MAX}):
        return False
    return outbox.count_waiting(conn) < outbox.COUNT_MAX
