"""Operations in doubt, for operators.

Owns the shape of these calls for Python. Called by operators' tools through `Client.doubts`.
Never decides what the provider's records say: who settles a doubt has looked there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payhub.admin.v1 import doubt_service_pb2 as pb
from payhub.admin.v1 import doubt_service_pb2_grpc
from payhub.payments.v1 import payment_pb2

from payhub_client import calls, contract

if TYPE_CHECKING:
    from payhub.admin.v1.doubt_service_pb2_grpc import DoubtServiceAsyncStub

_SERVICE = "DoubtService"
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListDoubts")
_SETTLE = contract.method(pb.DESCRIPTOR, _SERVICE, "SettleDoubt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """Lists and settles doubts; needs the admin scope."""

    caller: calls.Caller

    async def list_page(
        self,
        *,
        tenant_id: str = "",
        provider: str = "",
        entity_id: str = "",
        needs_operator: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListDoubtsResponse:
        """Return one page, oldest first, of at most `page_size` (1 to 200; 0 means 50)."""
        request = pb.ListDoubtsRequest(
            tenant_id=tenant_id,
            provider=provider,
            entity_id=entity_id,
            needs_operator=needs_operator,
            page_size=page_size,
            page_token=page_token,
        )
        return await self.caller.call(self._stub.ListDoubts, _LIST, request, timeout_s=timeout_s)

    async def settle(
        self,
        operation_id: str,
        *,
        version: int,
        took_effect: bool,
        reason: str,
        provider_payment_id: str = "",
        timeout_s: float | None = None,
    ) -> payment_pb2.Payment:
        """End a doubt by what was found at the provider; return the payment afterwards.

        It can't be taken back. Raises NotFound, InvalidRequest, or StateConflict if it has
        changed since it was listed or a request may still arrive.

        Args:
            operation_id: the operation.
            version: its version as it was listed.
            took_effect: whether all of it was done; else nothing was, and never will be.
            reason: how you know, 1 to 512 characters.
            provider_payment_id: the provider's id of a payment that took effect, if Payhub
                does not know it.
            timeout_s: overall time, in seconds.
        """
        finding = pb.SettleDoubtRequest.FINDING_NO_EFFECT
        if took_effect:
            finding = pb.SettleDoubtRequest.FINDING_TOOK_EFFECT
        request = pb.SettleDoubtRequest(
            operation_id=operation_id,
            version=version,
            finding=finding,
            provider_payment_id=provider_payment_id,
            reason=reason,
        )
        response = await self.caller.call(
            self._stub.SettleDoubt, _SETTLE, request, timeout_s=timeout_s
        )
        return response.payment

    @property
    def _stub(self) -> "DoubtServiceAsyncStub":
        return doubt_service_pb2_grpc.DoubtServiceStub(self.caller.link.channel)
