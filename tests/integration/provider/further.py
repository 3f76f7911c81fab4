"""What a provider may serve beside payments, from core's side.

Owns the stubs, requests by keyword, and the switches of the simulated
provider's HTTP port. Called by the tests of this folder.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import grpc
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import (
    billing_provider_service_pb2_grpc,
    checkout_provider_service_pb2_grpc,
    dispute_provider_service_pb2_grpc,
    notice_provider_service_pb2_grpc,
    payment_method_provider_service_pb2_grpc,
    provider_object_pb2,
)
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from tests.integration.provider import rig

DAY_S = 86_400


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


class Shop:
    """One merchant at the simulated provider.

    Args:
        core: A connected binding.
        http: `host:port` of the provider's HTTP port.
    """

    def __init__(self, core: rig.Core, http: str) -> None:
        self.core = core
        self.stubs = Stubs(core.channel)
        self._base = f"http://{http}"

    async def send(self, method: Any, request: Any, **context: Any) -> Any:
        """Sends an operation with a fresh context, or with the one it has."""
        if not request.HasField("context"):
            request.context.CopyFrom(self.core.context(**context))
        return await self.core.call(method, request)

    async def customer(self, email: str = "ada@example.com") -> str:
        """Makes a customer and returns its id."""
        return (await self.core.create_customer(email=email)).provider_object_id

    async def attach(
        self, customer_id: str, token: str = "tok_approve", *, set_default: bool = False
    ) -> Any:
        """Keeps a payment method."""
        request = mps.AttachPaymentMethodRequest(
            payment_method_id="pmt_1",
            token=token,
            provider_customer_id=customer_id,
            set_default=set_default,
        )
        return await self.send(self.stubs.methods.AttachPaymentMethod, request)

    async def plan(
        self,
        amount_minor: int = 1000,
        *,
        interval: provider_object_pb2.BillingInterval = (
            provider_object_pb2.BILLING_INTERVAL_MONTH
        ),
    ) -> str:
        """Makes a price and returns its id."""
        request = bps.CreatePlanRequest(
            plan_id="plan_1",
            name="Gold",
            amount=rig.money(amount_minor),
            interval=interval,
            interval_count=1,
        )
        made = await self.send(self.stubs.billing.CreatePlan, request)
        assert made.objects[0].core_id == "plan_1"
        price_id: str = made.operation.provider_object_id
        return price_id

    async def subscribe(
        self, customer_id: str, price_id: str, *, trial_days: int = 0, **rest: Any
    ) -> Any:
        """Begins a subscription."""
        request = bps.CreateSubscriptionRequest(
            subscription_id="sub_1",
            provider_customer_id=customer_id,
            provider_price_id=price_id,
            quantity=1,
            trial_days=trial_days,
            **rest,
        )
        return await self.send(self.stubs.billing.CreateSubscription, request)

    async def fetch(self, kind: str, object_id: str) -> Any:
        """Fetches an object with what belongs to it."""
        value = f"OBJECT_KIND_{kind.upper()}"
        reference = provider_object_pb2.ObjectReference(kind=value, provider_object_id=object_id)
        request = nps.FetchObjectRequest(binding_id=self.core.binding_id, reference=reference)
        return await self.core.call(self.stubs.notices.FetchObject, request)

    async def find(self, operation_id: str) -> pps.GetOperationResponse:
        """Looks an operation up, with its objects."""
        request = pps.GetOperationRequest(
            binding_id=self.core.binding_id, operation_id=operation_id
        )
        answer: pps.GetOperationResponse = await self.core.call(
            self.core.stub.GetOperation, request
        )
        return answer

    def press(self, path: str, *, status: int = 200, method: str = "POST") -> Any:
        """Presses a switch of the HTTP port and returns what it says."""
        request = urllib.request.Request(f"{self._base}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                got, body = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                got, body = error.code, error.read()
        assert got == status, body
        return json.loads(body)

    def advance(self, days: float) -> None:
        """Moves the provider's clock; what was due by then has happened afterwards."""
        self.press(f"/clock?advance_s={days * DAY_S}")

    async def verify(
        self, headers: Sequence[tuple[str, str]], body: bytes, **request: Any
    ) -> nps.VerifyWebhookResponse:
        """Has a webhook verified as received now, or as `received_us` says."""
        received_us = request.pop("received_us", time.time_ns() // 1000)
        sent = nps.WebhookRequest(body=body)
        for name, value in headers:
            sent.headers.add(name=name, value=value)
        sent.receive_time.FromMicroseconds(received_us)
        answer: nps.VerifyWebhookResponse = await self.core.call(
            self.stubs.notices.VerifyWebhook,
            nps.VerifyWebhookRequest(binding_id=self.core.binding_id, request=sent, **request),
            timeout_s=4.0,
        )
        return answer


def one(answer: Any, kind: str) -> provider_object_pb2.ProviderObject:
    """Returns the only object of a kind that an answer holds."""
    objects: list[provider_object_pb2.ProviderObject]
    objects = [*getattr(answer, "objects", ()), *getattr(answer, "related", ())]
    found = [one for one in objects if one.WhichOneof("object") == kind]
    assert len(found) == 1, [one.WhichOneof("object") for one in objects]
    return found[0]
