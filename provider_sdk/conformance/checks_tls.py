"""Checks 1 and 2: whom a provider that serves TLS lets in.

Owns connections as others would make them. Collected by `catalog`. Never looks at a provider
that the suite calls in clear: whether there is TLS is the operator's choice.
"""

import dataclasses
import datetime
import pathlib
import tempfile
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.plugin.v1 import plugin_service_pb2_grpc

from provider_sdk.conformance import channels, checks
from provider_sdk.conformance import run as runs
from servicekit import tls

ANSWER_S = 5.0


@checks.check(number=1, title="Where it serves TLS it refuses plaintext.")
async def refuses_plaintext(run: runs.Run) -> None:
    """Calls it in clear."""
    if run.options.tls_files.ca is None:
        raise checks.NotProven(
            "the suite calls it in clear; give --ca if it serves TLS", cause=checks.Cause.CAPABILITY
        )
    if await _answers(run.target, tls.IN_CLEAR):
        raise checks.Failed(
            "it answers a call in clear, too", fix="serve TLS alone where TLS is set up"
        )


@checks.check(number=2, title="Where it asks for certificates it refuses who shows none of core's.")
async def refuses_strangers(run: runs.Run) -> None:
    """Calls it without a certificate, and with one of core's name that nobody certified."""
    files = run.options.tls_files
    if files.cert is None:
        raise checks.NotProven(
            "the suite shows no certificate; give --cert if it asks for one",
            cause=checks.Cause.CAPABILITY,
        )
    if await _answers(run.target, tls.dialer(dataclasses.replace(files, cert=None, key=None))):
        raise checks.Failed(
            "it answers who shows no certificate", fix="require one of every caller"
        )
    with tempfile.TemporaryDirectory() as folder:
        cert, key = _forged(files.cert, pathlib.Path(folder))
        stranger = tls.dialer(dataclasses.replace(files, cert=cert, key=key))
        if await _answers(run.target, stranger):
            raise checks.Failed(
                "it answers who shows a certificate of core's name that its authority never made",
                fix="verify certificates of callers against the authority",
            )


async def _answers(target: str, dialer: tls.Dialer) -> bool:
    """Whether a call gets through to the provider, whatever it says then."""
    async with dialer.dial(target, channels.OPTIONS) as channel:
        probe: Any = plugin_service_pb2_grpc.PluginServiceStub(channel).Probe
        try:
            await probe(ps.ProbeRequest(), timeout=ANSWER_S)
        except grpc.aio.AioRpcError as failure:
            return failure.code() not in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
        return True


def _forged(cert: pathlib.Path, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the files of a certificate as *cert* is, of another key, and of that key."""
    theirs = x509.load_pem_x509_certificates(cert.read_bytes())[0]
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(theirs.subject)
        .issuer_name(theirs.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    for extension in theirs.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(key, hashes.SHA256())
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
