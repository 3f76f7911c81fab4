"""Payment methods, subscriptions and invoices of the simulated provider, by its own clock."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock.objects import model
from tests.integration.provider import further, rig

_one = further.one
Operation = operation_pb2.Operation
Decline = operation_pb2.DeclineReason
Subscription = provider_object_pb2.SubscriptionObject
Invoice = provider_object_pb2.InvoiceObject


async def test_methods_are_kept_paid_by_and_let_go(shop: further.Shop) -> None:
    """Attach by token, default, off-session payment, save while paying, detach; repeats too."""
    customer = await shop.customer()
    request = mps.AttachPaymentMethodRequest(
        context=shop.core.context(),
        payment_method_id="pmt_1",
        token="tok_approve+card.mastercard_4444+bill.decline_insufficient_funds",
        provider_customer_id=customer,
    )
    attach = shop.stubs.methods.AttachPaymentMethod
    kept = await shop.send(attach, request)
    assert await shop.send(attach, request) == kept
    method = _one(kept, "payment_method")
    assert (method.core_id, method.operation_id) == ("pmt_1", request.context.operation_id)
    card = method.payment_method.card
    assert (card.brand, card.last4, method.payment_method.is_default) == (
        "mastercard",
        "4444",
        True,
    )
    assert (await shop.find(request.context.operation_id)).objects == kept.objects

    async def pay(token: str, **rest: Any) -> pps.AuthorizePaymentResponse:
        sale = shop.core.authorization(token, sale=True)
        sale.MergeFrom(pps.AuthorizePaymentRequest(provider_customer_id=customer, **rest))
        answer: pps.AuthorizePaymentResponse = await shop.core.call(
            shop.core.stub.AuthorizePayment, sale
        )
        return answer

    paid = await pay(method.provider_object_id)
    assert paid.operation.state == Operation.STATE_SUCCEEDED
    refused = await pay(method.provider_object_id, off_session=True)
    assert refused.operation.decline.reason == Decline.Value("DECLINE_REASON_INSUFFICIENT_FUNDS")
    asks = await pay("tok_action_required", off_session=True)
    assert asks.operation.decline.reason == Decline.Value("DECLINE_REASON_AUTHENTICATION_FAILED")

    saved = _one(await pay("tok_approve", save_payment_method=True), "payment_method")
    assert not saved.payment_method.is_default
    default = mps.SetDefaultPaymentMethodRequest(
        provider_payment_method_id=saved.provider_object_id, provider_customer_id=customer
    )
    await shop.send(shop.stubs.methods.SetDefaultPaymentMethod, default)
    was = (await shop.fetch("payment_method", method.provider_object_id)).object
    assert not was.payment_method.is_default
    assert was.state_time.ToMicroseconds() > method.state_time.ToMicroseconds()
    for _ in range(2):
        gone = await shop.send(
            shop.stubs.methods.DetachPaymentMethod,
            mps.DetachPaymentMethodRequest(provider_payment_method_id=saved.provider_object_id),
        )
        assert _one(gone, "payment_method").deleted
    unusable = await pay(saved.provider_object_id, off_session=True)
    assert unusable.operation.decline.reason == Decline.Value("DECLINE_REASON_INSTRUMENT_INVALID")
    declined = await shop.attach(customer, "tok_decline_suspected_fraud")
    assert declined.operation.state == Operation.STATE_DECLINED
    assert list(declined.objects) == []


async def test_an_authorization_is_raised_while_it_holds_everything(shop: further.Shop) -> None:
    """The operation echoes what was added; a wrong total or a captured payment is refused."""
    held = await shop.core.authorize(amount_minor=1000)

    def increment(amount_minor: int, total_minor: int) -> pps.IncrementAuthorizationRequest:
        return pps.IncrementAuthorizationRequest(
            provider_payment_id=held.provider_object_id,
            amount=rig.money(amount_minor),
            total=rig.money(total_minor),
        )

    raised = await shop.send(shop.core.stub.IncrementAuthorization, increment(500, 1500))
    assert raised.operation.amount == rig.money(500)
    with pytest.raises(rig.Refused) as refused:
        await shop.send(shop.core.stub.IncrementAuthorization, increment(500, 1500))
    assert (refused.value.reason, refused.value.effect) == ("INVALID_REQUEST", "NONE")
    await shop.core.capture(held, 1500)
    with pytest.raises(rig.Refused) as refused:
        await shop.send(shop.core.stub.IncrementAuthorization, increment(1, 1501))
    assert refused.value.reason == "STATE_CONFLICT"
    payment = (await shop.fetch("payment", held.provider_object_id)).object.payment
    assert (payment.amount, payment.captured_minor) == (rig.money(1500), 1500)


async def test_a_subscription_lives_on_the_providers_clock(shop: further.Shop) -> None:
    """Trial, first bill, renewal, change with proration, cancellation taken back and kept."""
    customer, price = await shop.customer(), await shop.plan(3000)
    await shop.attach(customer)
    begun = await shop.subscribe(customer, price, trial_days=10)
    subscription_id = begun.operation.provider_object_id
    trial = _one(begun, "subscription")
    assert (trial.core_id, trial.subscription.state) == ("sub_1", Subscription.STATE_TRIALING)

    async def now() -> provider_object_pb2.ProviderObject:
        answer = await shop.fetch("subscription", subscription_id)
        fetched: provider_object_pb2.ProviderObject = answer.object
        return fetched

    shop.advance(10.01)
    billed = await shop.fetch("subscription", subscription_id)
    assert billed.object.subscription.state == Subscription.STATE_ACTIVE
    paid = _one(billed, "payment")
    assert paid.payment.provider_invoice_id == _one(billed, "invoice").provider_object_id
    assert (paid.core_id, paid.payment.captured_minor) == ("", 3000)
    period = billed.object.subscription.current_period_start.ToSeconds()
    assert period == trial.subscription.trial_end.ToSeconds()

    dearer = await shop.plan(6000)

    async def change(price_id: str, proration: bps.Proration) -> object:
        request = bps.ChangeSubscriptionRequest(
            provider_subscription_id=subscription_id,
            provider_price_id=price_id,
            quantity=1,
            proration=proration,
        )
        return await shop.send(shop.stubs.billing.ChangeSubscription, request)

    bill = _one(await change(dearer, bps.PRORATION_NOW), "invoice").invoice
    assert bill.state == Invoice.STATE_PAID
    # All but a quarter of an hour of the period is left.
    assert 2990 <= bill.amount_due.amount_minor <= 3000
    await change(price, bps.PRORATION_NEXT_INVOICE)
    shop.advance(31)
    renewed = _one(await shop.fetch("subscription", subscription_id), "invoice").invoice
    assert 0 <= renewed.amount_due.amount_minor <= 20

    cancel = bps.CancelSubscriptionRequest(
        provider_subscription_id=subscription_id, at_period_end=True
    )
    ends = await shop.send(shop.stubs.billing.CancelSubscription, cancel)
    assert _one(ends, "subscription").subscription.cancel_at_period_end
    reactivate = bps.ReactivateSubscriptionRequest(provider_subscription_id=subscription_id)
    await shop.send(shop.stubs.billing.ReactivateSubscription, reactivate)
    assert not (await now()).subscription.cancel_at_period_end
    cancel.ClearField("context")
    await shop.send(shop.stubs.billing.CancelSubscription, cancel)
    shop.advance(31)
    assert (await now()).subscription.state == Subscription.STATE_CANCELED
    reactivate.ClearField("context")
    with pytest.raises(rig.Refused) as refused:
        await shop.send(shop.stubs.billing.ReactivateSubscription, reactivate)
    assert refused.value.reason == "STATE_CONFLICT"


async def test_a_refused_renewal_is_tried_again_and_given_up(shop: further.Shop) -> None:
    """Past due with overdue invoice, healed by a better method; else canceled after the last."""
    customer, price = await shop.customer(), await shop.plan()
    kept = await shop.attach(customer)
    method_id = kept.operation.provider_object_id
    begun = await shop.subscribe(customer, price)
    subscription_id = begun.operation.provider_object_id
    assert _one(begun, "subscription").subscription.state == Subscription.STATE_ACTIVE
    shop.press(f"/control/payment_methods/{method_id}?token=tok_bill.decline_insufficient_funds")
    shop.advance(31.5)
    due = await shop.fetch("subscription", subscription_id)
    assert due.object.subscription.state == Subscription.STATE_PAST_DUE
    invoice = _one(due, "invoice").invoice
    assert invoice.state == Invoice.STATE_OPEN
    assert invoice.decline.retryable_later
    assert invoice.HasField("next_attempt_time")
    shop.advance(1)
    assert _one(await shop.fetch("subscription", subscription_id), "invoice").invoice.overdue
    shop.press(f"/control/payment_methods/{method_id}?token=tok_approve")
    shop.advance(2)
    healed = await shop.fetch("subscription", subscription_id)
    assert healed.object.subscription.state == Subscription.STATE_ACTIVE
    assert _one(healed, "invoice").invoice.attempt_count == 2
    shop.press(f"/control/payment_methods/{method_id}?token=tok_bill.decline_do_not_honor")
    shop.advance(60)
    lost = await shop.fetch("subscription", subscription_id)
    assert lost.object.subscription.state == Subscription.STATE_CANCELED
    assert _one(lost, "invoice").invoice.state == Invoice.STATE_UNCOLLECTIBLE
    document = _one(lost, "invoice").invoice.pdf_url
    assert document.endswith(".pdf")


async def test_what_has_ended_is_billed_no_more(shop: further.Shop) -> None:
    """Not even the older of two invoices that were refused, whose next try was due later."""
    customer = await shop.customer()
    price = await shop.plan(interval=provider_object_pb2.BILLING_INTERVAL_DAY)
    method_id = (await shop.attach(customer)).operation.provider_object_id
    subscription_id = (await shop.subscribe(customer, price)).operation.provider_object_id
    shop.press(f"/control/payment_methods/{method_id}?token=tok_bill.decline_do_not_honor")
    shop.advance(1.1)
    older = _one(await shop.fetch("subscription", subscription_id), "invoice").provider_object_id
    shop.advance(1)
    cancel = bps.CancelSubscriptionRequest(provider_subscription_id=subscription_id)
    answer = await shop.send(shop.stubs.billing.CancelSubscription, cancel)
    assert _one(answer, "subscription").subscription.state == Subscription.STATE_CANCELED
    paid = shop.press("/control/effects", method="GET")["operations"]["SALE"]
    shop.press(f"/control/payment_methods/{method_id}?token=tok_approve")
    shop.advance(60)
    assert shop.press("/control/effects", method="GET")["operations"]["SALE"] == paid
    invoice = (await shop.fetch("invoice", older)).object.invoice
    assert invoice.state == Invoice.STATE_OPEN
    assert not invoice.HasField("next_attempt_time")


async def test_an_invoice_whose_payment_waits_is_not_charged_again(shop: further.Shop) -> None:
    """Its payer may press as often as they like."""
    customer = await shop.customer()
    await shop.attach(customer, "tok_attach.approve+bill.pending_then_settled")
    begun = await shop.subscribe(customer, await shop.plan())
    invoice_id = _one(begun, "invoice").provider_object_id
    shop.press(f"/control/invoices/{invoice_id}/pay", status=409)
    shop.advance(0.01)
    assert (await shop.fetch("invoice", invoice_id)).object.invoice.state == Invoice.STATE_PAID
    effects = shop.press("/control/effects", method="GET")
    assert effects["operations"]["SALE"] == {"SUCCEEDED": 1}


async def test_a_withdrawn_invoice_is_paid_no_more(shop: further.Shop) -> None:
    """Its payment that waited is voided with it; when that would have settled, nothing happens."""
    customer = await shop.customer()
    await shop.attach(customer, "tok_attach.approve+bill.pending_then_settled")
    begun = await shop.subscribe(customer, await shop.plan())
    invoice_id = _one(begun, "invoice").provider_object_id
    cancel = bps.CancelSubscriptionRequest(
        provider_subscription_id=begun.operation.provider_object_id
    )
    await shop.send(shop.stubs.billing.CancelSubscription, cancel)
    shop.advance(0.01)
    withdrawn = await shop.fetch("invoice", invoice_id)
    assert withdrawn.object.invoice.state == Invoice.STATE_VOID
    effects = shop.press("/control/effects", method="GET")
    assert effects["operations"]["SALE"] == {"VOIDED": 1}


async def test_an_invoice_learns_that_its_payment_was_voided(shop: further.Shop) -> None:
    """It is no longer waiting for that payment: its payer can pay it by another method."""
    customer = await shop.customer()
    kept = await shop.attach(customer, "tok_attach.approve+bill.pending_then_settled")
    begun = await shop.subscribe(customer, await shop.plan())
    invoice_id = _one(begun, "invoice").provider_object_id
    payment = _one(await shop.fetch("invoice", invoice_id), "payment")
    void = pps.VoidPaymentRequest(
        provider_payment_id=payment.provider_object_id,
        target_operation_id=model.derived_id("mbill", invoice_id, 1),
    )
    await shop.send(shop.core.stub.VoidPayment, void)
    shop.advance(0.01)
    invoice = (await shop.fetch("invoice", invoice_id)).object.invoice
    assert invoice.decline.reason == Decline.Value("DECLINE_REASON_OTHER")
    method_id = kept.operation.provider_object_id
    shop.press(f"/control/payment_methods/{method_id}?token=tok_approve")
    shop.press(f"/control/invoices/{invoice_id}/pay")
    assert (await shop.fetch("invoice", invoice_id)).object.invoice.state == Invoice.STATE_PAID


async def test_what_ended_while_paused_is_not_billed_once_more(shop: further.Shop) -> None:
    """A subscription canceled at the end of its period is over when it is resumed after it."""
    customer, price = await shop.customer(), await shop.plan()
    await shop.attach(customer)
    subscription_id = (await shop.subscribe(customer, price)).operation.provider_object_id
    cancel = bps.CancelSubscriptionRequest(
        provider_subscription_id=subscription_id, at_period_end=True
    )
    await shop.send(shop.stubs.billing.CancelSubscription, cancel)
    shop.press(f"/control/subscriptions/{subscription_id}/pause")
    shop.advance(40)
    shop.press(f"/control/subscriptions/{subscription_id}/resume")
    ended = (await shop.fetch("subscription", subscription_id)).object.subscription
    assert ended.state == Subscription.STATE_CANCELED
    effects = shop.press("/control/effects", method="GET")
    assert effects["operations"]["SALE"] == {"SUCCEEDED": 1}


async def test_a_first_payment_decides_over_a_subscription(shop: further.Shop) -> None:
    """Pending until it settles, the payer acts or it expires; nothing is billed before."""
    price = await shop.plan()

    async def begin(token: str) -> tuple[str, provider_object_pb2.ProviderObject]:
        customer = await shop.customer()
        await shop.attach(customer, token)
        begun = await shop.subscribe(customer, price)
        assert begun.operation.state == Operation.STATE_SUCCEEDED
        return begun.operation.provider_object_id, _one(begun, "subscription")

    async def state(subscription_id: str) -> int:
        answer = await shop.fetch("subscription", subscription_id)
        return int(answer.object.subscription.state)

    slow, _ = await begin("tok_attach.approve+bill.pending_then_settled")
    fails, _ = await begin("tok_attach.approve+bill.pending_then_declined")
    acts, asking = await begin("tok_action_required")
    refused, never = await begin("tok_bill.decline_do_not_honor")
    for subscription_id in (slow, fails, acts, refused):
        assert await state(subscription_id) == Subscription.STATE_PENDING
    assert never.subscription.decline.reason == Decline.Value("DECLINE_REASON_DO_NOT_HONOR")
    path = asking.subscription.action.redirect_url.partition("/actions/")[2]
    shop.press(f"/actions/{path}/complete")
    assert await state(acts) == Subscription.STATE_ACTIVE
    shop.advance(0.01)
    assert await state(slow) == Subscription.STATE_ACTIVE
    assert await state(fails) == Subscription.STATE_PENDING
    shop.advance(1)
    assert await state(fails) == await state(refused) == Subscription.STATE_EXPIRED
    invoice = _one(await shop.fetch("subscription", refused), "invoice")
    assert invoice.invoice.state == Invoice.STATE_VOID
    shop.press(f"/control/subscriptions/{slow}/pause")
    shop.advance(40)
    assert await state(slow) == Subscription.STATE_PAUSED
    shop.press(f"/control/subscriptions/{slow}/resume")
    assert await state(slow) == Subscription.STATE_ACTIVE


async def test_faults_and_restarts_leave_one_effect(
    start_mock: Callable[..., rig.MockProcess],
) -> None:
    """Lost answers, refusals before, settling and kills: one effect per operation id, found."""
    process = start_mock()
    core = rig.Core(process.target)
    await core.connect()
    shop = further.Shop(core, process.http)
    price = await shop.plan()
    customer = await shop.customer("mock+subscribe.crash_after@example.com")
    await shop.attach(customer)
    lost = mps.AttachPaymentMethodRequest(
        context=core.context(),
        payment_method_id="pmt_2",
        token="tok_drop_after_commit",
        provider_customer_id=customer,
    )
    with pytest.raises(rig.Refused) as refused:
        await shop.send(shop.stubs.methods.AttachPaymentMethod, lost)
    assert refused.value.effect == "UNKNOWN"
    found = await shop.find(lost.context.operation_id)
    again = await shop.send(shop.stubs.methods.AttachPaymentMethod, lost)
    assert list(found.objects) == list(again.objects)
    never = mps.AttachPaymentMethodRequest(token="tok_not_sent", provider_customer_id=customer)
    with pytest.raises(rig.Refused) as refused:
        await shop.send(shop.stubs.methods.AttachPaymentMethod, never)
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_UNREACHABLE", "NONE")
    later = await shop.attach(customer, "tok_pending_then_settled")
    assert later.operation.state == Operation.STATE_PENDING
    await core.succeeded(later.operation.operation_id)
    kept = (await shop.find(later.operation.operation_id)).objects
    assert [one.payment_method.card.last4 for one in kept] == ["4242"]

    subscribing = bps.CreateSubscriptionRequest(
        context=core.context(operation_id=f"op_{uuid.uuid4().hex}", not_after_s=60),
        subscription_id="sub_9",
        provider_customer_id=customer,
        provider_price_id=price,
        quantity=1,
    )
    with pytest.raises(rig.Refused):
        await shop.send(shop.stubs.billing.CreateSubscription, subscribing)
    process.wait()
    process = start_mock()
    reborn = rig.Core(process.target)
    reborn.binding_id = core.binding_id
    await reborn.connect()
    shop = further.Shop(reborn, process.http)
    found = await shop.find(subscribing.context.operation_id)
    assert _one(found, "subscription").subscription.state == Subscription.STATE_ACTIVE
    assert list((await shop.send(shop.stubs.billing.CreateSubscription, subscribing)).objects) == (
        list(found.objects)
    )
    counts = shop.press("/control/effects", method="GET")
    assert counts["operations"]["CREATE_SUBSCRIPTION"] == {"SUCCEEDED": 1}
    assert counts["objects"]["subscription"] == {"ACTIVE": 1}
    assert counts["operations"]["SALE"] == {"SUCCEEDED": 1}
    await core.close()
    await reborn.close()
    process.books()
