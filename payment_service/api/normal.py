"""Normal forms of requests: two ways to write the same request are one.

Owns which ways mean the same, RPC by RPC. Called by `reading.keyed` after the request was read.
What follows from the state of something, such as an empty provider that means the default, is
never filled in: it may mean something else by the time of a repeat. The normal form is what
`payhub_client` sends, so that replicas which know no normal forms agree on most requests.
"""

from collections.abc import Callable, Mapping
from typing import Any

from payhub.payments.v1 import (
    checkout_service_pb2,
    customer_service_pb2,
    payment_pb2,
    payment_service_pb2,
    plan_service_pb2,
    subscription_service_pb2,
)

# Of `open_for`, if it is absent.
CHECKOUT_OPEN_US = 86_400_000_000
PROFILE_PATHS = tuple(customer_service_pb2.CustomerProfile.DESCRIPTOR.fields_by_name)


def _create_payment(request: payment_service_pb2.CreatePaymentRequest) -> bool:
    changed = False
    if not request.capture_method:
        request.capture_method = payment_pb2.CAPTURE_METHOD_AUTOMATIC
        changed = True
    if not request.HasField("references"):
        request.references.SetInParent()
        changed = True
    return changed


def _update_customer(request: customer_service_pb2.UpdateCustomerRequest) -> bool:
    """All fields of the profile if none is named, each once and in their order; others are not
    looked at.
    """
    named = list(request.update_mask.paths)
    paths = [path for path in PROFILE_PATHS if not named or path in named]
    ignored = [field.name for field, _ in request.profile.ListFields() if field.name not in paths]
    if paths == named and not ignored:
        return False
    request.update_mask.paths[:] = paths
    for name in ignored:
        request.profile.ClearField(name)
    return True


def _create_plan(request: plan_service_pb2.CreatePlanRequest) -> bool:
    if request.interval_count:
        return False
    request.interval_count = 1
    return True


def _create_subscription(request: subscription_service_pb2.CreateSubscriptionRequest) -> bool:
    if request.quantity:
        return False
    request.quantity = 1
    return True


def _change_plan(request: subscription_service_pb2.ChangeSubscriptionPlanRequest) -> bool:
    if request.proration != subscription_service_pb2.PRORATION_NEXT_INVOICE:
        return False
    request.ClearField("proration")
    return True


def _create_checkout(request: checkout_service_pb2.CreateCheckoutRequest) -> bool:
    changed = False
    if request.quantity == 1:
        request.ClearField("quantity")
        changed = True
    if request.HasField("open_for") and request.open_for.ToMicroseconds() == CHECKOUT_OPEN_US:
        request.ClearField("open_for")
        changed = True
    return changed


# By RPC; brings a request into its normal form and returns whether it was in another one.
FORMS: Mapping[str, Callable[[Any], bool]] = {
    "CreatePayment": _create_payment,
    "UpdateCustomer": _update_customer,
    "CreatePlan": _create_plan,
    "CreateSubscription": _create_subscription,
    "ChangeSubscriptionPlan": _change_plan,
    "CreateCheckout": _create_checkout,
}
