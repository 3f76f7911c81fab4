"""RegistryService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.registry.v1 import registry_service_pb2 as pb
from payhub.registry.v1 import registry_service_pb2_grpc

from payment_service.api import reading
from payment_service.usecases import snapshots
from payment_service.usecases.plugins import leases
from servicekit import rpc


class RegistryServicer(registry_service_pb2_grpc.RegistryServiceServicer):
    """Serves plugins that come and go."""

    def __init__(self, cases: leases.Leases) -> None:
        self._cases = cases

    async def RegisterInstance(
        self, request: pb.RegisterInstanceRequest, context: Any
    ) -> pb.RegisterInstanceResponse:
        """Opens a lease."""
        instance = await self._cases.register(_who(), request.identity, request.endpoint)
        length_us = self._cases.terms.length_us
        response = pb.RegisterInstanceResponse(session_id=instance.session_id)
        response.lease_duration.FromMicroseconds(length_us)
        response.renew_interval.FromMicroseconds(length_us // 3)
        return response

    async def RenewLease(
        self, request: pb.RenewLeaseRequest, context: Any
    ) -> pb.RenewLeaseResponse:
        """Extends a lease."""
        instance = await self._cases.renew(_who(), request.session_id)
        return pb.RenewLeaseResponse(
            expire_time=snapshots.timestamp(instance.lease_until_us),
            directive=snapshots.number(self._cases.directive(instance)),
        )

    async def DeregisterInstance(
        self, request: pb.DeregisterInstanceRequest, context: Any
    ) -> pb.DeregisterInstanceResponse:
        """Closes a lease."""
        await self._cases.deregister(_who(), request.session_id)
        return pb.DeregisterInstanceResponse()


def _who() -> leases.Plugin:
    return leases.Plugin(caller=reading.caller(), plugin_id=rpc.current().principal.plugin_id)
