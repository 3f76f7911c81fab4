"""Subscriptions and invoices of the double, driven by its clock."""

import datetime
from typing import Any

import stripe

from tests.integration.stripe_double import asking
from tests.stripe_double import clock, periods, running

Json = dict[str, Any]

MONTH = {"interval": "month"}


async def _price(client: Any, amount: int = 1000, recurring: Json | None = None) -> str:
    product = await client.products.create_async(params={"name": "Gold"})
    price = await client.prices.create_async(
        params={
            "product": product.id,
            "currency": "usd",
            "unit_amount": amount,
            "recurring": recurring or MONTH,
        }
    )
    return str(price.id)


async def _subscribe(client: Any, customer: str, price: str, **more: Any) -> Any:
    return await client.subscriptions.create_async(
        params={"customer": customer, "items": [{"price": price}], **more}
    )


async def _status(client: Any, identifier: str) -> str:
    return str((await client.subscriptions.retrieve_async(identifier)).status)


async def test_products_and_prices(client: Any) -> None:
    """Prices keep their amount, are archived rather than deleted, and archived ones don't sell."""
    price = await _price(client)
    product = (await client.prices.retrieve_async(price)).product
    await client.products.update_async(product, params={"name": "Platinum"})
    assert (await client.products.retrieve_async(product)).name == "Platinum"
    listed = await client.prices.list_async(params={"product": product, "active": True})
    assert [one.id for one in listed.data] == [price]
    await client.prices.update_async(price, params={"active": False})
    assert not (await client.prices.list_async(params={"active": True})).data
    customer, _ = await asking.customer_with(client)
    error = await asking.refused(_subscribe(client, customer, price))
    assert error.param == "items[0][price]"
    error = await asking.refused(client.products.delete_async(product))
    assert isinstance(error, stripe.InvalidRequestError)


async def test_trial_renewal_and_end_of_period(double: running.Double, client: Any) -> None:
    """A trial gives notice, turns active, renews each month and ends when it was told to."""
    customer, _ = await asking.customer_with(client)
    made = await _subscribe(client, customer, await _price(client), trial_period_days=14)
    assert (made.status, made.trial_end - made.trial_start) == ("trialing", 14 * clock.DAY_S)
    first = await client.invoices.retrieve_async(made.latest_invoice)
    assert (first.status, first.total, first.billing_reason) == ("paid", 0, "subscription_create")
    await double.order("advance", seconds=11 * clock.DAY_S + 60)
    assert (await asking.happened(client, made.id))[-1] == "customer.subscription.trial_will_end"
    await double.order("advance", seconds=3 * clock.DAY_S)
    active = await client.subscriptions.retrieve_async(
        made.id, params={"expand": ["latest_invoice"]}
    )
    assert (active.status, active.latest_invoice.status) == ("active", "draft")
    await double.order("advance", seconds=clock.HOUR_S)
    invoice = await client.invoices.retrieve_async(
        active.latest_invoice.id, params={"expand": ["payments"]}
    )
    assert (invoice.status, invoice.amount_paid) == ("paid", 1000)
    assert invoice.parent.subscription_details.subscription == made.id
    assert invoice.payments.data[0].payment.payment_intent.startswith("pi_")
    await double.order("advance", seconds=31 * clock.DAY_S)
    await client.subscriptions.update_async(made.id, params={"cancel_at_period_end": True})
    back = await client.subscriptions.update_async(made.id, params={"cancel_at_period_end": False})
    assert (back.cancel_at, back.canceled_at) == (None, None)
    going = await client.subscriptions.update_async(made.id, params={"cancel_at_period_end": True})
    assert going.cancel_at == going["items"].data[0].current_period_end
    await double.order("advance", seconds=31 * clock.DAY_S)
    assert await _status(client, made.id) == "canceled"
    paid = await client.invoices.list_async(params={"subscription": made.id, "status": "paid"})
    assert [one.total for one in paid.data] == [1000, 1000, 0]
    assert (await asking.happened(client, made.id))[-1] == "customer.subscription.deleted"
    error = await asking.refused(
        client.subscriptions.update_async(made.id, params={"cancel_at_period_end": False})
    )
    assert isinstance(error, stripe.InvalidRequestError)


