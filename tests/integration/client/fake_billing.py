"""The rest of the payment domain on a real socket, for the client's tests.

Owns an in-memory implementation of the services beside payments: idempotent by key, what the
provider says set by the test. Served by `fake_payments`. Never used outside tests.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import grpc
import uuid_utils
from google.protobuf import message
from payhub.payments.v1 import (
    checkout_service_pb2,
    checkout_service_pb2_grpc,
    dispute_service_pb2,
    dispute_service_pb2_grpc,
    invoice_service_pb2,
    invoice_service_pb2_grpc,
    mirror_pb2,
    payment_method_service_pb2,
    payment_method_service_pb2_grpc,
    plan_service_pb2,
    plan_service_pb2_grpc,
    retry_policy_service_pb2,
    retry_policy_service_pb2_grpc,
    subscription_service_pb2,
    subscription_service_pb2_grpc,
)
from payhub.type.v1 import money_pb2

SYNCED = mirror_pb2.SYNC_STATE_SYNCED
Handle = Callable[
    [str, message.Message, grpc.ServicerContext, Callable[[], message.Message]], message.Message
]
PaymentMethod = payment_method_service_pb2.PaymentMethod
Plan = plan_service_pb2.Plan
Subscription = subscription_service_pb2.Subscription
Invoice = invoice_service_pb2.Invoice
Checkout = checkout_service_pb2.Checkout
Dispute = dispute_service_pb2.Dispute

_MODULES = (
    (payment_method_service_pb2, payment_method_service_pb2_grpc, "PaymentMethodService"),
    (plan_service_pb2, plan_service_pb2_grpc, "PlanService"),
    (subscription_service_pb2, subscription_service_pb2_grpc, "SubscriptionService"),
    (invoice_service_pb2, invoice_service_pb2_grpc, "InvoiceService"),
    (checkout_service_pb2, checkout_service_pb2_grpc, "CheckoutService"),
    (dispute_service_pb2, dispute_service_pb2_grpc, "DisputeService"),
    (retry_policy_service_pb2, retry_policy_service_pb2_grpc, "RetryPolicyService"),
)


@dataclasses.dataclass(slots=True, kw_only=True)
class FakeBilling:
    """Everything beside payments. What `made` holds is listed, newest first."""

    made: dict[str, Any] = dataclasses.field(default_factory=dict)
    effects: list[str] = dataclasses.field(default_factory=list)
    sync_state: mirror_pb2.SyncState = SYNCED
    """What becomes of operations from now on."""
    state: int = 0
    """State of what is created from now on; 0 means the usual one."""
    policy: Any = dataclasses.field(default_factory=retry_policy_service_pb2.RetryPolicy)
    _by_key: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)

    def add(self, entity: Any) -> Any:
        """Keep something that the provider made by itself."""
        entity.mirror.sync_state = SYNCED
        self.made[entity.id] = entity
        return entity

    def register(self, server: grpc.Server, handle: Handle) -> None:
        """Serve every RPC of these services; `handle` plants faults around each."""
        for module, module_grpc, name in _MODULES:
            servicer = getattr(module_grpc, f"{name}Servicer")()
            for method in module.DESCRIPTOR.services_by_name[name].methods:
                setattr(servicer, method.name, self._rpc(module, method, handle))
            getattr(module_grpc, f"add_{name}Servicer_to_server")(servicer, server)

    def _rpc(self, module: Any, method: Any, handle: Handle) -> Any:
        answer = getattr(module, method.output_type.name)

        def serve(request: Any, context: grpc.ServicerContext) -> message.Message:
            def effect() -> Any:
                if method.name.startswith("List"):
                    return self._listed(answer, request)
                return self._answered(answer, method.name, request)

            return handle(method.name, request, context, effect)

        return serve

    def _listed(self, answer: Any, request: Any) -> Any:
        (repeated,) = (f for f in answer.DESCRIPTOR.fields if f.message_type)
        kind = repeated.message_type.name
        found = [each for each in reversed(self.made.values()) if type(each).__name__ == kind]
        shown, token = page(found, request.page_size, request.page_token)
        return answer(**{repeated.name: shown, "next_page_token": token})

    def _answered(self, answer: Any, method: str, request: Any) -> Any:
        (field,) = answer.DESCRIPTOR.fields
        if field.name == "policy":
            if method.startswith("Set"):
                self.policy.CopyFrom(request.policy)
                self.policy.update_time.GetCurrentTime()
            return answer(policy=self.policy)
        name = f"{field.name}_id"
        if method.startswith("Get"):
            return answer(**{field.name: self.made[getattr(request, name)]})
        known = self._by_key.get((method, request.idempotency_key))
        if known is None:
            self.effects.append(method)
            known = self._by_key[method, request.idempotency_key] = self._done(
                method, request, getattr(request, name, "")
            )
        return answer(**{field.name: self.made[known]})

    def _done(self, method: str, request: Any, entity_id: str) -> str:
        entity = self.made[entity_id] if entity_id and method not in _MAKING else None
        if entity is None:
            entity = _MAKING[method](request)
            if self.state:
                entity.state = self.state
            self.made[entity.id] = entity
        else:
            _CHANGING[method](entity, request)
        mirrors = entity.prices if isinstance(entity, Plan) else [entity.mirror]
        for mirror in mirrors:
            mirror.provider = mirror.provider or "mock"
            mirror.sync_state = self.sync_state
            if self.sync_state == mirror_pb2.SYNC_STATE_FAILED:
                mirror.failure.reason = "DO_NOT_HONOR"
        entity.version += 1
        return str(entity.id)


def new_id(prefix: str) -> str:
    """An identifier."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def _attached(request: Any) -> Any:
    made = PaymentMethod(
        id=new_id("pmt"),
        customer_id=request.customer_id,
        state=PaymentMethod.STATE_ACTIVE,
        type="card",
        is_default=request.set_default,
    )
    made.card.brand, made.card.last4 = "visa", "4242"
    made.card.expire_month, made.card.expire_year = 4, 2031
    return made


