"""TLS from files: what a process serves with, and how it calls others.

Owns what is made of certificates, keys and authorities, and follows their files in both directions
without a restart. Called by `settings`, `server` and by whoever opens a channel. Never falls back
to a connection in clear.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import grpc
import grpc.aio

from servicekit import logs, renewal, tls_files

Files = tls_files.Files
Unusable = tls_files.Unusable

_log = logs.get_logger(__name__)


class Dialer:
    """How a process calls others: in clear, or believing some authorities alone.

    Args:
        credentials: Returns what certifies both ends, the same object as long as that is the same;
            None for connections in clear.
    """

    def __init__(self, credentials: renewal.Credentials | None = None) -> None:
        self.credentials = credentials

    def dial(self, target: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """Returns a channel to *target*, which connects once it is used."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(target, options=options)
        return renewal.Channel(target, self.credentials, options)


IN_CLEAR = Dialer()


def dialer(files: Files) -> Dialer:
    """Returns how a process with *files* calls others: with TLS if it has authorities to believe,
    then with its own certificate if it has one.

    Raises:
        Unusable: The files can't be used.
    """
    if files.ca is None:
        return IN_CLEAR
    # Who may call this process is another matter.
    followed = tls_files.Followed(
        replace(files, client_ca=None),
        renewal.credentials,
        renewed=lambda: _log.info("others are called with renewed certificates", ca=str(files.ca)),
        unusable=lambda problem: _log.warning(
            "renewed certificates can't be used; others are called with the former ones",
            problem=problem,
        ),
    )
    return Dialer(followed.current)


def server_credentials(files: Files) -> grpc.ServerCredentials | None:
    """Returns what a process with *files* serves with; None for connections in clear.

    Raises:
        Unusable: The files can't be used.
    """
    if files.cert is None or files.key is None:
        return None
    # Whom this process calls is another matter.
    followed = tls_files.Followed(
        replace(files, ca=None),
        _configuration,
        renewed=lambda: _log.info("renewed certificates are served", path=str(files.cert)),
        unusable=lambda problem: _log.warning(
            "renewed certificates can't be used; the former ones are served on", problem=problem
        ),
    )
    served = followed.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        # gRPC asks at every handshake, in a thread of its own; None stands for no change.
        nonlocal served
        former, served = served, followed.current()
        return None if served is former else served

    return grpc.dynamic_ssl_server_credentials(
        served,
        # Its hints lack that.
        cast(Callable[[], grpc.ServerCertificateConfiguration], renewed),
        require_client_authentication=files.client_ca is not None,
    )


def _configuration(files: Files) -> grpc.ServerCertificateConfiguration:
    assert files.cert is not None
    assert files.key is not None
    return grpc.ssl_server_certificate_configuration(
        [(tls_files.read(files.key), tls_files.read(files.cert))],
        root_certificates=tls_files.read(files.client_ca) if files.client_ca else None,
    )
