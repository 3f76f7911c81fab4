"""SubscriptionService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import subscription_service_pb2 as pb
from payhub.payments.v1 import subscription_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import mirrors
from payment_service.domain.mirrors import subscriptions
from payment_service.usecases.mirrors import beginning, telling
from payment_service.usecases.mirrors import subscriptions as cases


class SubscriptionServicer(subscription_service_pb2_grpc.SubscriptionServiceServicer):
    """Serves subscriptions."""

    def __init__(self, cases_: cases.Subscriptions) -> None:
        self._cases = cases_

    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, context: Any
    ) -> pb.CreateSubscriptionResponse:
        """Subscribes a customer to a plan."""
        wanted = cases.Create(
            customer_id=request.customer_id,
            plan_id=request.plan_id,
            quantity=request.quantity,
            trial_days=request.trial_days if request.HasField("trial_days") else None,
            payment_method_id=request.payment_method_id,
            user_id=request.user_id,
            metadata=dict(request.metadata),
            request=reading.keyed("CreateSubscription", request),
        )
        shown = await self._cases.create(reading.caller(), wanted)
        return pb.CreateSubscriptionResponse(subscription=_message(shown))

    async def GetSubscription(
        self, request: pb.GetSubscriptionRequest, context: Any
    ) -> pb.GetSubscriptionResponse:
        """Returns a subscription."""
        shown = await self._cases.get(reading.caller(), request.subscription_id)
        return pb.GetSubscriptionResponse(subscription=_message(shown))

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Any
    ) -> pb.ListSubscriptionsResponse:
        """Returns one page of subscriptions."""
        start = reading.page_start(request, str)
        size = reading.page_size(request)
        wanted = mirrors.ListFilter(
            customer_id=request.customer_id,
            user_id=request.user_id,
            parent_id=request.plan_id,
            states=(request.state,) if request.state else (),
            before_id=start[0] if start else "",
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, telling.subscription)
        return pb.ListSubscriptionsResponse(subscriptions=shown, next_page_token=token)

    async def ChangeSubscriptionPlan(
        self, request: pb.ChangeSubscriptionPlanRequest, context: Any
    ) -> pb.ChangeSubscriptionPlanResponse:
        """Moves a subscription to another plan or quantity."""
        proration = request.proration or pb.PRORATION_NEXT_INVOICE
        wanted = cases.ChangePlan(
            subscription_id=request.subscription_id,
            plan_id=request.plan_id,
            quantity=request.quantity,
            proration=subscriptions.Proration(proration),
            request=reading.keyed("ChangeSubscriptionPlan", request),
        )
        shown = await self._cases.change_plan(reading.caller(), wanted)
        return pb.ChangeSubscriptionPlanResponse(subscription=_message(shown))

    async def CancelSubscription(
        self, request: pb.CancelSubscriptionRequest, context: Any
    ) -> pb.CancelSubscriptionResponse:
        """Ends a subscription, now or with the period that runs."""
        at_period_end = request.at_period_end
        keyed = reading.keyed("CancelSubscription", request)
        shown = await self._cases.cancel(
            reading.caller(), keyed, request.subscription_id, at_period_end=at_period_end
        )
        return pb.CancelSubscriptionResponse(subscription=_message(shown))

    async def ReactivateSubscription(
        self, request: pb.ReactivateSubscriptionRequest, context: Any
    ) -> pb.ReactivateSubscriptionResponse:
        """Takes back a cancellation at the end of the period that runs."""
        keyed = reading.keyed("ReactivateSubscription", request)
        shown = await self._cases.reactivate(reading.caller(), keyed, request.subscription_id)
        return pb.ReactivateSubscriptionResponse(subscription=_message(shown))


def _message(shown: beginning.Shown) -> pb.Subscription:
    return telling.subscription(shown.entity, shown.operations)
