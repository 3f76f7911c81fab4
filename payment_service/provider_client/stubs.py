"""The services of a provider as gRPC clients of one channel.

Owns which stub serves which service. Called by the client when it connects. Never calls.
"""

from collections.abc import Callable
from typing import Any

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
