"""A provider with checkouts and disputes, and a service that hears of what happens there.

Owns what payers and banks do at it. Called by the tests of checkouts, disputes and payments
that others made or refunded. What a webhook would bring, `hears` fetches.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from payhub.payments.v1 import (
    checkout_service_pb2,
    checkout_service_pb2_grpc,
    dispute_service_pb2,
    dispute_service_pb2_grpc,
)
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import (
    checkout_provider_service_pb2,
    checkout_provider_service_pb2_grpc,
    dispute_provider_service_pb2,
    dispute_provider_service_pb2_grpc,
    notice_provider_service_pb2,
    operation_pb2,
    provider_object_pb2,
)

from payment_service.domain import bindings, model
from payment_service.domain.mirrors import objects
from payment_service.usecases.mirrors import absorbing, fetching
from tests.integration.payment_service import inside, paying, records, rehearsing, rig

_P = provider_object_pb2
_checkouts = checkout_provider_service_pb2
_disputes = dispute_provider_service_pb2
Checkout = checkout_service_pb2.Checkout
Dispute = dispute_service_pb2.Dispute
CAPABILITIES = (
    *paying.CAPABILITIES,
    capability_pb2.CAPABILITY_CHECKOUT,
    capability_pb2.CAPABILITY_DISPUTES,
)


class Bank(
    paying.Payer,
    checkout_provider_service_pb2_grpc.CheckoutProviderServiceServicer,
    dispute_provider_service_pb2_grpc.DisputeProviderServiceServicer,
):
    """One instance; see the module."""

    def __init__(self, capabilities: Any = CAPABILITIES) -> None:
        super().__init__(capabilities)
        self.handshake.services.extend(
            [
                "payhub.provider.v1.CheckoutProviderService",
                "payhub.provider.v1.DisputeProviderService",
            ]
        )
        # What FetchObject tells beside an object, by its identifier.
        self.related: dict[str, list[str]] = {}
        self.customers_made = 0

    def _servicers(self, server: grpc.aio.Server) -> None:
        super()._servicers(server)
        checkout_provider_service_pb2_grpc.add_CheckoutProviderServiceServicer_to_server(
            self, server
        )
        dispute_provider_service_pb2_grpc.add_DisputeProviderServiceServicer_to_server(self, server)

    async def CreateCustomer(self, request: Any, context: Any) -> Any:
        """Makes a customer."""
        self.customers_made += 1
        return await super().CreateCustomer(request, context)

    async def FetchObject(self, request: Any, context: Any) -> Any:
        """Returns an object with what belongs to it."""
        answer: notice_provider_service_pb2.FetchObjectResponse = await super().FetchObject(
            request, context
        )
        checkout = request.reference.provider_object_id
        for identity in self.related.get(checkout, []):
            # A payment does not know its checkout; who asks for that is told of both.
            told = answer.related.add()
            told.CopyFrom(self.objects[identity])
            told.payment.provider_checkout_id = checkout
        return answer

    async def CreateCheckout(
        self, request: _checkouts.CreateCheckoutRequest, context: Any
    ) -> _checkouts.CreateCheckoutResponse:
        """Makes a session."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = self.new_id("cs")
            content: dict[str, Any] = {
                "state": _P.CheckoutObject.STATE_OPEN,
                "redirect_url": f"https://pay.test/{identity}?secret=redirect-secret",
                "provider_customer_id": request.provider_customer_id,
                "expire_time": request.expire_time,
            }
            if request.embedded:
                content |= {"redirect_url": "", "client_secret": "client-secret-7"}
            made = self.put(
                identity,
                core_id=request.checkout_id,
                operation_id=request.context.operation_id,
                checkout=content,
            )
            return identity, [made]

        return await self.perform(request, context, _checkouts.CreateCheckoutResponse, effect)

    async def ExpireCheckout(
        self, request: _checkouts.ExpireCheckoutRequest, context: Any
    ) -> _checkouts.ExpireCheckoutResponse:
        """Ends a session."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_checkout_id
            ended = {"state": _P.CheckoutObject.STATE_EXPIRED, "redirect_url": ""}
            return identity, [self.put(identity, checkout=ended)]

        return await self.perform(request, context, _checkouts.ExpireCheckoutResponse, effect)

    async def SubmitEvidence(
        self, request: _disputes.SubmitEvidenceRequest, context: Any
    ) -> _disputes.SubmitEvidenceResponse:
        """Takes evidence."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_dispute_id
            reviewed = {"state": _P.DisputeObject.STATE_UNDER_REVIEW, "has_evidence": True}
            return identity, [self.put(identity, dispute=reviewed)]

        return await self.perform(request, context, _disputes.SubmitEvidenceResponse, effect)

    async def AcceptDispute(
        self, request: _disputes.AcceptDisputeRequest, context: Any
    ) -> _disputes.AcceptDisputeResponse:
        """Takes the money for good."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_dispute_id
            lost = {"state": _P.DisputeObject.STATE_LOST}
            return identity, [self.put(identity, dispute=lost)]

        return await self.perform(request, context, _disputes.AcceptDisputeResponse, effect)

    def has_payment(
        self,
        identity: str,
        amount_minor: int,
        state: Any = operation_pb2.Operation.STATE_SUCCEEDED,
        core_id: str = "",
        **content: Any,
    ) -> str:
        """Makes or changes a payment at the provider; returns its identifier there."""
        taken = state == operation_pb2.Operation.STATE_SUCCEEDED
        content = {
            "amount": rig.money(amount_minor),
            "captured_minor": amount_minor if taken else 0,
            "state": state,
        } | content
        self.put(identity, core_id=core_id, payment=content)
        return identity

    def disputes(self, identity: str, state: Any, **content: Any) -> str:
        """Opens or changes a dispute."""
        self.put(identity, dispute={"state": state} | content)
        return identity


class Merchant(paying.Paying):
    """The service, its provider, its tables; and what it hears."""

    bank: Bank

    async def hears(self, kind: objects.ObjectKind, identity: str) -> list[absorbing.Absorbed]:
        """Has the service fetch an object, as it does for a webhook."""
        ctx, tenant = self.service.parts.ctx, self.caller.tenant
        known = await fetching.Fetcher(ctx).fetch(
            "mock",
            [objects.Reference(kind=kind, provider_object_id=identity)],
            tenant_id=tenant,
            binding_id=bindings.binding_id(tenant, "mock"),
            cause=model.Cause(actor="webhook"),
        )
        return list(known.absorbed)

    @property
    def checkouts(self) -> Any:
        """The stub of CheckoutService."""
        return checkout_service_pb2_grpc.CheckoutServiceStub(self.caller.channel)

    @property
    def dispute_stub(self) -> Any:
        """The stub of DisputeService."""
        return dispute_service_pb2_grpc.DisputeServiceStub(self.caller.channel)

    async def check_out(self, key: str = "", **fields: Any) -> Checkout:
        """Makes a checkout, of 1000 EUR cents unless told otherwise."""
        if "plan_id" not in fields:
            fields.setdefault("amount", rig.money(1000))
        request = checkout_service_pb2.CreateCheckoutRequest(
            idempotency_key=key or rig.new_key(), **fields
        )
        made: Checkout = (await self.caller.call(self.checkouts.CreateCheckout, request)).checkout
        return made

    async def checkout(self, checkout_id: str) -> Checkout:
        """Returns a checkout."""
        request = checkout_service_pb2.GetCheckoutRequest(checkout_id=checkout_id)
        found: Checkout = (await self.caller.call(self.checkouts.GetCheckout, request)).checkout
        return found

    async def expire(self, checkout_id: str, key: str = "") -> Checkout:
        """Ends a checkout."""
        request = checkout_service_pb2.ExpireCheckoutRequest(
            idempotency_key=key or rig.new_key(), checkout_id=checkout_id
        )
        ended: Checkout = (await self.caller.call(self.checkouts.ExpireCheckout, request)).checkout
        return ended

    async def disputes_of(self, payment_id: str) -> list[Dispute]:
        """Returns the disputes of a payment."""
        request = dispute_service_pb2.ListDisputesRequest(payment_id=payment_id)
        answer = await self.caller.call(self.dispute_stub.ListDisputes, request)
        return list(answer.disputes)

    async def submit(self, dispute_id: str, key: str = "", **evidence: str) -> Dispute:
        """Submits evidence."""
        request = dispute_service_pb2.SubmitDisputeEvidenceRequest(
            idempotency_key=key or rig.new_key(), dispute_id=dispute_id, evidence=evidence
        )
        found: Dispute = (
            await self.caller.call(self.dispute_stub.SubmitDisputeEvidence, request)
        ).dispute
        return found

    async def accept(self, dispute_id: str, key: str = "") -> Dispute:
        """Gives the money up."""
        request = dispute_service_pb2.AcceptDisputeRequest(
            idempotency_key=key or rig.new_key(), dispute_id=dispute_id
        )
        found: Dispute = (await self.caller.call(self.dispute_stub.AcceptDispute, request)).dispute
        return found


@contextlib.asynccontextmanager
async def running(
    database_url: str, provider: Bank | None = None, **changes: Any
) -> AsyncIterator[Merchant]:
    """Runs a service and its provider on an empty database."""
    # Long enough for a doubt to be seen before it is looked up.
    changes.setdefault("resolver_doubt_first_s", 0.5)
    async with (
        provider or Bank() as bank,
        inside.running(database_url, bank.target, wrap=rehearsing.Rehearsing, **changes) as service,
    ):
        await inside.connected(service)
        stored = records.Records(database_url)
        try:
            yield Merchant(service=service, bank=bank, records=stored)
        finally:
            await asyncio.to_thread(stored.close)
