"""What is sent to a provider, as it is stored with the operation.

Owns which RPC each kind of operation is and its request without the context,
which every attempt adds anew. Called by use cases when they make an intent, and
by the client when it sends one. Pure.
"""

import enum
from typing import Any, NamedTuple

from google.protobuf.message import Message
from payhub.provider.v1 import (
    billing_provider_service_pb2,
    checkout_provider_service_pb2,
    dispute_provider_service_pb2,
    operation_pb2,
    payment_method_provider_service_pb2,
    payment_provider_service_pb2,
)
from payhub.type.v1 import money_pb2

from payment_service.domain import model
from payment_service.domain.mirrors import objects, plans, subscriptions

_pb = payment_provider_service_pb2
_methods = payment_method_provider_service_pb2
_billing = billing_provider_service_pb2
_checkouts = checkout_provider_service_pb2
_disputes = dispute_provider_service_pb2


class Service(enum.Enum):
    """Services of a provider that core calls."""

    PAYMENT = "PaymentProviderService"
    PAYMENT_METHOD = "PaymentMethodProviderService"
    BILLING = "BillingProviderService"
    CHECKOUT = "CheckoutProviderService"
    DISPUTE = "DisputeProviderService"
    NOTICE = "NoticeProviderService"


class Method(NamedTuple):
    """An RPC of a provider."""

    service: Service
    name: str
    request: type[Message]


_PAYMENT = Service.PAYMENT
_METHOD = Service.PAYMENT_METHOD
_BILLING = Service.BILLING
METHODS: dict[model.Kind, Method] = {
    model.Kind.AUTHORIZE: Method(_PAYMENT, "AuthorizePayment", _pb.AuthorizePaymentRequest),
    model.Kind.SALE: Method(_PAYMENT, "AuthorizePayment", _pb.AuthorizePaymentRequest),
    model.Kind.CAPTURE: Method(_PAYMENT, "CapturePayment", _pb.CapturePaymentRequest),
    model.Kind.INCREMENT: Method(
        _PAYMENT, "IncrementAuthorization", _pb.IncrementAuthorizationRequest
    ),
    model.Kind.VOID: Method(_PAYMENT, "VoidPayment", _pb.VoidPaymentRequest),
    model.Kind.REFUND: Method(_PAYMENT, "RefundPayment", _pb.RefundPaymentRequest),
    model.Kind.CREATE_CUSTOMER: Method(_PAYMENT, "CreateCustomer", _pb.CreateCustomerRequest),
    model.Kind.UPDATE_CUSTOMER: Method(_PAYMENT, "UpdateCustomer", _pb.UpdateCustomerRequest),
    model.Kind.ATTACH_PAYMENT_METHOD: Method(
        _METHOD, "AttachPaymentMethod", _methods.AttachPaymentMethodRequest
    ),
    model.Kind.DETACH_PAYMENT_METHOD: Method(
        _METHOD, "DetachPaymentMethod", _methods.DetachPaymentMethodRequest
    ),
    model.Kind.SET_DEFAULT_PAYMENT_METHOD: Method(
        _METHOD, "SetDefaultPaymentMethod", _methods.SetDefaultPaymentMethodRequest
    ),
    model.Kind.CREATE_PLAN: Method(_BILLING, "CreatePlan", _billing.CreatePlanRequest),
    model.Kind.ARCHIVE_PLAN: Method(_BILLING, "ArchivePlan", _billing.ArchivePlanRequest),
    model.Kind.CREATE_SUBSCRIPTION: Method(
        _BILLING, "CreateSubscription", _billing.CreateSubscriptionRequest
    ),
    model.Kind.CHANGE_SUBSCRIPTION: Method(
        _BILLING, "ChangeSubscription", _billing.ChangeSubscriptionRequest
    ),
    model.Kind.CANCEL_SUBSCRIPTION: Method(
        _BILLING, "CancelSubscription", _billing.CancelSubscriptionRequest
    ),
    model.Kind.REACTIVATE_SUBSCRIPTION: Method(
        _BILLING, "ReactivateSubscription", _billing.ReactivateSubscriptionRequest
    ),
    model.Kind.CREATE_CHECKOUT: Method(
        Service.CHECKOUT, "CreateCheckout", _checkouts.CreateCheckoutRequest
    ),
    model.Kind.EXPIRE_CHECKOUT: Method(
        Service.CHECKOUT, "ExpireCheckout", _checkouts.ExpireCheckoutRequest
    ),
    model.Kind.SUBMIT_EVIDENCE: Method(
        Service.DISPUTE, "SubmitEvidence", _disputes.SubmitEvidenceRequest
    ),
    model.Kind.ACCEPT_DISPUTE: Method(
        Service.DISPUTE, "AcceptDispute", _disputes.AcceptDisputeRequest
    ),
}


