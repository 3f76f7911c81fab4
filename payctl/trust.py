"""TLS of payctl: whom it believes, and what it shows of itself.

Owns reading the files that options and the environment name. Called by `session`. Never connects
in clear once an authority is named.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import typer


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """PEM files.

    Attributes:
        ca: Authorities that certify the services; None for connections in clear.
        cert: The certificate of who runs payctl, where services ask for one.
        cert_key: Its private key, without a passphrase.
    """

    ca: Path | None = None
    cert: Path | None = None
    cert_key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return what certifies both ends. Raises typer.BadParameter for files of no use."""
        if (self.cert is None) != (self.cert_key is None):
            raise typer.BadParameter("--cert and --cert-key belong together; give both")
        if self.ca is None:
            if self.cert is not None:
                raise typer.BadParameter("--cert needs --ca, the authority of the services")
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None and self.cert_key is not None:
                context.load_cert_chain(self.cert, self.cert_key, password=_refuse)
            return grpc.ssl_channel_credentials(
                root_certificates=self.ca.read_bytes(),
                private_key=self.cert_key.read_bytes() if self.cert_key else None,
                certificate_chain=self.cert.read_bytes() if self.cert else None,
            )
        except (ssl.SSLError, OSError) as failure:
            named = ", ".join(str(each) for each in (self.ca, self.cert, self.cert_key) if each)
            why = getattr(failure, "reason", None) or failure.strerror or "not PEM"
            text = f"{named}: not PEM files that belong together, or not readable: {why}"
            raise typer.BadParameter(text) from None


def _refuse() -> str:
    raise typer.BadParameter("--cert-key: the key has a passphrase; give one without")
