"""Whether the event log has an event that this database never had.

Owns the question and its answer: such a database was restored from a back-up or lost commits, and
would charge again what it has forgotten. Asked by the relay before it publishes, so that nothing
newer hides what is missing, and in every serving process by a loop of its own. Never repairs.
"""

import asyncio
import contextlib
import math
from dataclasses import dataclass

import grpc.aio

from payment_service.db import known
from payment_service.relay import gateway
from payment_service.usecases import standing
from servicekit import clock as clocks
from servicekit import logs, metrics, storage, tls

# As long as one question may take.
ASK_S = 3.0
AGAIN_FIRST_S = 0.1
AGAIN_LONGEST_S = 2.0

_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a serving process asks.

    Attributes:
        endpoint: Of the event gateway, `host:port`.
        key: That of the relay.
        every_s: Between two questions.
        wait_s: Without an answer for so long, and for ASK_S more, this process acts all the same.
        dialer: How the gateway is called.
    """

    endpoint: str
    key: str
    every_s: float
    wait_s: float
    dialer: tls.Dialer = tls.IN_CLEAR


class Guard:
    """Compares the database with the log; see the module.

    Args:
        db: The payment database.
        standing_: Is told the verdict.
        registry: For the gauge.
    """

    def __init__(
        self, db: storage.Database, standing_: standing.Standing, registry: metrics.Metrics
    ) -> None:
        self._db = db
        self._standing = standing_
        self._is_old = False
        self._missing = ""
        self._gauge = registry.gauge(
            "payhub_database_behind",
            "1 while the event log has events that this database never had, else 0.",
        )

    async def passes(self, newest: gateway.Newest | None) -> bool:
        """Tells what follows from the newest event of this service in the log: may it act?

        The log was asked before this looks: what others publish meanwhile is in the outbox.
        """
        if newest is None and not self._is_old:
            self._is_old = True
            _log.warning(
                "the event gateway does not tell whether this database lacks what the log has: it "
                "is of an older version, or the relay's key is not of the tenant system"
            )
        missing = False
        if newest is not None and newest.position:
            missing = await self._db.read(lambda conn: known.is_missing(conn, *newest))
        self._tell(newest.event_id if newest is not None and missing else "")
        return not missing

    def _tell(self, missing: str) -> None:
        if missing and not self._missing:
            _log.error(
                "the event log has an event that this database never had: it was restored or lost "
                "commits. Nothing is begun, ended or published until `python -m payment_service "
                "recover` has run; stop every payment_service first",
                event_id=missing,
            )
        elif self._missing and not missing:
            _log.info("this database has what the event log has")
        self._missing = missing
        self._gauge.set(1 if missing else 0)
        self._standing.tell(is_behind=bool(missing))

    async def run(self, stop: asyncio.Event, asking: Asking, clock: clocks.Clock) -> None:
        """Asks until *stop* is set; nobody acts before the first answer, or *asking* says so."""
        if asking.wait_s:
            self._standing.hold()
        waits_until_s = clock.monotonic_s() + asking.wait_s
        target = gateway.Gateway(asking.endpoint, asking.key, timeout_s=ASK_S, dialer=asking.dialer)
        failures = 0
        while not stop.is_set():
            try:
                await self.passes((await target.place()).newest)
                failures, pause_s, waits_until_s = 0, asking.every_s, math.inf
            except (grpc.aio.AioRpcError, storage.StorageError) as failure:
                pause_s = min(AGAIN_FIRST_S * 2 ** min(failures, 30), AGAIN_LONGEST_S)
                failures += 1
                if clock.monotonic_s() >= waits_until_s:
                    waits_until_s = math.inf
                    self._go_on_unasked(failure)
                pause_s = min(pause_s, max(waits_until_s - clock.monotonic_s(), AGAIN_FIRST_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
        await target.close()

    def _go_on_unasked(self, failure: Exception) -> None:
        told = failure.details() if isinstance(failure, grpc.aio.AioRpcError) else str(failure)
        _log.warning(
            "the event gateway can't be asked whether this database lacks what the log has; this "
            "process goes on, and asks as soon as the gateway answers",
            problem=told,
        )
        self._standing.tell(is_behind=bool(self._missing))
