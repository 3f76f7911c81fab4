"""Events: query history, get one, ask about the log, subscribe.

Owns the shape of these calls for Python and the decoding of payloads. Called by subscribers
through `Client.events`. Never keeps a subscriber's place: cursors are theirs to store.
"""

import datetime
import typing
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from google.protobuf import duration_pb2, message
from payhub.admin.v1 import default_provider_events_pb2, key_events_pb2
from payhub.events.v1 import (
    consumer_events_pb2,
    event_pb2,
    event_stream_service_pb2,
    event_stream_service_pb2_grpc,
)
from payhub.payments.v1 import billing_events_pb2, payment_events_pb2, retry_policy_events_pb2
from payhub.plugin.v1 import plugin_events_pb2

from payhub_client import calls, contract, event_operations, requests, streams, subscription

if TYPE_CHECKING:
    from payhub.events.v1.event_stream_service_pb2_grpc import EventStreamServiceAsyncStub

_FILE, _SERVICE = event_stream_service_pb2.DESCRIPTOR, "EventStreamService"
_QUERY = contract.method(_FILE, _SERVICE, "QueryEvents")
_GET = contract.method(_FILE, _SERVICE, "GetEvent")
_LOG_INFO = contract.method(_FILE, _SERVICE, "GetLogInfo")

Start = Literal["newest", "oldest"]

_ANCHORS: Mapping[Start, event_stream_service_pb2.StartPoint.Anchor] = {
    "newest": event_stream_service_pb2.StartPoint.ANCHOR_NEWEST,
    "oldest": event_stream_service_pb2.StartPoint.ANCHOR_OLDEST,
}

Payload = (
    payment_events_pb2.PaymentEvent
    | payment_events_pb2.CustomerEvent
    | billing_events_pb2.PaymentMethodEvent
    | billing_events_pb2.PlanEvent
    | billing_events_pb2.SubscriptionEvent
    | billing_events_pb2.InvoiceEvent
    | billing_events_pb2.CheckoutEvent
    | billing_events_pb2.DisputeEvent
    | billing_events_pb2.WebhookEvent
    | plugin_events_pb2.PluginEvent
    | plugin_events_pb2.BindingEvent
    | key_events_pb2.KeyEvent
    | retry_policy_events_pb2.RetryPolicyEvent
    | default_provider_events_pb2.DefaultProviderEvent
    | consumer_events_pb2.ConsumerEvent
)

_KINDS: tuple[type[Payload], ...] = typing.get_args(Payload)
_PAYLOADS: dict[str, type[Payload]] = {kind.DESCRIPTOR.full_name: kind for kind in _KINDS}


class UnknownPayloadError(ValueError):
    """The payload of an event has a schema or an encoding that this client does not know."""


def payload(event: event_pb2.Event) -> Payload:
    """Return the decoded payload of an event that core tells, such as `invoice.paid`.

    Raises UnknownPayloadError for other schemas and for bytes that do not decode: skip such
    an event or decode `event.data` by `event.data_schema` yourself.
    """
    kind = _PAYLOADS.get(event.data_schema)
    if kind is None or event.content_type != "application/protobuf":
        text = f"event {event.id}: schema {event.data_schema!r} as {event.content_type!r}"
        raise UnknownPayloadError(text)
    try:
        return kind.FromString(event.data)
    except message.DecodeError as error:
        text = f"event {event.id}: the payload is no {event.data_schema}"
        raise UnknownPayloadError(text) from error


def start_point(
    start: Start, after: str, since: datetime.datetime | None = None
) -> event_stream_service_pb2.StartPoint:
    """Return the place after the cursor `after`, at a moment, or where `start` says."""
    if after:
        return event_stream_service_pb2.StartPoint(after_cursor=after)
    if since is not None:
        moment = requests.timestamp(since, field="since")
        return event_stream_service_pb2.StartPoint(from_time=moment)
    return event_stream_service_pb2.StartPoint(anchor=_ANCHORS[start])


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events; fields are combined with AND, values in a field with OR."""

    types: Iterable[str] = ()
    """Exact types, or a prefix such as `payment.*`."""
    tenant_ids: Iterable[str] = ()
    """Empty means the API key's own; others need the admin scope."""
    entity_types: Iterable[str] = ()
    entity_ids: Iterable[str] = ()

    def __post_init__(self) -> None:
        # One filter serves every page, so an iterator must not be used up by the first.
        for name in ("types", "tenant_ids", "entity_types", "entity_ids"):
            values = requests.several(getattr(self, name), field=f"filter.{name}")
            object.__setattr__(self, name, values)

    def to_proto(self) -> event_pb2.Filter:
        """Return the filter as the contract spells it."""
        return event_pb2.Filter(
            types=self.types,
            tenant_ids=self.tenant_ids,
            entity_types=self.entity_types,
            entity_ids=self.entity_ids,
        )


