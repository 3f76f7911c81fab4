"""Certificates for processes on 127.0.0.1, good ones and such that nobody may trust.

Owns making them. Called by tests of what encrypts its connections. Never asks an authority.
"""

import datetime
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid


def certify(
    folder: pathlib.Path, *, address: str = "127.0.0.1", from_h: float = -1, until_h: float = 1
) -> tuple[ssl.SSLContext, pathlib.Path]:
    """Makes a certificate; returns what serves it and the file to trust it by.

    Args:
        folder: Where the files go.
        address: Whose it is.
        from_h: From when on it is valid, hours from now.
        until_h: Until when.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    begun = _begin("test", key, address=address, from_h=from_h, until_h=until_h)
    made = begun.issuer_name(_name("test")).add_extension(_AN_AUTHORITY, True)
    trusted, secret = folder / "ca.pem", folder / "key.pem"
    trusted.write_bytes(_pem(made.sign(key, hashes.SHA256())))
    secret.write_bytes(_key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, secret)
    return context, trusted


class Authority:
    """Certifies others, as an installation's own does.

    Args:
        name: How it is told from others.
    """

    def __init__(self, name: str) -> None:
        # Another name than those it certifies have, which would be taken for their own authority.
        self._name = f"authority {name}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        begun = _begin(self._name, self._key).issuer_name(_name(self._name))
        made = begun.add_extension(_AN_AUTHORITY, True)
        self.pem = _pem(made.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *, until_h: float = 1) -> tuple[bytes, bytes]:
        """Returns a certificate that is valid for so many hours, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _begin(name, key, until_h=until_h).issuer_name(_name(self._name))
        return _pem(made.sign(self._key, hashes.SHA256())), _key_pem(key)


_AN_AUTHORITY = x509.BasicConstraints(ca=True, path_length=0)


def _begin(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    address: str = "127.0.0.1",
    from_h: float = -1,
    until_h: float = 1,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(hours=from_h))
        .not_valid_after(now + datetime.timedelta(hours=until_h))
        .add_extension(names, False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, text)])


def _pem(made: x509.Certificate) -> bytes:
    return made.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
