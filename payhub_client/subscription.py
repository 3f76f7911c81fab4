"""A subscription that outlives its streams.

Owns following the event log across broken connections, closing servers and dead streams:
each new stream begins at the last cursor received, so nothing is lost, and what was handed
over already is dropped, so nothing comes twice. Called through `Client.events.subscribe`.
Never stores the cursor: the subscriber does, next to the effects of the events.
"""

import asyncio
import enum
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
from google.protobuf import duration_pb2
from grpc import aio
from payhub.events.v1 import (
    event_pb2,
    event_stream_service_pb2,
    event_stream_service_pb2_grpc,
)

from payhub_client import calls, channel, errors, retries

if TYPE_CHECKING:
    from payhub.events.v1.event_stream_service_pb2_grpc import EventStreamServiceAsyncStub

    Stream = aio.UnaryStreamCall[
        event_stream_service_pb2.SubscribeRequest, event_stream_service_pb2.SubscribeResponse
    ]

_Closing = event_stream_service_pb2.Notice.Closing

HEARTBEATS_UNTIL_DEAD = 2.5
# Before its first response a gateway may wait up to 30 s for a place ahead of its log.
OPENS_WITHIN_S = 35.0
RECONNECT_AFTER_S_MAX = 60.0
# A stream that lived this long was healthy even if nothing happened in the log.
HEALTHY_AFTER_S = 5.0
# A bug in the gateway that every attempt meets again is not worth hiding for ever.
INTERNAL_ERRORS_MAX = 5

RECONNECT_CODES = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)


