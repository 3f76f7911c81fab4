"""Payments of the double: its state machine, declines, ceilings and amounts."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration.stripe_double import asking
from tests.stripe_double import cards, clock, running, shapes


async def test_sale_and_manual_capture_go_through_every_state(
    double: running.Double, client: Any
) -> None:
    """A payment goes from its method to confirmation to capture, with Stripe's events."""
    intents = client.payment_intents
    intent = await intents.create_async(params=asking.payment(None, capture_method="manual"))
    assert intent.status == "requires_payment_method"
    intent = await intents.update_async(intent.id, params={"payment_method": "pm_card_visa"})
    assert intent.status == "requires_confirmation"
    intent = await intents.confirm_async(intent.id)
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1000)
    too_much = await asking.refused(
        intents.capture_async(intent.id, params={"amount_to_capture": 1001})
    )
    assert too_much.code == "amount_too_large"
    intent = await intents.capture_async(
        intent.id, params={"amount_to_capture": 400, "expand": ["latest_charge"]}
    )
    assert (intent.status, intent.amount_received) == ("succeeded", 400)
    assert intent.latest_charge.amount_captured == 400
    again = await asking.refused(intents.capture_async(intent.id))
    assert again.code == "payment_intent_unexpected_state"
    assert again.error.payment_intent.id == intent.id
    assert await asking.happened(client, intent.id) == [
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
    ]
    sale = await asking.pay(client, metadata={"operation": "op_1"})
    assert (sale.status, sale.amount_received) == ("succeeded", 1000)
    found = await double.order("ledger", "GET", operation="operation")
    assert found["by_operation"] == {"op_1": {"payment_intent.created": 1, "charged": 1}}


async def test_cancel_and_expiry_release_an_authorization(
    double: running.Double, client: Any
) -> None:
    """A canceled or expired authorization holds nothing and can't be captured."""
    intents = client.payment_intents
    intent = await asking.pay(client, capture_method="manual")
    canceled = await intents.cancel_async(
        intent.id, params={"cancellation_reason": "requested_by_customer"}
    )
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    again = await asking.refused(intents.cancel_async(intent.id))
    assert again.code == "payment_intent_unexpected_state"
    forgotten = await asking.pay(client, capture_method="manual")
    await double.order("advance", seconds=7 * clock.DAY_S - 60)
    assert (await intents.retrieve_async(forgotten.id)).status == "requires_capture"
    await double.order("advance", seconds=120)
    forgotten = await intents.retrieve_async(forgotten.id)
    assert (forgotten.status, forgotten.cancellation_reason) == ("canceled", "expired")
    charged = await asking.happened(client, forgotten.latest_charge)
    assert charged == ["charge.succeeded", "charge.expired"]


async def test_multicapture_and_increments_only_where_asked_for(client: Any) -> None:
    """Further captures and increments need to be requested with the authorization."""
    intents = client.payment_intents
    plain = await asking.pay(client, capture_method="manual")
    for call in (
        intents.capture_async(plain.id, params={"amount_to_capture": 1, "final_capture": False}),
        intents.increment_authorization_async(plain.id, params={"amount": 2000}),
    ):
        assert isinstance(await asking.refused(call), stripe.InvalidRequestError)
    unsaved = await client.payment_methods.create_async(
        params={"type": "card", "card": {"token": "tok_visa"}}
    )
    update = client.payment_methods.update_async(unsaved.id, params={"metadata": {"a": "b"}})
    assert isinstance(await asking.refused(update), stripe.InvalidRequestError)
    names = ("request_multicapture", "request_incremental_authorization")
    options = {"card": dict.fromkeys(names, "if_available")}
    intent = await asking.pay(client, capture_method="manual", payment_method_options=options)
    intent = await intents.increment_authorization_async(intent.id, params={"amount": 1500})
    assert (intent.amount, intent.amount_capturable) == (1500, 1500)
    for amount, final, status, left in (
        (500, False, "requires_capture", 1000),
        (600, True, "succeeded", 0),
    ):
        intent = await intents.capture_async(
            intent.id, params={"amount_to_capture": amount, "final_capture": final}
        )
        assert (intent.status, intent.amount_capturable) == (status, left)
    assert intent.amount_received == 1100


