"""TLS of the suite: whom it believes, and what it shows of itself.

Owns reading what the options name. Called by the command and the pytest plugin. Never
connects in clear once an authority is named.
"""

import pathlib

from servicekit import tls


def files(
    *, ca: pathlib.Path | None, cert: pathlib.Path | None, key: pathlib.Path | None
) -> tls.Files:
    """Returns what the three options name.

    Raises:
        ValueError: They can't be used; says which, and what they should be.
    """
    if (cert is None) != (key is None):
        raise ValueError("--cert and --cert-key belong together; give both")
    if cert is not None and ca is None:
        raise ValueError("--cert needs --ca, the authority that certifies the provider")
    found = tls.Files(ca=ca, cert=cert, key=key)
    found.check()
    return found
