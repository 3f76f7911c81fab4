"""Checkout sessions, setup intents and disputes of the double."""

from typing import Any

import pytest
import stripe

from tests.integration.stripe_double import asking
from tests.stripe_double import clock, running

Json = dict[str, Any]

BACK = {"success_url": "https://shop.example/done", "cancel_url": "https://shop.example/no"}


def _session(mode: str = "payment", **more: Any) -> Json:
    price: Json = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Hat"}}
    if mode == "subscription":
        price["recurring"] = {"interval": "month"}
    return {"mode": mode, "line_items": [{"price_data": price, "quantity": 2}], **BACK, **more}


async def test_payment_session(double: running.Double, client: Any) -> None:
    """A session stays open over declines, is completed once, and then can't expire."""
    sessions = client.checkout.sessions
    made = await sessions.create_async(
        params=_session(payment_intent_data={"metadata": {"operation": "op_1"}})
    )
    assert (made.status, made.payment_status, made.amount_total) == ("open", "unpaid", 3000)
    assert made.url.startswith(double.address)
    with pytest.raises(running.ControlRefused):
        await double.order(f"checkout/{made.id}/complete", payment_method="pm_card_chargeDeclined")
    assert (await sessions.retrieve_async(made.id)).status == "open"
    await double.order(f"checkout/{made.id}/complete", email="ada@example.com")
    done = await sessions.retrieve_async(
        made.id, params={"expand": ["payment_intent", "line_items"]}
    )
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.payment_intent.metadata["operation"] == "op_1"
    assert done.line_items.data[0].amount_total == 3000
    assert done.customer_details.email == "ada@example.com"
    assert (await asking.happened(client, made.id)) == ["checkout.session.completed"]
    error = await asking.refused(sessions.expire_async(made.id))
    assert isinstance(error, stripe.InvalidRequestError)
    asking_bank = await sessions.create_async(params=_session())
    required = {"payment_method": "pm_card_threeDSecure2Required"}
    waiting = await double.order(f"checkout/{asking_bank.id}/complete", **required)
    cancel = client.payment_intents.cancel_async(waiting["payment_intent"])
    assert isinstance(await asking.refused(cancel), stripe.InvalidRequestError)
    await double.order(f"payment_intents/{waiting['payment_intent']}/authenticate")
    assert (await sessions.retrieve_async(asking_bank.id)).payment_status == "paid"
    forgotten = await sessions.create_async(params=_session())
    await double.order("advance", seconds=clock.DAY_S)
    assert (await sessions.retrieve_async(forgotten.id)).status == "expired"
    dropped = await sessions.create_async(params=_session())
    assert (await sessions.expire_async(dropped.id)).status == "expired"
    for broken, param in (
        ({"success_url": ""}, "success_url"),
        ({"expires_at": 1}, "expires_at"),
        ({"subscription_data": {"trial_period_days": 3}}, "subscription_data"),
        ({"line_items": []}, "line_items"),
    ):
        error = await asking.refused(sessions.create_async(params=_session(**broken)))
        assert error.param == param


async def test_subscription_session_makes_its_customer(double: running.Double, client: Any) -> None:
    """A subscription session makes customer and subscription, with its trial or its 3DS."""
    sessions = client.checkout.sessions
    for data, method, status, paid in (
        ({}, "pm_card_visa", "active", "paid"),
        ({"trial_period_days": 7}, "pm_card_visa", "trialing", "no_payment_required"),
        ({}, "pm_card_threeDSecure2Required", "active", "paid"),
    ):
        made = await sessions.create_async(
            params=_session(
                "subscription",
                ui_mode="embedded_page",
                success_url=None,
                cancel_url=None,
                return_url="https://shop.example/done",
                subscription_data={"metadata": {"operation": "op_2"}, **data},
            )
        )
        assert made.client_secret
        answer = await double.order(f"checkout/{made.id}/complete", payment_method=method)
        if answer["status"] == "open":
            invoice = await client.invoices.retrieve_async(
                answer["invoice"], params={"expand": ["payments"]}
            )
            intent = invoice.payments.data[0].payment.payment_intent
            await double.order(f"payment_intents/{intent}/authenticate")
        done = await sessions.retrieve_async(made.id, params={"expand": ["subscription"]})
        assert (done.status, done.payment_status) == ("complete", paid)
        assert done.subscription.status == status
        assert done.subscription.metadata["operation"] == "op_2"
        assert done.customer.startswith("cus_")


