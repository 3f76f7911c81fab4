"""PEM files for TLS, and what is made of them for as long as they are replaced.

Owns checking files and noticing that they have changed. Called by `tls`, and by `payhub_client`,
which is why it needs nothing but Python. Never writes what a key file holds.
"""

import pathlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

# Certificates and keys of a process; larger files are something else.
FILE_BYTES_MAX = 1 << 20

T = TypeVar("T")


class Unusable(ValueError):
    """Files that can't be used: names them, and says what they should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """PEM files; each may be missing, but a certificate and its key belong together.

    Attributes:
        cert: The certificate of this process, and those between it and the authority.
        key: Its private key, without a passphrase.
        ca: Authorities that certify whom this process calls.
        client_ca: Authorities that certify who may call this process.
    """

    cert: pathlib.Path | None = None
    key: pathlib.Path | None = None
    ca: pathlib.Path | None = None
    client_ca: pathlib.Path | None = None

    def check(self) -> None:
        """Raises Unusable if something is missing, unreadable, or does not fit together."""
        if (self.cert is None) != (self.key is None):
            raise Unusable("tls_cert_path and tls_key_path belong together; set both")
        if self.client_ca is not None and self.cert is None:
            raise Unusable("tls_client_ca_path needs tls_cert_path and tls_key_path")
        if self.cert is not None and self.key is not None:
            _check_pair(self.cert, self.key)
        for path in (self.ca, self.client_ca):
            if path is not None:
                _check_authorities(path)

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """Those that there are."""
        return tuple(each for each in (self.cert, self.key, self.ca, self.client_ca) if each)


class Followed(Generic[T]):
    """What is made of files, and made anew once they have changed.

    Files that are just being replaced do not fit together for a moment: meanwhile what was made
    of the former ones is used on.

    Args:
        files: What is followed.
        make: Makes it of files that were checked; may raise Unusable.
        renewed: Called each time it was made anew.
        unusable: Called with why the files can't be used, once for each reason in turn.

    Raises:
        Unusable: The files can't be used as they are.
    """

    def __init__(
        self,
        files: Files,
        make: Callable[[Files], T],
        *,
        renewed: Callable[[], None],
        unusable: Callable[[str], None],
    ) -> None:
        self._files, self._make = files, make
        self._renewed, self._unusable = renewed, unusable
        self._problem = ""
        self._state = self._look()
        self._made = self._made_of_files()

    def current(self) -> T:
        """Returns what the files hold, the same object for as long as they have not changed."""
        try:
            state = self._look()
            if state == self._state:
                return self._made
            made = self._made_of_files()
            if self._look() != state:
                # Of which of them it was made nobody knows.
                return self._made
        except Unusable as problem:
            if str(problem) != self._problem:
                self._problem = str(problem)
                self._unusable(self._problem)
            return self._made
        self._state, self._made, self._problem = state, made, ""
        self._renewed()
        return made

    def _made_of_files(self) -> T:
        self._files.check()
        return self._make(self._files)

    def _look(self) -> list[tuple[int, int, int]]:
        found = []
        for path in self._files.paths:
            try:
                each = path.stat()
            except OSError as failure:
                raise _unreadable(path, failure) from None
            found.append((each.st_mtime_ns, each.st_size, each.st_ino))
        return found


def read(path: pathlib.Path) -> bytes:
    """Returns what *path* holds.

    Raises:
        Unusable: It can't be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as failure:
        raise _unreadable(path, failure) from None
    if len(content) > FILE_BYTES_MAX:
        raise Unusable(f"{path} is larger than 1 MiB; give a PEM file")
    return content


def _unreadable(path: pathlib.Path, failure: OSError) -> Unusable:
    return Unusable(f"can't read {path} ({failure.strerror})")


def _check_pair(cert: pathlib.Path, key: pathlib.Path) -> None:
    for path in (cert, key):
        read(path)

    def refuse() -> str:
        raise Unusable(f"{key}: the key has a passphrase; give one without")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=refuse)
    except (ssl.SSLError, OSError) as failure:
        raise Unusable(
            f"{cert} and {key} are not a PEM certificate and its PEM key ({_said(failure)})"
        ) from None


def _check_authorities(path: pathlib.Path) -> None:
    read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError) as failure:
        raise Unusable(f"{path} does not hold PEM certificates ({_said(failure)})") from None


def _said(failure: Exception) -> str:
    reason = getattr(failure, "reason", None) or str(failure)
    return reason.lower().replace("_", " ")
