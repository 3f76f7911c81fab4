"""Plans, subscriptions, checkout and disputes through the Stripe sidecar."""

import pytest
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import provider_object_pb2 as pb

from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig

_O = rig.Operation
_S = pb.SubscriptionObject
Core = stripe_rig.Core


async def _customer_with(core: Core, token: str = "pm_card_visa") -> str:
    customer = await core.customer()
    await core.attach(customer, token, set_default=True)
    return customer


async def test_a_plan_is_made_found_and_archived(core: Core) -> None:
    """A price carries its plan, is found by its key when the answer is lost, and stops selling."""
    operation_id = rig.new_operation_id()
    await core.order("faults", kind="drop_after_commit", method="POST", path="/v1/prices")
    with pytest.raises(rig.Refused):
        await core.plan(operation_id=operation_id)
    found = await core.look(operation_id, "CreatePlan")
    price = found.objects[0]
    assert (price.core_id, price.plan.amount) == ("plan_of_core", rig.money(1900))
    assert (price.plan.interval, price.plan.interval_count) == (pb.BILLING_INTERVAL_MONTH, 1)
    again = await core.plan(operation_id=operation_id, attempt=2)
    assert again.provider_object_id == price.provider_object_id
    for _ in range(2):
        request = bps.ArchivePlanRequest(
            context=core.context(), provider_price_id=price.provider_object_id
        )
        answer = await core.call(core.more.billing.ArchivePlan, request)
        assert (answer.operation.state, answer.objects[0].plan.active) == (
            _O.STATE_SUCCEEDED,
            False,
        )


async def test_a_subscription_lives_its_life(core: Core) -> None:
    """It is paid at once, changed, canceled at the period's end, taken back, and ended."""
    customer = await _customer_with(core)
    price = await core.plan()
    made = await core.subscribe(customer, price.provider_object_id)
    assert made.operation.state == _O.STATE_SUCCEEDED
    subscription, invoice, payment = made.objects
    assert (subscription.core_id, subscription.subscription.state) == (
        "sub_of_core",
        _S.STATE_ACTIVE,
    )
    assert subscription.subscription.provider_invoice_id == invoice.provider_object_id
    assert invoice.invoice.state == pb.InvoiceObject.STATE_PAID
    assert (invoice.invoice.amount_due, invoice.invoice.amount_paid_minor) == (
        rig.money(1900),
        1900,
    )
    assert invoice.invoice.provider_subscription_id == subscription.provider_object_id
    assert invoice.invoice.pdf_url
    assert payment.payment.provider_invoice_id == invoice.provider_object_id
    assert payment.payment.captured_minor == 1900
    found = await core.look(
        made.operation.operation_id, "CreateSubscription", provider_customer_id=customer
    )
    assert found.objects[0].provider_object_id == subscription.provider_object_id

    other = await core.plan(2900)
    named = {"provider_subscription_id": subscription.provider_object_id}
    change = bps.ChangeSubscriptionRequest(
        context=core.context(),
        provider_price_id=other.provider_object_id,
        quantity=2,
        proration=bps.PRORATION_NOW,
        **named,
    )
    changed = (await core.call(core.more.billing.ChangeSubscription, change)).objects
    assert changed[0].subscription.provider_price_id == other.provider_object_id
    assert changed[0].subscription.quantity == 2
    assert changed[1].provider_object_id != invoice.provider_object_id
    late = bps.CancelSubscriptionRequest(context=core.context(), at_period_end=True, **named)
    canceled = (await core.call(core.more.billing.CancelSubscription, late)).objects[0]
    assert canceled.subscription.cancel_at_period_end
    back = bps.ReactivateSubscriptionRequest(context=core.context(), **named)
    active = (await core.call(core.more.billing.ReactivateSubscription, back)).objects[0]
    assert not active.subscription.cancel_at_period_end
    for _ in range(2):
        now = bps.CancelSubscriptionRequest(context=core.context(), **named)
        ended = await core.call(core.more.billing.CancelSubscription, now)
        assert ended.operation.state == _O.STATE_SUCCEEDED
        assert ended.objects[0].subscription.state == _S.STATE_CANCELED
        assert ended.objects[0].subscription.HasField("end_time")


async def test_a_first_payment_that_fails_leaves_it_pending(core: Core) -> None:
    """The operation succeeds and the subscription says why nothing is paid yet."""
    customer = await _customer_with(core, "pm_card_chargeCustomerFail")
    price = await core.plan()
    made = await core.subscribe(customer, price.provider_object_id)
    assert made.operation.state == _O.STATE_SUCCEEDED
    told = made.objects[0].subscription
    assert told.state == _S.STATE_PENDING
    assert told.decline.reason != operation_pb2.DECLINE_REASON_UNSPECIFIED
    trial = await core.subscribe(customer, price.provider_object_id, trial_days=14)
    assert trial.objects[0].subscription.state == _S.STATE_TRIALING
    assert trial.objects[0].subscription.HasField("trial_end")


@pytest.mark.parametrize(("fault", "made"), [("drop_before_commit", 0), ("drop_after_commit", 1)])
async def test_a_lost_subscription_is_made_once(core: Core, fault: str, made: int) -> None:
    """Whatever the wire loses, a repeat with the same id subscribes once."""
    customer = await _customer_with(core)
    price = await core.plan()
    operation_id = rig.new_operation_id()
    await core.order("faults", kind=fault, method="POST", path="/v1/subscriptions")
    with pytest.raises(rig.Refused) as refused:
        await core.subscribe(customer, price.provider_object_id, operation_id=operation_id)
    assert refused.value.effect == "UNKNOWN"
    listed = await core.listed("subscriptions", customer=customer)
    assert len(listed) == made
    await core.subscribe(customer, price.provider_object_id, operation_id=operation_id)
    assert len(await core.listed("subscriptions", customer=customer)) == 1


