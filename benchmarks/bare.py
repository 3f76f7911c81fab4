"""The bare limit: a proxy of two hops that stores nothing.

Owns a client-facing server that answers CreatePayment by calling
AuthorizePayment at a second process, with the channel options of Payhub and no
validation, keys, logs or database. Run as `python -m benchmarks.bare
proxy|backend`; each prints `ready <port>`.
"""

import argparse
import asyncio
import signal
import sys
from typing import Any

import grpc.aio
from payhub.payments.v1 import payment_pb2, payment_service_pb2, payment_service_pb2_grpc
from payhub.provider.v1 import (
    operation_pb2,
    payment_provider_service_pb2,
    payment_provider_service_pb2_grpc,
)

from servicekit import ids, server


class Backend(payment_provider_service_pb2_grpc.PaymentProviderServiceServicer):
    """Answers that every operation succeeded."""

    async def AuthorizePayment(
        self, request: payment_provider_service_pb2.AuthorizePaymentRequest, context: Any
    ) -> payment_provider_service_pb2.AuthorizePaymentResponse:
        """Echoes the operation."""
        return payment_provider_service_pb2.AuthorizePaymentResponse(
            operation=operation_pb2.Operation(
                operation_id=request.context.operation_id,
                state=operation_pb2.Operation.STATE_SUCCEEDED,
                provider_object_id="mpay_0198f2b60c0372bebd3f40ceadf36ece",
                amount=request.amount,
            )
        )


class Proxy(payment_service_pb2_grpc.PaymentServiceServicer):
    """Passes a payment on and answers with it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = payment_provider_service_pb2_grpc.PaymentProviderServiceStub(channel)

    async def CreatePayment(
        self, request: payment_service_pb2.CreatePaymentRequest, context: Any
    ) -> payment_service_pb2.CreatePaymentResponse:
        """Calls the backend and answers with a payment."""
        sent = payment_provider_service_pb2.AuthorizePaymentRequest(
            context=operation_pb2.OperationContext(operation_id=ids.new_id("op"), attempt=1),
            amount=request.amount,
            payment_method=request.payment_method,
        )
        answer = await self._stub.AuthorizePayment(sent, timeout=20)
        return payment_service_pb2.CreatePaymentResponse(
            payment=payment_pb2.Payment(
                id=ids.new_id("pay"),
                state=payment_pb2.Payment.STATE_SUCCEEDED,
                amount=request.amount,
                provider_payment_id=answer.operation.provider_object_id,
                references=request.references,
            )
        )


async def serve(role: str, backend: str) -> None:
    """Serves one of the two roles until SIGTERM."""
    grpc_server = grpc.aio.server(options=list(server.SERVER_OPTIONS))
    if role == "backend":
        payment_provider_service_pb2_grpc.add_PaymentProviderServiceServicer_to_server(
            Backend(),  # type: ignore[abstract]
            grpc_server,
        )
    else:
        channel = grpc.aio.insecure_channel(backend, options=list(server.MONEY_CHANNEL_OPTIONS))
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server(
            Proxy(channel),  # type: ignore[abstract]
            grpc_server,
        )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"ready {port}\n")
    sys.stdout.flush()
    await stop.wait()
    await grpc_server.stop(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["proxy", "backend"])
    parser.add_argument("--backend", default="")
    options = parser.parse_args()
    server.run(serve(options.role, options.backend))
