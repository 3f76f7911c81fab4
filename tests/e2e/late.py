"""A request that arrives again, as from a proxy that had kept it.

Owns sending a stored operation to the provider behind payment_service's back.
Called by the crash tests. Never sends what was not sent before.
"""

import grpc
import grpc.aio
from grpc_status import rpc_status
from payhub.provider.v1 import (
    failure_pb2,
    operation_pb2,
    payment_provider_service_pb2,
    payment_provider_service_pb2_grpc,
)

from deploy import stack
from tests import stored
from tests.e2e import installation

TIMEOUT_S = 10.0


async def send_again(
    installed: installation.Installation, operation_id: str
) -> failure_pb2.Failure:
    """Sends an authorization or sale once more, as it was; returns why it is refused."""
    request = _request(installed.payments_url, operation_id)
    async with grpc.aio.insecure_channel(installed.stack.target(stack.MOCK)) as channel:
        stub = payment_provider_service_pb2_grpc.PaymentProviderServiceStub(channel)
        try:
            await stub.AuthorizePayment(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)  # type: ignore[arg-type]
            failure = failure_pb2.Failure()
            if status is not None and any(detail.Unpack(failure) for detail in status.details):
                return failure
            raise
    raise AssertionError(f"{operation_id} was carried out")


def _request(url: str, operation_id: str) -> payment_provider_service_pb2.AuthorizePaymentRequest:
    with stored.snapshot(url) as select:
        ((binding_id, not_after_us, content),) = select(
            f"select binding_id, not_after_us, request from operations where id = '{operation_id}'"
        )
    request = payment_provider_service_pb2.AuthorizePaymentRequest.FromString(bytes(content))
    context = operation_pb2.OperationContext(
        binding_id=binding_id, operation_id=operation_id, attempt=1
    )
    context.not_after.FromMicroseconds(not_after_us)
    request.context.CopyFrom(context)
    return request
