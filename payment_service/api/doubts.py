"""DoubtService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.admin.v1 import doubt_service_pb2 as pb
from payhub.admin.v1 import doubt_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import operations
from payment_service.domain import model
from payment_service.usecases import doubts, snapshots


class DoubtServicer(doubt_service_pb2_grpc.DoubtServiceServicer):
    """Serves doubts."""

    def __init__(self, cases: doubts.Doubts) -> None:
        self._cases = cases

    async def ListDoubts(
        self, request: pb.ListDoubtsRequest, context: Any
    ) -> pb.ListDoubtsResponse:
        """Lists operations in doubt, oldest first."""
        (after_id,) = reading.page_start(request, str) or ("",)
        wanted = operations.DoubtFilter(
            tenant_id=request.tenant_id,
            provider=request.provider,
            entity_id=request.entity_id,
            needs_operator=request.needs_operator,
            after_id=after_id,
        )
        found = await self._cases.list_oldest_first(wanted, reading.page_size(request) + 1)
        shown, token = reading.page(request, found, self._message)
        return pb.ListDoubtsResponse(doubts=shown, next_page_token=token)

    async def SettleDoubt(
        self, request: pb.SettleDoubtRequest, context: Any
    ) -> pb.SettleDoubtResponse:
        """Ends a doubt by what the caller found at the provider."""
        payment = await self._cases.settle(
            request.operation_id,
            version=request.version,
            took_effect=request.finding == pb.SettleDoubtRequest.FINDING_TOOK_EFFECT,
            provider_payment_id=request.provider_payment_id,
            reason=request.reason,
            actor=reading.caller().actor,
        )
        return pb.SettleDoubtResponse(payment=snapshots.payment(payment))

    def _message(self, operation: model.Operation) -> pb.Doubt:
        message = pb.Doubt(
            operation_id=operation.id,
            tenant_id=operation.tenant_id,
            entity_id=operation.entity_id,
            kind=operation.kind.name,
            provider=operation.provider,
            version=operation.version,
            create_time=snapshots.timestamp(operation.created_us),
            update_time=snapshots.timestamp(operation.updated_us),
            attempts=operation.attempts,
            settleable_time=snapshots.timestamp(self._cases.settleable_us(operation)),
            settleable=doubts.is_settleable(operation),
            plugin_version=operation.plugin_version,
        )
        if operation.currency:
            message.amount.CopyFrom(snapshots.money(operation.amount_minor, operation.currency))
        if operation.next_check_us:
            message.next_look_time.CopyFrom(snapshots.timestamp(operation.next_check_us))
        if operation.failure is not None:
            message.failure.CopyFrom(snapshots.failure(operation.failure))
        return message
