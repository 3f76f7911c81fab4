"""RefundService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import refund_service_pb2 as pb
from payhub.payments.v1 import refund_service_pb2_grpc

from payment_service.api import reading
from payment_service.domain import model
from payment_service.usecases import refunds, snapshots


class RefundServicer(refund_service_pb2_grpc.RefundServiceServicer):
    """Serves refunds."""

    def __init__(self, cases: refunds.Refunds) -> None:
        self._cases = cases

    async def CreateRefund(
        self, request: pb.CreateRefundRequest, context: Any
    ) -> pb.CreateRefundResponse:
        """Returns the captured amount or a part of it."""
        has_amount = request.HasField("amount")
        wanted = refunds.Create(
            payment_id=request.payment_id,
            amount_minor=request.amount.amount_minor if has_amount else None,
            currency=reading.currency(request.amount, "amount") if has_amount else "",
            reason=model.RefundReason(request.reason),
            note=request.note,
            request=reading.keyed("CreateRefund", request),
        )
        refund = await self._cases.create(reading.caller(), wanted)
        return pb.CreateRefundResponse(refund=snapshots.refund(refund))

    async def GetRefund(self, request: pb.GetRefundRequest, context: Any) -> pb.GetRefundResponse:
        """Returns a refund as it stands."""
        refund = await self._cases.get(reading.caller(), request.refund_id)
        return pb.GetRefundResponse(refund=snapshots.refund(refund))

    async def ListRefunds(
        self, request: pb.ListRefundsRequest, context: Any
    ) -> pb.ListRefundsResponse:
        """Lists refunds, newest first."""
        size = reading.page_size(request)
        (before_id,) = reading.page_start(request, str) or ("",)
        found = await self._cases.list_newest_first(
            reading.caller(),
            payment_id=request.payment_id,
            before_id=before_id,
            most=size + 1,
        )
        shown, token = reading.page(request, found, snapshots.refund)
        return pb.ListRefundsResponse(refunds=shown, next_page_token=token)
