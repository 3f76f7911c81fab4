"""Keys that encrypt what a process stores: Fernet keys, the newest first.

Owns their form in settings and in a file, and making them. Called by the settings of
processes and by what encrypts. Never shows a key: problems name settings and numbers.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import Annotated

import pydantic
from cryptography import fernet

from servicekit import secret_files

KEYS_MAX = 16


class KeyProblem(Exception):
    """Encryption keys are missing, can't be read, or are not those of what is stored."""


def new_key() -> str:
    """Return a fresh key."""
    return fernet.Fernet.generate_key().decode()


def parse(text: str) -> list[str]:
    """Return the keys in `text`: separated by commas, spaces or lines."""
    return [key for key in re.split(r"[\s,]+", text) if key]


def opened(keys: Sequence[str]) -> list[fernet.Fernet]:
    """Return what encrypts and decrypts with each of `keys`.

    Raises:
        ValueError: There is none, there are more than KEYS_MAX, or one is malformed.
    """
    how = "make one with the command new-encryption-key"
    if not keys:
        raise ValueError(f"holds no key; {how}")
    if len(keys) > KEYS_MAX:
        raise ValueError(f"holds {len(keys)} keys; at most {KEYS_MAX} are taken")
    found = []
    for number, key in enumerate(keys, 1):
        try:
            found.append(fernet.Fernet(key))
        except ValueError:
            raise ValueError(
                f"key {number} of {len(keys)} is not 32 bytes in URL-safe base64; {how}"
            ) from None
    return found


def read_or_make(path: pathlib.Path, variable: str) -> list[str]:
    """Return the keys in a file; one that is missing is made, readable by its owner only.

    Raises:
        KeyProblem: It can't be read or made, or holds something else; names `variable`.
    """
    try:
        keys = parse(secret_files.read_or_make(path, new_key))
        opened(keys)
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "not text"
        raise KeyProblem(f"{variable}: can't read or make {path} ({why})") from None
    except ValueError as problem:
        raise KeyProblem(f"{variable}: {path}: {problem}") from None
    return keys


def write(path: pathlib.Path, keys: Sequence[str]) -> None:
    """Write keys to a file that only its owner can read, whole or not at all."""
    secret_files.write(path, "\n".join(keys))


def _well_formed(text: pydantic.SecretStr) -> pydantic.SecretStr:
    opened(parse(text.get_secret_value()))
    return text


# What a process is told of them by its environment.
Setting = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_well_formed)]
