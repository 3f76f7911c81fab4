"""RetryPolicyService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import retry_policy_service_pb2 as pb
from payhub.payments.v1 import retry_policy_service_pb2_grpc

from payment_service.api import reading
from payment_service.usecases import retry_policies


class RetryPolicyServicer(retry_policy_service_pb2_grpc.RetryPolicyServiceServicer):
    """Serves retry policies."""

    def __init__(self, cases: retry_policies.RetryPolicies) -> None:
        self._cases = cases

    async def GetRetryPolicy(
        self, request: pb.GetRetryPolicyRequest, context: Any
    ) -> pb.GetRetryPolicyResponse:
        """Returns the tenant's policy."""
        policy = await self._cases.get(reading.caller())
        return pb.GetRetryPolicyResponse(policy=retry_policies.snapshot(policy))

    async def SetRetryPolicy(
        self, request: pb.SetRetryPolicyRequest, context: Any
    ) -> pb.SetRetryPolicyResponse:
        """Replaces the tenant's policy."""
        delays_us = tuple(delay.ToMicroseconds() for delay in request.policy.delays)
        policy = await self._cases.set(reading.caller(), delays_us)
        return pb.SetRetryPolicyResponse(policy=retry_policies.snapshot(policy))
