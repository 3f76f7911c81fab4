"""gRPC health checking and reflection.

Owns a health servicer whose Watch streams end with the drain, instead of keeping
the server waiting for its whole grace period. Called by `server.serve`, and by processes
that tell how further names do.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc


class Servicer(health.aio.HealthServicer):
    """The standard servicer; every service is SERVING from `open` until `close`."""

    def __init__(self) -> None:
        super().__init__()
        self._over = asyncio.Event()

    async def open(self, names: Sequence[str]) -> None:
        """Report each of `names` as SERVING."""
        for name in names:
            await self.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def tell(self, name: str, serving: bool) -> None:
        """Report one name as SERVING or not; nothing changes after `close`."""
        status = health_pb2.HealthCheckResponse
        await self.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def close(self) -> None:
        """Report everything as NOT_SERVING, for good."""
        await self.enter_graceful_shutdown()

    def end_watches(self) -> None:
        """End all Watch streams, now and later."""
        self._over.set()

    async def Watch(self, request: Any, context: Any) -> None:
        """Send each change of a service's health until the watches are ended."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait([watching, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def register(server: grpc.aio.Server, servicer: Servicer, names: Sequence[str]) -> None:
    """Add health and the reflection of `names` (full service names) to `server`."""
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    shown = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    cast(Any, reflection_pb2_grpc).add_ServerReflectionServicer_to_server(
        reflection.aio.ReflectionServicer(shown), server
    )
