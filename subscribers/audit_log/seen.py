"""Which events the log holds, so that none is written twice however often it comes.

Owns a small SQLite file beside the log. It is derived from the log alone: one that is lost,
damaged, of another log or of an older form is made anew. Called by the writer.
"""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterable

from subscribers.audit_log import entries

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS seen (
  tenant_id TEXT, event_id TEXT, PRIMARY KEY (tenant_id, event_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (
  only INTEGER PRIMARY KEY CHECK (only = 1), sequence INTEGER, hash TEXT, end_bytes INTEGER
);
"""


# Tenant and id of an event: ids are unique per tenant.
Key = tuple[str, str]


class Seen:
    """The events of the entries up to a place in the log. For one thread at a time."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        try:
            self._database = self._open()
        except sqlite3.DatabaseError:
            self.forget()

    def place(self) -> tuple[entries.Head, int]:
        """Return the last entry whose id is known, and the bytes of the log up to its end."""
        row = self._database.execute("SELECT sequence, hash, end_bytes FROM place").fetchone()
        if row is None:
            return entries.Head(), 0
        return entries.Head(sequence=row[0], hash=row[1]), row[2]

    def has(self, key: Key) -> bool:
        """Tell whether the log holds the event."""
        query = "SELECT 1 FROM seen WHERE tenant_id = ? AND event_id = ?"
        return self._database.execute(query, key).fetchone() is not None

    def add(self, keys: Iterable[Key], head: entries.Head, end_bytes: int) -> None:
        """Remember the events of the entries up to `head`, all of them or none."""
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", keys)
            self._database.execute(
                "INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?)",
                (head.sequence, head.hash, end_bytes),
            )

    def forget(self) -> None:
        """Begin anew, with an empty file."""
        with contextlib.suppress(AttributeError):
            self._database.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._database = self._open()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, check_same_thread=False)
        try:
            database.executescript(_SCHEMA)
            database.execute("SELECT sequence, hash, end_bytes FROM place").fetchone()
            database.execute("SELECT tenant_id, event_id FROM seen").fetchone()
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database
