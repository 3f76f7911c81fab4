"""EventStreamService: registers its methods, and serves Subscribe.

Owns the life of a stream on the wire: opening, writing, heartbeats, closing.
Called by gRPC behind the pipeline. What to send next is decided by
`event_gateway.subscription`.
"""

import asyncio
import dataclasses
import random
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import (
    grants,
    hub,
    matching,
    places,
    problems,
    readahead,
    stream_groups,
    subscription,
)
from event_gateway.api import queries
from servicekit import auth, clock, errors, ids, logs, metrics, rpc

SERVICE = pb.DESCRIPTOR.services_by_name["EventStreamService"].full_name

HEARTBEAT_DEFAULT_S = 15.0
HEARTBEAT_MIN_S = 1.0
HEARTBEAT_MAX_S = 60.0
CHECKPOINT_MIN = 1000
CHECKPOINT_MAX = 1_000_000
_DEFAULT = subscription.Limits()

_Context = grpc.aio.ServicerContext[Any, Any]
_Closing = pb.Notice.Closing

_log = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for every stream.

    Attributes:
        age_max_s: Longest life of one, seconds.
        reads_max: Most reads from storage at a time, for all of them.
        reconnect_spread_s: Closed streams come back within this time, seconds.
        retention_s: How long the log keeps events, seconds; 0: for ever.
    """

    age_max_s: float
    reads_max: int
    reconnect_spread_s: float
    retention_s: float = 0.0


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Open:
    """An open stream, for listings.

    Attributes:
        request: What the client asked for.
        opened_us: When, epoch microseconds.
        beginning: Where it begins, until something came of that.
        rate: Of the events it is sent.
        ahead: What is read for it from storage.
    """

    request: pb.SubscribeRequest
    stream: hub.Stream
    reader: subscription.Subscription
    opened_us: int
    beginning: places.Start | None
    rate: hub.Rate
    ahead: readahead.ReadAhead | None = None

    def drop(self) -> None:
        """Lets go of what is read for it."""
        if self.ahead is not None:
            self.ahead.end()
            self.ahead = None


class Streams:
    """Serves Subscribe.

    `opened` holds the streams that are open, oldest first.

    Args:
        checked: Checks start points.
        streams: All open streams.
        settings: What holds for each.
        time: For `server_time`.
        registry: For metrics.
    """

    def __init__(
        self,
        checked: places.Places,
        streams: hub.Hub,
        settings: Settings,
        *,
        time: clock.Clock,
        registry: metrics.Metrics,
    ) -> None:
        self.opened: dict[str, Open] = {}
        self._places = checked
        self._hub = streams
        self._settings = settings
        self._ahead = readahead.Shared(reads=asyncio.Semaphore(settings.reads_max))
        self._time = time
        self._fell_behind = registry.counter(
            "payhub_gateway_fell_behind_total", "Times a live stream fell out of the window."
        )
        self._stalled = registry.counter(
            "payhub_gateway_stalled_total", "Streams ended because the reader took nothing."
        )
        self._sent = 0
        registry.gauge(
            "payhub_gateway_events_sent", "Events sent on Subscribe streams since the start."
        ).set_function(lambda: self._sent)
        open_streams = registry.gauge("payhub_gateway_streams", "Open Subscribe streams.")
        open_streams.set_function(lambda: len(streams.streams))

    async def subscribe(self, request: pb.SubscribeRequest, context: _Context) -> None:
        """Serves one stream until it is cancelled or closed."""
        call = rpc.current()
        principal: auth.Principal = call.principal
        tenants = queries.checked_tenants(principal, request.filter)
        spec = grants.readable(principal, request.filter)
        _, full_key = auth.parse_bearer(call.metadata)
        stream = self._hub.join(
            principal=principal,
            key_digest=auth.digest(full_key),
            tenants=tenants,
            matcher=matching.Matcher(tenants, spec),
            heartbeat_s=heartbeat_s(request),
            # Streams opened together must not all come back together.
            age_max_s=self._settings.age_max_s * (1 - 0.1 * random.random()),
            delay_s=delay_s(request),
            thin=request.thin,
            checkpoint_every=checkpoint_every(request),
        )
        subscription_id = ids.new_id("sub")
        try:
            if request.stop_at_head:
                await self._places.see_all()
            start = await self._places.start(request.start)
            reader = self._reader(subscription_id, request, stream, start.position)
            _log.info(
                "stream opened",
                subscription_id=subscription_id,
                client_name=request.client_name,
                position=start.position,
            )
            opened = self.opened[subscription_id] = Open(
                request=request,
                stream=stream,
                reader=reader,
                opened_us=self._time.now_us(),
                beginning=start,
                rate=hub.Rate(self._hub.monotonic_s()),
            )
            stream.task = asyncio.current_task()
            try:
                await self._serve(context, opened, start)
            finally:
                opened.drop()
        except asyncio.CancelledError:
            if not stream.stalled:
                raise
            raise self._cut_off(stream) from None
        finally:
            self.opened.pop(subscription_id, None)
            self._hub.leave(stream)

    def _cut_off(self, stream: hub.Stream) -> errors.RpcError:
        """Returns why a stream ends whose client did not take its last response."""
        if stream.close_reason == _Closing.REASON_AUTH_EXPIRED:
            return problems.key_lost()
        if stream.close_reason:
            return errors.unavailable("the gateway is stopping", retry_after_s=1.0)
        self._stalled.inc()
        return problems.stalled(self._hub.stall_s)

    def _reader(
        self,
        subscription_id: str,
        request: pb.SubscribeRequest,
        stream: hub.Stream,
        position: int,
    ) -> subscription.Subscription:
        head = self._hub.window.head
        # Whoever asks for the oldest event knows how near its end that is.
        warns = request.start.anchor != pb.StartPoint.ANCHOR_OLDEST
        return subscription.Subscription(
            subscription_id=subscription_id,
            group=stream.group,
            epoch=self._places.epoch,
            position=position,
            stop_position=max(head, position) if request.stop_at_head else None,
            limits=subscription.Limits(
                events_max=request.max_batch_events or _DEFAULT.events_max,
                bytes_max=request.max_batch_bytes or _DEFAULT.bytes_max,
                checkpoint_every=checkpoint_every(request),
            ),
            time=self._time,
            retention_s=self._settings.retention_s if warns else 0.0,
        )

    async def _serve(self, context: _Context, opened: Open, start: places.Start) -> None:
        request, stream, reader = opened.request, opened.stream, opened.reader
        monotonic_s = self._hub.monotonic_s

        async def write(data: bytes) -> None:
            count = reader.last_count
            stream.blocked_s = monotonic_s()
            await context.write(data)
            now_s = stream.written_s = monotonic_s()
            stream.blocked_s = 0.0
            opened.rate.add(count, now_s)
            self._sent += count

        age_s = stream.expires_s - monotonic_s()
        await write(reader.started(heartbeat_s=stream.heartbeat_s, age_max_s=age_s))
        if start.skipped:
            await write(reader.skipped(start.requested))
        # Once for each response of each stream: nothing here may cost much.
        while True:
            if stream.close_reason or request.stop_at_head or monotonic_s() >= stream.expires_s:
                reason = self._closing_reason(stream, reader)
                if reason:
                    after_s = 0.0
                    if reason != _Closing.REASON_END_REACHED:
                        after_s = random.random() * self._settings.reconnect_spread_s
                    await write(reader.closing(reason, reconnect_after_s=after_s))
                    return
            was = reader.phase
            action = reader.step()
            if isinstance(action, subscription.ReadStorage):
                await self._catch_up(action, opened, write)
                continue
            # The window serves it now.
            opened.drop()
            opened.beginning = None
            if action is None:
                owes = stream.checkpoint_upto > reader.sent and reader.owes(stream.checkpoint_upto)
                if owes or self._hub.heartbeat_due(stream):
                    await write(reader.heartbeat())
                elif not reader.ended:
                    await self._hub.wait(stream)
            else:
                if was == subscription.LIVE and reader.phase != was:
                    self._fell_behind.inc()
                await write(action)

    def _closing_reason(
        self, stream: hub.Stream, reader: subscription.Subscription
    ) -> _Closing.Reason:
        if reader.ended:
            return _Closing.REASON_END_REACHED
        if stream.close_reason:
            return stream.close_reason
        if self._hub.expired(stream):
            return _Closing.REASON_MAX_AGE
        return _Closing.REASON_UNSPECIFIED

    async def _catch_up(
        self,
        wanted: subscription.ReadStorage,
        opened: Open,
        write: Callable[[bytes], Any],
    ) -> None:
        stream, reader, ahead = opened.stream, opened.reader, opened.ahead
        if ahead is None or not ahead.goes_on_after(wanted.after):
            opened.drop()
            ahead = opened.ahead = self._read_ahead(wanted, reader)
        while (found := ahead.take()) is None:
            silent_s = self._hub.monotonic_s() - stream.written_s
            await ahead.wait(max(stream.heartbeat_s - silent_s, 0.0))
            if self._hub.heartbeat_due(stream):
                await write(reader.heartbeat())
        oldest, beginning = found.state.oldest, opened.beginning
        if wanted.after < oldest and beginning is not None and beginning.from_oldest:
            # What was deleted since then is no part of it any more.
            found = dataclasses.replace(found, upto=max(found.upto, oldest))
            await write(reader.pass_over(oldest, beginning.requested))
        else:
            await self._places.check_kept(wanted.after, found.state)
        if found.state.erasures < self._hub.erasures:
            # What was erased in storage must not live on in memory: this and what follows is
            # read again.
            return
        opened.beginning = None
        for data in reader.take(found):
            await write(data)
            if stream.close_reason or found.state.erasures < self._hub.erasures:
                return
        if self._hub.heartbeat_due(stream):
            await write(reader.heartbeat())

    def _read_ahead(
        self, wanted: subscription.ReadStorage, reader: subscription.Subscription
    ) -> readahead.ReadAhead:
        look = reader.reading().page
        return readahead.ReadAhead(
            self._places.database, self._ahead, look, after=wanted.after, upto=wanted.upto
        )


def heartbeat_s(request: pb.SubscribeRequest) -> float:
    """Returns the heartbeat interval in force, 1 to 60 seconds."""
    if not request.HasField("heartbeat_interval"):
        return HEARTBEAT_DEFAULT_S
    asked_s = request.heartbeat_interval.ToMicroseconds() / 1e6
    return min(max(asked_s, HEARTBEAT_MIN_S), HEARTBEAT_MAX_S)


def delay_s(request: pb.SubscribeRequest) -> float | None:
    """Returns how long live events may be held back, seconds; None: no wish."""
    if not request.HasField("max_batch_delay"):
        return None
    return max(request.max_batch_delay.ToMicroseconds() / 1e6, 0.0)


def checkpoint_every(request: pb.SubscribeRequest) -> int:
    """Returns how many places the stream may pass without hearing of it."""
    if not request.checkpoint_every:
        return stream_groups.CHECKPOINT_EVERY
    return min(max(request.checkpoint_every, CHECKPOINT_MIN), CHECKPOINT_MAX)


def register(server: grpc.aio.Server, streams: Streams, pages: queries.Queries) -> None:
    """Adds EventStreamService to *server*.

    Its methods return bytes, not messages: every response is spliced, so gRPC is
    given no serializer.
    """
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Subscribe": grpc.unary_stream_rpc_method_handler(
            streams.subscribe, request_deserializer=pb.SubscribeRequest.FromString
        ),
        "QueryEvents": grpc.unary_unary_rpc_method_handler(
            pages.query_events, request_deserializer=pb.QueryEventsRequest.FromString
        ),
        "GetEvent": grpc.unary_unary_rpc_method_handler(
            pages.get_event, request_deserializer=pb.GetEventRequest.FromString
        ),
        "GetLogInfo": grpc.unary_unary_rpc_method_handler(
            pages.get_log_info, request_deserializer=pb.GetLogInfoRequest.FromString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