async def test_first_payment_decides(double: running.Double, client: Any) -> None:
    """A subscription is incomplete until its first payment succeeds, and expires without it."""
    price = await _price(client)
    customer, method = await asking.customer_with(client)
    assert (await _subscribe(client, customer, price)).status == "active"
    waiting = await _subscribe(
        client,
        customer,
        price,
        payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret", "latest_invoice.payments"],
    )
    secret = waiting.latest_invoice.confirmation_secret.client_secret
    intent = waiting.latest_invoice.payments.data[0].payment.payment_intent
    assert waiting.status == "incomplete"
    assert secret.startswith(intent)
    await client.payment_intents.confirm_async(intent, params={"payment_method": method})
    assert await _status(client, waiting.id) == "active"
    types = await asking.happened(client, waiting.id)
    assert types == ["customer.subscription.created", "customer.subscription.updated"]
    broke, _ = await asking.customer_with(client, "pm_card_chargeCustomerFail")
    failed = await _subscribe(client, broke, price)
    assert failed.status == "incomplete"
    error = await asking.refused(
        _subscribe(client, broke, price, payment_behavior="error_if_incomplete")
    )
    assert isinstance(error, stripe.CardError)
    listed = await client.subscriptions.list_async(params={"customer": broke, "status": "all"})
    assert [one.id for one in listed.data] == [failed.id]
    await double.order("advance", seconds=clock.DAY_S)
    assert await _status(client, failed.id) == "incomplete_expired"
    once = await _subscribe(client, customer, price, cancel_at_period_end=True)
    assert once.cancel_at == once["items"].data[0].current_period_end
    nobody = (await client.customers.create_async(params={})).id
    error = await asking.refused(_subscribe(client, nobody, price))
    assert isinstance(error, stripe.InvalidRequestError)