# The object that an answer must hold once such an operation succeeded; those of `CREATES` name
# core's id.
MUST_TELL: dict[model.Kind, objects.ObjectKind] = {
    model.Kind.ATTACH_PAYMENT_METHOD: objects.ObjectKind.PAYMENT_METHOD,
    model.Kind.SET_DEFAULT_PAYMENT_METHOD: objects.ObjectKind.PAYMENT_METHOD,
    model.Kind.CREATE_PLAN: objects.ObjectKind.PLAN,
    model.Kind.ARCHIVE_PLAN: objects.ObjectKind.PLAN,
    model.Kind.CREATE_SUBSCRIPTION: objects.ObjectKind.SUBSCRIPTION,
    model.Kind.CHANGE_SUBSCRIPTION: objects.ObjectKind.SUBSCRIPTION,
    model.Kind.CANCEL_SUBSCRIPTION: objects.ObjectKind.SUBSCRIPTION,
    model.Kind.REACTIVATE_SUBSCRIPTION: objects.ObjectKind.SUBSCRIPTION,
    model.Kind.CREATE_CHECKOUT: objects.ObjectKind.CHECKOUT,
    model.Kind.EXPIRE_CHECKOUT: objects.ObjectKind.CHECKOUT,
    model.Kind.SUBMIT_EVIDENCE: objects.ObjectKind.DISPUTE,
    model.Kind.ACCEPT_DISPUTE: objects.ObjectKind.DISPUTE,
}
CREATES = frozenset(
    {
        model.Kind.ATTACH_PAYMENT_METHOD,
        model.Kind.CREATE_PLAN,
        model.Kind.CREATE_SUBSCRIPTION,
        model.Kind.CREATE_CHECKOUT,
    }
)


def _money(amount_minor: int, currency: str) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=amount_minor, currency_code=currency)


def authorize(
    payment: model.Payment,
    *,
    payment_method: str,
    return_url: str,
    provider_customer_id: str,
) -> bytes:
    """Returns the request of an AUTHORIZE or SALE."""
    automatic = payment.capture_method is model.CaptureMethod.AUTOMATIC
    return _pb.AuthorizePaymentRequest(
        amount=_money(payment.amount_minor, payment.currency),
        payment_method=payment_method,
        capture_method=(_pb.CAPTURE_METHOD_AUTOMATIC if automatic else _pb.CAPTURE_METHOD_MANUAL),
        return_url=return_url,
        payment_id=payment.id,
        provider_customer_id=provider_customer_id,
        description=payment.description,
        off_session=payment.off_session,
        save_payment_method=payment.saves_method,
        previous_provider_payment_id=_previous(payment),
    ).SerializeToString()


def authorize_again(payment: model.Payment, request: bytes) -> bytes:
    """Returns the request of another attempt of a failed payment, like *request* of the last."""
    message = _pb.AuthorizePaymentRequest.FromString(request)
    message.previous_provider_payment_id = _previous(payment)
    return message.SerializeToString()


