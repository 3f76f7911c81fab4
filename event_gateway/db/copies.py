"""Who keeps copies of events, and who erases them: they wait for each other.

Owns the lock by which they do, to the end of a transaction. Called by whatever keeps, moves or
drops what consumers set aside, before it touches any of that, and by erasure. It comes after the
rows of consumers and endpoints and before the log. Never touches a copy.
"""

from servicekit import storage

_LOCK = 7_291_046_558
# Each sees all that the others of the other kind did: a copy of an event that is not committed yet
# is seen by no erasure, nor is that by who copies the event.
_KEEPING = storage.Statement("select 1", postgresql=f"select pg_advisory_xact_lock_shared({_LOCK})")
_ERASING = storage.Statement("select 1", postgresql=f"select pg_advisory_xact_lock({_LOCK})")


def keep_erasure_out(conn: storage.Connection) -> None:
    """Waits for an erasure, and lets others wait until the transaction ends."""
    conn.one(_KEEPING)


def keep_others_out(conn: storage.Connection) -> None:
    """Waits for who keeps, moves or drops copies, and lets others of them wait likewise."""
    conn.one(_ERASING)
