"""A provider in the test's own process that keeps methods and bills, as it is told.

Owns being a provider with objects: what it was sent, what it has, and how it answers.
Called by the tests of mirrored entities. Each call of a kind can be told to end otherwise:

- `decline`: refused. `not_sent`: nothing done. `drop`: done, and the answer lost.
- `mute`: done, and the answer holds no object. `hang`: waits for `answers`.
- `pending`: done, and the answer says that it is under way.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import (
    billing_provider_service_pb2,
    billing_provider_service_pb2_grpc,
    notice_provider_service_pb2,
    notice_provider_service_pb2_grpc,
    operation_pb2,
    payment_method_provider_service_pb2,
    payment_method_provider_service_pb2_grpc,
    payment_provider_service_pb2,
    provider_object_pb2,
)

from provider_sdk import errors as plugin_errors
from tests.integration.payment_service import keeping, sidecars

Answer = TypeVar("Answer")

_O = operation_pb2.Operation
_P = provider_object_pb2
_S = provider_object_pb2.SubscriptionObject
_I = provider_object_pb2.InvoiceObject
_billing = billing_provider_service_pb2
_methods = payment_method_provider_service_pb2
_notices = notice_provider_service_pb2
_payments = payment_provider_service_pb2

CAPABILITIES = (
    *sidecars.CAPABILITIES,
    capability_pb2.CAPABILITY_CUSTOMERS,
    capability_pb2.CAPABILITY_OPERATION_LOOKUP,
    capability_pb2.CAPABILITY_PAYMENT_METHODS,
    capability_pb2.CAPABILITY_PLANS,
    capability_pb2.CAPABILITY_SUBSCRIPTIONS,
    capability_pb2.CAPABILITY_OBJECT_FETCH,
)
SERVICES = (
    sidecars.SERVICE,
    "payhub.provider.v1.PaymentMethodProviderService",
    "payhub.provider.v1.BillingProviderService",
    "payhub.provider.v1.NoticeProviderService",
)
MONTH_US = 30 * 86_400 * 1_000_000
# Where documents are; whoever knows the address can read it.
PDF = "https://bank.example/secret-pdf"


class Upstream(
    keeping.Kept,
    sidecars.Sidecar,
    payment_method_provider_service_pb2_grpc.PaymentMethodProviderServiceServicer,
    billing_provider_service_pb2_grpc.BillingProviderServiceServicer,
    notice_provider_service_pb2_grpc.NoticeProviderServiceServicer,
):
    """One instance; see the module.

    Args:
        capabilities: What it says it can do.
    """

    def __init__(self, capabilities: Sequence[Any] = CAPABILITIES) -> None:
        keeping.Kept.__init__(self)
        sidecars.Sidecar.__init__(self, "mock", services=SERVICES)
        del self.handshake.capabilities[:]
        self.handshake.capabilities.extend(
            capability_pb2.CapabilityStatus(capability=each, enabled=True) for each in capabilities
        )
        self.unpaid = False
        # Changes what an answer tells first, so that it is not true.
        self.twist: Callable[[_P.ProviderObject], object] | None = None
        self.script: dict[str, list[str]] = defaultdict(list)
        # Every effect, by (RPC, operation id), and every call.
        self.effects: list[tuple[str, str]] = []
        self.calls: list[tuple[str, Any]] = []
        self.fetched: list[str] = []
        self._done: dict[str, tuple[_O, list[_P.ProviderObject]]] = {}

    def _servicers(self, server: grpc.aio.Server) -> None:
        super()._servicers(server)
        payment_method_provider_service_pb2_grpc.add_PaymentMethodProviderServiceServicer_to_server(
            self, server
        )
        billing_provider_service_pb2_grpc.add_BillingProviderServiceServicer_to_server(self, server)
        notice_provider_service_pb2_grpc.add_NoticeProviderServiceServicer_to_server(self, server)

    async def perform(
        self,
        request: Any,
        context: Any,
        answer: Callable[..., Answer],
        effect: Callable[[], tuple[str, list[_P.ProviderObject]]],
    ) -> Answer:
        """Carries an operation out once, and answers as it was told.

        *effect* returns the id that the operation's `provider_object_id` tells and the
        objects of the answer.
        """
        name = type(request).__name__.removesuffix("Request")
        operation_id = request.context.operation_id
        self.calls.append((name, request))
        how = self.script[name].pop(0) if self.script[name] else ""
        if how == "hang" and self.answers is not None:
            await self.answers.wait()
        if operation_id not in self._done:
            if how == "not_sent":
                await sidecars.fail(
                    context,
                    plugin_errors.to_rpc(plugin_errors.Unreachable("away"), domain="mock"),
                )
            operation = _O(operation_id=operation_id, state=_O.STATE_SUCCEEDED)
            told: list[_P.ProviderObject] = []
            if how == "decline":
                operation.state = _O.STATE_DECLINED
                operation.decline.reason = operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID
            else:
                self.effects.append((name, operation_id))
                operation.provider_object_id, told = effect()
                if self.twist is not None:
                    self.twist(told[0])
            operation.state_time.FromMicroseconds(self.now_us)
            self._done[operation_id] = (operation, told)
        operation, told = self._done[operation_id]
        if how == "drop":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        shown = _O()
        shown.CopyFrom(operation)
        if how == "pending":
            shown.state = _O.STATE_PENDING
        return answer(operation=shown, objects=[] if how == "mute" else told)

    async def GetOperation(
        self, request: _payments.GetOperationRequest, context: Any
    ) -> _payments.GetOperationResponse:
        """Says what became of an operation."""
        if request.operation_id not in self._done:
            await sidecars.fail(
                context, plugin_errors.to_rpc(plugin_errors.NotFound("none"), domain="mock")
            )
        operation, told = self._done[request.operation_id]
        return _payments.GetOperationResponse(operation=operation, objects=told)

    async def FetchObject(
        self, request: _notices.FetchObjectRequest, context: Any
    ) -> _notices.FetchObjectResponse:
        """Returns an object as it is now."""
        identity = request.reference.provider_object_id
        self.fetched.append(identity)
        if identity not in self.objects:
            await sidecars.fail(
                context, plugin_errors.to_rpc(plugin_errors.NotFound("none"), domain="mock")
            )
        found = self.objects[identity]
        related = [
            self.objects[one]
            for one in (found.subscription.provider_invoice_id,)
            if one in self.objects
        ]
        return _notices.FetchObjectResponse(object=found, related=related)

    async def CreateCustomer(
        self, request: _payments.CreateCustomerRequest, context: Any
    ) -> _payments.CreateCustomerResponse:
        """Makes a customer."""
        operation = _O(
            operation_id=request.context.operation_id,
            state=_O.STATE_SUCCEEDED,
            provider_object_id=self.new_id("cust"),
        )
        return _payments.CreateCustomerResponse(operation=operation)

    async def UpdateCustomer(
        self, request: _payments.UpdateCustomerRequest, context: Any
    ) -> _payments.UpdateCustomerResponse:
        """Changes a customer."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            return request.provider_customer_id, []

        return await self.perform(
            request, context, _told_alone(_payments.UpdateCustomerResponse), effect
        )

    async def AttachPaymentMethod(
        self, request: _methods.AttachPaymentMethodRequest, context: Any
    ) -> _methods.AttachPaymentMethodResponse:
        """Keeps a method."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = self.new_id("pm")
            made = self.put(
                identity,
                core_id=request.payment_method_id,
                operation_id=request.context.operation_id,
                payment_method={
                    "provider_customer_id": request.provider_customer_id,
                    "type": "card",
                    "card": _P.CardDetails(
                        brand="visa", last4="4242", expire_month=12, expire_year=2040
                    ),
                    "is_default": request.set_default,
                },
            )
            return identity, [made]

        return await self.perform(request, context, _methods.AttachPaymentMethodResponse, effect)

    async def SetDefaultPaymentMethod(
        self, request: _methods.SetDefaultPaymentMethodRequest, context: Any
    ) -> _methods.SetDefaultPaymentMethodResponse:
        """Makes a method the default."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_payment_method_id
            return identity, [self.put(identity, payment_method={"is_default": True})]

        return await self.perform(
            request, context, _methods.SetDefaultPaymentMethodResponse, effect
        )

    async def DetachPaymentMethod(
        self, request: _methods.DetachPaymentMethodRequest, context: Any
    ) -> _methods.DetachPaymentMethodResponse:
        """Takes a method away."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            self.objects.pop(request.provider_payment_method_id, None)
            self.now_us += 1_000_000
            return request.provider_payment_method_id, []

        return await self.perform(request, context, _methods.DetachPaymentMethodResponse, effect)

    async def CreatePlan(
        self, request: _billing.CreatePlanRequest, context: Any
    ) -> _billing.CreatePlanResponse:
        """Makes a price."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = self.new_id("price")
            made = self.put(
                identity,
                core_id=request.plan_id,
                plan={
                    "amount": request.amount,
                    "interval": request.interval,
                    "interval_count": request.interval_count,
                    "active": True,
                },
            )
            return identity, [made]

        return await self.perform(request, context, _billing.CreatePlanResponse, effect)

    async def ArchivePlan(
        self, request: _billing.ArchivePlanRequest, context: Any
    ) -> _billing.ArchivePlanResponse:
        """Sells a price no more."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_price_id
            return identity, [self.put(identity, plan={"active": False})]

        return await self.perform(request, context, _billing.ArchivePlanResponse, effect)

    async def CreateSubscription(
        self, request: _billing.CreateSubscriptionRequest, context: Any
    ) -> _billing.CreateSubscriptionResponse:
        """Subscribes; the first payment waits while `unpaid` is set."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity, invoice = self.new_id("subscr"), self.new_id("bill")
            state = _S.STATE_PENDING if self.unpaid else _S.STATE_ACTIVE
            told = self.put(
                identity,
                core_id=request.subscription_id,
                operation_id=request.context.operation_id,
                subscription={
                    "state": _S.STATE_TRIALING if request.trial_days else state,
                    "provider_customer_id": request.provider_customer_id,
                    "provider_price_id": request.provider_price_id,
                    "quantity": request.quantity,
                    "current_period_start": self.now_us,
                    "current_period_end": self.now_us + MONTH_US,
                    "provider_payment_method_id": request.provider_payment_method_id,
                },
            )
            if request.trial_days:
                return identity, [told]
            told = self.put(identity, subscription={"provider_invoice_id": invoice})
            return identity, [told, self.bill(identity, invoice, request.amount)]

        return await self.perform(request, context, _billing.CreateSubscriptionResponse, effect)

    def bill(self, subscription: str, invoice: str, amount: Any) -> _P.ProviderObject:
        """Makes an invoice of a subscription, paid unless `unpaid` is set."""
        content: dict[str, Any] = {
            "state": _I.STATE_OPEN if self.unpaid else _I.STATE_PAID,
            "provider_customer_id": self.objects[subscription].subscription.provider_customer_id,
            "provider_subscription_id": subscription,
            "number": invoice.upper(),
            "amount_due": amount,
            "amount_paid_minor": 0 if self.unpaid else amount.amount_minor,
            "attempt_count": 0 if self.unpaid else 1,
            "pdf_url": f"{PDF}/{invoice}",
        }
        return self.put(invoice, invoice=content)

    def pay(self, subscription: str) -> list[_P.ProviderObject]:
        """Takes the first payment of a subscription; returns what changed."""
        invoice = self.objects[subscription].subscription.provider_invoice_id
        due = self.objects[invoice].invoice.amount_due.amount_minor
        return [
            self.put(subscription, subscription={"state": _S.STATE_ACTIVE}),
            self.put(
                invoice,
                invoice={
                    "state": _I.STATE_PAID,
                    "amount_paid_minor": due,
                    "attempt_count": 1,
                    "decline": None,
                },
            ),
        ]

    async def ChangeSubscription(
        self, request: _billing.ChangeSubscriptionRequest, context: Any
    ) -> _billing.ChangeSubscriptionResponse:
        """Moves a subscription."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_subscription_id
            moved = {
                "provider_price_id": request.provider_price_id,
                "quantity": request.quantity,
            }
            return identity, [self.put(identity, subscription=moved)]

        return await self.perform(request, context, _billing.ChangeSubscriptionResponse, effect)

    async def CancelSubscription(
        self, request: _billing.CancelSubscriptionRequest, context: Any
    ) -> _billing.CancelSubscriptionResponse:
        """Ends a subscription, now or later."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_subscription_id
            ended: dict[str, Any] = {"cancel_at_period_end": True}
            if not request.at_period_end:
                ended = {"state": _S.STATE_CANCELED, "end_time": self.now_us}
            return identity, [self.put(identity, subscription=ended)]

        return await self.perform(request, context, _billing.CancelSubscriptionResponse, effect)

    async def ReactivateSubscription(
        self, request: _billing.ReactivateSubscriptionRequest, context: Any
    ) -> _billing.ReactivateSubscriptionResponse:
        """Takes an end back."""

        def effect() -> tuple[str, list[_P.ProviderObject]]:
            identity = request.provider_subscription_id
            return identity, [self.put(identity, subscription={"cancel_at_period_end": False})]

        return await self.perform(request, context, _billing.ReactivateSubscriptionResponse, effect)


def _told_alone(answer: Callable[..., Answer]) -> Callable[..., Answer]:
    """Returns what makes an answer that holds no objects."""
    return lambda *, operation, objects: answer(operation=operation)
