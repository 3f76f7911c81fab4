"""TLS from files: what a process serves with, and how it calls others.

Owns reading and checking certificates, keys and authorities. Called by `settings`, `server` and by
whoever opens a channel. Renewed files are served without a restart. Never falls back to a
connection in clear, and never writes what a key file holds.
"""

import pathlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import grpc
import grpc.aio

from servicekit import logs

# Certificates and keys of a process; larger files are something else.
FILE_BYTES_MAX = 1 << 20

_log = logs.get_logger(__name__)


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


class Dialer:
    """How a process calls others: in clear, or believing some authorities alone.

    Args:
        credentials: What certifies both ends; None for connections in clear.
    """

    def __init__(self, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.credentials = credentials

    def dial(self, target: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """Returns a channel to *target*, which connects once it is used."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, self.credentials, options=options)


IN_CLEAR = Dialer()


def dialer(files: Files) -> Dialer:
    """Returns how a process with *files* calls others: with TLS if it has authorities to believe,
    then with its own certificate if it has one.

    Raises:
        Unusable: A file can't be read.
    """
    if files.ca is None:
        return IN_CLEAR
    return Dialer(
        grpc.ssl_channel_credentials(
            root_certificates=_read(files.ca),
            private_key=_read(files.key) if files.key else None,
            certificate_chain=_read(files.cert) if files.cert else None,
        )
    )


def server_credentials(files: Files) -> grpc.ServerCredentials | None:
    """Returns what a process with *files* serves with; None for connections in clear.

    Raises:
        Unusable: A file can't be read.
    """
    if files.cert is None or files.key is None:
        return None
    served = _Served(files)
    # Its hints lack that None stands for no change.
    renewed = cast(Callable[[], grpc.ServerCertificateConfiguration], served.renewed)
    return grpc.dynamic_ssl_server_credentials(
        served.configuration(),
        renewed,
        require_client_authentication=files.client_ca is not None,
    )


class _Served:
    """What is served, which follows its files."""

    def __init__(self, files: Files) -> None:
        # Whom this process calls is another matter.
        self._files = replace(files, ca=None)
        self._paths = [path for path in (files.cert, files.key, files.client_ca) if path]
        self._state = self._look()
        self._problem = ""

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Returns what the files hold.

        Raises:
            Unusable: They can't be used.
        """
        cert, key, client_ca = self._files.cert, self._files.key, self._files.client_ca
        self._files.check()
        assert cert is not None
        assert key is not None
        return grpc.ssl_server_certificate_configuration(
            [(_read(key), _read(cert))], root_certificates=_read(client_ca) if client_ca else None
        )

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns what the files hold if they have changed; None goes on with what was served.

        gRPC asks at every handshake, in a thread of its own. Files that are just being
        replaced do not fit together for a moment.
        """
        try:
            state = self._look()
            if state == self._state:
                return None
            found = self.configuration()
        except (OSError, Unusable) as problem:
            if str(problem) != self._problem:
                self._problem = str(problem)
                _log.warning(
                    "renewed certificates can't be used; the former ones are served on",
                    problem=self._problem,
                )
            return None
        self._state, self._problem = state, ""
        _log.info("renewed certificates are served", path=str(self._files.cert))
        return found

    def _look(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in self._paths]
        return [(each.st_mtime_ns, each.st_size) for each in found]


def _read(path: pathlib.Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as failure:
        raise Unusable(f"can't read {path} ({failure.strerror})") from None
    if len(content) > FILE_BYTES_MAX:
        raise Unusable(f"{path} is larger than 1 MiB; give a PEM file")
    return content


def _check_pair(cert: pathlib.Path, key: pathlib.Path) -> None:
    for path in (cert, key):
        _read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_refuse)
    except (ssl.SSLError, OSError) as failure:
        raise Unusable(
            f"{cert} and {key} are not a PEM certificate and its PEM key ({_said(failure)})"
        ) from None


def _check_authorities(path: pathlib.Path) -> None:
    _read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError) as failure:
        raise Unusable(f"{path} does not hold PEM certificates ({_said(failure)})") from None


def _refuse() -> str:
    raise Unusable("tls_key_path: the key has a passphrase; give one without")


def _said(failure: Exception) -> str:
    reason = getattr(failure, "reason", None) or str(failure)
    return reason.lower().replace("_", " ")
