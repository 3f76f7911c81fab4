"""A member of a durable consumer that outlives its streams.

Owns joining, credit, the extension of leases and settling across broken connections and
restarts: what was settled and not confirmed is settled again, what is at work is not handed
over twice. Called through `Client.consume`. Never acknowledges anything by itself.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from grpc import aio
from payhub.events.v1 import (
    consumer_pb2,
    consumer_service_pb2,
    consumer_service_pb2_grpc,
)

from payhub_client import calls, channel, errors, retries, settling, streams

if TYPE_CHECKING:
    Stream = aio.StreamStreamCall[
        consumer_service_pb2.ConsumeRequest, consumer_service_pb2.ConsumeResponse
    ]

Received = settling.Received

_Settlement = consumer_pb2.Settlement
_Request = consumer_service_pb2.ConsumeRequest

CLOSE_WITHIN_S = 5.0
_LEASES_MAX = 1000


@dataclass(slots=True, kw_only=True, eq=False)
class Consumption:
    """Receives events for ever: `async with client.consume(...) as work: async for each in work`.

    Any number of tasks may settle; one iterates. Leaving gives back what is not settled. Raises
    NotFound, PermissionDenied, Unauthenticated or StateConflict (another member took the name)
    where coming back is of no use, and Internal if the gateway says so of several streams in a row.
    """

    link: channel.Link
    backoff: retries.Backoff
    timing: retries.Timing
    consumer: str
    member: str
    max_in_flight: int = 100
    heartbeat_s: float = 15.0
    extend_for_s: float = 600.0
    on_lost: Callable[[str, str], None] | None = None
    """Called with lease and reason of each settlement that had no effect."""
    on_notice: Callable[[streams.Notice], None] | None = None

    _stream: "Stream | None" = field(default=None, init=False, repr=False)
    _task: "asyncio.Task[None] | None" = field(default=None, init=False, repr=False)
    _waiting: "asyncio.Queue[Received | None]" = field(
        default_factory=asyncio.Queue, init=False, repr=False
    )
    _held: dict[tuple[str, str], Received] = field(default_factory=dict, init=False, repr=False)
    _unconfirmed: dict[int, _Settlement] = field(default_factory=dict, init=False, repr=False)
    _confirmed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)
    _settling: "set[asyncio.Task[None]]" = field(default_factory=set, init=False, repr=False)
    _number: int = field(default=0, init=False)
    _sent: int = field(default=0, init=False)
    """The newest settlement that went out on the current stream."""
    _moved_s: float = field(default=0.0, init=False)
    """When the events that wait began to, or one of them was handed over last."""
    _joined_s: float | None = field(default=None, init=False)
    """When the current stream brought its first response."""
    _failures: int = field(default=0, init=False)
    _error: Exception | None = field(default=None, init=False, repr=False)
    _ended: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)
    """Nothing is received or confirmed any more."""

    async def __aenter__(self) -> Self:
        """Join in the background."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give back what is not settled, wait until the rest is durable, and leave."""
        await self.close()

    def __aiter__(self) -> Self:
        """Return the iterator."""
        return self

    async def __anext__(self) -> Received:
        """Return the next event to deal with."""
        if self._task is None:
            text = "use it as a context manager: async with client.consume(...) as work"
            raise RuntimeError(text)
        received = None if self._ended else await self._waiting.get()
        while received is not None and received.settled:
            received = await self._waiting.get()
        if received is not None:
            self._moved_s = self.timing.monotonic_s()
            received._extend_until_s = self._moved_s + self.extend_for_s
            return received
        self._waiting.put_nowait(None)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def flush(self) -> None:
        """Return when everything settled so far is durable at the gateway.

        Raises what ended the consumption, if that comes first, and OutcomeUnknown if it ended
        by `close`: what was not confirmed then may come again.
        """
        while self._unconfirmed:
            if self._error is not None:
                raise self._error
            if self._over:
                count = len(self._unconfirmed)
                text = (
                    f"left before {count} settlements were confirmed; their events may come again"
                )
                raise errors.OutcomeUnknown(text)
            self._confirmed.clear()
            await self._confirmed.wait()

    async def close(self) -> None:
        """Leave; iteration stops. May be called again."""
        try:
            if not self._ended:
                self._ended = True
                self._waiting.put_nowait(None)
                await self._leave()
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            self._drop_stream()

    async def _leave(self) -> None:
        """Wait until what was settled is durable, and give back the rest."""
        with contextlib.suppress(TimeoutError, errors.PayhubError, asyncio.InvalidStateError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                if self._stream is not None:
                    await self.flush()
                    # Ending this side gives back what is not settled.
                    await self._stream.done_writing()
                    if self._task is not None:
                        await asyncio.wait({self._task})

    async def _settle(self, received: Received, settlement: _Settlement) -> None:
        """Send a settlement; it is sent again on the next stream if it is not confirmed."""
        if received.settled:
            return
        received.settled = True
        del self._held[settling.identity(received.event)]
        self._number += 1
        settlement.number = self._number
        settlement.leases.append(received.lease)
        self._unconfirmed[self._number] = settlement
        # In a task of its own: a write that is canceled with its caller ends the stream, and a
        # later settlement that overtakes this one is confirmed for both.
        sending = asyncio.create_task(self._send_settlement(settlement))
        self._settling.add(sending)
        sending.add_done_callback(self._settling.discard)
        await asyncio.shield(sending)

    async def _send_settlement(self, settlement: consumer_pb2.Settlement) -> None:
        async with self._sending:
            if settlement.number > self._sent and self._stream is not None:
                self._sent = settlement.number
                await self._write(_Request(settlement=settlement))
                if not self._ended:
                    await self._write(_credit(1))

    async def _send(self, request: _Request) -> None:
        async with self._sending:
            await self._write(request)

    async def _write(self, request: _Request) -> None:
        """Write to the stream, if there is one; its end is dealt with where it is read."""
        if self._stream is not None:
            with contextlib.suppress(aio.AioRpcError, asyncio.InvalidStateError):
                try:
                    await self._stream.write(request)
                except asyncio.CancelledError:
                    if channel.task_is_canceled():
                        raise

    async def _run(self) -> None:
        try:
            while True:
                failure = await self._serve_stream()
                self._drop_stream()
                if self._ended or self.link.closed:
                    return
                await self._pause_after(failure)
                if self.link.closed:
                    return
        except Exception as failure:  # whoever iterates or flushes gets it
            self._error = failure
        finally:
            self._ended = self._over = True
            self._waiting.put_nowait(None)
            self._confirmed.set()

    async def _serve_stream(self) -> errors.PayhubError | None:
        """Serve one stream to its end; return what broke it off, if anything did."""
        self._joined_s = None
        try:
            await self._live()
        except aio.AioRpcError as error:
            return errors.from_rpc(error)
        except errors.Unavailable as error:
            return error
        except TimeoutError:
            return streams.unavailable("no sign of life from the gateway")
        except asyncio.CancelledError:
            if channel.task_is_canceled():
                raise
        return None

    async def _pause_after(self, failure: errors.PayhubError | None) -> None:
        """Wait until the next stream may be opened, or raise `failure` for good."""
        joined_s, now_s = self._joined_s, self.timing.monotonic_s()
        lived = joined_s is not None and now_s - joined_s >= streams.HEALTHY_AFTER_S
        self._failures = 0 if lived else self._failures + 1
        if failure is not None and not streams.may_reopen(failure, self._failures):
            raise failure
        wait_s = self.backoff.wait_s(
            max(self._failures, 1),
            chance=self.timing.chance(),
            asked_s=failure.retry_after_s if failure else None,
        )
        why = failure.message if failure else "the stream ended"
        self._tell(streams.NoticeKind.RECONNECTING, why, wait_s)
        await self.link.unless_closed(self.timing.sleep(wait_s))

    async def _live(self) -> None:
        """Serve one stream to its end."""
        stub = consumer_service_pb2_grpc.ConsumerServiceStub(self.link.channel)
        connecting = self.link.connected(self.link.connect_timeout_s)
        if not await self.link.unless_closed(connecting):
            raise streams.unavailable(self.link.not_reached(self.link.connect_timeout_s))
        stream: Stream = stub.Consume(metadata=self.link.metadata(calls.new_request_id()))
        extending: asyncio.Task[None] | None = None
        try:
            held = len(self._held)
            response = await self._join(stream, self.max_in_flight - held)
            if response is None:
                return
            self._joined_s = self.timing.monotonic_s()
            stated_s = streams.seconds(response.heartbeat_interval)
            silence_s = streams.HEARTBEATS_UNTIL_DEAD * (stated_s or self.heartbeat_s)
            self._tell(streams.NoticeKind.STARTED, f"member {self.member}", 0.0)
            await self._go_on(stream, held)
            extending = asyncio.create_task(self._keep_extending())
            while response is not None:
                await self._accept(response)
                response = await _read(stream, silence_s)
        finally:
            if extending is not None:
                extending.cancel()
            stream.cancel()

    async def _join(
        self, stream: "Stream", credit: int
    ) -> consumer_service_pb2.ConsumeResponse | None:
        """Return the gateway's first response.

        Until it came nothing else is written: a write to a stream that was refused would hide
        the reason.
        """
        join = _Request.Join(
            consumer=self.consumer,
            member=self.member,
            credit=max(credit, 0),
            heartbeat_interval=settling.duration(self.heartbeat_s),
        )
        with contextlib.suppress(asyncio.InvalidStateError):
            await stream.write(_Request(join=join))
        return await _read(stream, streams.HEARTBEATS_UNTIL_DEAD * self.heartbeat_s)

    async def _go_on(self, stream: "Stream", held: int) -> None:
        """Bring a new stream up to date: `held` events were at work when it joined."""
        async with self._sending:
            self._stream = stream
            self._sent = self._number
            freed = held - len(self._held)
            # Leases of the stream that broke end soon.
            for each in self._held.values():
                each._extend_at_s = 0.0
            for settlement in list(self._unconfirmed.values()):
                await self._write(_Request(settlement=settlement))
            if freed and not self._ended:
                await self._write(_credit(freed))

    async def _accept(self, response: consumer_service_pb2.ConsumeResponse) -> None:
        for number in [each for each in self._unconfirmed if each <= response.settled_through]:
            del self._unconfirmed[number]
        self._confirmed.set()
        if response.deliveries:
            self._failures = 0
        for failure in response.failures:
            reason = consumer_pb2.SettlementFailure.Reason.Name(failure.reason)
            if self.on_lost is not None:
                self.on_lost(failure.lease, reason.removeprefix("REASON_"))
        again = 0
        if response.failures:
            again = settling.forget(self._held, response.failures)
        for delivery in response.deliveries:
            again += self._take(delivery, response.server_time.ToMicroseconds())
        if again and not self._ended:
            # Each took credit, and only what is settled here gives back its own.
            await self._send(_credit(again))
        if response.closing:
            self._tell(streams.NoticeKind.CLOSING, "the gateway closes", 0.0)
            while not self._waiting.empty():
                received = self._waiting.get_nowait()
                if received is not None and not received.settled:
                    await received.release()

    def _take(self, delivery: consumer_pb2.Delivery, server_us: int) -> bool:
        """Hand an event over; return whether its credit comes back at once.

        So it does if the event was here already: its one settlement gives back only one.
        """
        now_s = self.timing.monotonic_s()
        span_s = max((delivery.deadline.ToMicroseconds() - server_us) / 1e6, 0.1)
        known = held = self._held.get(settling.identity(delivery.event))
        if known is not None and (known._extend_until_s or math.inf) <= now_s:
            # Whoever has it let its lease end: what they say of it does not count any more.
            known.settled, held = True, None
        if held is None:
            held = Received(
                event=delivery.event,
                attempt=delivery.attempt,
                last_reason=delivery.last_reason,
                _settle=self._settle,
                lease=delivery.lease,
            )
            self._held[settling.identity(delivery.event)] = held
            if self._waiting.empty():
                self._moved_s = now_s
            self._waiting.put_nowait(held)
        # Else it is at work here already: only its lease is new.
        held.lease = delivery.lease
        held._span_s = span_s
        held._extend_at_s = now_s + span_s / 3
        return known is not None

    async def _keep_extending(self) -> None:
        """Extend what is at work, in time, until the task is cancelled."""
        while True:
            now_s = self.timing.monotonic_s()
            waiting_until_s = self._moved_s + self.extend_for_s
            due = [
                each
                for each in self._held.values()
                if each._extend_at_s <= now_s < (each._extend_until_s or waiting_until_s)
            ]
            for start in range(0, len(due), _LEASES_MAX):
                some = due[start : start + _LEASES_MAX]
                settlement = _Settlement(
                    verdict=_Settlement.VERDICT_EXTEND, leases=[each.lease for each in some]
                )
                await self._send(_Request(settlement=settlement))
                for each in some:
                    each._extend_at_s = now_s + each._span_s / 3
            await asyncio.sleep(0.2)

    def _tell(self, kind: streams.NoticeKind, text: str, wait_s: float) -> None:
        if self.on_notice is not None:
            self.on_notice(streams.Notice(kind=kind, text=text, wait_s=wait_s))

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()


async def _read(stream: "Stream", silence_s: float) -> consumer_service_pb2.ConsumeResponse | None:
    """Return the next response, None at the end; raises TimeoutError after `silence_s`."""
    async with asyncio.timeout(silence_s):
        response = await stream.read()
    return response if isinstance(response, consumer_service_pb2.ConsumeResponse) else None


def _credit(events: int) -> _Request:
    return _Request(credit=_Request.Credit(events=events))
