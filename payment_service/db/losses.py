"""Whether this database has lost what it had confirmed, and nobody has taken it back yet.

Owns the table `losses`, of one row at most, and finding which operations are missing. Called
by the witness of each process, and by the recovery, which ends it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from servicekit import storage

_FIND = storage.Statement("select found_us, detail from losses where id = 1")
_NOTE = storage.Statement(
    "insert into losses (id, found_us, detail) values (1, {now_us}, :detail) "
    "on conflict (id) do nothing"
)
_FORGET = storage.Statement("delete from losses where id = 1")
_PRESENT = storage.Statement(
    "select id from operations where id = any(cast(:operation_ids as text[]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What was found missing first, and when, epoch microseconds."""

    found_us: int
    detail: str


def find(conn: storage.Connection) -> Loss | None:
    """Returns the loss that stands."""
    row = conn.one(_FIND)
    return None if row is None else Loss(found_us=row[0], detail=row[1])


def note(conn: storage.Connection, detail: str) -> None:
    """Tells every process of a loss; one that stands already stays as it is."""
    conn.run(_NOTE, {"detail": detail})


def forget(conn: storage.Connection) -> None:
    """Ends it."""
    conn.run(_FORGET)


def missing(conn: storage.Connection, operation_ids: Sequence[str]) -> list[str]:
    """Returns those of *operation_ids* that are not here."""
    found = conn.all(_PRESENT, {"operation_ids": storage.array(conn, operation_ids)})
    present = {row[0] for row in found}
    return [each for each in operation_ids if each not in present]
