"""PaymentMethodService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import payment_method_service_pb2 as pb
from payhub.payments.v1 import payment_method_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import mirrors
from payment_service.domain.mirrors import payment_methods
from payment_service.usecases.mirrors import beginning, telling
from payment_service.usecases.mirrors import payment_methods as cases

_SHOWN = (payment_methods.State.PENDING, payment_methods.State.ACTIVE)


class PaymentMethodServicer(payment_method_service_pb2_grpc.PaymentMethodServiceServicer):
    """Serves payment methods."""

    def __init__(self, cases_: cases.PaymentMethods) -> None:
        self._cases = cases_

    async def AttachPaymentMethod(
        self, request: pb.AttachPaymentMethodRequest, context: Any
    ) -> pb.AttachPaymentMethodResponse:
        """Keeps a payment method at a customer."""
        wanted = cases.Attach(
            customer_id=request.customer_id,
            token=request.token,
            set_default=request.set_default,
            request=reading.keyed("AttachPaymentMethod", request),
        )
        shown = await self._cases.attach(reading.caller(), wanted)
        return pb.AttachPaymentMethodResponse(payment_method=_message(shown))

    async def GetPaymentMethod(
        self, request: pb.GetPaymentMethodRequest, context: Any
    ) -> pb.GetPaymentMethodResponse:
        """Returns a payment method."""
        shown = await self._cases.get(reading.caller(), request.payment_method_id)
        return pb.GetPaymentMethodResponse(payment_method=_message(shown))

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Any
    ) -> pb.ListPaymentMethodsResponse:
        """Returns one page of a customer's payment methods."""
        start = reading.page_start(request, str)
        size = reading.page_size(request)
        wanted = mirrors.ListFilter(
            customer_id=request.customer_id,
            states=() if request.include_inactive else tuple(map(int, _SHOWN)),
            before_id=start[0] if start else "",
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, telling.payment_method)
        return pb.ListPaymentMethodsResponse(payment_methods=shown, next_page_token=token)

    async def SetDefaultPaymentMethod(
        self, request: pb.SetDefaultPaymentMethodRequest, context: Any
    ) -> pb.SetDefaultPaymentMethodResponse:
        """Makes a payment method the default."""
        keyed = reading.keyed("SetDefaultPaymentMethod", request)
        shown = await self._cases.set_default(reading.caller(), keyed, request.payment_method_id)
        return pb.SetDefaultPaymentMethodResponse(payment_method=_message(shown))

    async def DetachPaymentMethod(
        self, request: pb.DetachPaymentMethodRequest, context: Any
    ) -> pb.DetachPaymentMethodResponse:
        """Takes a payment method from its customer."""
        keyed = reading.keyed("DetachPaymentMethod", request)
        shown = await self._cases.detach(reading.caller(), keyed, request.payment_method_id)
        return pb.DetachPaymentMethodResponse(payment_method=_message(shown))


def _message(shown: beginning.Shown) -> pb.PaymentMethod:
    return telling.payment_method(shown.entity, shown.operations)