async def test_a_repeat_tells_how_a_subscription_stands_now(core: Core) -> None:
    """Stripe repeats its first answer for a key; that is no news and must not look like it."""
    customer = await _customer_with(core)
    price = await core.plan()
    operation_id = rig.new_operation_id()
    made = await core.subscribe(customer, price.provider_object_id, operation_id=operation_id)
    assert made.objects[0].subscription.state == _S.STATE_ACTIVE
    ending = bps.CancelSubscriptionRequest(
        context=core.context(), provider_subscription_id=made.objects[0].provider_object_id
    )
    await core.call(core.more.billing.CancelSubscription, ending)
    again = await core.subscribe(customer, price.provider_object_id, operation_id=operation_id)
    assert again.operation.state == _O.STATE_SUCCEEDED
    assert again.objects[0].provider_object_id == made.objects[0].provider_object_id
    assert again.objects[0].subscription.state == _S.STATE_CANCELED


async def test_a_repeated_checkout_tells_that_it_was_paid(core: Core) -> None:
    """The same of a session: paid is not open again because its making was asked for twice."""
    request = cps.CreateCheckoutRequest(
        context=core.context(),
        checkout_id="chk_of_core",
        amount=rig.money(4_200),
        success_url="https://shop.example/done",
    )
    made = await core.call(core.more.checkouts.CreateCheckout, request)
    await core.order(f"checkout/{made.objects[0].provider_object_id}/complete")
    again = await core.call(core.more.checkouts.CreateCheckout, request)
    assert again.objects[0].provider_object_id == made.objects[0].provider_object_id
    assert again.objects[0].checkout.state == pb.CheckoutObject.STATE_COMPLETED


async def test_a_checkout_is_opened_paid_and_expired(core: Core) -> None:
    """A session has an address for the payer, and what it led to can be fetched."""
    request = cps.CreateCheckoutRequest(
        context=core.context(),
        checkout_id="chk_of_core",
        amount=rig.money(4_200),
        success_url="https://shop.example/done",
        description="Shoes",
    )
    made = await core.call(core.more.checkouts.CreateCheckout, request)
    session = made.objects[0]
    assert (session.core_id, session.checkout.state) == (
        "chk_of_core",
        pb.CheckoutObject.STATE_OPEN,
    )
    assert session.checkout.redirect_url.startswith("http")
    await core.order(f"checkout/{session.provider_object_id}/complete")
    fetched = await core.fetch(pb.OBJECT_KIND_CHECKOUT, session.provider_object_id)
    assert fetched.object.checkout.state == pb.CheckoutObject.STATE_COMPLETED
    assert fetched.object.checkout.paid
    payment = fetched.related[0]
    assert payment.payment.provider_checkout_id == session.provider_object_id
    assert payment.payment.captured_minor == 4_200
    assert payment.operation_id == ""

    request.context.CopyFrom(core.context())
    request.embedded = True
    embedded = (await core.call(core.more.checkouts.CreateCheckout, request)).objects[0]
    assert embedded.checkout.client_secret
    for _ in range(2):
        expire = cps.ExpireCheckoutRequest(
            context=core.context(), provider_checkout_id=embedded.provider_object_id
        )
        ended = await core.call(core.more.checkouts.ExpireCheckout, expire)
        assert ended.objects[0].checkout.state == pb.CheckoutObject.STATE_EXPIRED
    request.context.CopyFrom(core.context())
    request.success_url = ""
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.more.checkouts.CreateCheckout, request)
    assert refused.value.fields == ["success_url"]


async def test_a_dispute_is_answered_or_accepted(core: Core) -> None:
    """A dispute names core's payment, takes evidence once, and can be given up."""
    found = []
    for _ in range(2):
        sale = await core.authorize("pm_card_createDispute", sale=True)
        (dispute,) = await core.listed("disputes", payment_intent=sale.provider_object_id)
        fetched = await core.fetch(pb.OBJECT_KIND_DISPUTE, dispute["id"])
        told = fetched.object.dispute
        assert (told.state, told.payment_id) == (
            pb.DisputeObject.STATE_NEEDS_RESPONSE,
            "pay_of_core",
        )
        assert told.amount == sale.amount
        found.append(dispute["id"])
    submit = dps.SubmitEvidenceRequest(
        context=core.context(),
        provider_dispute_id=found[0],
        evidence={"uncategorized_text": "It was delivered.", "not_a_field": "ignored"},
    )
    answered = await core.call(core.more.disputes.SubmitEvidence, submit)
    assert answered.objects[0].dispute.state == pb.DisputeObject.STATE_UNDER_REVIEW
    assert answered.objects[0].dispute.has_evidence
    for _ in range(2):
        accept = dps.AcceptDisputeRequest(context=core.context(), provider_dispute_id=found[1])
        lost = await core.call(core.more.disputes.AcceptDispute, accept)
        assert lost.objects[0].dispute.state == pb.DisputeObject.STATE_LOST
    submit.context.CopyFrom(core.context())
    submit.evidence.clear()
    submit.evidence["not_a_field"] = "x"
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.more.disputes.SubmitEvidence, submit)
    assert refused.value.fields == ["evidence"]