def _planned(request: Any) -> Any:
    made = Plan(
        id=new_id("plan"),
        name=request.name,
        amount=request.amount,
        interval=request.interval,
        interval_count=request.interval_count or 1,
        trial_days=request.trial_days,
        state=Plan.STATE_ACTIVE,
        metadata=request.metadata,
    )
    made.prices.add(provider=request.provider or "mock", provider_object_id="price_1")
    return made


def _subscribed(request: Any) -> Any:
    made = Subscription(
        id=new_id("sub"),
        customer_id=request.customer_id,
        plan_id=request.plan_id,
        quantity=request.quantity,
        state=Subscription.STATE_TRIALING if request.trial_days else Subscription.STATE_ACTIVE,
        available_actions=["ChangeSubscriptionPlan", "CancelSubscription"],
    )
    made.current_period_start.FromSeconds(1_800_000_000)
    made.current_period_end.FromSeconds(1_802_678_400)
    return made


def _opened(request: Any) -> Any:
    made = Checkout(
        id=new_id("chk"),
        state=Checkout.STATE_OPEN,
        customer_id=request.customer_id,
        user_id=request.user_id,
        plan_id=request.plan_id,
        redirect_url="" if request.embedded else "https://pay.example/c/1",
        client_secret="cs_1" if request.embedded else "",
        order_id=request.order_id,
    )
    if request.HasField("amount"):
        made.amount.CopyFrom(request.amount)
    made.expire_time.FromSeconds(1_800_000_000 + request.open_for.seconds)
    return made


def disputed(payment_id: str) -> Any:
    """A dispute that wants evidence."""
    made = Dispute(
        id=new_id("dsp"),
        payment_id=payment_id,
        state=Dispute.STATE_NEEDS_RESPONSE,
        amount=money_pb2.Money(amount_minor=1250, currency_code="EUR"),
        reason="fraudulent",
        available_actions=["SubmitDisputeEvidence", "AcceptDispute"],
    )
    made.evidence_due_time.FromSeconds(1_800_000_000)
    return made


def billed(subscription_id: str, state: Any = Invoice.STATE_PAID) -> Any:
    """An invoice."""
    amount = money_pb2.Money(amount_minor=990, currency_code="EUR")
    return Invoice(
        id=new_id("inv"),
        subscription_id=subscription_id,
        number="A-1",
        state=state,
        amount_due=amount,
        amount_paid_minor=990 if state == Invoice.STATE_PAID else 0,
        pdf_url="https://pay.example/i/1.pdf",
    )


_MAKING: dict[str, Callable[[Any], Any]] = {
    "AttachPaymentMethod": _attached,
    "CreatePlan": _planned,
    "CreateSubscription": _subscribed,
    "CreateCheckout": _opened,
}


def _set(**values: Any) -> Callable[[Any, Any], None]:
    def change(entity: Any, request: Any) -> None:
        del request
        for name, value in values.items():
            setattr(entity, name, value)

    return change


def _move(entity: Any, request: Any) -> None:
    entity.plan_id = request.plan_id
    entity.quantity = request.quantity or entity.quantity


def _end(entity: Any, request: Any) -> None:
    if request.at_period_end:
        entity.cancel_at_period_end = True
    else:
        entity.state = Subscription.STATE_CANCELED


_CHANGING: dict[str, Callable[[Any, Any], None]] = {
    "SetDefaultPaymentMethod": _set(is_default=True),
    "DetachPaymentMethod": _set(state=PaymentMethod.STATE_DETACHED),
    "ArchivePlan": _set(state=Plan.STATE_ARCHIVED),
    "AddPlanPrice": lambda entity, request: entity.prices.add(provider=request.provider),
    "ChangeSubscriptionPlan": _move,
    "CancelSubscription": _end,
    "ReactivateSubscription": _set(cancel_at_period_end=False),
    "ExpireCheckout": _set(state=Checkout.STATE_EXPIRED, redirect_url=""),
    "SubmitDisputeEvidence": _set(state=Dispute.STATE_UNDER_REVIEW, has_evidence=True),
    "AcceptDispute": _set(state=Dispute.STATE_LOST),
}


def page(found: list[Any], size: int, token: str) -> tuple[list[Any], str]:
    """Return a page of what was found, and the token of the next one."""
    begin, size = int(token or 0), size or 50
    more = begin + size < len(found)
    return found[begin : begin + size], str(begin + size) if more else ""
