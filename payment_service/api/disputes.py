"""DisputeService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import dispute_service_pb2 as pb
from payhub.payments.v1 import dispute_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import mirrors
from payment_service.usecases.mirrors import beginning, telling
from payment_service.usecases.mirrors import disputes as cases


class DisputeServicer(dispute_service_pb2_grpc.DisputeServiceServicer):
    """Serves disputes."""

    def __init__(self, cases_: cases.Disputes) -> None:
        self._cases = cases_

    async def GetDispute(
        self, request: pb.GetDisputeRequest, context: Any
    ) -> pb.GetDisputeResponse:
        """Returns a dispute."""
        shown = await self._cases.get(reading.caller(), request.dispute_id)
        return pb.GetDisputeResponse(dispute=_message(shown))

    async def ListDisputes(
        self, request: pb.ListDisputesRequest, context: Any
    ) -> pb.ListDisputesResponse:
        """Returns one page of disputes."""
        start = reading.page_start(request, str)
        size = reading.page_size(request)
        wanted = mirrors.ListFilter(
            parent_id=request.payment_id,
            states=(int(request.state),) if request.state else (),
            before_id=start[0] if start else "",
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, telling.dispute)
        return pb.ListDisputesResponse(disputes=shown, next_page_token=token)

    async def SubmitDisputeEvidence(
        self, request: pb.SubmitDisputeEvidenceRequest, context: Any
    ) -> pb.SubmitDisputeEvidenceResponse:
        """Submits the evidence against a dispute."""
        evidence = dict(request.evidence)
        keyed = reading.keyed("SubmitDisputeEvidence", request)
        shown = await self._cases.submit(reading.caller(), keyed, request.dispute_id, evidence)
        return pb.SubmitDisputeEvidenceResponse(dispute=_message(shown))

    async def AcceptDispute(
        self, request: pb.AcceptDisputeRequest, context: Any
    ) -> pb.AcceptDisputeResponse:
        """Gives the disputed money up."""
        keyed = reading.keyed("AcceptDispute", request)
        shown = await self._cases.accept(reading.caller(), keyed, request.dispute_id)
        return pb.AcceptDisputeResponse(dispute=_message(shown))


def _message(shown: beginning.Shown) -> pb.Dispute:
    return telling.dispute(shown.entity, shown.operations)
