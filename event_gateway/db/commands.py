"""Idempotency keys of commands: what a repeated request is answered.

Owns the rows of `command_key`. Called inside the transaction that carries a
command out. Never keeps a secret: results are ids, places and counts.
"""

import dataclasses

from servicekit import storage

# The contract promises 30 days.
KEPT_US = 40 * 86_400 * 1_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One request that is carried out once."""

    tenant_id: str
    command: str
    key: str
    fingerprint: bytes


class KeyReused(Exception):
    """The key came with another request before."""


_FIND = storage.Statement(
    "select fingerprint, result from command_key where tenant_id = :tenant_id "
    "and command = :command and idempotency_key = :key"
)
_KEEP = storage.Statement(
    "insert into command_key (tenant_id, command, idempotency_key, fingerprint, result, create_us) "
    "values (:tenant_id, :command, :key, :fingerprint, :result, {now_us})"
)
_FORGET = storage.Statement("delete from command_key where create_us < {now_us} - :kept_us")


def recall(conn: storage.Connection, command: Command) -> bytes | None:
    """Returns the result of an earlier request with this key, or None.

    Raises:
        KeyReused: That was another request.
    """
    row = conn.one(
        _FIND,
        {"tenant_id": command.tenant_id, "command": command.command, "key": command.key},
    )
    if row is None:
        return None
    if bytes(row[0]) != command.fingerprint:
        raise KeyReused(command.key)
    return bytes(row[1])


def keep(conn: storage.Connection, command: Command, result: bytes) -> None:
    """Remembers *result*; of two requests at once, one fails in the database."""
    conn.run(
        _KEEP,
        {
            "tenant_id": command.tenant_id,
            "command": command.command,
            "key": command.key,
            "fingerprint": command.fingerprint,
            "result": result,
        },
    )


def forget_old(conn: storage.Connection) -> int:
    """Drops keys that are older than anything promises; returns how many."""
    return conn.run(_FORGET, {"kept_us": KEPT_US})
