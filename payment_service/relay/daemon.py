"""The relay's loop.

Owns the lease, the channel, the pauses while the gateway is away and the
gauges. Run as a background task; tests call `run_once`. Never raises because
the gateway is away: events wait, payments go on.
"""

import asyncio
import contextlib

import grpc
import grpc.aio

from payment_service.db import leases, outbox
from payment_service.relay import gateway, guarding, publishing, repair
from payment_service.relay.options import Options
from servicekit import clock as clocks
from servicekit import logs, loop, metrics, storage, tls

LEASE_NAME = "relay"
LEASE_S = 10.0
# Three renewals may fail before another process takes over.
RENEW_S = 2.5
# While another process has the lease.
WATCH_S = 1.0
# Other processes write to the outbox without waking this one; while there is
# traffic they should not wait for the idle poll.
BUSY_POLL_S = 0.02
BUSY_S = 1.0

# A batch costs two processes about a millisecond each, whatever it holds, so traffic
# is gathered: after a batch the relay rests several times as long as it took. However
# slow the machine is, events then take no more than a share of it from the payments.
REST_FACTOR = 4.0
REST_LONGEST_S = 0.05

AWAY_FIRST_S = 0.1
AWAY_LONGEST_S = 2.0

_AT_ONCE = float("-inf")
_REFUSES_KEY = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_KEY_HINT = (
    "give the relay a key of the tenant system with the scopes events:publish and events:read"
)

_log = logs.get_logger(__name__)


