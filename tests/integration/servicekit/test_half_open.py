"""Connections that never come to a call: a descriptor each, without any key."""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest

from servicekit import ports, server
from tests import certificates

HANDSHAKE = "grpc.server_handshake_timeout_ms"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The head of a record that says that more will come.
CLIENT_HELLO = bytes.fromhex("16030100f8010000f40303")


@pytest.mark.parametrize(
    ("sent", "tls"),
    [(b"", False), (PREFACE, False), (b"", True), (CLIENT_HELLO, True)],
    ids=["silent", "preface alone", "silent with TLS", "half a hello"],
)
async def test_who_does_not_finish_a_handshake_is_cut_off(sent: bytes, tls: bool) -> None:
    """Else a thousand of them keep everybody out of a process with the usual 1,024 descriptors."""
    sooner = [
        (name, value // 50) if name == HANDSHAKE else (name, value)
        for name, value in server.SERVER_OPTIONS
    ]
    running = grpc.aio.server(options=sooner)
    host, port = "127.0.0.1", ports.choose(1)[0]
    if tls:
        cert, key = certificates.Authority("any").issue("peer")
        running.add_secure_port(f"{host}:{port}", grpc.ssl_server_credentials([(key, cert)]))
    else:
        running.add_insecure_port(f"{host}:{port}")
    await running.start()
    try:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await reader.read(4_096):
                    pass
        writer.close()
    finally:
        await running.stop(None)
