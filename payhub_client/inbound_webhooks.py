"""What providers told by webhook, for operators.

Owns the shape of these calls for Python. Called by operators' tools through
`Client.inbound_webhooks`. Never changes what a webhook tells: replaying applies it once all
the same.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payhub.admin.v1 import inbound_webhook_service_pb2 as pb
from payhub.admin.v1 import inbound_webhook_service_pb2_grpc

from payhub_client import calls, contract

if TYPE_CHECKING:
    from payhub.admin.v1.inbound_webhook_service_pb2_grpc import InboundWebhookServiceAsyncStub

_SERVICE = "InboundWebhookService"
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListInboundWebhooks")
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetInboundWebhook")
_REPLAY = contract.method(pb.DESCRIPTOR, _SERVICE, "ReplayInboundWebhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundWebhooks:
    """Shows and replays webhooks; needs the admin scope."""

    caller: calls.Caller

    async def list_page(
        self,
        *,
        provider: str = "",
        tenant_id: str = "",
        state: pb.InboundWebhook.State = pb.InboundWebhook.STATE_UNSPECIFIED,
        provider_event_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListInboundWebhooksResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50)."""
        request = pb.ListInboundWebhooksRequest(
            provider=provider,
            tenant_id=tenant_id,
            state=state,
            provider_event_id=provider_event_id,
            page_size=page_size,
            page_token=page_token,
        )
        return await self.caller.call(
            self._stub.ListInboundWebhooks, _LIST, request, timeout_s=timeout_s
        )

    async def get(
        self, webhook_id: str, *, timeout_s: float | None = None
    ) -> pb.GetInboundWebhookResponse:
        """Return a webhook with its body. Raises NotFound."""
        request = pb.GetInboundWebhookRequest(webhook_id=webhook_id)
        return await self.caller.call(
            self._stub.GetInboundWebhook, _GET, request, timeout_s=timeout_s
        )

    async def replay(self, webhook_id: str, *, timeout_s: float | None = None) -> pb.InboundWebhook:
        """Apply a webhook again and return it as it stands afterwards.

        Raises NotFound, or StateConflict for one that was rejected.
        """
        request = pb.ReplayInboundWebhookRequest(webhook_id=webhook_id)
        response = await self.caller.call(
            self._stub.ReplayInboundWebhook, _REPLAY, request, timeout_s=timeout_s
        )
        return response.webhook

    @property
    def _stub(self) -> "InboundWebhookServiceAsyncStub":
        return inbound_webhook_service_pb2_grpc.InboundWebhookServiceStub(self.caller.link.channel)
