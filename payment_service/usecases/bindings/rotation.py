"""Rotating the encryption key: every stored secret under the newest one.

Owns the walk over all rows. Called by the API and by the command that runs it alone. May
run beside serving processes and may be repeated.
"""

from dataclasses import dataclass

import grpc
from cryptography import fernet

from payment_service.db import bindings
from payment_service.usecases import context
from payment_service.usecases.bindings import secrets
from servicekit import errors, logs, storage

_log = logs.get_logger(__name__)

# A row holds at most some MiB of ciphertext, most hold some hundred bytes.
BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How many rows were encrypted anew, were under the newest key already, can't be read,
    or were emptied because of that.
    """

    renewed: int = 0
    current: int = 0
    unreadable: tuple[str, ...] = ()
    dropped: int = 0


class Rotation:
    """The use case of rotating."""

    def __init__(self, ctx: context.Context, vault: secrets.Vault) -> None:
        self._ctx = ctx
        self._vault = vault

    async def run(self, caller: context.Caller, reason: str) -> Rotated:
        """Rotates and returns what was done.

        Raises:
            errors.RpcError: ENCRYPTION_KEY_MISSING, if some can't be read; the others are
                done.
        """
        done = await rotate(self._ctx.db, self._vault)
        _log.info(
            "encryption key rotated",
            renewed=done.renewed,
            current=done.current,
            unreadable=len(done.unreadable),
            actor=caller.actor,
            reason=reason,
        )
        if done.unreadable:
            raise errors.RpcError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "ENCRYPTION_KEY_MISSING",
                f"{done.renewed} rows were encrypted anew; {len(done.unreadable)} can't be "
                "decrypted with any key at hand: start the service with the key they were "
                "written with, after the newest one, and repeat",
                metadata={"binding_id": done.unreadable[0]},
            )
        return done


async def rotate(
    db: storage.Database, vault: secrets.Vault, *, drop_unreadable: bool = False
) -> Rotated:
    """Encrypts every stored secret under the newest key, batch by batch.

    A row that is written meanwhile is under the newest key already. With *drop_unreadable*
    secrets that no key decrypts are removed, so that new ones can be given.
    """
    renewed = current = dropped = 0
    unreadable: dict[str, None] = {}
    after: bindings.Sealed | None = None
    while batch := await secrets.batch(db, after, BATCH):
        fresh: list[tuple[bindings.Sealed, bytes]] = []
        lost: list[tuple[bindings.Sealed, bytes]] = []
        for sealed in batch:
            try:
                again = vault.renewed(sealed.secrets)
            except fernet.InvalidToken:
                unreadable[sealed.binding_id] = None
                lost.append((sealed, b""))
                continue
            if again is None:
                current += 1
            else:
                fresh.append((sealed, again))
        renewed += await _write(db, fresh)
        if drop_unreadable:
            dropped += await _write(db, lost)
        after = batch[-1]
    return Rotated(renewed=renewed, current=current, unreadable=tuple(unreadable), dropped=dropped)


async def _write(db: storage.Database, fresh: list[tuple[bindings.Sealed, bytes]]) -> int:
    if not fresh:
        return 0
    return await db.write(
        lambda conn: sum(bindings.reseal(conn, stale, again) for stale, again in fresh)
    )
