"""Idempotency keys of commands: what a repeated request is answered.

Owns the rows of `command_key`. Called by the API, inside the transaction that carries a
command out. Never keeps a secret: results are ids, places and counts.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from servicekit import storage

T = TypeVar("T")

# The contract promises 30 days.
KEPT_US = 40 * 86_400 * 1_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One request that is carried out once.

    `fingerprint` is of its normal form, `given` of what was sent, which versions without normal
    forms have stored.
    """

    tenant_id: str
    command: str
    key: str
    fingerprint: bytes
    given: bytes


class KeyReused(Exception):
    """The key came with another request before."""


class KeyTaken(Exception):
    """The same request was carried out at the same time: ask again, and find its result."""


_FIND = storage.Statement(
    "select fingerprint, result from command_key where tenant_id = :tenant_id "
    "and command = :command and idempotency_key = :key"
)
_KEEP = storage.Statement(
    "insert into command_key (tenant_id, command, idempotency_key, fingerprint, result, create_us) "
    "values (:tenant_id, :command, :key, :fingerprint, :result, {now_us}) "
    "on conflict (tenant_id, command, idempotency_key) do nothing"
)
_FORGET = storage.Statement("delete from command_key where create_us < :before_us")


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
    if bytes(row[0]) not in (command.fingerprint, command.given):
        raise KeyReused(command.key)
    return bytes(row[1])


def keep(conn: storage.Connection, command: Command, result: bytes) -> None:
    """Remembers *result*.

    Raises:
        KeyTaken: Another request with this key did so meanwhile; nothing must be written.
    """
    kept = conn.run(
        _KEEP,
        {
            "tenant_id": command.tenant_id,
            "command": command.command,
            "key": command.key,
            "fingerprint": command.fingerprint,
            "result": result,
        },
    )
    if not kept:
        raise KeyTaken(command.key)


async def carry_out(database: storage.Database, fn: Callable[[storage.Connection], T]) -> T:
    """Runs a transaction that calls `recall` and `keep`, again if its key was taken meanwhile.

    Raises:
        KeyReused: As `recall`.
    """
    try:
        return await database.write(fn)
    except KeyTaken:
        return await database.write(fn)


async def answered(database: storage.Database, command: Command) -> bytes | None:
    """Returns the result of *command* if it was carried out before, for a repeat that can't be
    checked any more: the place that it names may be gone.
    """
    try:
        return await database.read(lambda conn: recall(conn, command))
    except KeyReused:
        return None


def forget_old(conn: storage.Connection, aged_us: int) -> int:
    """Drops keys that are older than anything promises, by the time that they age by; returns how
    many.
    """
    return conn.run(_FORGET, {"before_us": aged_us - KEPT_US})
