"""Check 10: capabilities are true.

Owns both sides: what is declared works, what is not is refused. Collected by
`catalog`.
"""

from collections.abc import Awaitable, Callable, Mapping

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, mirrored, refusal
from provider_sdk.conformance import run as runs

State = operation_pb2.Operation
Try = Callable[[runs.Run, bindings.Binding], Awaitable[None]]

_C = capability_pb2


async def _manual_capture(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=False)
    run.expect_state(paid, State.STATE_SUCCEEDED, what="the authorization")
    captured = await binding.capture(paid)
    run.expect_state(captured, State.STATE_SUCCEEDED, what="the capture")


async def _sale(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=True)
    run.expect_state(paid, State.STATE_SUCCEEDED, what="the sale")


async def _partial_capture(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=False)
    part = await binding.capture(paid, paid.amount.amount_minor // 2, final=True)
    run.expect_state(part, State.STATE_SUCCEEDED, what="the partial capture")


async def _multiple_capture(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=False)
    half = paid.amount.amount_minor // 2
    for amount_minor, final in ((half, False), (paid.amount.amount_minor - half, True)):
        part = await binding.capture(paid, amount_minor, final=final)
        run.expect_state(part, State.STATE_SUCCEEDED, what="one of two captures")


async def _void(run: runs.Run, binding: bindings.Binding) -> None:
    voided = await binding.void(await binding.authorize(sale=False))
    run.expect_state(voided, State.STATE_SUCCEEDED, what="the void")


async def _refund(run: runs.Run, binding: bindings.Binding) -> None:
    refunded = await binding.refund(await binding.pay())
    run.expect_state(refunded, State.STATE_SUCCEEDED, what="the refund")


async def _partial_refund(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.pay()
    part = await binding.refund(paid, paid.amount.amount_minor // 3)
    run.expect_state(part, State.STATE_SUCCEEDED, what="the partial refund")


async def _customer_action(run: runs.Run, binding: bindings.Binding) -> None:
    asked = await binding.authorize("action_required")
    run.expect_state(asked, State.STATE_ACTION_REQUIRED, what="the instrument `action_required`")
    if not asked.action.redirect_url and not asked.action.client_secret:
        raise checks.Failed(
            "a customer action has neither a redirect_url nor a client_secret",
            fix="say what the payer has to do",
        )


async def _customers(run: runs.Run, binding: bindings.Binding) -> None:
    made = await run.call(run.provider.CreateCustomer, _new_customer(run, binding))
    run.expect_state(made.operation, State.STATE_SUCCEEDED, what="the customer")
    if not made.operation.provider_object_id:
        raise checks.Failed(
            "a customer was made without an id", fix="answer it as provider_object_id"
        )
    update = pps.UpdateCustomerRequest(
        context=binding.context(), provider_customer_id=made.operation.provider_object_id
    )
    update.details.name = "Conformance Renamed"
    changed = await run.call(run.provider.UpdateCustomer, update)
    run.expect_state(changed.operation, State.STATE_SUCCEEDED, what="the change of a customer")


def _new_customer(run: runs.Run, binding: bindings.Binding) -> pps.CreateCustomerRequest:
    request = pps.CreateCustomerRequest(context=binding.context())
    request.details.customer_id = f"cus_{run.token()}"
    request.details.name = "Conformance"
    request.details.email = "conformance@shop.example"
    return request


async def _idempotency(run: runs.Run, binding: bindings.Binding) -> None:
    if run.handshake.upstream_idempotency_retention.ToMicroseconds() <= 0:
        raise checks.Failed(
            "UPSTREAM_IDEMPOTENCY without upstream_idempotency_retention",
            fix="say in the handshake how long upstream remembers an operation id",
        )
    request = binding.authorization()
    first = await run.call(run.provider.AuthorizePayment, request)
    again = await run.call(run.provider.AuthorizePayment, request)
    if first.operation.provider_object_id != again.operation.provider_object_id:
        raise checks.Failed(
            "the repeat of an operation made another payment",
            fix="send the operation id, or a fixed derivation of it, as idempotency key",
        )


async def _lookup(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize()
    found = await binding.find(paid.operation_id)
    run.expect_state(found, paid.state, what="the look-up of an operation")


async def _payment_methods(run: runs.Run, binding: bindings.Binding) -> None:
    customer_id = await mirrored.customer(binding)
    kept = await mirrored.attach(binding, customer_id).attempt.send()
    run.expect_state(kept, State.STATE_SUCCEEDED, what="the keeping of a payment method")
    method_id = kept.provider_object_id
    default = mps.SetDefaultPaymentMethodRequest(
        context=binding.context(),
        provider_payment_method_id=method_id,
        provider_customer_id=customer_id,
    )
    chosen = await run.call(run.methods.SetDefaultPaymentMethod, default)
    run.expect_state(chosen.operation, State.STATE_SUCCEEDED, what="the choice of a default")
    for _ in range(2):
        detach = mps.DetachPaymentMethodRequest(
            context=binding.context(), provider_payment_method_id=method_id
        )
        gone = await run.call(run.methods.DetachPaymentMethod, detach)
        run.expect_state(gone.operation, State.STATE_SUCCEEDED, what="a detaching, also repeated")


async def _plans(run: runs.Run, binding: bindings.Binding) -> None:
    price = await mirrored.plan(binding).attempt.send()
    run.expect_state(price, State.STATE_SUCCEEDED, what="the making of a plan")
    for _ in range(2):
        archive = bps.ArchivePlanRequest(
            context=binding.context(), provider_price_id=price.provider_object_id
        )
        archived = await run.call(run.billing.ArchivePlan, archive)
        run.expect_state(archived.operation, State.STATE_SUCCEEDED, what="an archiving")
        told = mirrored.of_kind(archived, "plan")
        if told is None or told.plan.active:
            raise checks.Failed(
                "an archived price is answered as active, or not at all",
                fix="answer with the price as it is now",
            )


async def _subscriptions(run: runs.Run, binding: bindings.Binding) -> None:
    making = await mirrored.subscription(binding)
    begun = mirrored.made(await making.attempt.answer(), making)
    for at_period_end, ended in ((True, False), (False, True), (False, True)):
        cancel = mirrored.cancel(binding, begun.provider_object_id, at_period_end=at_period_end)
        answer = await cancel.answer()
        run.expect_state(answer.operation, State.STATE_SUCCEEDED, what="a cancellation")
        told = mirrored.of_kind(answer, "subscription")
        canceled = provider_object_pb2.SubscriptionObject.STATE_CANCELED
        if told is None or (told.subscription.state == canceled) != ended:
            raise checks.Failed(
                f"a cancellation {'at the end of the period' if at_period_end else 'now'} left "
                f"the subscription in state {told.subscription.state if told else '(not told)'}",
                fix="end it now or with the period, as asked, and answer with the subscription",
            )


async def _checkout(run: runs.Run, binding: bindings.Binding) -> None:
    making = mirrored.checkout(binding)
    opened = mirrored.made(await making.attempt.answer(), making)
    if not opened.checkout.redirect_url and not opened.checkout.client_secret:
        raise checks.Failed(
            "an open checkout has neither a redirect_url nor a client_secret",
            fix="say where the payer goes",
        )
    for _ in range(2):
        expire = cps.ExpireCheckoutRequest(
            context=binding.context(), provider_checkout_id=opened.provider_object_id
        )
        ended = await run.call(run.checkouts.ExpireCheckout, expire)
        run.expect_state(ended.operation, State.STATE_SUCCEEDED, what="an expiring, also repeated")


_WORKS: Mapping[capability_pb2.Capability, Try] = {
    _C.CAPABILITY_MANUAL_CAPTURE: _manual_capture,
    _C.CAPABILITY_SALE: _sale,
    _C.CAPABILITY_PARTIAL_CAPTURE: _partial_capture,
    _C.CAPABILITY_MULTIPLE_CAPTURE: _multiple_capture,
    _C.CAPABILITY_VOID: _void,
    _C.CAPABILITY_REFUND: _refund,
    _C.CAPABILITY_PARTIAL_REFUND: _partial_refund,
    _C.CAPABILITY_CUSTOMER_ACTION: _customer_action,
    _C.CAPABILITY_CUSTOMERS: _customers,
    _C.CAPABILITY_UPSTREAM_IDEMPOTENCY: _idempotency,
    _C.CAPABILITY_OPERATION_LOOKUP: _lookup,
    _C.CAPABILITY_PAYMENT_METHODS: _payment_methods,
    _C.CAPABILITY_PLANS: _plans,
    _C.CAPABILITY_SUBSCRIPTIONS: _subscriptions,
    _C.CAPABILITY_CHECKOUT: _checkout,
}


@checks.check(number=10, part="a", title="Every declared capability works.")
async def declared_works(run: runs.Run) -> None:
    """Uses each; one without an instrument in the profile leaves the rule unproven."""
    binding = await run.new_binding()
    unproven = []
    for capability, works in _WORKS.items():
        if not run.has(capability):
            continue
        name = _C.Capability.Name(capability)
        try:
            await works(run, binding)
        except refusal.Refused as refused:
            raise checks.Failed(
                f"{name} is declared, and its use is refused: {refused.shown()}",
                fix="serve it, or do not declare it",
            ) from refused
        except checks.Failed as failure:
            raise checks.Failed(
                f"{name} is declared, but {failure.seen}", fix=failure.fix
            ) from failure
        except checks.NotProven as failure:
            unproven.append(f"{name}: {failure.reason}")
    if unproven:
        raise checks.NotProven("; ".join(unproven), cause=checks.Cause.PROFILE)


@checks.check(number=10, part="b", title="Every capability that is not declared is refused.")
async def undeclared_is_refused(run: runs.Run) -> None:
    """Uses what the provider does not declare, or has disabled."""
    binding = await run.new_binding()
    tried = 0
    for capability, method, request in await _uses(run, binding):
        if run.has(capability):
            continue
        tried += 1
        name = _C.Capability.Name(capability)
        refused = await run.expect_status(
            run.call(method, request),
            what=f"the use of {name}, which is not declared",
            code=grpc.StatusCode.UNIMPLEMENTED,
            fix="refuse it with NOT_SUPPORTED, or declare it",
        )
        # gRPC itself refuses a method that is not there, without details.
        if refused.infos or refused.failures:
            found = refused.problems(domain=run.plugin_id)
            if found or refused.effect != "NONE":
                raise checks.Failed(
                    f"the refusal of {name} is {refused.shown()} {'; '.join(found)}".strip(),
                    fix="answer NOT_SUPPORTED with effect NONE",
                )
    run.note(f"{tried} not declared")


async def _uses(
    run: runs.Run, binding: bindings.Binding
) -> list[tuple[capability_pb2.Capability, object, object]]:
    """Returns a request for each capability that is a call or a capture method."""
    paid = await binding.authorize()
    payment_id = paid.provider_object_id
    stub = run.provider
    update = pps.UpdateCustomerRequest(
        context=binding.context(), provider_customer_id="conformance"
    )
    update.details.name = "Conformance"
    return [
        (_C.CAPABILITY_SALE, stub.AuthorizePayment, binding.authorization(sale=True)),
        (_C.CAPABILITY_MANUAL_CAPTURE, stub.AuthorizePayment, binding.authorization(sale=False)),
        (_C.CAPABILITY_MANUAL_CAPTURE, stub.CapturePayment, binding.capturing(payment_id)),
        (
            _C.CAPABILITY_VOID,
            stub.VoidPayment,
            binding.voiding(paid.operation_id, payment_id=payment_id),
        ),
        (_C.CAPABILITY_REFUND, stub.RefundPayment, binding.refunding(payment_id)),
        (_C.CAPABILITY_CUSTOMERS, stub.CreateCustomer, _new_customer(run, binding)),
        (_C.CAPABILITY_CUSTOMERS, stub.UpdateCustomer, update),
        *_further_uses(run, binding, payment_id),
    ]


def _further_uses(
    run: runs.Run, binding: bindings.Binding, payment_id: str
) -> list[tuple[capability_pb2.Capability, object, object]]:
    alone, saving = binding.authorization(), binding.authorization()
    alone.off_session = True
    saving.save_payment_method = True
    saving.provider_customer_id = "conformance"
    attach = mirrored.attach(binding, "conformance").attempt
    plan, checkout = mirrored.plan(binding).attempt, mirrored.checkout(binding).attempt
    cancel = mirrored.cancel(binding, "conformance", at_period_end=False)
    accept = dps.AcceptDisputeRequest(context=binding.context(), provider_dispute_id="conformance")
    increment = pps.IncrementAuthorizationRequest(
        context=binding.context(),
        provider_payment_id=payment_id,
        amount=run.money(10),
        total=run.money(run.profile.amount_minor + 10),
    )
    reference = provider_object_pb2.ObjectReference(
        kind="OBJECT_KIND_PAYMENT", provider_object_id=payment_id
    )
    fetch = nps.FetchObjectRequest(binding_id=binding.binding_id, reference=reference)
    webhook = nps.WebhookRequest(body=b"{}")
    webhook.receive_time.GetCurrentTime()
    verify = nps.VerifyWebhookRequest(binding_id=binding.binding_id, request=webhook)
    return [
        (_C.CAPABILITY_OFF_SESSION, run.provider.AuthorizePayment, alone),
        (_C.CAPABILITY_SAVE_PAYMENT_METHOD, run.provider.AuthorizePayment, saving),
        (
            _C.CAPABILITY_INCREMENTAL_AUTHORIZATION,
            run.provider.IncrementAuthorization,
            increment,
        ),
        (_C.CAPABILITY_PAYMENT_METHODS, attach.method, attach.request),
        (_C.CAPABILITY_PLANS, plan.method, plan.request),
        (_C.CAPABILITY_SUBSCRIPTIONS, cancel.method, cancel.request),
        (_C.CAPABILITY_CHECKOUT, checkout.method, checkout.request),
        (_C.CAPABILITY_DISPUTES, run.disputes.AcceptDispute, accept),
        (_C.CAPABILITY_OBJECT_FETCH, run.notices.FetchObject, fetch),
        (_C.CAPABILITY_WEBHOOKS, run.notices.VerifyWebhook, verify),
    ]