def _previous(payment: model.Payment) -> str:
    """Returns the provider's id of what an earlier attempt made; one that was not sent passes on
    what its own request names.
    """
    last = payment.attempt
    if payment.provider_payment_id or last is None:
        return payment.provider_payment_id
    return _pb.AuthorizePaymentRequest.FromString(last.request).previous_provider_payment_id


def capture(payment: model.Payment, amount_minor: int, *, final: bool) -> bytes:
    """Returns the request of a CAPTURE."""
    return _pb.CapturePaymentRequest(
        provider_payment_id=payment.provider_payment_id,
        amount=_money(amount_minor, payment.currency),
        final=final,
    ).SerializeToString()


def increment(payment: model.Payment, amount_minor: int) -> bytes:
    """Returns the request of an INCREMENT."""
    total = payment.authorized_minor + amount_minor
    return _pb.IncrementAuthorizationRequest(
        provider_payment_id=payment.provider_payment_id,
        amount=_money(amount_minor, payment.currency),
        total=_money(total, payment.currency),
    ).SerializeToString()


def void(payment: model.Payment) -> bytes:
    """Returns the request of a VOID of the authorization or sale that counts."""
    target = payment.attempt
    return _pb.VoidPaymentRequest(
        provider_payment_id=payment.provider_payment_id,
        target_operation_id=target.id if target is not None else "",
    ).SerializeToString()


def refund(payment: model.Payment, amount_minor: int, reason: model.RefundReason) -> bytes:
    """Returns the request of a REFUND."""
    return _pb.RefundPaymentRequest(
        provider_payment_id=payment.provider_payment_id,
        amount=_money(amount_minor, payment.currency),
        reason="" if reason is model.RefundReason.UNSPECIFIED else reason.name.lower(),
    ).SerializeToString()


def _details(customer: model.Customer) -> _pb.CustomerDetails:
    return _pb.CustomerDetails(
        customer_id=customer.id,
        name=customer.profile.name,
        email=customer.profile.email,
        phone=customer.profile.phone,
    )


def create_customer(customer: model.Customer) -> bytes:
    """Returns the request of a CREATE_CUSTOMER."""
    return _pb.CreateCustomerRequest(details=_details(customer)).SerializeToString()


def update_customer(customer: model.Customer) -> bytes:
    """Returns the request of an UPDATE_CUSTOMER."""
    return _pb.UpdateCustomerRequest(
        provider_customer_id=customer.provider_customer_id, details=_details(customer)
    ).SerializeToString()


def attach_payment_method(
    payment_method_id: str, *, token: str, provider_customer_id: str, set_default: bool
) -> bytes:
    """Returns the request of an ATTACH_PAYMENT_METHOD; it holds the token, a secret."""
    return _methods.AttachPaymentMethodRequest(
        payment_method_id=payment_method_id,
        token=token,
        provider_customer_id=provider_customer_id,
        set_default=set_default,
    ).SerializeToString()


def detach_payment_method(provider_payment_method_id: str) -> bytes:
    """Returns the request of a DETACH_PAYMENT_METHOD."""
    return _methods.DetachPaymentMethodRequest(
        provider_payment_method_id=provider_payment_method_id
    ).SerializeToString()


def set_default_payment_method(provider_payment_method_id: str, customer: str) -> bytes:
    """Returns the request of a SET_DEFAULT_PAYMENT_METHOD; *customer* is the provider's id."""
    return _methods.SetDefaultPaymentMethodRequest(
        provider_payment_method_id=provider_payment_method_id, provider_customer_id=customer
    ).SerializeToString()


def create_plan(plan: plans.Plan) -> bytes:
    """Returns the request of a CREATE_PLAN."""
    interval: Any = int(plan.interval)
    return _billing.CreatePlanRequest(
        plan_id=plan.id,
        name=plan.name,
        amount=_money(plan.amount_minor, plan.currency),
        interval=interval,
        interval_count=plan.interval_count,
    ).SerializeToString()


