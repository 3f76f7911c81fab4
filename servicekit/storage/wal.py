"""The write-ahead log of a SQLite file: seeing that it has grown, and beginning it anew.

SQLite begins it anew by itself once no read needs it. Where reads overlap that never comes, and
the file grows for as long. Owns when that is to end, and ending it. Called by the writer between
two transactions. Never keeps a read waiting.
"""

import contextlib
import pathlib
import sqlite3
import time

# A thousand pages, 4 MiB, are usual.
BYTES_MAX = 64 * 1024 * 1024
# Transactions from one look at the file to the next.
LOOK_EVERY = 100
# Reads that are open are waited for so long, seconds, and writes with them; and then for so long
# nothing is tried.
WAIT_S = 1.0
PAUSE_S = 5.0


class Wal:
    """See the module.

    Args:
        path: Of the database.
    """

    def __init__(self, path: str) -> None:
        self._path = pathlib.Path(f"{path}-wal")
        self._transactions = 0
        self._not_before_s = float("-inf")

    def has_grown(self) -> bool:
        """Whether to begin it anew now; called after every transaction."""
        self._transactions += 1
        if self._transactions % LOOK_EVERY or time.monotonic() < self._not_before_s:
            return False
        try:
            return self._path.stat().st_size > BYTES_MAX
        except OSError:
            return False

    def begin_anew(self, raw: sqlite3.Connection, timeout_s: float) -> bool:
        """Writes all of it into the database and empties it; False if reads stay open for long.

        What begins to read meanwhile needs nothing of it. *raw* waits for locks for *timeout_s*
        otherwise, and is in no transaction.
        """
        self._not_before_s = time.monotonic() + PAUSE_S
        is_kept = True
        with contextlib.suppress(sqlite3.Error):
            raw.execute(f"pragma busy_timeout = {round(WAIT_S * 1000)}")
            is_kept, _, _ = raw.execute("pragma wal_checkpoint(truncate)").fetchone()
        raw.execute(f"pragma busy_timeout = {round(timeout_s * 1000)}")
        return not is_kept