async def test_setup_intents(double: running.Double, client: Any) -> None:
    """A setup saves a method for payments without the payer."""
    customer = (await client.customers.create_async(params={})).id
    params = {
        "customer": customer,
        "confirm": True,
        "payment_method": "pm_card_authenticationRequiredOnSetup",
    }
    made = await client.setup_intents.create_async(params=params)
    assert made.status == "requires_action"
    await double.order(f"setup_intents/{made.id}/authenticate", agreed=False)
    failed = await client.setup_intents.retrieve_async(made.id)
    assert failed.last_setup_error.code == "setup_intent_authentication_failure"
    params = {"payment_method": "pm_card_authenticationRequiredOnSetup"}
    await client.setup_intents.confirm_async(made.id, params=params)
    await double.order(f"setup_intents/{made.id}/authenticate")
    made = await client.setup_intents.retrieve_async(made.id)
    paid = await asking.pay(client, made.payment_method, customer=customer, off_session=True)
    assert (made.status, paid.status) == ("succeeded", "succeeded")
    params = {"confirm": True, "payment_method": "pm_card_chargeDeclined"}
    error = await asking.refused(client.setup_intents.create_async(params=params))
    assert error.error.setup_intent.status == "requires_payment_method"


async def test_disputes(double: running.Double, client: Any) -> None:
    """A dispute takes the money, forbids refunds, and is won, lost, accepted or overdue."""
    for text, status in (("winning_evidence", "won"), ("losing_evidence", "lost")):
        intent = await asking.pay(client, "pm_card_createDispute")
        found = await client.disputes.list_async(params={"payment_intent": intent.id})
        dispute = found.data[0]
        assert (dispute.status, dispute.reason) == ("needs_response", "fraudulent")
        assert [one.amount for one in dispute.balance_transactions] == [-1000]
        error = await asking.refused(
            client.refunds.create_async(params={"payment_intent": intent.id})
        )
        assert error.code == "charge_disputed"
        staged = await client.disputes.update_async(
            dispute.id, params={"evidence": {"customer_name": "Ada"}, "submit": False}
        )
        assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
        sent = await client.disputes.update_async(
            dispute.id, params={"evidence": {"uncategorized_text": text}, "submit": True}
        )
        assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
        await double.order("advance", seconds=2 * clock.HOUR_S)
        assert (await client.disputes.retrieve_async(dispute.id)).status == status
    types = await asking.happened(client, dispute.id)
    assert (types[0], types[-1]) == ("charge.dispute.created", "charge.dispute.closed")
    accepted = await asking.pay(client)
    made = await double.order("disputes", charge=accepted.latest_charge, reason="duplicate")
    assert (await client.disputes.close_async(made["id"])).status == "lost"
    inquiry = await asking.pay(client, "pm_card_createDisputeInquiry")
    ignored = await asking.pay(client, "pm_card_createDisputeProductNotReceived")
    assert (
        await client.refunds.create_async(params={"payment_intent": inquiry.id, "amount": 100})
    ).status == "succeeded"
    await double.order("advance", seconds=8 * clock.DAY_S)
    for intent, status in ((inquiry, "warning_closed"), (ignored, "lost")):
        found = await client.disputes.list_async(params={"payment_intent": intent.id})
        assert found.data[0].status == status
    error = await asking.refused(client.disputes.close_async(found.data[0].id))
    assert isinstance(error, stripe.InvalidRequestError)