class Relay:
    """Publishes what waits in the outbox.

    Args:
        db: The payment database.
        endpoint: Of the event gateway, `host:port`.
        key: An API key of the tenant `system` with events:publish and events:read.
        owner: Names this process in the lease; the same after a restart, so that the
            lease of the process before is not waited for.
        clock: For pauses and the age of rows.
        registry: For the relay's metrics.
        guard: Says whether the log has what the database never had: nothing is published then.
        wake: Set by whoever wrote to the outbox in this process.
        options: Times.
        dialer: How the gateway is called.
    """

    def __init__(
        self,
        *,
        db: storage.Database,
        endpoint: str,
        key: str,
        owner: str,
        clock: clocks.Clock,
        registry: metrics.Metrics,
        guard: guarding.Guard,
        wake: asyncio.Event | None = None,
        options: Options | None = None,
        dialer: tls.Dialer = tls.IN_CLEAR,
    ) -> None:
        self._db = db
        self._owner = owner
        self._clock = clock
        self._options = options or Options()
        self._wake = wake or asyncio.Event()
        self._stop = asyncio.Event()
        self._endpoint = endpoint
        self._key = key
        self._dialer = dialer
        self._gateway: gateway.Gateway | None = None
        self._repair = repair.Repair(
            db, clock, guard, check_s=self._options.check_s, keep_s=self._options.keep_s
        )
        self._publisher = publishing.Publisher(
            db=db,
            clock=clock,
            marks=self._repair,
            registry=registry,
            wake=self._wake,
            mark_s=self._options.mark_s,
        )
        self._leased = False
        self._ask_at_s = _AT_ONCE
        self._measure_at_s = _AT_ONCE
        self._busy_until_s = _AT_ONCE
        self._away: grpc.StatusCode | None = None
        self._failures = 0
        self._waiting = registry.gauge(
            "payhub_outbox_waiting", "Events that are not in the gateway's log yet."
        )
        self._oldest = registry.gauge(
            "payhub_outbox_oldest_seconds",
            "Age of the oldest event that waits and is not held back by a refusal; 0 if none does.",
        )
        self._blocked = registry.gauge(
            "payhub_outbox_blocked", "Waiting events that the gateway refused."
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Relays until *stop* is set, then gives the lease back and closes the channel."""
        self._stop = stop
        try:
            await loop.run_forever(
                self._attempt, idle_s=self._options.idle_s, stop=stop, wake=self._wake, name="relay"
            )
        finally:
            await self.close()

    async def close(self) -> None:
        """Marks what was published, gives the lease back and closes the channel."""
        with contextlib.suppress(storage.StorageError):
            await self._publisher.flush()
        if self._gateway is not None:
            await self._gateway.close()
            self._gateway = None
        if self._leased:
            self._leased, self._ask_at_s = False, _AT_ONCE
            with contextlib.suppress(storage.StorageError):
                await self._db.write(
                    lambda conn: leases.give_back(conn, name=LEASE_NAME, owner=self._owner),
                    one_statement=True,
                )

    async def run_once(self) -> int:
        """Publishes what waits, until the lease is due at most; returns how many are in the log.

        Raises:
            grpc.aio.AioRpcError: The gateway is away, or takes nothing from this key.
            storage.StorageError: The database is away.
        """
        await self._measure()
        if not await self._has_lease():
            return 0
        if self._gateway is None:
            self._gateway = gateway.Gateway(
                self._endpoint,
                self._key,
                timeout_s=self._options.publish_timeout_s,
                dialer=self._dialer,
            )
        try:
            if self._repair.due:
                await self._publisher.flush()
                await self._repair.check(self._gateway)
            if self._repair.is_behind:
                return 0
            return await self._publisher.drain(self._gateway, self._may_go_on)
        except (grpc.aio.AioRpcError, storage.StorageError):
            # Whoever answers next may have another log, or another database.
            self._repair.doubt()
            raise

    def _may_go_on(self) -> bool:
        return not (
            self._stop.is_set()
            or self._repair.due
            or self._repair.is_behind
            or self._clock.monotonic_s() >= self._ask_at_s
        )

    async def _attempt(self) -> int:
        """Runs once and waits out a gateway that is away; 0 if nothing is left to do now."""
        started_s = self._clock.monotonic_s()
        try:
            marked = await self.run_once()
        except grpc.aio.AioRpcError as failure:
            await self._wait_for_gateway(failure)
            return 1
        if self._away is not None:
            _log.info("the event gateway takes events again", failures=self._failures)
            self._away, self._failures = None, 0
        if not self._leased or self._repair.is_behind:
            return 0
        if self._publisher.more:
            return 1
        now_s = self._clock.monotonic_s()
        if marked:
            self._busy_until_s = now_s + BUSY_S
            await self._clock.sleep(min(REST_FACTOR * (now_s - started_s), REST_LONGEST_S))
        if now_s >= self._busy_until_s or self._db.dialect == "sqlite":
            return 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_POLL_S):
                await self._wake.wait()
        return 1

    async def _has_lease(self) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._ask_at_s:
            return self._leased
        leased = await self._db.write(
            lambda conn: leases.take(
                conn, name=LEASE_NAME, owner=self._owner, length_us=round(LEASE_S * 1_000_000)
            ),
            one_statement=True,
        )
        if leased and not self._leased:
            await self._publisher.load()
            self._repair.doubt()
        self._leased = leased
        self._ask_at_s = now_s + (RENEW_S if leased else WATCH_S)
        return leased

    async def _measure(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._measure_at_s:
            return
        self._measure_at_s = now_s + self._options.check_s
        try:
            status = await self._db.read(outbox.status)
        except storage.StorageUnavailable as failure:
            # A backlog that takes too long to count must not grow for that.
            _log.warning("what waits in the outbox can't be counted", problem=str(failure))
            return
        free_us = status.oldest_free_us
        age_us = self._clock.now_us() - free_us if free_us else 0
        self._waiting.set(status.waiting)
        self._oldest.set(max(age_us, 0) / 1_000_000)
        self._blocked.set(status.blocked)

    async def _wait_for_gateway(self, failure: grpc.aio.AioRpcError) -> None:
        code = failure.code()
        pause_s = min(AWAY_FIRST_S * 2 ** min(self._failures, 30), AWAY_LONGEST_S)
        self._failures += 1
        if code is not self._away:
            self._away = code
            _log.warning(
                "the event gateway takes no events; they wait in the outbox",
                code=code.name,
                problem=failure.details(),
                hint=_KEY_HINT if code in _REFUSES_KEY else "",
            )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stop.wait()
