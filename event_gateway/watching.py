"""What the metrics of the gateway tell of its log rather than of this process.

Owns the gauges of what durable consumers and webhook endpoints leave undone, those that run
nowhere included. Run in the background of every gateway, which all tell the same. Never
changes anything.
"""

import asyncio
from collections.abc import Callable

from event_gateway.consumers import changes
from event_gateway.db import lag
from servicekit import loop, metrics, storage

EVERY_S = 15.0
# More are told as so many; counting goes on no further.
COUNT_MAX = 10_000


class Watch:
    """The gauges; see the module.

    Args:
        database: Of the log.
        head: Returns the newest position of the log.
        registry: Where the gauges are told.
    """

    def __init__(
        self, database: storage.Database, head: Callable[[], int], registry: metrics.Metrics
    ) -> None:
        self._database = database
        self._floor: int | None = None
        self._parked = registry.gauge(
            "payhub_gateway_parked",
            f"Events that consumers set aside; {COUNT_MAX} stands for more.",
        )
        self._disabled = registry.gauge(
            "payhub_gateway_webhooks_disabled", "Webhook endpoints that nothing is sent to."
        )
        self._overtaken = registry.gauge(
            "payhub_gateway_consumers_overtaken",
            "Consumers and webhook endpoints that have not got what the log deleted.",
        )
        registry.gauge(
            "payhub_gateway_consumers_behind",
            "Positions from the place of the consumer that is furthest behind to the head.",
        ).set_function(lambda: 0 if self._floor is None else max(head() - self._floor, 0))
        registry.gauge(
            "payhub_database_calls", "Calls of the database that run or wait, of this process."
        ).set_function(lambda: database.under_way)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every EVERY_S until *stop* is set."""
        await loop.run_forever(self.run_once, idle_s=EVERY_S, stop=stop, name="watch")

    async def run_once(self) -> int:
        """Looks once; returns 0."""
        self._floor, overtaken, parked, disabled = await self._database.read(_look)
        self._overtaken.set(overtaken)
        self._parked.set(parked)
        self._disabled.set(disabled)
        return 0


def _look(conn: storage.Connection) -> tuple[int | None, int, int, int]:
    return (
        lag.lowest_floor(conn),
        lag.count_overtaken(conn),
        lag.count_parked(conn, changes.KIND, COUNT_MAX),
        lag.count_disabled(conn),
    )
