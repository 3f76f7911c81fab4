"""TLS of payctl: whom it believes, and what it shows of itself.

Owns reading the files that options and the environment name. Called by `session`. Never connects
in clear once an authority is named.
"""

from dataclasses import dataclass
from pathlib import Path

import typer

import payhub_client


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

    def credentials(self) -> payhub_client.TlsFiles | None:
        """Return what certifies both ends. Raises typer.BadParameter for files of no use."""
        if (self.cert is None) != (self.cert_key is None):
            raise typer.BadParameter("--cert and --cert-key belong together; give both")
        if self.ca is None:
            if self.cert is not None:
                raise typer.BadParameter("--cert needs --ca, the authority of the services")
            return None
        try:
            return payhub_client.TlsFiles(ca=self.ca, cert=self.cert, key=self.cert_key)
        except ValueError as failure:
            raise typer.BadParameter(str(failure)) from None
