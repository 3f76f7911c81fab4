"""The tenant's retry policy: get, set.

Owns the shape of these calls for Python. Called by services through `Client.retry_policy`.
Never tells how the client repeats its own calls: that is `retries`.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import retry_policy_service_pb2 as pb
from payhub.payments.v1 import retry_policy_service_pb2_grpc

from payhub_client import calls, contract, requests

if TYPE_CHECKING:
    from payhub.payments.v1.retry_policy_service_pb2_grpc import RetryPolicyServiceAsyncStub

_SERVICE = "RetryPolicyService"
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetRetryPolicy")
_SET = contract.method(pb.DESCRIPTOR, _SERVICE, "SetRetryPolicy")


@dataclass(slots=True, kw_only=True)
class RetryPolicies:
    """Decides when payments off session that were refused softly are tried again."""

    caller: calls.Caller
    _made: "RetryPolicyServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def get(self, *, timeout_s: float | None = None) -> pb.RetryPolicy:
        """Return the tenant's policy; one without `delays` tries nothing again."""
        request = pb.GetRetryPolicyRequest()
        response = await self.caller.call(
            self._stub.GetRetryPolicy, _GET, request, timeout_s=timeout_s
        )
        return response.policy

    async def set(
        self, delays: Iterable[datetime.timedelta], *, timeout_s: float | None = None
    ) -> pb.RetryPolicy:
        """Replace the tenant's policy, for payments that fail from now on.

        `delays` are at most 8 waits of 1 minute to 30 days, each before one try and counted
        from the refusal before it; none means that nothing is tried again.
        """
        request = pb.SetRetryPolicyRequest(
            policy=pb.RetryPolicy(delays=[requests.duration(each) for each in delays])
        )
        response = await self.caller.call(
            self._stub.SetRetryPolicy, _SET, request, timeout_s=timeout_s
        )
        return response.policy

    @property
    def _stub(self) -> "RetryPolicyServiceAsyncStub":
        if self._made is None:
            self._made = retry_policy_service_pb2_grpc.RetryPolicyServiceStub(
                self.caller.link.channel
            )
        return self._made
