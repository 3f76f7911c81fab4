"""Operations beside payments, ready to be sent.

Owns making what each kind needs beforehand and the request that would carry it
out. Called by the checks of what core mirrors. Never sends that request itself.
"""

from dataclasses import dataclass
from typing import Any

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps

from provider_sdk.conformance import attempts, checks
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

METHODS = capability_pb2.CAPABILITY_PAYMENT_METHODS
PLANS = capability_pb2.CAPABILITY_PLANS
SUBSCRIPTIONS = capability_pb2.CAPABILITY_SUBSCRIPTIONS
CHECKOUT = capability_pb2.CAPABILITY_CHECKOUT
SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED

Attempt = attempts.Attempt
ProviderObject = provider_object_pb2.ProviderObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """An operation that makes an object core mirrors.

    Args:
        attempt: What to send.
        kind: The object's field in ProviderObject.
        core_id: Core's identifier of it, as sent.
    """

    attempt: Attempt
    kind: str
    core_id: str


async def of_every_kind(binding: bindings.Binding) -> list[Making]:
    """Returns the making of every object the provider offers, what it needs made beforehand."""
    run = binding.run
    found = []
    if run.has(METHODS):
        found.append(attach(binding, await customer(binding)))
    if run.has(PLANS):
        found.append(plan(binding))
    if run.has(SUBSCRIPTIONS):
        found.append(await subscription(binding))
    if run.has(CHECKOUT):
        found.append(checkout(binding))
    return found


async def customer(binding: bindings.Binding) -> str:
    """Makes a customer and returns its identifier at the provider."""
    made = await attempts.customer(binding).send()
    binding.run.expect_state(made, SUCCEEDED, what="the making of a customer")
    return made.provider_object_id


def attach(binding: bindings.Binding, customer_id: str) -> Making:
    """Returns the keeping of a payment method, by the profile's instrument."""
    run = binding.run
    core_id = f"pmt_{run.token()}"
    request = mps.AttachPaymentMethodRequest(
        context=binding.context(),
        payment_method_id=core_id,
        token=run.profile.instruments.get("attach", run.instrument("approve")),
        provider_customer_id=customer_id,
        set_default=True,
    )
    attempt = Attempt(
        name="the keeping of a payment method",
        binding=binding,
        method_name="AttachPaymentMethod",
        request=request,
        service="methods",
    )
    return Making(attempt=attempt, kind="payment_method", core_id=core_id)


def plan(binding: bindings.Binding) -> Making:
    """Returns the making of a monthly price."""
    core_id = f"plan_{binding.run.token()}"
    request = bps.CreatePlanRequest(
        context=binding.context(),
        plan_id=core_id,
        name="Conformance",
        amount=binding.run.money(),
        interval=provider_object_pb2.BILLING_INTERVAL_MONTH,
        interval_count=1,
    )
    attempt = Attempt(
        name="the making of a plan",
        binding=binding,
        method_name="CreatePlan",
        request=request,
        service="billing",
    )
    return Making(attempt=attempt, kind="plan", core_id=core_id)


async def subscription(binding: bindings.Binding) -> Making:
    """Returns the subscribing of a customer with a payment method to a price."""
    run = binding.run
    customer_id = await customer(binding)
    method_id = ""
    if run.has(METHODS):
        method_id = (await attach(binding, customer_id).attempt.send()).provider_object_id
    price = await plan(binding).attempt.send()
    core_id = f"sub_{run.token()}"
    request = bps.CreateSubscriptionRequest(
        context=binding.context(),
        subscription_id=core_id,
        provider_customer_id=customer_id,
        provider_price_id=price.provider_object_id,
        quantity=1,
        provider_payment_method_id=method_id,
    )
    attempt = Attempt(
        name="the making of a subscription",
        binding=binding,
        method_name="CreateSubscription",
        request=request,
        service="billing",
    )
    return Making(attempt=attempt, kind="subscription", core_id=core_id)


def checkout(binding: bindings.Binding) -> Making:
    """Returns the making of a checkout for an amount."""
    core_id = f"chk_{binding.run.token()}"
    request = cps.CreateCheckoutRequest(
        context=binding.context(),
        checkout_id=core_id,
        amount=binding.run.money(),
        success_url="https://shop.example/done",
        cancel_url="https://shop.example/back",
    )
    attempt = Attempt(
        name="the making of a checkout",
        binding=binding,
        method_name="CreateCheckout",
        request=request,
        service="checkouts",
    )
    return Making(attempt=attempt, kind="checkout", core_id=core_id)


def cancel(binding: bindings.Binding, subscription_id: str, *, at_period_end: bool) -> Attempt:
    """Returns the cancellation of a subscription."""
    request = bps.CancelSubscriptionRequest(
        context=binding.context(),
        provider_subscription_id=subscription_id,
        at_period_end=at_period_end,
    )
    return Attempt(
        name="a cancellation",
        binding=binding,
        method_name="CancelSubscription",
        request=request,
        service="billing",
    )


def made(answer: Any, making: Making) -> ProviderObject:
    """Returns the object that an answer owes.

    Raises:
        Failed: It is not there, or not core's.
    """
    what = making.attempt.name
    making.attempt.binding.run.expect_state(answer.operation, SUCCEEDED, what=what)
    for one in answer.objects:
        if one.WhichOneof("object") == making.kind and one.core_id == making.core_id:
            if one.provider_object_id == answer.operation.provider_object_id:
                found: ProviderObject = one
                return found
            raise checks.Failed(
                f"{what}: the object is {one.provider_object_id[:64]!r}, the operation says "
                f"{answer.operation.provider_object_id[:64]!r}",
                fix="name the object that was made in provider_object_id",
            )
    kinds = ", ".join(one.WhichOneof("object") or "?" for one in answer.objects) or "nothing"
    raise checks.Failed(
        f"{what} succeeded with {kinds}, and no {making.kind} of core's identifier",
        fix=f"answer with the {making.kind} in `objects`, `core_id` as sent",
    )


def of_kind(answer: Any, kind: str) -> ProviderObject | None:
    """Returns the first object of a kind that an answer tells of; they have no order."""
    return next((one for one in answer.objects if one.WhichOneof("object") == kind), None)


async def fetch(
    run: runs.Run, binding: bindings.Binding, kind: str, object_id: str
) -> nps.FetchObjectResponse:
    """Fetches an object. Raises Refused."""
    reference = provider_object_pb2.ObjectReference(
        kind=f"OBJECT_KIND_{kind.upper()}", provider_object_id=object_id
    )
    request = nps.FetchObjectRequest(binding_id=binding.binding_id, reference=reference)
    answer: nps.FetchObjectResponse = await run.call(run.notices.FetchObject, request)
    return answer
