"""Follows the event log and hands what it says to the writer, a batch at a time.

Owns the durable consumer and the order of things: on disk, anchored, then acknowledged.
Called by `__main__`. Never acknowledges what is not on disk and never drops an event.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from payhub.events.v1 import event_pb2

import payhub_client
from payhub_client import consumption, errors, streams
from servicekit import logs, metrics, tls
from subscribers import ending
from subscribers.audit_log import settings, writing

# A crash counts as a delivery: an audit log would rather come again than park.
DELIVERIES_MAX = 1_000
# What a crash left comes again soon, however often there was one.
BACKOFF_S = (0.5,)
ACK_TIMEOUT_S = 10.0
HEARTBEAT_S = 5.0
RETRY_AFTER_S = 1.0
# Between two looks at whether the gateway deleted what was not read.
LOOK_EVERY_S = 60.0

_log = logs.get_logger(__name__)


class Follower:
    """One member of the consumer, and what it tells of itself."""

    def __init__(
        self,
        told: settings.AuditLogSettings,
        writer: writing.Writer,
        registry: metrics.Metrics,
    ) -> None:
        self._told, self._writer = told, writer
        self._joined = False
        self._epoch = ""
        self._written = registry.counter("payhub_audit_entries", "Entries written.")
        self._again = registry.counter(
            "payhub_audit_duplicates", "Events that came again and were not written twice."
        )
        self._missing = registry.counter(
            "payhub_audit_missing", "Places of the log that were deleted before they were read."
        )
        self._head = registry.gauge("payhub_audit_head_sequence", "Sequence of the newest entry.")
        self._accepted = registry.gauge(
            "payhub_audit_accepted_seconds", "When the log accepted the event written last."
        )
        self._head.set(writer.head.sequence)

    async def ready(self) -> None:
        """Raise while the gateway has not been joined."""
        if not self._joined:
            raise RuntimeError("not joined to the gateway")

    async def follow(self, stop: asyncio.Event) -> None:
        """Write down events until `stop`.

        Raises:
            server.CannotGoOn: Coming back to the gateway is of no use.
        """
        told = self._told
        with ending.explained():
            async with payhub_client.Client(
                told.events_target,
                key=told.key.get_secret_value(),
                events_target=told.events_target,
                credentials=tls.dialer(told.tls_files).credentials,
            ) as client:
                await self._consume(client, stop)

    async def _consume(self, client: payhub_client.Client, stop: asyncio.Event) -> None:
        await self._patiently(lambda: self._make(client), stop)
        work = client.consume(
            self._told.consumer,
            max_in_flight=self._told.batch_max,
            heartbeat_s=HEARTBEAT_S,
            on_lost=lambda _, why: _log.warning("an acknowledgement was lost", why=why),
            on_notice=self._on_notice,
        )
        async with work:
            await self._work(client, work, stop)

    async def _work(
        self, client: payhub_client.Client, work: consumption.Consumption, stop: asyncio.Event
    ) -> None:
        """Write batches: what came while the last one was made durable is the next."""
        waiting: asyncio.Queue[consumption.Received] = asyncio.Queue(self._told.batch_max)
        receiving = asyncio.create_task(_receive(work, waiting))
        stopping = asyncio.create_task(stop.wait())
        loop = asyncio.get_running_loop()
        look_s = loop.time()
        try:
            while not stop.is_set():
                if loop.time() >= look_s:
                    await self._look_or_warn(client)
                    look_s = loop.time() + LOOK_EVERY_S
                first = asyncio.create_task(waiting.get())
                await asyncio.wait(
                    {first, receiving, stopping},
                    timeout=max(look_s - loop.time(), 0),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not first.done():
                    first.cancel()
                    if receiving.done():
                        receiving.result()
                    continue
                batch = [first.result()]
                while len(batch) < self._told.batch_max and not waiting.empty():
                    batch.append(waiting.get_nowait())
                if not self._epoch:
                    await self._patiently(lambda: self._learn_epoch(client), stop)
                if self._epoch:
                    await self._write(batch, work)
        finally:
            # What still waits is given back when the consumption is left.
            for task in (receiving, stopping):
                task.cancel()
            await asyncio.gather(receiving, stopping, return_exceptions=True)

    async def _write(
        self, batch: Sequence[consumption.Received], work: consumption.Consumption
    ) -> None:
        events = [each.event for each in batch]
        count = await self._append(events, self._epoch)
        self._again.inc(len(batch) - count)
        self._accepted.set(events[-1].append_time.ToMicroseconds() / 1e6)
        for each in batch:
            await each.ack()
        await work.flush()

    async def _append(self, events: Sequence[event_pb2.Event], log_epoch: str) -> int:
        """Write down what is not there yet; returns how many that were."""
        count = await asyncio.to_thread(self._writer.append, events, log_epoch=log_epoch)
        self._written.inc(count)
        self._head.set(self._writer.head.sequence)
        return count

    async def _look(self, client: payhub_client.Client) -> None:
        """Write down what the gateway deleted before it was read, as its markers say, and what it
        has set aside, which will not be delivered.
        """
        name = self._told.consumer
        if not (await client.consumers.get(name)).status.parked:
            return
        log_epoch = (await client.events.log_info()).log_epoch
        places: dict[tuple[int, int], int] = {}
        parked: list[event_pb2.Event] = []
        rescued = 0
        async for each in client.consumers.parked(name):
            if each.skipped_entries:
                places[each.position, each.park_time.ToMicroseconds()] = each.skipped_entries
            elif each.HasField("event"):
                parked.append(each.event)
            if len(parked) >= self._told.batch_max:
                rescued += await self._append(parked, log_epoch)
                parked = []
        rescued += await self._append(parked, log_epoch)
        if rescued:
            _log.warning("events that were parked were written down from there", count=rescued)
        missing = await asyncio.to_thread(self._writer.miss, places, log_epoch=log_epoch)
        self._head.set(self._writer.head.sequence)
        self._missing.inc(missing)
        if missing:
            counts = {position: lost for (position, _), lost in places.items()}
            _log.error("events were deleted before they were written down", places=counts)

    async def _look_or_warn(self, client: payhub_client.Client) -> None:
        try:
            await self._look(client)
        except errors.PayhubError as failure:
            _log.warning("can't see whether events were lost", problem=failure.message)

    async def _make(self, client: payhub_client.Client) -> None:
        await client.consumers.create(
            self._told.consumer,
            payhub_client.EventFilter(tenant_ids=self._told.tenants),
            start="oldest",
            ack_timeout_s=ACK_TIMEOUT_S,
            max_deliveries=DELIVERIES_MAX,
            retry_backoff_s=BACKOFF_S,
        )

    async def _learn_epoch(self, client: payhub_client.Client) -> None:
        self._epoch = (await client.events.log_info()).log_epoch

    async def _patiently(self, act: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Do it as soon as the gateway is there; returns without, if told to stop."""
        while not stop.is_set():
            try:
                await act()
            except errors.PayhubError as failure:
                if failure.retry == "never":
                    raise
                _log.warning("the gateway does not answer", problem=failure.message)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RETRY_AFTER_S)
            else:
                return

    def _on_notice(self, notice: streams.Notice) -> None:
        self._joined = notice.kind is streams.NoticeKind.STARTED
        if self._joined:
            # The gateway may have lost its log meanwhile and begun another.
            self._epoch = ""
        _log.info("consumption", notice=notice.kind.name, text=notice.text)


async def _receive(
    work: consumption.Consumption, waiting: asyncio.Queue[consumption.Received]
) -> None:
    async for each in work:
        await waiting.put(each)
    raise RuntimeError("the consumption ended")
