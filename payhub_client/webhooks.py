"""Webhook endpoints: make, watch, rotate secrets, send again.

Owns the shape of these calls for Python. Called by services through `Client.webhooks` and by
payctl. Receiving webhooks is not its business: any Standard Webhooks library does that.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf import duration_pb2
from payhub.events.v1 import webhook_pb2, webhook_service_pb2, webhook_service_pb2_grpc

from payhub_client import calls, contract, events, requests

if TYPE_CHECKING:
    from payhub.events.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub

_FILE, _SERVICE = webhook_service_pb2.DESCRIPTOR, "WebhookService"
_CREATE = contract.method(_FILE, _SERVICE, "CreateWebhookEndpoint")
_GET = contract.method(_FILE, _SERVICE, "GetWebhookEndpoint")
_LIST = contract.method(_FILE, _SERVICE, "ListWebhookEndpoints")
_UPDATE = contract.method(_FILE, _SERVICE, "UpdateWebhookEndpoint")
_DELETE = contract.method(_FILE, _SERVICE, "DeleteWebhookEndpoint")
_ROTATE = contract.method(_FILE, _SERVICE, "RotateWebhookSecret")
_TEST = contract.method(_FILE, _SERVICE, "SendTestWebhook")
_DELIVERIES = contract.method(_FILE, _SERVICE, "ListWebhookDeliveries")
_RETRY = contract.method(_FILE, _SERVICE, "RetryWebhookDeliveries")

FAILED_AT_ONCE = 1000
"""Most failed events that one `retry` sends again, by the contract."""

Endpoint = webhook_pb2.WebhookEndpoint


@dataclass(slots=True, kw_only=True)
class Webhooks:
    """Looks after the tenant's webhook endpoints."""

    caller: calls.Caller
    _made: "WebhookServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(
        self,
        url: str,
        types: Iterable[str] = (),
        *,
        description: str = "",
        ordered: bool = False,
        thin: bool = False,
        max_in_flight: int = 0,
        answer_within_s: float | None = None,
        retry_schedule_s: Iterable[float] = (),
        key: str = "",
        timeout_s: float | None = None,
    ) -> webhook_service_pb2.CreateWebhookEndpointResponse:
        """Make an endpoint; the answer holds the secret that its receiver checks signatures with.

        What is left out gets the gateway's default, see `payhub.events.v1.WebhookEndpoint`.
        """
        key = key or calls.new_key()
        made = Endpoint(
            url=url,
            types=requests.several(types, field="types"),
            description=description,
            ordered=ordered,
            thin=thin,
            max_in_flight=max_in_flight,
            retry_schedule=[_duration(each) for each in retry_schedule_s],
        )
        if answer_within_s is not None:
            made.timeout.CopyFrom(_duration(answer_within_s))
        request = webhook_service_pb2.CreateWebhookEndpointRequest(
            endpoint=made, idempotency_key=key
        )
        return await self.caller.call(
            self._stub.CreateWebhookEndpoint, _CREATE, request, timeout_s=timeout_s, key=key
        )

    async def get(
        self, endpoint_id: str, *, timeout_s: float | None = None
    ) -> webhook_service_pb2.GetWebhookEndpointResponse:
        """Return an endpoint, without secrets, and how it does."""
        request = webhook_service_pb2.GetWebhookEndpointRequest(id=endpoint_id)
        return await self.caller.call(
            self._stub.GetWebhookEndpoint, _GET, request, timeout_s=timeout_s
        )

    async def list_page(
        self, *, page_size: int = 0, page_token: str = "", timeout_s: float | None = None
    ) -> webhook_service_pb2.ListWebhookEndpointsResponse:
        """Return one page by id; `page_size` is 1 to 100, 0 means 50."""
        request = webhook_service_pb2.ListWebhookEndpointsRequest(
            page_size=page_size, page_token=page_token
        )
        return await self.caller.call(
            self._stub.ListWebhookEndpoints, _LIST, request, timeout_s=timeout_s
        )

    async def update(
        self, change: Endpoint, fields: Sequence[str], *, timeout_s: float | None = None
    ) -> Endpoint:
        """Set `fields` of the endpoint `change.id` to the values in `change`."""
        request = webhook_service_pb2.UpdateWebhookEndpointRequest(endpoint=change)
        request.update_mask.paths.extend(fields)
        answer = await self.caller.call(
            self._stub.UpdateWebhookEndpoint, _UPDATE, request, timeout_s=timeout_s
        )
        return answer.endpoint

    async def delete(self, endpoint_id: str, *, timeout_s: float | None = None) -> None:
        """Delete an endpoint; succeeds if there is none."""
        request = webhook_service_pb2.DeleteWebhookEndpointRequest(id=endpoint_id)
        await self.caller.call(
            self._stub.DeleteWebhookEndpoint, _DELETE, request, timeout_s=timeout_s
        )

    async def rotate_secret(
        self,
        endpoint_id: str,
        *,
        overlap_s: float | None = None,
        key: str = "",
        timeout_s: float | None = None,
    ) -> webhook_service_pb2.RotateWebhookSecretResponse:
        """Give it a new secret; the one before signs alongside for `overlap_s` (None: 24 h)."""
        key = key or calls.new_key()
        request = webhook_service_pb2.RotateWebhookSecretRequest(
            id=endpoint_id, idempotency_key=key
        )
        if overlap_s is not None:
            request.overlap.CopyFrom(_duration(overlap_s))
        return await self.caller.call(
            self._stub.RotateWebhookSecret, _ROTATE, request, timeout_s=timeout_s, key=key
        )

    async def test(
        self, endpoint_id: str, *, type_name: str = "", timeout_s: float | None = None
    ) -> webhook_service_pb2.SendTestWebhookResponse:
        """Send a synthetic event now and return what the receiver answered."""
        request = webhook_service_pb2.SendTestWebhookRequest(id=endpoint_id, type=type_name)
        return await self.caller.call(
            self._stub.SendTestWebhook, _TEST, request, timeout_s=timeout_s
        )

    async def deliveries_page(
        self,
        endpoint_id: str,
        *,
        state: str = "",
        event_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> webhook_service_pb2.ListWebhookDeliveriesResponse:
        """Return one page of the delivery log, newest first.

        `state` is `pending`, `delivered` or `failed`; empty means all.
        """
        request = webhook_service_pb2.ListWebhookDeliveriesRequest(
            endpoint_id=endpoint_id,
            state=f"STATE_{state.upper() or 'UNSPECIFIED'}",
            event_id=event_id,
            page_size=page_size,
            page_token=page_token,
        )
        return await self.caller.call(
            self._stub.ListWebhookDeliveries, _DELIVERIES, request, timeout_s=timeout_s
        )

    async def retry(
        self,
        endpoint_id: str,
        *,
        event_id: str = "",
        failed_since: datetime.datetime | None = None,
        replay_after: str = "",
        replay_since: datetime.datetime | None = None,
        replay_all: bool = False,
        key: str = "",
        timeout_s: float | None = None,
    ) -> int:
        """Send again, and return how many events: one, what failed for good since a time, or
        everything after a cursor, since a time, or from the oldest event on. Exactly one of these
        is given. Of what failed, one call takes FAILED_AT_ONCE: repeat it with a new key.
        """
        key = key or calls.new_key()
        request = webhook_service_pb2.RetryWebhookDeliveriesRequest(
            endpoint_id=endpoint_id, idempotency_key=key
        )
        since = requests.timestamp(failed_since, field="failed_since")
        if event_id:
            request.event_id = event_id
        elif since is not None:
            request.failed_since.CopyFrom(since)
        elif replay_after or replay_all or replay_since is not None:
            place = events.start_point("oldest", replay_after, replay_since)
            request.replay_from.CopyFrom(place)
        answer = await self.caller.call(
            self._stub.RetryWebhookDeliveries, _RETRY, request, timeout_s=timeout_s, key=key
        )
        return answer.queued

    @property
    def _stub(self) -> "WebhookServiceAsyncStub":
        if self._made is None:
            channel = self.caller.link.channel
            self._made = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        return self._made


def _duration(seconds: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromMicroseconds(round(seconds * 1e6))
    return made
