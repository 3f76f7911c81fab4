"""The life of the log: begins a new one when an older state was restored.

Owns the one statement that changes the epoch. Called by the operator's command
only; the first epoch comes with the migration.
"""

from servicekit import storage

_CURRENT = storage.Statement(
    "select epoch from log_head where log = 'main'",
    postgresql="select epoch from log_head where log = 'main' for update",
)
_BEGIN = storage.Statement("update log_head set epoch = :epoch where log = 'main'")


def begin(conn: storage.Connection, fresh: int) -> int:
    """Makes *fresh* (a random number below 2**32) the epoch, and returns what it is now."""
    row = conn.one(_CURRENT)
    assert row is not None, "the migration that makes log_head fills it"
    epoch = fresh if fresh != row[0] else fresh ^ 1
    conn.run(_BEGIN, {"epoch": epoch})
    return epoch
