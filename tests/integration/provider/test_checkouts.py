"""Checkouts and disputes of the simulated provider, driven by its own clock."""

import pytest
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import operation_pb2, provider_object_pb2

from tests.integration.provider import further, rig

_one = further.one
Operation = operation_pb2.Operation
Subscription = provider_object_pb2.SubscriptionObject
Checkout = provider_object_pb2.CheckoutObject
Dispute = provider_object_pb2.DisputeObject


async def test_a_checkout_is_paid_or_expires(shop: further.Shop) -> None:
    """Completing makes payment or subscription and the customer; time or core ends the others."""
    price = await shop.plan()
    create = shop.stubs.checkouts.CreateCheckout
    single = await shop.send(
        create, cps.CreateCheckoutRequest(checkout_id="chk_1", amount=rig.money(700))
    )
    session = _one(single, "checkout")
    assert (session.core_id, session.checkout.state) == ("chk_1", Checkout.STATE_OPEN)
    page = session.checkout.redirect_url.partition("/checkouts/")[2]
    shop.press(f"/checkouts/{page}/complete?token=tok_decline_do_not_honor", status=409)
    shop.press(f"/checkouts/{page}/complete")
    shop.press(f"/checkouts/{page}/complete")
    done = await shop.fetch("checkout", session.provider_object_id)
    assert (done.object.checkout.state, done.object.checkout.paid) == (
        Checkout.STATE_COMPLETED,
        True,
    )
    payment = _one(done, "payment")
    assert payment.payment.captured_minor == 700
    assert payment.payment.provider_checkout_id == session.provider_object_id
    assert done.object.checkout.provider_customer_id
    back = await shop.core.refund(Operation(provider_object_id=payment.provider_object_id), 100)
    assert back.state == Operation.STATE_SUCCEEDED

    plan = cps.CreateCheckoutRequest(provider_price_id=price, quantity=2, embedded=True)
    session = _one(await shop.send(create, plan), "checkout")
    assert not session.checkout.redirect_url
    shop.press(f"/checkouts/{session.checkout.client_secret}/complete")
    done = await shop.fetch("checkout", session.provider_object_id)
    subscription = _one(done, "subscription").subscription
    assert (subscription.state, subscription.quantity) == (Subscription.STATE_ACTIVE, 2)
    assert _one(done, "invoice").invoice.amount_due == rig.money(2000)

    late = await shop.send(create, cps.CreateCheckoutRequest(amount=rig.money(1)))
    early = await shop.send(create, cps.CreateCheckoutRequest(amount=rig.money(1)))
    expire = cps.ExpireCheckoutRequest(provider_checkout_id=early.operation.provider_object_id)
    ended = await shop.send(shop.stubs.checkouts.ExpireCheckout, expire)
    assert _one(ended, "checkout").checkout.state == Checkout.STATE_EXPIRED
    shop.advance(1.01)
    expired = await shop.fetch("checkout", late.operation.provider_object_id)
    assert expired.object.checkout.state == Checkout.STATE_EXPIRED


async def test_an_inquiry_and_a_dispute_of_one_payment_hold_up_no_other(
    shop: further.Shop,
) -> None:
    """Both are opened when it settles, and what settles beside it settles too."""
    token = "tok_pending_then_settled"
    asked = f"{token}+dispute.fraudulent+inquiry.general"
    waiting = [await shop.core.authorize(each, sale=True) for each in (asked, token)]
    shop.advance(61 / 86_400)
    for paid in waiting:
        found = await shop.find(paid.operation_id)
        assert found.operation.state == operation_pb2.Operation.STATE_SUCCEEDED
    effects = shop.press("/control/effects", method="GET")
    assert effects["objects"]["dispute"] == {"NEEDS_RESPONSE": 1, "WARNING": 1}


async def test_a_dispute_takes_money_until_it_is_decided(shop: further.Shop) -> None:
    """Opened by token or control; evidence, a deadline or giving up decides; refunds respect it."""
    paid = await shop.core.authorize("tok_approve+dispute.product_not_received", sale=True)
    spare = await shop.core.authorize(sale=True)
    opened = shop.press(f"/control/payments/{spare.provider_object_id}/dispute?amount_minor=400")
    webhook = shop.press("/control/effects", method="GET")
    assert webhook["objects"]["dispute"] == {"NEEDS_RESPONSE": 2}
    with pytest.raises(rig.Refused) as refused:
        await shop.core.refund(spare, 601)
    assert refused.value.reason == "STATE_CONFLICT"
    await shop.core.refund(spare, 600)

    submit = dps.SubmitEvidenceRequest(
        provider_dispute_id=opened["providerObjectId"], evidence={"uncategorized_text": "sent"}
    )
    answered = await shop.send(shop.stubs.disputes.SubmitEvidence, submit)
    assert _one(answered, "dispute").dispute.state == Dispute.STATE_UNDER_REVIEW
    submit.ClearField("context")
    with pytest.raises(rig.Refused) as refused:
        await shop.send(shop.stubs.disputes.SubmitEvidence, submit)
    assert refused.value.reason == "STATE_CONFLICT"
    shop.press(f"/control/disputes/{opened['providerObjectId']}/win")
    fetched = await shop.fetch("dispute", opened["providerObjectId"])
    assert fetched.object.dispute.state == Dispute.STATE_WON
    assert fetched.object.dispute.payment_id == "pay_of_core"
    await shop.core.refund(spare, 400)

    shop.advance(7.01)
    counts = shop.press("/control/effects", method="GET")["objects"]["dispute"]
    assert counts == {"LOST": 1, "WON": 1}
    with pytest.raises(rig.Refused):
        await shop.core.refund(paid, 1)

    third = await shop.core.authorize(sale=True)
    inquiry = shop.press(f"/control/payments/{third.provider_object_id}/dispute?inquiry=1")
    assert inquiry["dispute"]["state"] == "STATE_WARNING"
    await shop.core.refund(third, 10)
    accept = dps.AcceptDisputeRequest(provider_dispute_id=inquiry["providerObjectId"])
    lost = await shop.send(shop.stubs.disputes.AcceptDispute, accept)
    assert _one(lost, "dispute").dispute.state == Dispute.STATE_LOST
    shop.press(f"/control/payments/{third.provider_object_id}/refund?amount_minor=5", status=409)
    fourth = await shop.core.authorize(sale=True)
    shop.press(f"/control/payments/{fourth.provider_object_id}/refund?amount_minor=300")
    elsewhere = (await shop.fetch("payment", fourth.provider_object_id)).object.payment
    assert (elsewhere.refunded_minor, elsewhere.foreign_refunds[0].amount_minor) == (300, 300)
