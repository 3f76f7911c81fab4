"""A server that certified callers alone may call, and the files of such callers.

Owns both, and renewing them. Called by tests of who calls with TLS. Never serves in clear.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from servicekit import ports, server, tls_files
from tests import certificates

FORMER, NEW = "former", "new"


class Peer:
    """A server that certified callers alone may call; of one authority at a time."""

    def __init__(self) -> None:
        self.authorities = {name: certificates.Authority(name) for name in (FORMER, NEW)}
        self.target = f"127.0.0.1:{ports.choose(1)[0]}"
        self.waiting, self.released = asyncio.Event(), asyncio.Event()
        self._server: Any = None

    async def start(self, authority: str) -> None:
        """Serves with a certificate of *authority*, and believes nobody else's."""
        handlers: dict[str, Any] = {
            "Who": grpc.unary_unary_rpc_method_handler(self._who),
            "Wait": grpc.unary_unary_rpc_method_handler(self._wait),
            "Echo": grpc.stream_stream_rpc_method_handler(self._echo),
        }
        self._server = grpc.aio.server(options=server.SERVER_OPTIONS)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Peer", handlers),)
        )
        cert, key = self.authorities[authority].issue("peer")
        credentials = grpc.ssl_server_credentials(
            [(key, cert)], self.authorities[authority].pem, require_client_auth=True
        )
        self._server.add_secure_port(self.target, credentials)
        await self._server.start()

    async def stop(self, grace_s: float | None = None) -> None:
        """Ends connections, once their calls are over or so much time has passed."""
        await self._server.stop(grace_s)

    def certify(self, authority: str, files: tls_files.Files) -> None:
        """Writes what a caller holds, as whoever renews certificates does."""
        cert, key = self.authorities[authority].issue(authority)
        for path, content in (
            (files.ca, self.authorities[authority].pem),
            (files.cert, cert),
            (files.key, key),
        ):
            assert path is not None
            path.write_bytes(content)

    async def _who(self, request: bytes, context: Any) -> bytes:
        (name,) = context.auth_context()["x509_common_name"]
        return bytes(name)

    async def _wait(self, request: bytes, context: Any) -> bytes:
        self.waiting.set()
        await self.released.wait()
        return await self._who(request, context)

    async def _echo(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each
