"""Core's side of a connection to the Stripe sidecar, and orders to the double.

Owns the requests that the tests of this folder send. Called by them.
"""

import json
import time
from typing import Any

import aiohttp
from payhub.plugin.v1 import plugin_service_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as pb

from tests.integration.provider import further, rig
from tests.stripe_double import running, store

WEBHOOK_SECRET = b"whsec_of_the_tests"


def secret(slot: str, value: bytes, version: int = 1) -> plugin_service_pb2.SecretValue:
    """Returns a secret of a configuration."""
    return plugin_service_pb2.SecretValue(slot=slot, value=value, version=version)


class Core(rig.Core):
    """Core, with a binding to the double's main account."""

    def __init__(self, target: str, double_address: str) -> None:
        super().__init__(target)
        self.more = further.Stubs(self.channel)
        self._double = double_address

    async def configure(self, config: str, *, generation: int = 1, **binding: Any) -> Any:
        """Sends Configure with the double's key and a webhook secret, unless told otherwise."""
        binding.setdefault(
            "secrets",
            [
                secret("api_key", store.DEFAULT_KEY.encode()),
                secret("webhook_secret", WEBHOOK_SECRET),
            ],
        )
        return await super().configure(config, generation=generation, **binding)

    async def order(self, what: str, method: str = "POST", /, **body: Any) -> dict[str, Any]:
        """Orders the double."""
        return await running.order(self._double, what, method, **body)

    async def made(self, operation_id: str) -> int:
        """Returns how many objects an operation made at the double."""
        answer = await running.order(self._double, "ledger", "GET")
        return sum(
            1
            for row in answer["data"]
            if row["effect"].endswith(".created") and operation_id in json.dumps(row)
        )

    async def look(self, operation_id: str, method: str, **hints: Any) -> Any:
        """Looks an operation up with hints; returns the whole response."""
        request = pps.GetOperationRequest(
            binding_id=self.binding_id,
            operation_id=operation_id,
            hints=pps.OperationHints(method=method, **hints),
        )
        request.hints.create_time.FromSeconds(int(time.time()) - 5)
        return await self.call(self.stub.GetOperation, request)

    async def customer(self) -> str:
        """Makes a customer and returns its id at Stripe."""
        made = await self.create_customer(name="Ada", email="ada@example.com")
        return made.provider_object_id

    async def attach(self, customer_id: str, token: str = "pm_card_visa", **rest: Any) -> Any:
        """Keeps a payment method."""
        context = {k: rest.pop(k) for k in ("operation_id",) if k in rest}
        request = mps.AttachPaymentMethodRequest(
            context=self.context(**context),
            payment_method_id="pmt_of_core",
            token=token,
            provider_customer_id=customer_id,
            **rest,
        )
        return await self.call(self.more.methods.AttachPaymentMethod, request)

    async def plan(self, amount_minor: int = 1900, **context: Any) -> pb.ProviderObject:
        """Makes a monthly price and returns it."""
        request = bps.CreatePlanRequest(
            context=self.context(**context),
            plan_id="plan_of_core",
            name="Gold",
            amount=rig.money(amount_minor),
            interval=pb.BILLING_INTERVAL_MONTH,
            interval_count=1,
        )
        answer = await self.call(self.more.billing.CreatePlan, request)
        found: pb.ProviderObject = answer.objects[0]
        return found

    async def subscribe(self, customer_id: str, price_id: str, **rest: Any) -> Any:
        """Makes a subscription."""
        context = {k: rest.pop(k) for k in ("operation_id",) if k in rest}
        request = bps.CreateSubscriptionRequest(
            context=self.context(**context),
            subscription_id="sub_of_core",
            provider_customer_id=customer_id,
            provider_price_id=price_id,
            quantity=1,
            **rest,
        )
        return await self.call(self.more.billing.CreateSubscription, request)

    async def fetch(self, kind: pb.ObjectKind, object_id: str) -> Any:
        """Fetches an object."""
        request = nps.FetchObjectRequest(
            binding_id=self.binding_id,
            reference=pb.ObjectReference(kind=kind, provider_object_id=object_id),
        )
        return await self.call(self.more.notices.FetchObject, request)

    async def elsewhere(self, resource: str, **params: Any) -> dict[str, Any]:
        """Makes something at Stripe as its dashboard would: without marks of core."""
        url = f"{self._double}/v1/{resource}"
        headers = {"Authorization": f"Bearer {store.DEFAULT_KEY}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=params, headers=headers) as response,
        ):
            assert response.status == 200, await response.text()
            answer: dict[str, Any] = await response.json()
            return answer

    async def listed(self, resource: str, **params: Any) -> list[dict[str, Any]]:
        """Returns what a list at Stripe holds."""
        url = f"{self._double}/v1/{resource}"
        headers = {"Authorization": f"Bearer {store.DEFAULT_KEY}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, params=params, headers=headers) as response,
        ):
            assert response.status == 200, await response.text()
            rows: list[dict[str, Any]] = (await response.json())["data"]
            return rows