@pytest.mark.parametrize("saved", [False, True], ids=["test card", "saved card"])
async def test_every_decline_code_has_a_card(client: Any, saved: bool) -> None:
    """Each documented decline is a card error with code, reason, advice and charge."""
    customer, reasons = None, list(cards.DECLINES)
    if saved:
        customer = (await client.customers.create_async(params={"name": "Ada"})).id
        reasons = ["do_not_honor", "expired_card", "authentication_required"]
    for reason in reasons:
        decline = cards.DECLINES[reason]
        method: str = f"pm_double_decline_{reason}"
        if customer is not None:
            attached = await client.payment_methods.attach_async(
                method, params={"customer": customer}
            )
            method = attached.id
        given = {"customer": customer, "off_session": True} if customer else {}
        error = await asking.refused(asking.pay(client, method, **given))
        assert isinstance(error, stripe.CardError)
        assert error.code == decline.code
        said: Any = error.error
        body: Any = error.json_body
        assert said.decline_code == decline.decline_code
        assert said.advice_code == decline.advice_code
        assert not shapes.error_problems(body["error"])
        intent = await client.payment_intents.retrieve_async(said.payment_intent.id)
        assert intent.status == "requires_payment_method"
        assert intent.last_payment_error.charge == intent.latest_charge == said.charge
    official = [name for name in cards.METHODS if name.startswith("pm_card_chargeDeclined")]
    for method in official:
        assert isinstance(await asking.refused(asking.pay(client, method)), stripe.CardError)


async def test_declined_intent_is_paid_with_another_card(client: Any) -> None:
    """A decline leaves an intent that another method can pay."""
    error = await asking.refused(asking.pay(client, "pm_card_chargeDeclined"))
    intent = await client.payment_intents.confirm_async(
        error.error.payment_intent.id, params={"payment_method": "pm_card_mastercard"}
    )
    assert intent.status == "succeeded"
    charges = await client.charges.list_async(params={"payment_intent": intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


async def test_authentication_on_and_off_session(double: running.Double, client: Any) -> None:
    """3DS asks a present payer, declines an absent one, and is remembered where set up."""
    intents = client.payment_intents
    required = "pm_card_threeDSecure2Required"
    asked = await asking.pay(client, required, return_url="https://shop.example/back")
    assert asked.status == "requires_action"
    assert asked.next_action.redirect_to_url.return_url == "https://shop.example/back"
    await double.order(f"payment_intents/{asked.id}/authenticate", agreed=True)
    assert (await intents.retrieve_async(asked.id)).status == "succeeded"
    other = await asking.pay(client, required)
    assert other.next_action.type == "use_stripe_sdk"
    await double.order(f"payment_intents/{other.id}/authenticate", agreed=False)
    other = await intents.retrieve_async(other.id)
    assert other.status == "requires_payment_method"
    assert other.last_payment_error.code == "payment_intent_authentication_failure"
    customer = (await client.customers.create_async(params={})).id
    setting_up = await asking.pay(
        client,
        "pm_card_authenticationRequiredOnSetup",
        customer=customer,
        setup_future_usage="off_session",
    )
    await double.order(f"payment_intents/{setting_up.id}/authenticate")
    saved = await client.payment_methods.list_async(params={"customer": customer})
    later = await asking.pay(client, saved.data[0].id, customer=customer, off_session=True)
    assert later.status == "succeeded"
    _, always = await asking.customer_with(client, "pm_card_authenticationRequired")
    owner = (await client.payment_methods.retrieve_async(always)).customer
    error = await asking.refused(asking.pay(client, always, customer=owner, off_session=True))
    assert error.code == "authentication_required"


async def test_bank_debits_take_time(double: running.Double, client: Any) -> None:
    """A debit is processing until the bank answers, well or badly."""
    for method, status in (
        ("pm_usBankAccount_success", "succeeded"),
        ("pm_usBankAccount_accountClosed", "requires_payment_method"),
    ):
        intent = await asking.pay(client, method, allowed_payment_method_types=["us_bank_account"])
        assert intent.status == "processing"
        await double.order("advance", seconds=200)
        assert (await client.payment_intents.retrieve_async(intent.id)).status == status


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": "1.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": 49, "currency": "jpy"}, "amount_too_small", "amount"),
        ({"amount": 10_001, "currency": "kwd"}, "parameter_invalid_integer", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": ""}, "parameter_missing", "currency"),
        ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"customer": "cus_nothing"}, "resource_missing", "customer"),
        ({"amout": 1}, "parameter_unknown", "amout"),
        ({"metadata": {"k" * 41: "v"}}, None, "metadata"),
        ({"capture_method": "never"}, None, "capture_method"),
        ({"allowed_payment_method_types": ["gold"]}, "payment_intent_invalid_parameter", None),
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
    ],
)
async def test_bad_parameters_are_refused(
    client: Any, params: dict[str, Any], code: str | None, param: str | None
) -> None:
    """A request that Stripe would refuse names the parameter and makes nothing."""
    error = await asking.refused(asking.pay(client, **params))
    assert isinstance(error, stripe.InvalidRequestError)
    assert error.code == code
    if param is not None:
        assert error.param == param
    body: Any = error.json_body
    assert not shapes.error_problems(body["error"])
    assert not (await client.payment_intents.list_async()).data


