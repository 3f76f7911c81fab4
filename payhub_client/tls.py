"""TLS credentials from PEM files that somebody renews.

Owns what a caller connects with for as long as its process lives. Called by users of `Client`, who
give it as `credentials`, and by payctl. Never falls back to a connection in clear.
"""

import logging
import os
import pathlib

import grpc

from servicekit import renewal, tls_files

_log = logging.getLogger("payhub_client")


class TlsFiles:
    """Credentials that follow their files, without a restart.

    Connections that stand are left alone; the next one is made with what the files hold by then.
    While they do not fit together, because they are being replaced, the former ones are used on
    and the logger `payhub_client` is told once.

    Args:
        ca: Authorities that certify the services.
        cert: The certificate of the caller and those between it and its authority, where services
            ask for one.
        key: Its private key, without a passphrase.

    Raises:
        ValueError: The files can't be used; names them.
    """

    def __init__(
        self,
        *,
        ca: str | os.PathLike[str],
        cert: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        if (cert is None) != (key is None):
            message = "cert and key belong together; give both"
            raise ValueError(message)
        self._followed = tls_files.Followed(
            tls_files.Files(
                ca=pathlib.Path(ca),
                cert=None if cert is None else pathlib.Path(cert),
                key=None if key is None else pathlib.Path(key),
            ),
            renewal.credentials,
            renewed=lambda: _log.info("Payhub is called with renewed certificates (%s)", ca),
            unusable=lambda problem: _log.warning(
                "renewed certificates can't be used; Payhub is called with the former ones: %s",
                problem,
            ),
        )

    def __call__(self) -> grpc.ChannelCredentials:
        """Return those to connect with now; the same object while the files are the same."""
        return self._followed.current()
