"""Checkouts and disputes as asked for, from end to end at both providers."""

from typing import Any

import pytest
from payhub.payments.v1 import plan_service_pb2 as plans_pb

import payhub_client
from tests.e2e import shops
from tests.integration.payment_service import rig

SHOP = "https://shop.example/back"


async def test_checkouts_make_customers_and_sell_plans(shop: shops.Shop) -> None:
    """Checkout: for a user and a plan, makes the customer, ends in a paid subscription."""
    client = shop.client
    plan = await client.plans.create(
        name="Gold", amount_minor=900, currency="EUR", interval=plans_pb.Plan.INTERVAL_MONTH
    )
    user = f"u-{rig.new_key()}"
    made = await client.checkouts.create(
        plan_id=plan.id,
        user_id=user,
        success_url="https://shop.example/done",
        cancel_url="https://shop.example/back",
    )
    assert (rig.state(made), made.user_id) == ("OPEN", user)
    assert made.redirect_url
    customer = await client.customers.get(made.customer_id)
    assert (rig.state(customer), customer.profile.user_id) == ("SYNCED", user)
    await shop.pay_checkout(made)
    done = await shops.becomes(
        lambda: client.checkouts.get(made.id), "COMPLETED", also=lambda it: it.subscription_id
    )
    subscription = await shops.becomes(
        lambda: client.subscriptions.get(done.subscription_id), "ACTIVE"
    )
    assert (subscription.plan_id, subscription.customer_id) == (plan.id, customer.id)
    assert subscription.user_id == user
    assert (await shop.story(made))[0] == "checkout.created"
    story = await shop.story(done)
    # What was sold may be linked to it some moments after it was seen to be done.
    assert story.count("checkout.completed") == 1
    assert set(story[story.index("checkout.completed") + 1 :]) <= {"checkout.updated"}
    story = await shop.story(subscription)
    assert story[0] == "subscription.created"


async def test_checkouts_take_an_amount_or_expire(shop: shops.Shop) -> None:
    """Checkout: what was paid on the page is a payment like any other; an open one expires."""
    client = shop.client
    made = await client.checkouts.create(
        amount_minor=1300,
        currency="EUR",
        user_id="u-3",
        order_id="o-3",
        success_url="https://shop.example/done",
    )
    await shop.pay_checkout(made)
    done = await shops.becomes(
        lambda: client.checkouts.get(made.id), "COMPLETED", also=lambda it: it.payment_id
    )
    payment = await shops.becomes(lambda: client.payments.get(done.payment_id), "SUCCEEDED")
    assert (payment.amounts.captured_minor, payment.checkout_id) == (1300, made.id)
    assert (payment.references.order_id, payment.references.user_id) == ("o-3", "u-3")
    refund = await client.refunds.create(payment.id)
    assert rig.state(refund) == "SUCCEEDED"
    assert (await shop.story(payment))[-1] == "payment.refunded"

    other = await client.checkouts.create(
        amount_minor=100, currency="EUR", success_url="https://shop.example/done"
    )
    expired = await client.checkouts.expire(other.id)
    assert rig.state(expired) == "EXPIRED"
    story = await shop.story(expired)
    assert shops.milestones(story) == ["checkout.created", "checkout.expired"]
    assert story.count("checkout.updated") >= 2


@pytest.mark.parametrize("won", [True, False, None], ids=["won", "lost", "accepted"])
async def test_disputes_hold_money_until_they_end(shop: shops.Shop, won: bool | None) -> None:
    """Disputes: listed, answered with evidence or accepted; nothing held can be refunded."""
    client = shop.client
    paid = await client.payments.create(
        amount_minor=1000, currency="EUR", payment_method=shop.card("disputed"), user_id="u-9"
    )
    where = payhub_client.DisputeFilter(payment_id=paid.id)

    async def opened() -> list[Any]:
        return [one async for one in client.disputes.list(where)]

    (dispute,) = await rig.until(opened)
    assert (rig.state(dispute), dispute.amount.amount_minor) == ("NEEDS_RESPONSE", 1000)
    assert dispute.user_id == "u-9"
    held = await client.payments.get(paid.id)
    assert (held.amounts.disputed_minor, rig.actions(held)) == (1000, {})
    with pytest.raises(payhub_client.errors.PayhubError):
        await client.refunds.create(paid.id, amount_minor=1, currency="EUR")
    if won is None:
        await client.disputes.accept(dispute.id)
    else:
        sent = await client.disputes.submit_evidence(
            dispute.id, {"uncategorized_text": "it was delivered"}
        )
        assert (rig.state(sent), sent.has_evidence) == ("UNDER_REVIEW", True)
        await shop.decide(dispute, won=won)
    ended = await shops.becomes(lambda: client.disputes.get(dispute.id), "WON" if won else "LOST")
    story = shops.milestones(await shop.story(ended))
    assert (story[0], story[-1]) == ("dispute.opened", "dispute.closed")
    after = await client.payments.get(paid.id)
    assert after.amounts.disputed_minor == (0 if won else 1000)
    assert rig.actions(after) == ({"REFUND": 1000} if won else {})
    await shop.story(after)
