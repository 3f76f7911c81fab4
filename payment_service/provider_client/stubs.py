"""The services of a provider as gRPC clients of one channel.

Owns which stub serves which service, and what a call ends with whose connection is closed.
Called by the client. Never repeats a call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from payhub.provider.v1 import (
    billing_provider_service_pb2_grpc,
    checkout_provider_service_pb2_grpc,
    dispute_provider_service_pb2_grpc,
    notice_provider_service_pb2_grpc,
    payment_method_provider_service_pb2_grpc,
    payment_provider_service_pb2_grpc,
)

from payment_service.provider_client import requests
from servicekit import tasks

_S = requests.Service
_MADE_OF: dict[requests.Service, Callable[[Any], Any]] = {
    _S.PAYMENT: payment_provider_service_pb2_grpc.PaymentProviderServiceStub,
    _S.PAYMENT_METHOD: payment_method_provider_service_pb2_grpc.PaymentMethodProviderServiceStub,
    _S.BILLING: billing_provider_service_pb2_grpc.BillingProviderServiceStub,
    _S.CHECKOUT: checkout_provider_service_pb2_grpc.CheckoutProviderServiceStub,
    _S.DISPUTE: dispute_provider_service_pb2_grpc.DisputeProviderServiceStub,
    _S.NOTICE: notice_provider_service_pb2_grpc.NoticeProviderServiceStub,
}


def make(channel: grpc.aio.Channel) -> dict[requests.Service, Any]:
    """Returns every stub; the stubs of asyncio have no types of their own."""
    return {service: made_of(channel) for service, made_of in _MADE_OF.items()}


async def answer(call: Awaitable[Any]) -> Any:
    """Returns the answer of a call.

    Raises:
        grpc.aio.AioRpcError: Whatever the instance says, or that its connection was closed.
    """
    try:
        return await call
    except asyncio.CancelledError:
        raise connection_closed() from None


def connection_closed() -> grpc.aio.AioRpcError:
    """Returns the error of a call that ended because its connection was closed.

    gRPC tells that as if whoever waits was canceled, and must not end them.

    Raises:
        asyncio.CancelledError: Whoever waits was.
    """
    if tasks.is_canceled():
        raise asyncio.CancelledError
    nothing = grpc.aio.Metadata()
    text = "the connection was closed"
    return grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, text)
