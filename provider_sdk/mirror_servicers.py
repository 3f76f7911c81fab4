"""Serves the services of what core mirrors: payment methods, billing, checkouts, disputes.

Owns which capabilities each of their RPCs takes, which method does it, and
which object a success must answer with. Called by gRPC. What all operations
have in common is in `operations`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import (
    billing_provider_service_pb2_grpc,
    checkout_provider_service_pb2_grpc,
    dispute_provider_service_pb2_grpc,
    payment_method_provider_service_pb2_grpc,
)
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps

from provider_sdk import host, operations
from provider_sdk.answers import Owed

Context = operations.Context
_R = TypeVar("_R")

_METHODS = [capability_pb2.CAPABILITY_PAYMENT_METHODS]
_PLANS = [capability_pb2.CAPABILITY_PLANS]
_SUBSCRIPTIONS = [capability_pb2.CAPABILITY_SUBSCRIPTIONS]
_CHECKOUT = [capability_pb2.CAPABILITY_CHECKOUT]
_DISPUTES = [capability_pb2.CAPABILITY_DISPUTES]


class _Servicer:
    """What they share: the provider, and the form of every answer."""

    def __init__(self, state: host.Host, running: operations.Operations) -> None:
        self._provider = state.provider
        self._run = running.run

    async def _answer(
        self,
        response: Callable[..., _R],
        request: Any,
        context: Context,
        needed: Sequence[capability_pb2.Capability],
        method: operations.Method[Any],
        owed: Owed | None = None,
    ) -> _R:
        answer = await self._run(request, context, needed, method, owed=owed)
        return response(operation=answer.operation, objects=answer.objects)


class PaymentMethodProviderServicer(
    _Servicer, payment_method_provider_service_pb2_grpc.PaymentMethodProviderServiceServicer
):
    """Adapts a Provider's payment methods to the contract."""

    async def AttachPaymentMethod(  # noqa: D102
        self, request: mps.AttachPaymentMethodRequest, context: Context
    ) -> mps.AttachPaymentMethodResponse:
        owed = Owed(kind="payment_method", core_id=request.payment_method_id)
        method = self._provider.attach_payment_method
        return await self._answer(
            mps.AttachPaymentMethodResponse, request, context, _METHODS, method, owed=owed
        )

    async def DetachPaymentMethod(  # noqa: D102
        self, request: mps.DetachPaymentMethodRequest, context: Context
    ) -> mps.DetachPaymentMethodResponse:
        method = self._provider.detach_payment_method
        return await self._answer(
            mps.DetachPaymentMethodResponse, request, context, _METHODS, method
        )

    async def SetDefaultPaymentMethod(  # noqa: D102
        self, request: mps.SetDefaultPaymentMethodRequest, context: Context
    ) -> mps.SetDefaultPaymentMethodResponse:
        owed, method = Owed(kind="payment_method"), self._provider.set_default_payment_method
        return await self._answer(
            mps.SetDefaultPaymentMethodResponse, request, context, _METHODS, method, owed=owed
        )


class BillingProviderServicer(
    _Servicer, billing_provider_service_pb2_grpc.BillingProviderServiceServicer
):
    """Adapts a Provider's plans and subscriptions to the contract."""

    async def CreatePlan(  # noqa: D102
        self, request: bps.CreatePlanRequest, context: Context
    ) -> bps.CreatePlanResponse:
        owed = Owed(kind="plan", core_id=request.plan_id)
        return await self._answer(
            bps.CreatePlanResponse, request, context, _PLANS, self._provider.create_plan, owed=owed
        )

    async def ArchivePlan(  # noqa: D102
        self, request: bps.ArchivePlanRequest, context: Context
    ) -> bps.ArchivePlanResponse:
        owed, method = Owed(kind="plan"), self._provider.archive_plan
        return await self._answer(
            bps.ArchivePlanResponse, request, context, _PLANS, method, owed=owed
        )

    async def CreateSubscription(  # noqa: D102
        self, request: bps.CreateSubscriptionRequest, context: Context
    ) -> bps.CreateSubscriptionResponse:
        owed = Owed(kind="subscription", core_id=request.subscription_id)
        method = self._provider.create_subscription
        return await self._answer(
            bps.CreateSubscriptionResponse, request, context, _SUBSCRIPTIONS, method, owed=owed
        )

    async def ChangeSubscription(  # noqa: D102
        self, request: bps.ChangeSubscriptionRequest, context: Context
    ) -> bps.ChangeSubscriptionResponse:
        owed, method = Owed(kind="subscription"), self._provider.change_subscription
        return await self._answer(
            bps.ChangeSubscriptionResponse, request, context, _SUBSCRIPTIONS, method, owed=owed
        )

    async def CancelSubscription(  # noqa: D102
        self, request: bps.CancelSubscriptionRequest, context: Context
    ) -> bps.CancelSubscriptionResponse:
        owed, method = Owed(kind="subscription"), self._provider.cancel_subscription
        return await self._answer(
            bps.CancelSubscriptionResponse, request, context, _SUBSCRIPTIONS, method, owed=owed
        )

    async def ReactivateSubscription(  # noqa: D102
        self, request: bps.ReactivateSubscriptionRequest, context: Context
    ) -> bps.ReactivateSubscriptionResponse:
        owed, method = Owed(kind="subscription"), self._provider.reactivate_subscription
        return await self._answer(
            bps.ReactivateSubscriptionResponse, request, context, _SUBSCRIPTIONS, method, owed=owed
        )


class CheckoutProviderServicer(
    _Servicer, checkout_provider_service_pb2_grpc.CheckoutProviderServiceServicer
):
    """Adapts a Provider's checkouts to the contract."""

    async def CreateCheckout(  # noqa: D102
        self, request: cps.CreateCheckoutRequest, context: Context
    ) -> cps.CreateCheckoutResponse:
        needed = _CHECKOUT + (_SUBSCRIPTIONS if request.provider_price_id else [])
        owed = Owed(kind="checkout", core_id=request.checkout_id)
        method = self._provider.create_checkout
        return await self._answer(
            cps.CreateCheckoutResponse, request, context, needed, method, owed=owed
        )

    async def ExpireCheckout(  # noqa: D102
        self, request: cps.ExpireCheckoutRequest, context: Context
    ) -> cps.ExpireCheckoutResponse:
        owed, method = Owed(kind="checkout"), self._provider.expire_checkout
        return await self._answer(
            cps.ExpireCheckoutResponse, request, context, _CHECKOUT, method, owed=owed
        )


class DisputeProviderServicer(
    _Servicer, dispute_provider_service_pb2_grpc.DisputeProviderServiceServicer
):
    """Adapts a Provider's disputes to the contract."""

    async def SubmitEvidence(  # noqa: D102
        self, request: dps.SubmitEvidenceRequest, context: Context
    ) -> dps.SubmitEvidenceResponse:
        owed, method = Owed(kind="dispute"), self._provider.submit_evidence
        return await self._answer(
            dps.SubmitEvidenceResponse, request, context, _DISPUTES, method, owed=owed
        )

    async def AcceptDispute(  # noqa: D102
        self, request: dps.AcceptDisputeRequest, context: Context
    ) -> dps.AcceptDisputeResponse:
        owed, method = Owed(kind="dispute"), self._provider.accept_dispute
        return await self._answer(
            dps.AcceptDisputeResponse, request, context, _DISPUTES, method, owed=owed
        )
