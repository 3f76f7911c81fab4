"""Refunds: create, get, list.

Owns the shape of these calls for Python. Called by services through `Client.refunds`.
Never retries, times or maps errors itself: `calls` does.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import refund_service_pb2, refund_service_pb2_grpc

from payhub_client import calls, contract, requests

if TYPE_CHECKING:
    from payhub.payments.v1.refund_service_pb2_grpc import RefundServiceAsyncStub

_FILE, _SERVICE = refund_service_pb2.DESCRIPTOR, "RefundService"
_CREATE = contract.method(_FILE, _SERVICE, "CreateRefund")
_GET = contract.method(_FILE, _SERVICE, "GetRefund")
_LIST = contract.method(_FILE, _SERVICE, "ListRefunds")


@dataclass(slots=True, kw_only=True)
class Refunds:
    """Returns captured money. Keys, deadlines and errors are as in `Payments`."""

    caller: calls.Caller
    _made: "RefundServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(
        self,
        payment_id: str,
        *,
        amount_minor: int | None = None,
        currency: str = "",
        reason: "refund_service_pb2.Refund.Reason" = (refund_service_pb2.Refund.REASON_UNSPECIFIED),
        note: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> refund_service_pb2.Refund:
        """Return all that is left, or `amount_minor` in the payment's `currency`.

        The refund as it stands is returned: read its `state`, which may be FAILED or IN_DOUBT.
        """
        key = calls.key_of(idempotency_key)
        request = refund_service_pb2.CreateRefundRequest(
            idempotency_key=key,
            payment_id=payment_id,
            amount=requests.money_or_all(amount_minor, currency),
            reason=reason,
            note=note,
        )
        response = await self.caller.call(
            self._stub.CreateRefund, _CREATE, request, timeout_s=timeout_s, key=key
        )
        return response.refund

    async def get(
        self, refund_id: str, *, timeout_s: float | None = None
    ) -> refund_service_pb2.Refund:
        """Return a refund as it stands."""
        request = refund_service_pb2.GetRefundRequest(refund_id=refund_id)
        response = await self.caller.call(self._stub.GetRefund, _GET, request, timeout_s=timeout_s)
        return response.refund

    async def list_page(
        self,
        *,
        payment_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> refund_service_pb2.ListRefundsResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `payment_id` empty means the refunds of every payment. `page_token` is the
        `next_page_token` of the page before, asked for with the same arguments.
        """
        request = refund_service_pb2.ListRefundsRequest(
            page_size=page_size, page_token=page_token, payment_id=payment_id
        )
        return await self.caller.call(self._stub.ListRefunds, _LIST, request, timeout_s=timeout_s)

    async def list(
        self, *, payment_id: str = "", page_size: int = 0
    ) -> AsyncIterator[refund_service_pb2.Refund]:
        """Go through all refunds, newest first, page by page as they are asked for."""
        token = ""
        while True:
            page = await self.list_page(
                payment_id=payment_id, page_size=page_size, page_token=token
            )
            for refund in page.refunds:
                yield refund
            token = page.next_page_token
            if not token:
                return

    @property
    def _stub(self) -> "RefundServiceAsyncStub":
        if self._made is None:
            self._made = refund_service_pb2_grpc.RefundServiceStub(self.caller.link.channel)
        return self._made
