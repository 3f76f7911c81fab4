"""Secrets outside an installation: sealed with a key that is derived from a passphrase.

Owns the form of sealed secrets in exports. Called by exports, imports and backups. A sealed
text holds everything but the passphrase that opening it takes.
"""

import asyncio
import base64
import hashlib
import os

import grpc
from cryptography import fernet

from payment_service.usecases.bindings import secrets
from servicekit import errors

PASSPHRASE_CHARS_MIN = 12
_MAGIC = b"PHS1"
_SALT_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + 1 + _SALT_BYTES
# scrypt with 2**15 blocks of 1 KiB: about 0.1 s and 32 MiB for each guess.
_COST = 15
_COST_MAX = 17
_BLOCK = 8


def _derive(passphrase: str, salt: bytes, cost: int) -> fernet.Fernet:
    key = hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=2**cost,
        r=_BLOCK,
        p=1,
        maxmem=2**cost * 128 * _BLOCK * 2,
        dklen=32,
    )
    return fernet.Fernet(base64.urlsafe_b64encode(key))


class Sealer:
    """Seals secrets under one passphrase; make it with `sealer`."""

    def __init__(self, header: bytes, box: fernet.Fernet) -> None:
        self._header = header
        self._box = box

    def seal(self, binding_id: str, held: secrets.Secrets) -> bytes:
        """Returns secrets that open for this binding only; b"" for none."""
        if not held:
            return b""
        return self._header + self._box.encrypt(secrets.dump(binding_id, held))


async def sealer(passphrase: str) -> Sealer:
    """Returns a sealer with a salt of its own."""
    salt = os.urandom(_SALT_BYTES)
    box = await asyncio.to_thread(_derive, passphrase, salt, _COST)
    return Sealer(_MAGIC + bytes([_COST]) + salt, box)


class Opener:
    """Opens what was sealed under one passphrase; derives a key once per salt."""

    def __init__(self, passphrase: str) -> None:
        self._passphrase = passphrase
        self._boxes: dict[bytes, fernet.Fernet] = {}

    async def open(self, binding_id: str, sealed: bytes) -> secrets.Secrets:
        """Returns secrets in clear; none for b"".

        Raises:
            errors.RpcError: SEAL_INVALID.
        """
        if not sealed:
            return ()
        header, token = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        cost = header[len(_MAGIC)] if len(header) == _HEADER_BYTES else 0
        if not header.startswith(_MAGIC) or not 1 <= cost <= _COST_MAX:
            raise invalid("these are not sealed secrets")
        if header not in self._boxes:
            salt = header[-_SALT_BYTES:]
            self._boxes[header] = await asyncio.to_thread(_derive, self._passphrase, salt, cost)
        try:
            return secrets.load(binding_id, self._boxes[header].decrypt(token))
        except (fernet.InvalidToken, ValueError, KeyError, TypeError):
            raise invalid(
                "they were sealed with another passphrase or for another binding, or are damaged"
            ) from None


def invalid(why: str) -> errors.RpcError:
    """Sealed secrets can't be opened."""
    return errors.RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "SEAL_INVALID",
        f"the sealed secrets can't be opened, nothing is imported: {why}",
    )
