"""Mutants of who is let in by a provider that serves TLS (rules 1 and 2)."""

import asyncio
import contextlib
from typing import Any

import grpc
from grpc.aio import _server

from tests.mutants import registry

# What a TLS connection begins with.
HANDSHAKE = 0x16


@registry.mutant("1")
def takes_plaintext_too() -> None:
    """A port tells TLS from plaintext by its first byte and serves either."""

    def make(add_secure: Any) -> Any:
        def add_both(self: Any, address: str, credentials: Any) -> int:
            host, _, port = address.rpartition(":")
            encrypted = add_secure(self, f"{host}:0", credentials)
            in_clear = self.add_insecure_port(f"{host}:0")

            async def either(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                first = await reader.read(1)
                inner = encrypted if first and first[0] == HANDSHAKE else in_clear
                inner_reader, inner_writer = await asyncio.open_connection(host, inner)
                inner_writer.write(first)
                await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))

            serving = asyncio.start_server(either, host, int(port))
            self.serving_both = asyncio.get_running_loop().create_task(serving)
            return int(port)

        return add_both

    registry.replace(_server.Server, "add_secure_port", make)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@registry.mutant("2")
def believes_whoever_calls() -> None:
    """Callers need not show a certificate."""

    def make(credentials: Any) -> Any:
        def lenient(*arguments: Any, **_: Any) -> Any:
            return credentials(*arguments, require_client_authentication=False)

        return lenient

    registry.replace(grpc, "dynamic_ssl_server_credentials", make)
