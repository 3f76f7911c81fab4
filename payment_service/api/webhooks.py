"""InboundWebhookService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.admin.v1 import inbound_webhook_service_pb2 as pb
from payhub.admin.v1 import inbound_webhook_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import webhooks as rows
from payment_service.domain import webhooks
from payment_service.usecases import snapshots
from payment_service.usecases.webhooks import replaying


class InboundWebhookServicer(inbound_webhook_service_pb2_grpc.InboundWebhookServiceServicer):
    """Serves inbound webhooks."""

    def __init__(self, cases: replaying.Webhooks) -> None:
        self._cases = cases

    async def ListInboundWebhooks(
        self, request: pb.ListInboundWebhooksRequest, context: Any
    ) -> pb.ListInboundWebhooksResponse:
        """Lists webhooks, newest first."""
        size = reading.page_size(request)
        (before_id,) = reading.page_start(request, str) or ("",)
        wanted = rows.ListFilter(
            provider=request.provider,
            tenant_id=request.tenant_id,
            state=request.state,
            provider_event_id=request.provider_event_id,
            before_id=before_id,
        )
        found = await self._cases.list_newest_first(wanted, size + 1)
        shown, token = reading.page(request, found, _message)
        return pb.ListInboundWebhooksResponse(webhooks=shown, next_page_token=token)

    async def GetInboundWebhook(
        self, request: pb.GetInboundWebhookRequest, context: Any
    ) -> pb.GetInboundWebhookResponse:
        """Returns one with its body."""
        found = await self._cases.get(request.webhook_id)
        return pb.GetInboundWebhookResponse(
            webhook=_message(found), body=found.body, headers=dict(found.headers)
        )

    async def ReplayInboundWebhook(
        self, request: pb.ReplayInboundWebhookRequest, context: Any
    ) -> pb.ReplayInboundWebhookResponse:
        """Applies a stored webhook again."""
        found = await self._cases.replay(request.webhook_id)
        return pb.ReplayInboundWebhookResponse(webhook=_message(found))


def _message(webhook: webhooks.Webhook) -> pb.InboundWebhook:
    message = pb.InboundWebhook(
        id=webhook.id,
        provider=webhook.provider,
        binding_id=webhook.binding_id,
        tenant_id=webhook.tenant_id,
        state=snapshots.number(webhook.state),
        event_type=webhook.event_type,
        provider_event_id=webhook.provider_event_id,
        receive_time=snapshots.timestamp(webhook.received_us),
        update_time=snapshots.timestamp(webhook.updated_us),
        attempts=webhook.attempts,
        detail=webhook.detail,
        body_bytes=webhook.body_bytes,
        http_status=webhook.http_status,
        entity_ids=webhook.entity_ids,
    )
    if webhook.next_attempt_us and webhook.state in webhooks.OPEN:
        message.next_attempt_time.CopyFrom(snapshots.timestamp(webhook.next_attempt_us))
    return message
