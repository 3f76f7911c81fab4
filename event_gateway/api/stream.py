"""EventStreamService: registers its methods, and serves Subscribe.

Owns the life of a stream on the wire: opening, writing, heartbeats, closing.
Called by gRPC behind the pipeline. What to send next is decided by
`event_gateway.subscription`.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import grants, hub, matching, subscription
from event_gateway.api import queries
from event_gateway.db import read
from servicekit import auth, clock, ids, logs, metrics, rpc

SERVICE = pb.DESCRIPTOR.services_by_name["EventStreamService"].full_name

HEARTBEAT_DEFAULT_S = 15.0
HEARTBEAT_MIN_S = 1.0
HEARTBEAT_MAX_S = 60.0
BATCH_EVENTS_DEFAULT = 256

_Context = grpc.aio.ServicerContext[Any, Any]
_Closing = pb.Notice.Closing

_log = logs.get_logger(__name__)


class Streams:
    """Serves Subscribe.

    Args:
        places: Checks start points.
        streams: All open streams.
        age_max_s: Longest life of one.
        reads_max: Most reads from storage at a time, for all of them.
        reconnect_spread_s: Closed streams come back within this time.
        time: For `server_time`.
        registry: For metrics.
        spread: A random number from 0 to 1.
    """

    def __init__(
        self,
        places: queries.Places,
        streams: hub.Hub,
        *,
        age_max_s: float,
        reads_max: int,
        reconnect_spread_s: float,
        time: clock.Clock,
        registry: metrics.Metrics,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._places = places
        self._hub = streams
        self._age_max_s = age_max_s
        self._reads = asyncio.Semaphore(reads_max)
        self._reconnect_spread_s = reconnect_spread_s
        self._time = time
        self._spread = spread
        self._fell_behind = registry.counter(
            "payhub_gateway_fell_behind_total", "Times a live stream fell out of the window."
        )
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
            age_max_s=self._age_max_s * (1 - 0.1 * self._spread()),
        )
        try:
            reader = await self._open(request, stream)
            _log.info(
                "stream opened",
                subscription_id=reader.subscription_id,
                client_name=request.client_name,
                position=reader.position,
            )
            await self._serve(context, stream, reader)
        finally:
            self._hub.leave(stream)

    async def _open(
        self, request: pb.SubscribeRequest, stream: hub.Stream
    ) -> subscription.Subscription:
        window = self._hub.window
        start = request.start
        if start.WhichOneof("point") == "after_cursor":
            position = await self._places.resolve(start.after_cursor, field="start.after_cursor")
        elif start.anchor == pb.StartPoint.ANCHOR_OLDEST:
            position = await self._places.oldest()
        else:
            position = window.head
        return subscription.Subscription(
            subscription_id=ids.new_id("sub"),
            group=stream.group,
            epoch=self._places.epoch,
            position=position,
            stop_position=max(window.head, position) if request.stop_at_head else None,
            events_max=request.max_batch_events or BATCH_EVENTS_DEFAULT,
            time=self._time,
        )

    async def _serve(
        self, context: _Context, stream: hub.Stream, reader: subscription.Subscription
    ) -> None:
        async def write(data: bytes) -> None:
            await context.write(data)
            stream.written_s = self._hub.monotonic_s()

        age_s = stream.expires_s - self._hub.monotonic_s()
        await write(reader.started(heartbeat_s=stream.heartbeat_s, age_max_s=age_s))
        while True:
            reason = self._closing_reason(stream, reader)
            if reason:
                after_s = 0.0
                if reason != _Closing.REASON_END_REACHED:
                    after_s = self._spread() * self._reconnect_spread_s
                await write(reader.closing(reason, reconnect_after_s=after_s))
                return
            was = reader.phase
            action = reader.step()
            if isinstance(action, bytes):
                if was == subscription.LIVE and reader.phase != was:
                    self._fell_behind.inc()
                await write(action)
            elif action is not None:
                await self._catch_up(action, stream, reader, write)
            elif self._hub.heartbeat_due(stream):
                await write(reader.heartbeat())
            elif not reader.ended:
                await self._hub.wait(stream)

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
        stream: hub.Stream,
        reader: subscription.Subscription,
        write: Callable[[bytes], Any],
    ) -> None:
        reading = asyncio.ensure_future(self._read(wanted, stream.group.matcher))
        try:
            while not reading.done():
                silent_s = self._hub.monotonic_s() - stream.written_s
                await asyncio.wait({reading}, timeout=max(stream.heartbeat_s - silent_s, 0.0))
                if not reading.done():
                    await write(reader.heartbeat())
            page = reading.result()
        finally:
            reading.cancel()
        self._places.check_kept(wanted.after, page.state)
        for data in reader.take(page):
            await write(data)
            if stream.close_reason:
                return
        if self._hub.heartbeat_due(stream):
            await write(reader.heartbeat())

    async def _read(self, wanted: subscription.ReadStorage, matcher: matching.Matcher) -> read.Page:
        async with self._reads:
            return await self._places.database.read(
                lambda conn: read.page(
                    conn,
                    matcher.selection,
                    after=wanted.after,
                    upto=wanted.upto,
                    events_max=subscription.PAGE_EVENTS_MAX,
                    bytes_max=subscription.PAGE_BYTES_MAX,
                )
            )


def heartbeat_s(request: pb.SubscribeRequest) -> float:
    """Returns the heartbeat interval in force, 1 to 60 seconds."""
    if not request.HasField("heartbeat_interval"):
        return HEARTBEAT_DEFAULT_S
    asked = request.heartbeat_interval
    return min(max(asked.seconds + asked.nanos / 1e9, HEARTBEAT_MIN_S), HEARTBEAT_MAX_S)


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
