"""Durable consumers: define, watch, seek, and look after what was parked.

Owns the shape of these calls for Python. Called by subscribers through `Client.consumers`
and by payctl. Receiving events is in `payhub_client.consumption`.
"""

import datetime
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from google.protobuf import duration_pb2
from payhub.events.v1 import (
    consumer_pb2,
    consumer_service_pb2,
    consumer_service_pb2_grpc,
)

from payhub_client import calls, contract, events

if TYPE_CHECKING:
    from payhub.events.v1.consumer_service_pb2_grpc import ConsumerServiceAsyncStub

_FILE, _SERVICE = consumer_service_pb2.DESCRIPTOR, "ConsumerService"
_CREATE = contract.method(_FILE, _SERVICE, "CreateConsumer")
_GET = contract.method(_FILE, _SERVICE, "GetConsumer")
_LIST = contract.method(_FILE, _SERVICE, "ListConsumers")
_UPDATE = contract.method(_FILE, _SERVICE, "UpdateConsumer")
_DELETE = contract.method(_FILE, _SERVICE, "DeleteConsumer")
_SEEK = contract.method(_FILE, _SERVICE, "SeekConsumer")
_PARKED = contract.method(_FILE, _SERVICE, "ListParkedEvents")
_RESOLVE = contract.method(_FILE, _SERVICE, "ResolveParkedEvents")

Ordering = Literal["per_entity", "none", "total"]
ParkScope = Literal["entity", "event", "consumer"]


