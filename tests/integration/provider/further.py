"""Stubs of what a provider may serve beside payments.

Owns nothing but the connection's stubs. Called by the tests of this folder.
"""

from typing import Any

import grpc
from payhub.provider.v1 import (
    billing_provider_service_pb2_grpc,
    checkout_provider_service_pb2_grpc,
    dispute_provider_service_pb2_grpc,
    notice_provider_service_pb2_grpc,
    payment_method_provider_service_pb2_grpc,
)


class Stubs:
    """One stub per service.

    Args:
        channel: To the provider.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.methods: Any = (
            payment_method_provider_service_pb2_grpc.PaymentMethodProviderServiceStub(channel)
        )
        self.billing: Any = billing_provider_service_pb2_grpc.BillingProviderServiceStub(channel)
        self.checkouts: Any = checkout_provider_service_pb2_grpc.CheckoutProviderServiceStub(
            channel
        )
        self.disputes: Any = dispute_provider_service_pb2_grpc.DisputeProviderServiceStub(channel)
        self.notices: Any = notice_provider_service_pb2_grpc.NoticeProviderServiceStub(channel)
