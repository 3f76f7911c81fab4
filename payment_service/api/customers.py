"""CustomerService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from dataclasses import fields
from typing import Any

from payhub.payments.v1 import customer_service_pb2 as pb
from payhub.payments.v1 import customer_service_pb2_grpc

from payment_service.api import reading
from payment_service.domain import model
from payment_service.usecases import customers, snapshots
from servicekit import errors

_PROFILE_FIELDS = tuple(field.name for field in fields(model.Profile))


class CustomerServicer(customer_service_pb2_grpc.CustomerServiceServicer):
    """Serves customers."""

    def __init__(self, cases: customers.Customers) -> None:
        self._cases = cases

    async def CreateCustomer(
        self, request: pb.CreateCustomerRequest, context: Any
    ) -> pb.CreateCustomerResponse:
        """Creates a customer here and at the provider."""
        wanted = customers.Create(
            profile=_profile(request.profile),
            provider=request.provider,
            request=reading.keyed("CreateCustomer", request),
        )
        customer = await self._cases.create(reading.caller(), wanted)
        return pb.CreateCustomerResponse(customer=snapshots.customer(customer))

    async def GetCustomer(
        self, request: pb.GetCustomerRequest, context: Any
    ) -> pb.GetCustomerResponse:
        """Returns a customer."""
        customer = await self._cases.get(reading.caller(), request.customer_id)
        return pb.GetCustomerResponse(customer=snapshots.customer(customer))

    async def UpdateCustomer(
        self, request: pb.UpdateCustomerRequest, context: Any
    ) -> pb.UpdateCustomerResponse:
        """Changes a customer here and at the provider."""
        paths = tuple(request.update_mask.paths)
        for number, path in enumerate(paths):
            if path not in _PROFILE_FIELDS:
                raise errors.invalid_field(
                    f"update_mask.paths[{number}]",
                    f"must be one of {', '.join(_PROFILE_FIELDS)}",
                )
        wanted = customers.Update(
            customer_id=request.customer_id,
            profile=_profile(request.profile),
            paths=paths,
            request=reading.keyed("UpdateCustomer", request),
        )
        customer = await self._cases.update(reading.caller(), wanted)
        return pb.UpdateCustomerResponse(customer=snapshots.customer(customer))


def _profile(message: pb.CustomerProfile) -> model.Profile:
    return model.Profile(
        name=message.name,
        email=message.email,
        phone=message.phone,
        user_id=message.user_id,
        metadata=dict(message.metadata),
    )
