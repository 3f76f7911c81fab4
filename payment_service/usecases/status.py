"""How the installation is doing, for operators.

Owns what `payctl status` shows. Called by the API. Never changes anything.
"""

from payhub.admin.v1 import status_service_pb2 as pb

import payment_service
from payment_service.db import operations, outbox
from payment_service.usecases import context, snapshots
from payment_service.usecases.plugins import health
from servicekit import storage


class Status:
    """The use case of status."""

    def __init__(self, ctx: context.Context, health_: health.Health) -> None:
        self._ctx = ctx
        self._health = health_

    async def get(self) -> pb.GetStatusResponse:
        """Returns plugins, providers, the outbox and open operations."""
        response = pb.GetStatusResponse(version=payment_service.VERSION)
        default = self._ctx.catalog.view.default("")
        for provider in self._ctx.providers.all():
            response.providers.add(
                provider=provider.name,
                endpoint=provider.endpoint,
                ready=provider.ready,
                detail=provider.detail,
                plugin_version=provider.known.plugin_version if provider.known else "",
                default=provider.name == default,
            )
        self._health.fill(response)

        def look(conn: storage.Connection) -> None:
            for state, count in operations.open_counts(conn):
                response.open_operations.add(state=f"STATE_{state.name}", count=count)
            if oldest_us := operations.oldest_doubt_us(conn):
                response.oldest_doubt_time.CopyFrom(snapshots.timestamp(oldest_us))
            waiting = outbox.status(conn)
            response.outbox.waiting = waiting.waiting
            response.outbox.blocked = waiting.blocked
            if waiting.oldest_us:
                response.outbox.oldest_time.CopyFrom(snapshots.timestamp(waiting.oldest_us))

        await self._ctx.db.read(look)
        return response
