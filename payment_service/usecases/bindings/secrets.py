"""Secrets at rest: encrypted under keys that core is given, the newest first.

Owns the form in which a binding's secrets are kept. Called by the use cases of bindings and
at start. Never logs a value: what it raises names bindings, slots and settings only.
"""

import base64
import json
import pathlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from cryptography import fernet

from payment_service.db import bindings
from servicekit import encryption_keys, storage

CHECK_BATCH = 50
_VARIABLE = "PAYMENT_SERVICE_ENCRYPTION_KEYS"
_PATH_VARIABLE = "PAYMENT_SERVICE_ENCRYPTION_KEY_PATH"


class SecretsUnreadable(Exception):
    """A binding's secrets can't be decrypted with any key at hand.

    Args:
        binding_id: Whose they are.
    """

    def __init__(self, binding_id: str) -> None:
        super().__init__(f"the secrets of binding {binding_id} can't be decrypted")
        self.binding_id = binding_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One version of one secret. `expire_us` is 0 if it does not expire."""

    slot: str
    version: int
    value: bytes = field(repr=False)
    created_us: int = 0
    expire_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A secret on its way in.

    `previous_expire_us` is until when the value it replaces is still good, 0 if it goes
    at once.
    """

    slot: str
    value: bytes = field(repr=False)
    expire_us: int = 0
    previous_expire_us: int = 0


Secrets = tuple[Secret, ...]


class Vault:
    """Encrypts and decrypts the secrets of bindings.

    Args:
        keys: Fernet keys, newest first; the first encrypts, all decrypt.

    Raises:
        ValueError: There is none, or one is malformed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        opened = encryption_keys.opened(keys)
        self._newest = opened[0]
        self._all = fernet.MultiFernet(opened)

    def seal(self, binding_id: str, secrets: Secrets) -> bytes:
        """Returns *secrets* as ciphertext that opens for this binding only; b"" for none."""
        if not secrets:
            return b""
        return self._newest.encrypt(dump(binding_id, secrets))

    def open(self, binding_id: str, ciphertext: bytes) -> Secrets:
        """Returns what `seal` was given.

        Raises:
            SecretsUnreadable: No key fits, or they were sealed for another binding.
        """
        if not ciphertext:
            return ()
        try:
            return load(binding_id, self._all.decrypt(ciphertext))
        except (fernet.InvalidToken, ValueError):
            raise SecretsUnreadable(binding_id) from None

    def renewed(self, ciphertext: bytes) -> bytes | None:
        """Returns the same secrets under the newest key, or None if they are under it.

        Raises:
            fernet.InvalidToken: No key fits.
        """
        try:
            self._newest.decrypt(ciphertext)
        except fernet.InvalidToken:
            return self._all.rotate(ciphertext)
        return None


def dump(binding_id: str, secrets: Secrets) -> bytes:
    """Returns secrets as text that says whose they are, to be encrypted at once.

    A ciphertext that somebody copied to another binding's row does not open there.
    """
    content = [
        [
            each.slot,
            each.version,
            base64.b64encode(each.value).decode(),
            each.created_us,
            each.expire_us,
        ]
        for each in secrets
    ]
    return json.dumps({"binding_id": binding_id, "secrets": content}).encode()


def load(binding_id: str, text: bytes) -> Secrets:
    """Returns what `dump` was given.

    Raises:
        ValueError: It is no such text, or of another binding.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("binding_id") != binding_id:
        raise ValueError("sealed for another binding")
    return tuple(
        Secret(
            slot=slot,
            version=version,
            value=base64.b64decode(value),
            created_us=created_us,
            expire_us=expire_us,
        )
        for slot, version, value, created_us, expire_us in content["secrets"]
    )


