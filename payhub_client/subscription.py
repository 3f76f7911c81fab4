"""A subscription that outlives its streams.

Owns following the event log across broken connections, closing servers and dead streams:
each new stream begins at the last cursor received, so nothing is lost, and what was handed
over already is dropped, so nothing comes twice. Called through `Client.events.subscribe`.
Never stores the cursor: the subscriber does, next to the effects of the events.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
from grpc import aio
from payhub.events.v1 import (
    event_pb2,
    event_stream_service_pb2,
    event_stream_service_pb2_grpc,
)

from payhub_client import calls, channel, errors, progress, retries, streams

if TYPE_CHECKING:
    from payhub.events.v1.event_stream_service_pb2_grpc import EventStreamServiceAsyncStub

    Stream = aio.UnaryStreamCall[
        event_stream_service_pb2.SubscribeRequest, event_stream_service_pb2.SubscribeResponse
    ]

_Closing = event_stream_service_pb2.Notice.Closing

# Before its first response a gateway may wait up to 30 s for a place ahead of its log.
OPENS_WITHIN_S = 35.0
RECONNECT_AFTER_S_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event, and the cursor to store once it is dealt with."""

    event: event_pb2.Event
    cursor: str


@dataclass(slots=True, kw_only=True)
class Subscription:
    """Follows the log for ever: `async for delivery in subscription`, or `batches()`.

    To be used by one task, in one of the two ways, best in `async with`, which ends the
    stream on leaving. Raises CursorError, Unauthenticated, PermissionDenied or
    InvalidRequest where reconnecting is of no use, Internal if the gateway says so of several
    streams in a row, and Unavailable once a reader has waited for `give_up_after_s` and received
    nothing (None: it keeps trying).
    """

    link: channel.Link
    backoff: retries.Backoff
    timing: retries.Timing
    request: event_stream_service_pb2.SubscribeRequest
    on_notice: Callable[[streams.Notice], None] | None = None
    give_up_after_s: float | None = None

    _stub: "EventStreamServiceAsyncStub | None" = field(default=None, init=False, repr=False)
    _stream: "Stream | None" = field(default=None, init=False, repr=False)
    _started_s: float | None = field(default=None, init=False)
    _brought_news: bool = field(default=False, init=False)
    _closing: event_stream_service_pb2.Notice.Closing | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _failures: int = field(default=0, init=False)
    _heartbeat_s: float = field(default=15.0, init=False)
    _heard_s: float = field(default=0.0, init=False)
    _away_since_s: float | None = field(default=None, init=False)
    """When the reader last went to work with what it got."""
    _epoch: str = field(default="", init=False)
    _progress: progress.Progress = field(init=False, repr=False)
    _pending: deque[event_pb2.Event] = field(default_factory=deque, init=False, repr=False)

    def __post_init__(self) -> None:
        cursor = self.request.start.after_cursor
        self._progress = progress.Progress(received=cursor, dealt_with=cursor)
        self._heartbeat_s = streams.seconds(self.request.heartbeat_interval) or self._heartbeat_s
        self._heard_s = self._away_since_s = self.timing.monotonic_s()

    @property
    def cursor(self) -> str:
        """A place that is safe to resume from, at any moment; empty before the first response.

        Everything at or before it was handed over, and the caller has come back for more.
        """
        return self._progress.dealt_with

    @property
    def lag(self) -> progress.Lag:
        """How far this reader is behind, as of the last response."""
        return self._progress.lag

    async def __aenter__(self) -> Self:
        """Return the subscription; its stream is opened by the first read."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the stream."""
        self.close()

    def close(self) -> None:
        """End the stream; iteration stops, also one that waits. May be called again."""
        self._ended = True
        self._stopped.set()
        self._drop_stream()

    def __aiter__(self) -> Self:
        """Return the iterator over events, each with the cursor to store after it."""
        return self

    async def __anext__(self) -> Delivery:
        """Return the next event, however many streams that takes."""
        while not self._pending:
            batch = await self._next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._pending.extend(batch.events)
        if self._stopped.is_set() or self.link.closed:
            raise StopAsyncIteration
        event = self._pending.popleft()
        # Only the last event of a response may carry its cursor: the others lie before it.
        safe = self._progress.dealt_with if self._pending else self._progress.received
        return Delivery(event=event, cursor=safe)

    async def batches(self) -> AsyncGenerator[progress.Batch, None]:
        """Go through the log response by response; an empty batch carries a newer cursor."""
        if self._pending:
            text = "iterate over events or over batches, not both"
            raise RuntimeError(text)
        while (batch := await self._next_batch()) is not None:
            yield batch

    async def _next_batch(self) -> progress.Batch | None:
        self._progress.dealt_with = self._progress.received
        if self._away_since_s is not None:
            # While nobody reads, nothing can be received: that is no silence of the gateway.
            self._heard_s += self.timing.monotonic_s() - self._away_since_s
            self._away_since_s = None
        try:
            while (response := await self._read()) is not None:
                batch = self._accept(response)
                if batch.events or batch.cursor != self._progress.dealt_with:
                    if not batch.events:
                        self._progress.dealt_with = batch.cursor
                    return batch
            return None
        finally:
            self._away_since_s = self.timing.monotonic_s()

    async def _read(self) -> event_stream_service_pb2.SubscribeResponse | None:
        while not self._ended:
            failure: errors.PayhubError | None = None
            silence_s = streams.HEARTBEATS_UNTIL_DEAD * self._heartbeat_s
            try:
                stream = self._stream or await self._open()
                if stream is None:
                    break
                if self._started_s is None:
                    silence_s = max(silence_s, OPENS_WITHIN_S)
                    if self.give_up_after_s is not None:
                        silence_s = min(silence_s, self.give_up_after_s)
                async with asyncio.timeout(silence_s):
                    response = await stream.read()
                if isinstance(response, event_stream_service_pb2.SubscribeResponse):
                    return response
            except TimeoutError:
                failure = streams.unavailable(f"no sign of life for {silence_s:.1f} s")
            except aio.AioRpcError as error:
                failure = errors.from_rpc(error)
            except errors.Unavailable as error:
                failure = error
            except asyncio.CancelledError:
                self._drop_stream()
                if self._cut_off_from_outside():
                    raise
                self._ended = True
                return None
            await self._change_streams(failure)
        return None

    async def _open(self) -> "Stream | None":
        """Return a new stream; None if subscription or client were closed meanwhile."""
        self._started_s, self._brought_news, self._closing = None, False, None
        if self._stub is None:
            self._stub = event_stream_service_pb2_grpc.EventStreamServiceStub(self.link.channel)
        connecting = self.link.connected(self.link.connect_timeout_s)
        connected = await self.link.unless_closed(connecting, self._stopped)
        if connected is None:
            self._ended = True
            return None
        if not connected:
            raise streams.unavailable(self.link.not_reached(self.link.connect_timeout_s))
        request = event_stream_service_pb2.SubscribeRequest()
        request.CopyFrom(self.request)
        if self._progress.received:
            request.start.after_cursor = self._progress.received
        self._stream = self._stub.Subscribe(
            request, metadata=self.link.metadata(calls.new_request_id())
        )
        return self._stream

    def _accept(self, response: event_stream_service_pb2.SubscribeResponse) -> progress.Batch:
        self._heard_s = self.timing.monotonic_s()
        if self._started_s is None:
            self._started_s = self._heard_s
        if response.HasField("notice"):
            self._note(response.notice)
        before = self._progress.received
        batch = self._progress.accept(response)
        self._brought_news = self._brought_news or bool(batch.events) or batch.cursor != before
        return batch

    def _note(self, sent: event_stream_service_pb2.Notice) -> None:
        kind = sent.WhichOneof("kind")
        if kind == "started":
            started = sent.started
            if self._epoch not in ("", started.log_epoch):
                self.close()
                text = "the log was rebuilt since: resynchronise by query, then subscribe anew"
                raise errors.LogEpochMismatch(text, reason="LOG_EPOCH_MISMATCH")
            self._epoch = started.log_epoch
            self._heartbeat_s = streams.seconds(started.heartbeat_interval) or self._heartbeat_s
            self._tell(
                streams.NoticeKind.STARTED, f"subscription {started.subscription_id}", sent=sent
            )
        elif kind == "fell_behind":
            text = streams.behind(sent.fell_behind)
            self._tell(streams.NoticeKind.FELL_BEHIND, text, sent=sent)
        elif kind == "closing":
            self._closing = sent.closing
            reason = _Closing.Reason.Name(sent.closing.reason).removeprefix("REASON_").lower()
            self._tell(streams.NoticeKind.CLOSING, f"the gateway closes: {reason}", sent=sent)

    async def _change_streams(self, failure: errors.PayhubError | None) -> None:
        """Wait until the next stream may be opened, or raise where there is none to open."""
        closing, now_s = self._closing, self.timing.monotonic_s()
        self._drop_stream()
        lived = self._started_s is not None and now_s - self._started_s >= streams.HEALTHY_AFTER_S
        self._failures = 0 if self._brought_news or lived else self._failures + 1
        if closing is not None:
            # It says more than how the stream broke off after it.
            failure = None
            if closing.reason == _Closing.REASON_END_REACHED:
                self._ended = True
                return
            if closing.reason == _Closing.REASON_AUTH_EXPIRED:
                self._ended = True
                text = "the API key was revoked"
                raise errors.Unauthenticated(text, code=grpc.StatusCode.UNAUTHENTICATED)
        elif failure is not None and not streams.may_reopen(failure, self._failures):
            self._ended = True
            raise failure
        wait_s = self._wait_s(closing, failure)
        why = failure.message if failure else "the stream ended"
        if self.give_up_after_s is not None and (
            now_s - self._heard_s + wait_s > self.give_up_after_s
        ):
            self._ended = True
            raise streams.unavailable(f"nothing received for {now_s - self._heard_s:.1f} s: {why}")
        self._tell(streams.NoticeKind.RECONNECTING, why, wait_s=wait_s)
        await self.link.unless_closed(self.timing.sleep(wait_s), self._stopped)

    def _wait_s(
        self,
        closing: event_stream_service_pb2.Notice.Closing | None,
        failure: errors.PayhubError | None,
    ) -> float:
        chance = self.timing.chance()
        if closing is None:
            asked_s = failure.retry_after_s if failure else None
            return self.backoff.wait_s(max(self._failures, 1), chance=chance, asked_s=asked_s)
        wait_s = min(streams.seconds(closing.reconnect_after), RECONNECT_AFTER_S_MAX)
        if self._failures:
            return max(wait_s, self.backoff.wait_s(self._failures, chance=chance))
        return wait_s

    def _tell(
        self,
        kind: streams.NoticeKind,
        text: str,
        *,
        wait_s: float = 0.0,
        sent: event_stream_service_pb2.Notice | None = None,
    ) -> None:
        if self.on_notice is not None:
            self.on_notice(streams.Notice(kind=kind, text=text, wait_s=wait_s, sent=sent))

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def _cut_off_from_outside(self) -> bool:
        """Whether the task itself is canceled, and not only its stream by `close`."""
        return channel.task_is_canceled() or not (self._ended or self.link.closed)
