"""Serves PaymentProviderService on top of a Provider.

Owns which capabilities each of its RPCs takes and which method does it. Called
by gRPC. What all operations have in common is in `operations`.
"""

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import payment_provider_service_pb2_grpc

from provider_sdk import host, operations

Context = operations.Context

_C = capability_pb2


class PaymentProviderServicer(payment_provider_service_pb2_grpc.PaymentProviderServiceServicer):
    """Adapts a Provider to the contract.

    Args:
        state: The process.
        running: Its operations, shared with the other servicers.
    """

    def __init__(self, state: host.Host, running: operations.Operations) -> None:
        self._provider = state.provider
        self._run = running.run
        self._look_up = running.look_up

    async def AuthorizePayment(  # noqa: D102
        self, request: pps.AuthorizePaymentRequest, context: Context
    ) -> pps.AuthorizePaymentResponse:
        automatic = request.capture_method == pps.CAPTURE_METHOD_AUTOMATIC
        needed = [_C.CAPABILITY_SALE if automatic else _C.CAPABILITY_MANUAL_CAPTURE]
        needed += [_C.CAPABILITY_OFF_SESSION] if request.off_session else []
        needed += [_C.CAPABILITY_SAVE_PAYMENT_METHOD] if request.save_payment_method else []
        answer = await self._run(request, context, needed, self._provider.authorize)
        return pps.AuthorizePaymentResponse(operation=answer.operation, objects=answer.objects)

    async def CapturePayment(  # noqa: D102
        self, request: pps.CapturePaymentRequest, context: Context
    ) -> pps.CapturePaymentResponse:
        needed = [_C.CAPABILITY_MANUAL_CAPTURE]
        answer = await self._run(request, context, needed, self._provider.capture)
        return pps.CapturePaymentResponse(operation=answer.operation)

    async def IncrementAuthorization(  # noqa: D102
        self, request: pps.IncrementAuthorizationRequest, context: Context
    ) -> pps.IncrementAuthorizationResponse:
        needed = [_C.CAPABILITY_INCREMENTAL_AUTHORIZATION]
        answer = await self._run(request, context, needed, self._provider.increment)
        return pps.IncrementAuthorizationResponse(operation=answer.operation)

    async def VoidPayment(  # noqa: D102
        self, request: pps.VoidPaymentRequest, context: Context
    ) -> pps.VoidPaymentResponse:
        answer = await self._run(request, context, [_C.CAPABILITY_VOID], self._provider.void)
        return pps.VoidPaymentResponse(operation=answer.operation)

    async def RefundPayment(  # noqa: D102
        self, request: pps.RefundPaymentRequest, context: Context
    ) -> pps.RefundPaymentResponse:
        answer = await self._run(request, context, [_C.CAPABILITY_REFUND], self._provider.refund)
        return pps.RefundPaymentResponse(operation=answer.operation)

    async def CreateCustomer(  # noqa: D102
        self, request: pps.CreateCustomerRequest, context: Context
    ) -> pps.CreateCustomerResponse:
        needed = [_C.CAPABILITY_CUSTOMERS]
        answer = await self._run(request, context, needed, self._provider.create_customer)
        return pps.CreateCustomerResponse(operation=answer.operation)

    async def UpdateCustomer(  # noqa: D102
        self, request: pps.UpdateCustomerRequest, context: Context
    ) -> pps.UpdateCustomerResponse:
        needed = [_C.CAPABILITY_CUSTOMERS]
        answer = await self._run(request, context, needed, self._provider.update_customer)
        return pps.UpdateCustomerResponse(operation=answer.operation)

    async def GetOperation(  # noqa: D102
        self, request: pps.GetOperationRequest, context: Context
    ) -> pps.GetOperationResponse:
        answer = await self._look_up(request, context)
        return pps.GetOperationResponse(operation=answer.operation, objects=answer.objects)