async def test_dashboard_methods_need_a_return_url(client: Any) -> None:
    """Server-side confirmation with redirects allowed needs to know the way back."""
    params = {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    error = await asking.refused(client.payment_intents.create_async(params=params))
    assert error.param == "return_url"
    params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    assert (await client.payment_intents.create_async(params=params)).status == "succeeded"


async def test_refunds_have_a_ceiling(double: running.Double, client: Any) -> None:
    """Refunds add up to what was captured at most, and failed ones free their amount again."""
    intent = await asking.pay(client)
    await client.refunds.create_async(params={"payment_intent": intent.id, "amount": 600})
    error = await asking.refused(
        client.refunds.create_async(params={"payment_intent": intent.id, "amount": 401})
    )
    assert (error.code, error.param) == ("amount_too_large", "amount")
    rest = await client.refunds.create_async(
        params={"charge": intent.latest_charge, "reason": "requested_by_customer"}
    )
    assert (rest.amount, rest.status) == (400, "succeeded")
    error = await asking.refused(client.refunds.create_async(params={"payment_intent": intent.id}))
    assert error.code == "charge_already_refunded"
    assert (await client.charges.retrieve_async(intent.latest_charge)).refunded
    for method, first, last in (
        ("pm_card_pendingRefund", "pending", "succeeded"),
        ("pm_card_refundFail", "succeeded", "failed"),
    ):
        intent = await asking.pay(client, method)
        refund = await client.refunds.create_async(params={"payment_intent": intent.id})
        assert refund.status == first
        uncancelable = await asking.refused(client.refunds.cancel_async(refund.id))
        assert isinstance(uncancelable, stripe.InvalidRequestError)
        await double.order("advance", seconds=clock.HOUR_S)
        assert (await client.refunds.retrieve_async(refund.id)).status == last
    assert (await client.charges.retrieve_async(intent.latest_charge)).amount_refunded == 0
    held = await asking.pay(client, capture_method="manual")
    error = await asking.refused(client.refunds.create_async(params={"payment_intent": held.id}))
    assert isinstance(error, stripe.InvalidRequestError)


async def test_search_lags(double: running.Double, client: Any) -> None:
    """A new payment isn't found by its metadata until the index has caught up."""
    await double.order("settings", search_lag_s=60)
    intent = await asking.pay(client, metadata={"operation": "op_7"})
    query = {"query": "metadata['operation']:'op_7' AND status:'succeeded'"}
    assert not (await client.payment_intents.search_async(params=query)).data
    await double.order("advance", seconds=61)
    found = await client.payment_intents.search_async(params=query)
    assert [one.id for one in found.data] == [intent.id]
    broken = client.payment_intents.search_async(params={"query": "metadata:op_7"})
    assert isinstance(await asking.refused(broken), stripe.InvalidRequestError)


async def test_customers_and_their_methods(client: Any) -> None:
    """A method belongs to one customer, is theirs only, and can't be used once detached."""
    customer, method = await asking.customer_with(client)
    stranger = (await client.customers.create_async(params={"name": "Bob"})).id
    for given in ({}, {"customer": stranger}):
        error = await asking.refused(asking.pay(client, method, **given))
        assert error.param == "payment_method"
    assert (await asking.pay(client, method, customer=customer)).status == "succeeded"
    declined = client.payment_methods.attach_async(
        "pm_card_chargeDeclined", params={"customer": customer}
    )
    assert isinstance(await asking.refused(declined), stripe.CardError)
    await client.payment_methods.detach_async(method)
    assert not (await client.customers.payment_methods.list_async(customer)).data
    kept = await client.customers.retrieve_async(customer)
    assert kept.invoice_settings.default_payment_method is None
    assert isinstance(await asking.refused(asking.pay(client, method)), stripe.InvalidRequestError)
    params = {"metadata": {"plan": "gold"}, "name": "Ada"}
    changed = await client.customers.update_async(customer, params=params)
    assert (changed.name, changed.metadata["plan"]) == ("Ada", "gold")
    changed = await client.customers.update_async(customer, params={"metadata": {"plan": ""}})
    assert not changed.metadata.to_dict()
    assert (await client.customers.delete_async(customer)).deleted
    assert (await client.customers.retrieve_async(customer)).deleted
    error = await asking.refused(asking.pay(client, customer=customer))
    assert error.code == "resource_missing"


async def test_lists_are_paged_newest_first(client: Any) -> None:
    """Lists go through all objects once, forward and back, and filter by time."""
    made = [(await asking.pay(client)).id for _ in range(5)]
    intents = client.payment_intents
    page = await intents.list_async(params={"limit": 2})
    assert ([one.id for one in page.data], page.has_more) == (made[:2:-1], True)
    every = [one.id async for one in page.auto_paging_iter()]
    assert every == made[::-1]
    before = await intents.list_async(params={"limit": 2, "ending_before": made[1]})
    assert ([one.id for one in before.data], before.has_more) == ([made[3], made[2]], True)
    future = {"created": {"gt": page.data[0].created + 60}}
    assert not (await intents.list_async(params=future)).data
    error = await asking.refused(intents.list_async(params={"limit": 101}))
    assert error.param == "limit"


async def test_keys_accounts_and_versions(
    double: running.Double, client: Any, new_client: Callable[..., Any]
) -> None:
    """Keys and accounts open only what is theirs, and only known versions are spoken."""
    intent = await asking.pay(client)
    connected = new_client(stripe_account=double.world.connected[0])
    error = await asking.refused(connected.payment_intents.retrieve_async(intent.id))
    assert error.code == "resource_missing"
    there = await asking.pay(connected)
    found = await double.order("ledger", "GET", object=there.id)
    assert {one["account"] for one in found["data"]} == set(double.world.connected)
    for key, state, kind in (
        ("sk_test_gone", "revoked", stripe.AuthenticationError),
        ("sk_test_old", "expired", stripe.AuthenticationError),
        ("rk_test_reader", "restricted", stripe.PermissionError),
    ):
        await double.order("keys", key=key, state=state)
        assert isinstance(await asking.refused(asking.pay(new_client(key))), kind)
    unknown = await asking.refused(asking.pay(new_client("sk_test_unknown")))
    assert isinstance(unknown, stripe.AuthenticationError)
    stranger = await asking.refused(asking.pay(new_client(stripe_account="acct_stranger")))
    assert isinstance(stranger, stripe.PermissionError)
    old = await asking.refused(asking.pay(new_client(stripe_version="2020-08-27")))
    assert isinstance(old, stripe.InvalidRequestError)