@dataclass(slots=True, kw_only=True)
class Events:
    """Reads the event log."""

    caller: calls.Caller
    _made: "EventStreamServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def query_page(
        self,
        where: EventFilter | None = None,
        *,
        after: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> event_stream_service_pb2.QueryEventsResponse:
        """Return one page, oldest first, strictly after the cursor `after`.

        A page may be empty although more follow: go on while `next_page_token` is set.
        `page_size` is 1 to 1000; 0 means 100.
        """
        request = event_stream_service_pb2.QueryEventsRequest(
            filter=(where or EventFilter()).to_proto(),
            after_cursor=after,
            page_size=page_size,
            page_token=page_token,
        )
        return await self.caller.call(self._stub.QueryEvents, _QUERY, request, timeout_s=timeout_s)

    async def query(
        self, where: EventFilter | None = None, *, after: str = "", page_size: int = 0
    ) -> AsyncIterator[event_pb2.Event]:
        """Go through history up to the head, oldest first, page by page as they are asked for."""
        token = ""
        while True:
            page = await self.query_page(where, after=after, page_size=page_size, page_token=token)
            for event in page.events:
                yield event
            token = page.next_page_token
            if not token:
                return

    async def get(
        self, event_id: str, *, timeout_s: float | None = None
    ) -> event_stream_service_pb2.GetEventResponse:
        """Return one event and the cursor of its place."""
        request = event_stream_service_pb2.GetEventRequest(id=event_id)
        return await self.caller.call(self._stub.GetEvent, _GET, request, timeout_s=timeout_s)

    async def log_info(
        self, *, timeout_s: float | None = None
    ) -> event_stream_service_pb2.GetLogInfoResponse:
        """Return what is kept and where the head is."""
        request = event_stream_service_pb2.GetLogInfoRequest()
        return await self.caller.call(
            self._stub.GetLogInfo, _LOG_INFO, request, timeout_s=timeout_s
        )

    def subscribe(
        self,
        where: EventFilter | None = None,
        *,
        after: str = "",
        since: datetime.datetime | None = None,
        start: Start = "newest",
        stop_at_head: bool = False,
        heartbeat_s: float | None = None,
        max_batch_events: int = 0,
        client_name: str = "",
        on_notice: Callable[[streams.Notice], None] | None = None,
        give_up_after_s: float | None = None,
    ) -> subscription.Subscription:
        """Follow the log, across reconnects, without a loss and without a repetition.

        Args:
            where: what to receive; may differ from what the cursor was got with.
            after: resume strictly after this stored cursor.
            since: else begin with the first event accepted at or after this moment.
            start: else `newest` (only what comes from now on) or `oldest` (all that is kept).
            stop_at_head: end on reaching the head as it is at the start of a stream.
            heartbeat_s: wished interval of signs of life, 1 to 60 s; None means 15 s.
            max_batch_events: most events in one response, at most 1000; 0 means 256.
            client_name: shown to operators.
            on_notice: called with each notice, from the reading task; must not block.
            give_up_after_s: raise Unavailable once nothing was received for so long.

        Store the cursor of a delivery or batch *after* dealing with it, best in the same
        transaction as its effects: then each event takes effect exactly once.
        """
        request = event_stream_service_pb2.SubscribeRequest(
            start=start_point(start, after, since),
            filter=(where or EventFilter()).to_proto(),
            max_batch_events=max_batch_events,
            stop_at_head=stop_at_head,
            client_name=client_name,
        )
        if heartbeat_s is not None:
            whole_s = int(heartbeat_s)
            request.heartbeat_interval.CopyFrom(
                duration_pb2.Duration(seconds=whole_s, nanos=int((heartbeat_s - whole_s) * 1e9))
            )
        return subscription.Subscription(
            link=self.caller.link,
            backoff=self.caller.backoff,
            timing=self.caller.timing,
            request=request,
            on_notice=on_notice,
            give_up_after_s=give_up_after_s,
        )

    @property
    def operations(self) -> event_operations.EventOperations:
        """What those who run the gateway see and do; needs the admin scope."""
        return event_operations.EventOperations(caller=self.caller)

    @property
    def _stub(self) -> "EventStreamServiceAsyncStub":
        if self._made is None:
            channel = self.caller.link.channel
            self._made = event_stream_service_pb2_grpc.EventStreamServiceStub(channel)
        return self._made
