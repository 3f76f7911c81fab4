"""Secrets of endpoints at rest: encrypted under keys that the gateway is given.

Owns the form in which secrets are kept. Called by the API and by workers. Never logs
a value.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import grpc
from cryptography import fernet

from servicekit import encryption_keys, errors

VARIABLE = "EVENT_GATEWAY_ENCRYPTION_KEYS"
# A rotation keeps the one before; what is older goes.
SECRETS_MAX = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One secret; `expire_us` is 0 for the newest one."""

    value: str = dataclasses.field(repr=False)
    expire_us: int = 0


class Vault:
    """Encrypts and decrypts the secrets of endpoints.

    Args:
        keys: Fernet keys, newest first; the first encrypts, all decrypt. Without any it refuses.

    Raises:
        ValueError: One is malformed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._all = fernet.MultiFernet(encryption_keys.opened(keys)) if keys else None

    def seal(self, endpoint_id: str, secrets: Sequence[Secret]) -> bytes:
        """Returns *secrets* as ciphertext that opens for this endpoint only.

        Raises:
            errors.RpcError: ENCRYPTION_KEY_MISSING.
        """
        content = [[each.value, each.expire_us] for each in secrets]
        text = json.dumps({"endpoint_id": endpoint_id, "secrets": content})
        return self._keys(endpoint_id).encrypt(text.encode())

    def open(self, endpoint_id: str, sealed: bytes) -> list[Secret]:
        """Returns what `seal` was given.

        Raises:
            errors.RpcError: ENCRYPTION_KEY_MISSING, no key fits.
        """
        try:
            content = json.loads(self._keys(endpoint_id).decrypt(sealed))
        except fernet.InvalidToken:
            raise _missing(endpoint_id) from None
        if content["endpoint_id"] != endpoint_id:
            raise _missing(endpoint_id)
        return [Secret(value=value, expire_us=expire_us) for value, expire_us in content["secrets"]]

    def opens(self, endpoint_id: str, sealed: bytes) -> bool:
        """Whether a key fits."""
        try:
            self.open(endpoint_id, sealed)
        except errors.RpcError:
            return False
        return True

    def renewed(self, endpoint_id: str, sealed: bytes) -> bytes:
        """Returns the same secrets under the newest key.

        Raises:
            errors.RpcError: ENCRYPTION_KEY_MISSING, no key fits.
        """
        return self.seal(endpoint_id, self.open(endpoint_id, sealed))

    def _keys(self, endpoint_id: str) -> fernet.MultiFernet:
        if self._all is None:
            raise _missing(endpoint_id)
        return self._all


def live(secrets: Sequence[Secret], now_us: int) -> list[str]:
    """Returns the secrets that sign now, newest first."""
    return [each.value for each in secrets if not each.expire_us or each.expire_us > now_us]


def rotated(secrets: Sequence[Secret], fresh: str, expire_us: int) -> list[Secret]:
    """Returns *secrets* with *fresh* before them; the newest so far signs until *expire_us*."""
    kept = [dataclasses.replace(each, expire_us=expire_us) for each in secrets[:1]]
    return [Secret(value=fresh), *kept][:SECRETS_MAX]


def find_keys(text: str | None, path: pathlib.Path | None) -> list[str]:
    """Returns the encryption keys of this installation, newest first; none if none is given.

    Args:
        text: The setting, if given.
        path: A file to read instead; made, readable by its owner only, if it is missing.

    Raises:
        encryption_keys.KeyProblem: The file is of no use.
    """
    if text is not None:
        return encryption_keys.parse(text)
    if path is None:
        return []
    return encryption_keys.read_or_make(path, "EVENT_GATEWAY_ENCRYPTION_KEY_PATH")


def _missing(endpoint_id: str) -> errors.RpcError:
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "ENCRYPTION_KEY_MISSING",
        f"the gateway has no key for the secrets of webhook endpoints: set {VARIABLE}",
        metadata={"endpoint_id": endpoint_id},
    )
