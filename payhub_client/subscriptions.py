"""Subscriptions of customers to plans: create, get, list, change plan, cancel, reactivate.

Owns the shape of these calls for Python. Called by services through `Client.subscriptions`.
Never follows events: that is `subscription`, a word that both have a claim to.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import subscription_service_pb2 as pb
from payhub.payments.v1 import subscription_service_pb2_grpc

from payhub_client import calls, contract, pages, requests

if TYPE_CHECKING:
    from payhub.payments.v1.subscription_service_pb2_grpc import SubscriptionServiceAsyncStub

_SERVICE = "SubscriptionService"
_CREATE = contract.method(pb.DESCRIPTOR, _SERVICE, "CreateSubscription")
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetSubscription")
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListSubscriptions")
_CHANGE = contract.method(pb.DESCRIPTOR, _SERVICE, "ChangeSubscriptionPlan")
_CANCEL = contract.method(pb.DESCRIPTOR, _SERVICE, "CancelSubscription")
_REACTIVATE = contract.method(pb.DESCRIPTOR, _SERVICE, "ReactivateSubscription")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFilter:
    """Which subscriptions to list; everything given must hold."""

    customer_id: str = ""
    user_id: str = ""
    plan_id: str = ""
    state: "pb.Subscription.State" = pb.Subscription.STATE_UNSPECIFIED


@dataclass(slots=True, kw_only=True)
class Subscriptions:
    """Has customers pay for plans. Keys, deadlines and errors are as in `Payments`.

    A subscription is returned as it stands: read its `state` and `mirror.sync_state`.
    """

    caller: calls.Caller
    _made: "SubscriptionServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(
        self,
        customer_id: str,
        plan_id: str,
        *,
        quantity: int = 1,
        trial_days: int | None = None,
        payment_method_id: str = "",
        user_id: str = "",
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Subscription:
        """Subscribe a customer to a plan.

        Args:
            customer_id: known at a provider that has a price of the plan.
            plan_id: the plan.
            quantity: how many of the plan, 1 to 1000000.
            trial_days: days before the first payment, 0 to 730; None means those of the plan.
            payment_method_id: what to bill; empty means the customer's default.
            user_id: the caller's own user; empty means that of the customer.
            metadata: anything else, at most 32 entries.
            idempotency_key: one per intended subscription.
            timeout_s: overall time, in seconds.

        Returns:
            The subscription as it stands: TRIALING or ACTIVE, PENDING until its first
            payment succeeds (`action` says if the payer must act), or FAILED.
        """
        key = calls.key_of(idempotency_key)
        request = pb.CreateSubscriptionRequest(
            idempotency_key=key,
            customer_id=customer_id,
            plan_id=plan_id,
            quantity=requests.count(quantity, field="quantity"),
            payment_method_id=payment_method_id,
            user_id=user_id,
            metadata=dict(metadata or {}),
        )
        if trial_days is not None:
            request.trial_days = requests.count(trial_days, field="trial_days")
        response = await self.caller.call(
            self._stub.CreateSubscription, _CREATE, request, timeout_s=timeout_s, key=key
        )
        return response.subscription

    async def get(self, subscription_id: str, *, timeout_s: float | None = None) -> pb.Subscription:
        """Return a subscription as it stands."""
        request = pb.GetSubscriptionRequest(subscription_id=subscription_id)
        response = await self.caller.call(
            self._stub.GetSubscription, _GET, request, timeout_s=timeout_s
        )
        return response.subscription

    async def list_page(
        self,
        where: SubscriptionFilter | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListSubscriptionsResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `page_token` is the `next_page_token` of the page before, asked for with the same
        filter and size.
        """
        where = where or SubscriptionFilter()
        request = pb.ListSubscriptionsRequest(
            page_size=page_size,
            page_token=page_token,
            customer_id=where.customer_id,
            user_id=where.user_id,
            plan_id=where.plan_id,
            state=where.state,
        )
        return await self.caller.call(
            self._stub.ListSubscriptions, _LIST, request, timeout_s=timeout_s
        )

    def list(
        self, where: SubscriptionFilter | None = None, *, page_size: int = 0
    ) -> AsyncIterator[pb.Subscription]:
        """Go through all matching subscriptions, newest first, page by page."""
        return pages.through(
            lambda token: self.list_page(where, page_size=page_size, page_token=token),
            lambda page: page.subscriptions,
        )

    async def change_plan(
        self,
        subscription_id: str,
        plan_id: str,
        *,
        quantity: int = 0,
        proration: "pb.Proration" = pb.PRORATION_UNSPECIFIED,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Subscription:
        """Move a subscription to another plan of the same currency, or to another quantity.

        `quantity` 0 leaves it. `proration` says what becomes of the period that runs;
        unspecified puts the difference on the next invoice.
        """
        key = calls.key_of(idempotency_key)
        request = pb.ChangeSubscriptionPlanRequest(
            idempotency_key=key,
            subscription_id=subscription_id,
            plan_id=plan_id,
            quantity=requests.count(quantity, field="quantity"),
            proration=proration,
        )
        response = await self.caller.call(
            self._stub.ChangeSubscriptionPlan, _CHANGE, request, timeout_s=timeout_s, key=key
        )
        return response.subscription

    async def cancel(
        self,
        subscription_id: str,
        *,
        at_period_end: bool = False,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Subscription:
        """End a subscription now, or with the period that runs."""
        key = calls.key_of(idempotency_key)
        request = pb.CancelSubscriptionRequest(
            idempotency_key=key, subscription_id=subscription_id, at_period_end=at_period_end
        )
        response = await self.caller.call(
            self._stub.CancelSubscription, _CANCEL, request, timeout_s=timeout_s, key=key
        )
        return response.subscription

    async def reactivate(
        self,
        subscription_id: str,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Subscription:
        """Take back a cancellation at the end of the period; one that has ended stays ended."""
        key = calls.key_of(idempotency_key)
        request = pb.ReactivateSubscriptionRequest(
            idempotency_key=key, subscription_id=subscription_id
        )
        response = await self.caller.call(
            self._stub.ReactivateSubscription, _REACTIVATE, request, timeout_s=timeout_s, key=key
        )
        return response.subscription

    @property
    def _stub(self) -> "SubscriptionServiceAsyncStub":
        if self._made is None:
            self._made = subscription_service_pb2_grpc.SubscriptionServiceStub(
                self.caller.link.channel
            )
        return self._made