async def test_dunning(double: running.Double, client: Any) -> None:
    """A failed renewal is past due and tried again; a paid one is active, else it ends."""
    customer, method = await asking.customer_with(client)
    price = await _price(client)
    saved, lost = [await _subscribe(client, customer, price) for _ in range(2)]
    await double.order(f"payment_methods/{method}", decline="insufficient_funds")
    await double.order("advance", seconds=32 * clock.DAY_S)
    for made in (saved, lost):
        assert await _status(client, made.id) == "past_due"
    late = await client.subscriptions.retrieve_async(
        saved.id, params={"expand": ["latest_invoice"]}
    )
    assert (late.latest_invoice.status, late.latest_invoice.attempt_count) == ("open", 1)
    assert late.latest_invoice.next_payment_attempt
    await double.order("declines", decline_codes=["none"])
    paid = await client.invoices.pay_async(late.latest_invoice.id)
    assert paid.status == "paid"
    assert await _status(client, saved.id) == "active"
    await double.order("advance", seconds=16 * clock.DAY_S)
    ended = await client.subscriptions.retrieve_async(lost.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    failures = await client.events.list_async(params={"type": "invoice.payment_failed"})
    tries = [one.data.object["id"] for one in failures.data]
    assert tries.count(ended.latest_invoice) == 4


async def test_unpaid_and_paused_collection(double: running.Double, client: Any) -> None:
    """Where settings say so dunning ends unpaid; a paused collection voids its invoices."""
    await double.order("settings", retry_days=[1], dunning_end="unpaid")
    customer, method = await asking.customer_with(client)
    price = await _price(client)
    unpaid, paused = [await _subscribe(client, customer, price) for _ in range(2)]
    await client.subscriptions.update_async(
        paused.id, params={"pause_collection": {"behavior": "void"}}
    )
    await double.order(f"payment_methods/{method}", decline="insufficient_funds")
    await double.order("advance", seconds=33 * clock.DAY_S)
    assert await _status(client, unpaid.id) == "unpaid"
    kept = await client.subscriptions.retrieve_async(
        paused.id, params={"expand": ["latest_invoice"]}
    )
    assert (kept.status, kept.latest_invoice.status) == ("active", "void")
    await client.subscriptions.update_async(paused.id, params={"pause_collection": ""})
    await double.order(f"payment_methods/{method}", decline="none")
    await double.order("advance", seconds=31 * clock.DAY_S)
    renewed = await client.subscriptions.retrieve_async(
        paused.id, params={"expand": ["latest_invoice"]}
    )
    assert renewed.latest_invoice.status == "paid"


async def test_changing_plans(double: running.Double, client: Any) -> None:
    """A change is prorated on the next invoice, at once, or not at all, as asked."""
    customer, method = await asking.customer_with(client)
    small, large = await _price(client, 1000), await _price(client, 3000)
    made = await _subscribe(client, customer, small)
    item = made["items"].data[0]
    half = (item.current_period_end - item.current_period_start) // 2
    await double.order("advance", seconds=half)

    async def change(price: str, **more: Any) -> Any:
        items = [{"id": item.id, "price": price}]
        return await client.subscriptions.update_async(
            made.id, params={"items": items, "expand": ["latest_invoice"], **more}
        )

    now = await change(large, proration_behavior="always_invoice")
    assert now["items"].data[0].price.id == large
    amounts = [line.amount for line in now.latest_invoice.lines.data]
    assert abs(amounts[0] + 500) <= 1
    assert abs(amounts[1] - 1500) <= 1
    assert now.latest_invoice.status == "paid"
    assert now.latest_invoice.billing_reason == "subscription_update"
    same = await change(small, proration_behavior="none")
    assert same.latest_invoice.id == now.latest_invoice.id
    later = await change(large)
    assert later.latest_invoice.id == now.latest_invoice.id
    await double.order(f"payment_methods/{method}", decline="do_not_honor")
    error = await asking.refused(
        change(
            small,
            items=[{"id": item.id, "quantity": 3}],
            proration_behavior="always_invoice",
            payment_behavior="error_if_incomplete",
        )
    )
    assert isinstance(error, stripe.CardError)
    kept = await client.subscriptions.retrieve_async(made.id)
    assert (kept["items"].data[0].quantity, kept.status) == (1, "active")
    await double.order(f"payment_methods/{method}", decline="none")
    await double.order("advance", seconds=half + clock.DAY_S)
    renewed = await client.subscriptions.retrieve_async(
        made.id, params={"expand": ["latest_invoice"]}
    )
    assert len(renewed.latest_invoice.lines.data) == 3
    assert abs(renewed.latest_invoice.amount_paid - 4000) <= 3
    reset = await client.subscriptions.update_async(
        made.id, params={"billing_cycle_anchor": "now", "proration_behavior": "none"}
    )
    assert reset.billing_cycle_anchor > renewed.billing_cycle_anchor
    until = reset.billing_cycle_anchor + 5 * clock.DAY_S
    trial = await client.subscriptions.update_async(made.id, params={"trial_end": until})
    assert (trial.status, trial["items"].data[0].current_period_end) == ("trialing", until)
    ended = await client.subscriptions.update_async(made.id, params={"trial_end": "now"})
    assert ended.status == "active"
    yearly = await change(await _price(client, 9000, {"interval": "year"}))
    assert yearly.latest_invoice.amount_paid > 5000
    canceled = await client.subscriptions.cancel_async(made.id)
    assert canceled.status == "canceled"
    again = await asking.refused(client.subscriptions.cancel_async(made.id))
    assert again.code == "resource_missing"


async def test_trials_without_a_method_and_pauses(double: running.Double, client: Any) -> None:
    """A trial that ends without a way to pay pauses, is canceled or past due, as asked."""
    price = await _price(client)
    ends = {}
    for behavior, status in (
        ("pause", "paused"),
        ("cancel", "canceled"),
        ("create_invoice", "past_due"),
    ):
        customer = (await client.customers.create_async(params={})).id
        settings = {"end_behavior": {"missing_payment_method": behavior}}
        made = await _subscribe(
            client, customer, price, trial_period_days=1, trial_settings=settings
        )
        ends[made.id] = (status, customer)
    await double.order("advance", seconds=clock.DAY_S + 2 * clock.HOUR_S)
    for identifier, (status, customer) in ends.items():
        assert await _status(client, identifier) == status
        if status == "paused":
            assert "customer.subscription.paused" in await asking.happened(client, identifier)
            saved = await client.payment_methods.attach_async(
                "pm_card_chargeCustomerFail", params={"customer": customer}
            )
            default = {"default_payment_method": saved.id}
            await client.subscriptions.update_async(identifier, params=default)
            assert (await client.subscriptions.resume_async(identifier)).status == "paused"
            await double.order(f"payment_methods/{saved.id}", decline="none")
            resumed = await client.subscriptions.resume_async(identifier)
            assert resumed.status == "active"


async def test_invoices_by_hand(double: running.Double, client: Any) -> None:
    """An invoice is drafted, finalized with a PDF, overdue when unpaid, then paid or voided."""
    customer, _ = await asking.customer_with(client)

    async def draft(**more: Any) -> Any:
        await client.invoice_items.create_async(
            params={"customer": customer, "amount": 2500, "currency": "usd"}
        )
        return await client.invoices.create_async(params={"customer": customer, **more})

    bill = await draft(collection_method="send_invoice", days_until_due=5)
    assert (bill.status, bill.total, bill.invoice_pdf) == ("draft", 2500, None)
    bill = await client.invoices.finalize_invoice_async(bill.id)
    assert (bill.status, bill.invoice_pdf.startswith(double.address)) == ("open", True)
    await double.order("advance", seconds=6 * clock.DAY_S)
    assert (await asking.happened(client, bill.id))[-1] == "invoice.overdue"
    assert (await client.invoices.pay_async(bill.id)).status == "paid"
    error = await asking.refused(client.invoices.pay_async(bill.id))
    assert error.code == "invoice_already_paid"
    other = await client.invoices.finalize_invoice_async((await draft()).id)
    assert (await client.invoices.void_invoice_async(other.id)).status == "void"
    voided = await client.invoice_payments.list_async(params={"invoice": other.id})
    intent = voided.data[0].payment.payment_intent
    assert (await client.payment_intents.retrieve_async(intent)).status == "canceled"


def test_months_keep_their_day() -> None:
    """A period that starts on the 31st ends on the last day of shorter months."""

    def day(year: int, month: int, number: int) -> int:
        return int(datetime.datetime(year, month, number, tzinfo=datetime.UTC).timestamp())

    monthly = {"interval": "month", "interval_count": 1}
    start = day(2027, 1, 31)
    february = periods.after(start, monthly, start)
    assert february == day(2027, 2, 28)
    assert periods.after(february, monthly, start) == day(2027, 3, 31)
    assert periods.after(start, {"interval": "week", "interval_count": 2}, start) == day(
        2027, 2, 14
    )