@dataclass(slots=True, kw_only=True)
class Consumers:
    """Looks after the tenant's durable consumers."""

    caller: calls.Caller
    _made: "ConsumerServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(  # noqa: PLR0913
        self,
        name: str,
        where: events.EventFilter | None = None,
        *,
        after: str = "",
        since: datetime.datetime | None = None,
        start: events.Start = "newest",
        ordering: Ordering = "per_entity",
        park_scope: ParkScope = "entity",
        ack_timeout_s: float | None = None,
        max_deliveries: int = 0,
        retry_backoff_s: Iterable[float] = (),
        max_outstanding: int = 0,
        idle_expiry_s: float = 0.0,
        timeout_s: float | None = None,
    ) -> consumer_pb2.Consumer:
        """Make a consumer, or find the equal one of that name; so do it at every start.

        It begins after a cursor, with the first event accepted at or after a moment, or where
        `start` says.
        What is left out gets the gateway's default, see `payhub.events.v1.Consumer`. Raises
        StateConflict if a consumer of that name has another definition.
        """
        made = consumer_pb2.Consumer(
            name=name,
            filter=(where or events.EventFilter()).to_proto(),
            start=events.start_point(start, after, since),
            ordering=f"ORDERING_{ordering.upper()}",
            park_scope=f"PARK_SCOPE_{park_scope.upper()}",
            max_deliveries=max_deliveries,
            retry_backoff=[_duration(each) for each in retry_backoff_s],
            max_outstanding=max_outstanding,
            idle_expiry=_duration(idle_expiry_s),
        )
        if ack_timeout_s is not None:
            made.ack_timeout.CopyFrom(_duration(ack_timeout_s))
        request = consumer_service_pb2.CreateConsumerRequest(consumer=made)
        answer = await self.caller.call(
            self._stub.CreateConsumer, _CREATE, request, timeout_s=timeout_s
        )
        return answer.consumer

    async def get(
        self, name: str, *, timeout_s: float | None = None
    ) -> consumer_service_pb2.GetConsumerResponse:
        """Return definition and status."""
        request = consumer_service_pb2.GetConsumerRequest(name=name)
        return await self.caller.call(self._stub.GetConsumer, _GET, request, timeout_s=timeout_s)

    async def list_page(
        self, *, page_size: int = 0, page_token: str = "", timeout_s: float | None = None
    ) -> consumer_service_pb2.ListConsumersResponse:
        """Return one page by name; `page_size` is 1 to 100, 0 means 50."""
        request = consumer_service_pb2.ListConsumersRequest(
            page_size=page_size, page_token=page_token
        )
        return await self.caller.call(self._stub.ListConsumers, _LIST, request, timeout_s=timeout_s)

    async def update(
        self,
        change: consumer_pb2.Consumer,
        fields: Sequence[str],
        *,
        timeout_s: float | None = None,
    ) -> consumer_pb2.Consumer:
        """Set `fields` of the consumer `change.name` to the values in `change`."""
        request = consumer_service_pb2.UpdateConsumerRequest(consumer=change)
        request.update_mask.paths.extend(fields)
        answer = await self.caller.call(
            self._stub.UpdateConsumer, _UPDATE, request, timeout_s=timeout_s
        )
        return answer.consumer

    async def pause(
        self, name: str, paused: bool = True, *, timeout_s: float | None = None
    ) -> consumer_pb2.Consumer:
        """Stop handing out events, or go on with `paused=False`."""
        change = consumer_pb2.Consumer(name=name, paused=paused)
        return await self.update(change, ["paused"], timeout_s=timeout_s)

    async def delete(self, name: str, *, timeout_s: float | None = None) -> None:
        """Delete a consumer and its parked events; succeeds if there is none."""
        request = consumer_service_pb2.DeleteConsumerRequest(name=name)
        await self.caller.call(self._stub.DeleteConsumer, _DELETE, request, timeout_s=timeout_s)

    async def seek(
        self,
        name: str,
        *,
        after: str = "",
        since: datetime.datetime | None = None,
        start: events.Start = "newest",
        discard_parked: bool = False,
        dry_run: bool = False,
        key: str = "",
        timeout_s: float | None = None,
    ) -> consumer_service_pb2.SeekConsumerResponse:
        """Move the place: after a cursor, to the first event accepted at or after a moment, or
        where `start` says; with `dry_run` only tell what that would do.
        """
        key = key or calls.new_key()
        request = consumer_service_pb2.SeekConsumerRequest(
            name=name,
            target=events.start_point(start, after, since),
            discard_parked=discard_parked,
            dry_run=dry_run,
            idempotency_key=key,
        )
        return await self.caller.call(
            self._stub.SeekConsumer, _SEEK, request, timeout_s=timeout_s, key=key
        )

    async def parked_page(
        self,
        name: str,
        where: events.EventFilter | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> consumer_service_pb2.ListParkedEventsResponse:
        """Return one page of what was set aside, in log order; it may be empty before the last."""
        request = consumer_service_pb2.ListParkedEventsRequest(
            consumer=name,
            filter=(where or events.EventFilter()).to_proto(),
            page_size=page_size,
            page_token=page_token,
        )
        return await self.caller.call(
            self._stub.ListParkedEvents, _PARKED, request, timeout_s=timeout_s
        )

    async def parked(
        self, name: str, where: events.EventFilter | None = None
    ) -> AsyncIterator[consumer_pb2.ParkedEvent]:
        """Go through what was set aside, page by page as it is asked for."""
        token = ""
        while True:
            page = await self.parked_page(name, where, page_token=token)
            for each in page.parked_events:
                yield each
            token = page.next_page_token
            if not token:
                return

    async def resolve(
        self,
        name: str,
        positions: Iterable[int] = (),
        *,
        all_of_them: bool = False,
        discard: bool = False,
        timeout_s: float | None = None,
    ) -> consumer_service_pb2.ResolveParkedEventsResponse:
        """Deliver parked events again, or drop them with `discard`; at most 1000 in one call."""
        kind = consumer_service_pb2.ResolveParkedEventsRequest
        request = kind(
            consumer=name,
            positions=positions,
            all=all_of_them,
            resolution=kind.RESOLUTION_DISCARD if discard else kind.RESOLUTION_RETRY,
        )
        return await self.caller.call(
            self._stub.ResolveParkedEvents, _RESOLVE, request, timeout_s=timeout_s
        )

    @property
    def _stub(self) -> "ConsumerServiceAsyncStub":
        if self._made is None:
            channel = self.caller.link.channel
            self._made = consumer_service_pb2_grpc.ConsumerServiceStub(channel)
        return self._made


def _duration(seconds: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromMicroseconds(round(seconds * 1e6))
    return made
