"""Disputes that payers' banks opened: get, list, submit evidence, accept.

Owns the shape of these calls for Python. Called by services through `Client.disputes`.
Never decides for the caller: evidence and acceptance are for good.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import dispute_service_pb2 as pb
from payhub.payments.v1 import dispute_service_pb2_grpc

from payhub_client import calls, contract, pages

if TYPE_CHECKING:
    from payhub.payments.v1.dispute_service_pb2_grpc import DisputeServiceAsyncStub

_SERVICE = "DisputeService"
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetDispute")
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListDisputes")
_SUBMIT = contract.method(pb.DESCRIPTOR, _SERVICE, "SubmitDisputeEvidence")
_ACCEPT = contract.method(pb.DESCRIPTOR, _SERVICE, "AcceptDispute")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter:
    """Which disputes to list; everything given must hold."""

    payment_id: str = ""
    state: "pb.Dispute.State" = pb.Dispute.STATE_UNSPECIFIED


@dataclass(slots=True, kw_only=True)
class Disputes:
    """Answers disputes. Keys, deadlines and errors are as in `Payments`.

    A dispute is returned as it stands: read its `state` and `mirror.sync_state`.
    """

    caller: calls.Caller
    _made: "DisputeServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def get(self, dispute_id: str, *, timeout_s: float | None = None) -> pb.Dispute:
        """Return a dispute as it stands."""
        request = pb.GetDisputeRequest(dispute_id=dispute_id)
        response = await self.caller.call(self._stub.GetDispute, _GET, request, timeout_s=timeout_s)
        return response.dispute

    async def list_page(
        self,
        where: DisputeFilter | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListDisputesResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `page_token` is the `next_page_token` of the page before, asked for with the same
        filter and size.
        """
        where = where or DisputeFilter()
        request = pb.ListDisputesRequest(
            page_size=page_size,
            page_token=page_token,
            payment_id=where.payment_id,
            state=where.state,
        )
        return await self.caller.call(self._stub.ListDisputes, _LIST, request, timeout_s=timeout_s)

    def list(
        self, where: DisputeFilter | None = None, *, page_size: int = 0
    ) -> AsyncIterator[pb.Dispute]:
        """Go through all matching disputes, newest first, page by page."""
        return pages.through(
            lambda token: self.list_page(where, page_size=page_size, page_token=token),
            lambda page: page.disputes,
        )

    async def submit_evidence(
        self,
        dispute_id: str,
        evidence: Mapping[str, str],
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Dispute:
        """Submit the evidence against a dispute, for good.

        `evidence` holds 1 to 32 texts by name, such as `product_description` or
        `uncategorized_text`.
        """
        key = calls.key_of(idempotency_key)
        request = pb.SubmitDisputeEvidenceRequest(
            idempotency_key=key, dispute_id=dispute_id, evidence=dict(evidence)
        )
        response = await self.caller.call(
            self._stub.SubmitDisputeEvidence, _SUBMIT, request, timeout_s=timeout_s, key=key
        )
        return response.dispute

    async def accept(
        self, dispute_id: str, *, idempotency_key: str | None = None, timeout_s: float | None = None
    ) -> pb.Dispute:
        """Give the disputed money up, for good."""
        key = calls.key_of(idempotency_key)
        request = pb.AcceptDisputeRequest(idempotency_key=key, dispute_id=dispute_id)
        response = await self.caller.call(
            self._stub.AcceptDispute, _ACCEPT, request, timeout_s=timeout_s, key=key
        )
        return response.dispute

    @property
    def _stub(self) -> "DisputeServiceAsyncStub":
        if self._made is None:
            self._made = dispute_service_pb2_grpc.DisputeServiceStub(self.caller.link.channel)
        return self._made