class NoticeKind(enum.Enum):
    """What a notice is about."""

    STARTED = "started"
    """A stream was opened, first or anew."""
    FELL_BEHIND = "fell_behind"
    """This reader is slower than the log grows; it is fed from storage."""
    CLOSING = "closing"
    """The server ends the stream in good order."""
    RECONNECTING = "reconnecting"
    """The stream is gone; the next one is opened after `wait_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a subscriber may want to show or count; nothing needs to be done."""

    kind: NoticeKind
    text: str
    wait_s: float = 0.0
    sent: event_stream_service_pb2.Notice | None = None
    """The server's own message, unless the client made the notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event, and the cursor to store once it is dealt with."""

    event: event_pb2.Event
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a reader was behind the log when the last response was made."""

    entries: int
    """Places between what it was given and the head; events that its filter leaves out count."""
    seconds: float | None
    """Between the log's newest event and the last one it was given; None before the first
    event, 0 at the head."""
    live: bool
    """Whether the head of the log was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one response held: perhaps no event, only a newer cursor."""

    events: tuple[event_pb2.Event, ...]
    cursor: str
    """Store it once every event of the batch is dealt with."""
    live: bool
    """Whether the head of the log was reached."""
    head_position: int


@dataclass(slots=True, kw_only=True)
class Subscription:
    """Follows the log for ever: `async for delivery in subscription`, or `batches()`.

    To be used by one task, in one of the two ways, best in `async with`, which ends the
    stream on leaving. Raises CursorError, Unauthenticated, PermissionDenied or
    InvalidRequest where reconnecting is of no use, and Unavailable once a reader has waited
    for `give_up_after_s` and received nothing (None: it keeps trying).
    """

    link: channel.Link
    backoff: retries.Backoff
    timing: retries.Timing
    request: event_stream_service_pb2.SubscribeRequest
    on_notice: Callable[[Notice], None] | None = None
    give_up_after_s: float | None = None

    _stub: "EventStreamServiceAsyncStub | None" = field(default=None, init=False, repr=False)
    _stream: "Stream | None" = field(default=None, init=False, repr=False)
    _started_s: float | None = field(default=None, init=False)
    _progressed: bool = field(default=False, init=False)
    _closing: event_stream_service_pb2.Notice.Closing | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _failures: int = field(default=0, init=False)
    _heartbeat_s: float = field(default=15.0, init=False)
    _heard_s: float = field(default=0.0, init=False)
    _away_since_s: float | None = field(default=None, init=False)
    """When the reader last went to work with what it got."""
    _epoch: str = field(default="", init=False)
    _position: int = field(default=0, init=False)
    _received: str = field(default="", init=False)
    _dealt_with: str = field(default="", init=False)
    _head_position: int = field(default=0, init=False)
    _head_us: int = field(default=0, init=False)
    _live: bool = field(default=False, init=False)
    _quiet: bool = field(default=False, init=False)
    _accepted_us: int = field(default=0, init=False)
    _pending: deque[event_pb2.Event] = field(default_factory=deque, init=False, repr=False)

    def __post_init__(self) -> None:
        self._received = self._dealt_with = self.request.start.after_cursor
        self._heartbeat_s = _seconds(self.request.heartbeat_interval) or self._heartbeat_s
        self._heard_s = self._away_since_s = self.timing.monotonic_s()

    @property
    def cursor(self) -> str:
        """A place that is safe to resume from, at any moment; empty before the first response.

        Everything at or before it was handed over, and the caller has come back for more.
        """
        return self._dealt_with

    @property
    def lag(self) -> Lag:
        """How far this reader is behind, as of the last response."""
        if self._live and self._quiet:
            # What lies between is nothing that the filter selects.
            return Lag(entries=0, seconds=0.0, live=True)
        behind_s = max(self._head_us - self._accepted_us, 0) / 1e6
        return Lag(
            entries=max(self._head_position - self._position, 0),
            seconds=behind_s if self._accepted_us else None,
            live=self._live,
        )

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
        return Delivery(event=event, cursor=self._dealt_with if self._pending else self._received)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Go through the log response by response; an empty batch carries a newer cursor."""
        if self._pending:
            text = "iterate over events or over batches, not both"
            raise RuntimeError(text)
        while (batch := await self._next_batch()) is not None:
            yield batch

    async def _next_batch(self) -> Batch | None:
        self._dealt_with = self._received
        if self._away_since_s is not None:
            # While nobody reads, nothing can be received: that is no silence of the gateway.
            self._heard_s += self.timing.monotonic_s() - self._away_since_s
            self._away_since_s = None
        try:
            while (response := await self._read()) is not None:
                batch = self._accept(response)
                if batch.events or batch.cursor != self._dealt_with:
                    if not batch.events:
                        self._dealt_with = batch.cursor
                    return batch
            return None
        finally:
            self._away_since_s = self.timing.monotonic_s()

    async def _read(self) -> event_stream_service_pb2.SubscribeResponse | None:
        while not self._ended:
            failure: errors.PayhubError | None = None
            silence_s = HEARTBEATS_UNTIL_DEAD * self._heartbeat_s
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
                failure = _unavailable(f"no sign of life for {silence_s:.1f} s")
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
        self._started_s, self._progressed, self._closing = None, False, None
        if self._stub is None:
            self._stub = event_stream_service_pb2_grpc.EventStreamServiceStub(self.link.channel)
        connecting = self.link.connected(self.link.connect_timeout_s)
        connected = await self.link.unless_closed(connecting, self._stopped)
        if connected is None:
            self._ended = True
            return None
        if not connected:
            text = f"{self.link.target} was not reached within {self.link.connect_timeout_s:.1f} s"
            raise _unavailable(text)
        request = event_stream_service_pb2.SubscribeRequest()
        request.CopyFrom(self.request)
        if self._received:
            request.start.after_cursor = self._received
        self._stream = self._stub.Subscribe(
            request, metadata=self.link.metadata(calls.new_request_id())
        )
        return self._stream

    def _accept(self, response: event_stream_service_pb2.SubscribeResponse) -> Batch:
        self._heard_s = self.timing.monotonic_s()
        if self._started_s is None:
            self._started_s = self._heard_s
        if response.HasField("notice"):
            self._note(response.notice)
        fresh = []
        for event in response.events:
            if event.position > self._position:
                self._position = event.position
                fresh.append(event)
        self._head_position = response.head_position
        self._head_us = response.head_time.ToMicroseconds()
        self._live = response.phase == event_stream_service_pb2.SubscribeResponse.PHASE_LIVE
        self._quiet = not response.events
        if response.events:
            self._accepted_us = response.events[-1].append_time.ToMicroseconds()
        cursor = response.cursor or self._received
        self._progressed = self._progressed or bool(fresh) or cursor != self._received
        self._received = cursor
        return Batch(
            events=tuple(fresh),
            cursor=cursor,
            live=self._live,
            head_position=response.head_position,
        )

    def _note(self, sent: event_stream_service_pb2.Notice) -> None:
        kind = sent.WhichOneof("kind")
        if kind == "started":
            started = sent.started
            if self._epoch not in ("", started.log_epoch):
                self.close()
                text = "the log was rebuilt since: resynchronise by query, then subscribe anew"
                raise errors.LogEpochMismatch(text, reason="LOG_EPOCH_MISMATCH")
            self._epoch = started.log_epoch
            self._heartbeat_s = _seconds(started.heartbeat_interval) or self._heartbeat_s
            self._tell(NoticeKind.STARTED, f"subscription {started.subscription_id}", sent=sent)
        elif kind == "fell_behind":
            text = f"{sent.fell_behind.entries_behind} entries behind the head of the log"
            self._tell(NoticeKind.FELL_BEHIND, text, sent=sent)
        elif kind == "closing":
            self._closing = sent.closing
            reason = _Closing.Reason.Name(sent.closing.reason).removeprefix("REASON_").lower()
            self._tell(NoticeKind.CLOSING, f"the gateway closes: {reason}", sent=sent)

    async def _change_streams(self, failure: errors.PayhubError | None) -> None:
        """Wait until the next stream may be opened, or raise where there is none to open."""
        closing, now_s = self._closing, self.timing.monotonic_s()
        self._drop_stream()
        lived = self._started_s is not None and now_s - self._started_s >= HEALTHY_AFTER_S
        self._failures = 0 if self._progressed or lived else self._failures + 1
        if closing is not None and closing.reason == _Closing.REASON_END_REACHED:
            self._ended = True
            return
        if closing is not None and closing.reason == _Closing.REASON_AUTH_EXPIRED:
            self._ended = True
            text = "the API key was revoked"
            raise errors.Unauthenticated(text, code=grpc.StatusCode.UNAUTHENTICATED)
        if closing is None and failure is not None and not self._may_reconnect(failure):
            self._ended = True
            raise failure
        wait_s = self._wait_s(closing, failure)
        why = failure.message if failure and not closing else "the stream ended"
        if self.give_up_after_s is not None and (
            now_s - self._heard_s + wait_s > self.give_up_after_s
        ):
            self._ended = True
            raise _unavailable(f"nothing received for {now_s - self._heard_s:.1f} s: {why}")
        self._tell(NoticeKind.RECONNECTING, why, wait_s=wait_s)
        await self.link.unless_closed(self.timing.sleep(wait_s), self._stopped)

    def _may_reconnect(self, failure: errors.PayhubError) -> bool:
        if failure.code not in RECONNECT_CODES or errors.is_oversize(failure):
            return False
        if isinstance(failure, errors.Internal) and self._failures > INTERNAL_ERRORS_MAX:
            return False
        return failure.retry != "never"

    def _wait_s(
        self,
        closing: event_stream_service_pb2.Notice.Closing | None,
        failure: errors.PayhubError | None,
    ) -> float:
        chance = self.timing.chance()
        if closing is None:
            asked_s = failure.retry_after_s if failure else None
            return self.backoff.wait_s(max(self._failures, 1), chance=chance, asked_s=asked_s)
        wait_s = min(_seconds(closing.reconnect_after), RECONNECT_AFTER_S_MAX)
        if self._failures:
            return max(wait_s, self.backoff.wait_s(self._failures, chance=chance))
        return wait_s

    def _tell(
        self,
        kind: NoticeKind,
        text: str,
        *,
        wait_s: float = 0.0,
        sent: event_stream_service_pb2.Notice | None = None,
    ) -> None:
        if self.on_notice is not None:
            self.on_notice(Notice(kind=kind, text=text, wait_s=wait_s, sent=sent))

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def _cut_off_from_outside(self) -> bool:
        """Whether the task itself is canceled, and not only its stream by `close`."""
        return channel.task_is_canceled() or not (self._ended or self.link.closed)


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToMicroseconds() / 1e6


def _unavailable(text: str) -> errors.Unavailable:
    return errors.Unavailable(text, code=grpc.StatusCode.UNAVAILABLE, retry="same_key")