def archive_plan(provider_price_id: str) -> bytes:
    """Returns the request of an ARCHIVE_PLAN."""
    return _billing.ArchivePlanRequest(provider_price_id=provider_price_id).SerializeToString()


def create_subscription(
    subscription: subscriptions.Subscription,
    plan: plans.Plan,
    *,
    provider_customer_id: str,
    provider_price_id: str,
    provider_payment_method_id: str,
    trial_days: int,
) -> bytes:
    """Returns the request of a CREATE_SUBSCRIPTION."""
    request = _billing.CreateSubscriptionRequest(
        subscription_id=subscription.id,
        provider_customer_id=provider_customer_id,
        provider_price_id=provider_price_id,
        quantity=subscription.quantity,
        trial_days=trial_days,
        provider_payment_method_id=provider_payment_method_id,
    )
    if not trial_days:
        amount_minor = plan.amount_minor * subscription.quantity
        request.amount.CopyFrom(_money(amount_minor, plan.currency))
    return request.SerializeToString()


def change_subscription(
    provider_subscription_id: str,
    *,
    provider_price_id: str,
    quantity: int,
    proration: subscriptions.Proration,
) -> bytes:
    """Returns the request of a CHANGE_SUBSCRIPTION."""
    how: Any = int(proration)
    return _billing.ChangeSubscriptionRequest(
        provider_subscription_id=provider_subscription_id,
        provider_price_id=provider_price_id,
        quantity=quantity,
        proration=how,
    ).SerializeToString()


def cancel_subscription(provider_subscription_id: str, *, at_period_end: bool) -> bytes:
    """Returns the request of a CANCEL_SUBSCRIPTION."""
    return _billing.CancelSubscriptionRequest(
        provider_subscription_id=provider_subscription_id, at_period_end=at_period_end
    ).SerializeToString()


def reactivate_subscription(provider_subscription_id: str) -> bytes:
    """Returns the request of a REACTIVATE_SUBSCRIPTION."""
    return _billing.ReactivateSubscriptionRequest(
        provider_subscription_id=provider_subscription_id
    ).SerializeToString()


# Where a request names the object that it changes, the most telling first.
_CHANGED = (
    "provider_payment_id",
    "provider_subscription_id",
    "provider_payment_method_id",
    "provider_checkout_id",
    "provider_dispute_id",
)
_CHANGED_BY = {
    model.Kind.UPDATE_CUSTOMER: "provider_customer_id",
    model.Kind.ARCHIVE_PLAN: "provider_price_id",
}
# These name a payment method that pays, not one that they change.
_MAKES = frozenset({model.Kind.CREATE_SUBSCRIPTION})


def hints(
    operation: model.Operation, object_id: str
) -> payment_provider_service_pb2.OperationHints:
    """Returns what helps to find *operation*; *object_id* is what it made, once known."""
    method = METHODS[operation.kind]
    request = method.request.FromString(operation.request)
    names = (_CHANGED_BY[operation.kind],) if operation.kind in _CHANGED_BY else _CHANGED
    if not object_id and operation.kind not in _MAKES:
        object_id = next((found for name in names if (found := getattr(request, name, ""))), "")
    found = payment_provider_service_pb2.OperationHints(
        provider_object_id=object_id,
        method=method.name,
        provider_customer_id=getattr(request, "provider_customer_id", ""),
    )
    found.create_time.FromMicroseconds(operation.created_us)
    found.not_after.FromMicroseconds(operation.not_after_us)
    return found


def with_context(operation: model.Operation, *, generation: int) -> Message:
    """Returns the stored request of *operation* with the context of its newest attempt."""
    request = METHODS[operation.kind].request.FromString(operation.request)
    context = operation_pb2.OperationContext(
        binding_id=operation.binding_id,
        operation_id=operation.id,
        attempt=operation.attempts,
        config_generation=generation,
    )
    context.not_after.FromMicroseconds(operation.not_after_us)
    request.context.CopyFrom(context)  # type: ignore[attr-defined]
    return request