def merge(held: Secrets, given: Sequence[Given], removed: Collection[str], now_us: int) -> Secrets:
    """Returns the secrets after a change, at most two versions of a slot.

    Args:
        held: What the binding has.
        given: New values; each becomes the highest version of its slot, and what was
            the highest stays beside it for as long as it is still good.
        removed: Slots to empty.
        now_us: The time of the change.
    """
    highest: dict[str, Secret] = {}
    for each in held:
        if each.slot not in highest or each.version > highest[each.slot].version:
            highest[each.slot] = each
    fresh = {each.slot: each for each in given}
    merged = [each for each in held if each.slot not in fresh and each.slot not in removed]
    for slot, value in fresh.items():
        former = highest.get(slot)
        merged.append(
            Secret(
                slot=slot,
                version=former.version + 1 if former else 1,
                value=value.value,
                created_us=now_us,
                expire_us=value.expire_us,
            )
        )
        if former is not None and value.previous_expire_us > now_us:
            merged.append(replace(former, expire_us=value.previous_expire_us))
    return tuple(sorted(merged, key=lambda each: (each.slot, each.version)))


def in_force(secrets: Secrets, now_us: int) -> Secrets:
    """Returns the secrets without replaced versions whose time is over."""
    newest: dict[str, int] = {}
    for each in secrets:
        newest[each.slot] = max(newest.get(each.slot, 0), each.version)
    return tuple(
        each for each in secrets if each.version == newest[each.slot] or each.expire_us > now_us
    )


def same(one: Secrets, other: Secrets) -> bool:
    """Whether two sets hold the same newest values."""
    return _newest(one) == _newest(other)


def changed_slots(one: Secrets, other: Secrets) -> list[str]:
    """Returns the slots whose newest value differs, sorted."""
    before, after = _newest(one), _newest(other)
    return sorted(s for s in before.keys() | after.keys() if before.get(s) != after.get(s))


def _newest(secrets: Secrets) -> dict[str, bytes]:
    ordered = sorted(secrets, key=lambda each: each.version)
    return {each.slot: each.value for each in ordered}


def find_keys(text: str | None, path: pathlib.Path | None) -> list[str]:
    """Returns the encryption keys of this installation, newest first.

    Args:
        text: The setting, if given.
        path: A file to read instead; made, readable by its owner only, if it is missing.

    Raises:
        encryption_keys.KeyProblem: Neither is given, or the file is of no use.
    """
    if text is not None:
        return encryption_keys.parse(text)
    if path is None:
        raise encryption_keys.KeyProblem(
            f"{_VARIABLE}: required with PostgreSQL, where every replica needs the same keys; "
            f"set it, or {_VARIABLE}_FILE, or {_PATH_VARIABLE}; make one with: "
            "python -m payment_service new-encryption-key"
        )
    return encryption_keys.read_or_make(path, _PATH_VARIABLE)


async def check(db: storage.Database, vault: Vault) -> None:
    """Proves at start that every stored secret can be decrypted.

    Raises:
        encryption_keys.KeyProblem: One can't: the key it was written with is missing.
    """
    unreadable: list[str] = []
    after: bindings.Sealed | None = None
    while found := await batch(db, after, CHECK_BATCH):
        for sealed in found:
            if sealed.generation == 0:
                try:
                    vault.open(sealed.binding_id, sealed.secrets)
                except SecretsUnreadable:
                    unreadable.append(sealed.binding_id)
        after = found[-1]
        if after.generation:
            break
    if unreadable:
        named = ", ".join(unreadable[:3]) + (" and others" if len(unreadable) > 3 else "")
        raise encryption_keys.KeyProblem(
            f"{_VARIABLE}: none of these keys decrypts the secrets of {len(unreadable)} "
            f"binding(s) ({named}); add the key they were written with, after the newest one. "
            "If it is lost for good: python -m payment_service rotate-encryption-key "
            "--drop-unreadable, and then give those secrets anew"
        )


async def batch(
    db: storage.Database, after: bindings.Sealed | None, most: int
) -> list[bindings.Sealed]:
    """Returns the next *most* ciphertexts, of bindings first, then of their versions."""
    return await db.read(lambda conn: bindings.sealed_after(conn, after, most))
