"""Plans, subscriptions and invoices as asked for, from end to end at both providers.

Each moves its provider's clock, which never goes back: rows that need today's are elsewhere.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
from payhub.payments.v1 import invoice_service_pb2 as invoices_pb
from payhub.payments.v1 import plan_service_pb2 as plans_pb
from payhub.payments.v1 import subscription_service_pb2 as subscriptions_pb

import payhub_client
from tests.e2e import shops
from tests.integration.payment_service import rig

_I = invoices_pb.Invoice


async def subscribed(shop: shops.Shop, amount_minor: int = 900, **fields: Any) -> tuple[Any, Any]:
    """Returns a subscription of a new customer, and the method that pays for it."""
    client = shop.client
    customer = await client.customers.create(name="Eve", user_id="u-5")
    method = await client.payment_methods.attach(customer.id, shop.card("good"), set_default=True)
    plan = await planned(shop, amount_minor)
    made = await client.subscriptions.create(customer.id, plan.id, user_id="u-5", **fields)
    return made, method


async def planned(shop: shops.Shop, amount_minor: int) -> Any:
    """Returns a monthly plan."""
    return await shop.client.plans.create(
        name="Gold",
        amount_minor=amount_minor,
        currency="EUR",
        interval=plans_pb.Plan.INTERVAL_MONTH,
    )


async def becomes(
    shop: shops.Shop, subscription: Any, state: str, also: Callable[[Any], Any] = lambda _: True
) -> Any:
    """Returns a subscription once it is in a state and *also* holds of it."""
    get = functools.partial(shop.client.subscriptions.get, subscription.id)
    return await shops.becomes(get, state, also=also)


async def invoices(shop: shops.Shop, subscription: Any, state: Any, count: int) -> list[Any]:
    """Returns the invoices of a subscription in a state, once there are so many."""
    where = payhub_client.InvoiceFilter(subscription_id=subscription.id, state=state)

    async def there() -> list[Any]:
        found = [one async for one in shop.client.invoices.list(where)]
        return found if len(found) == count else []

    found: list[Any] = await rig.until(there)
    return found


async def told(shop: shops.Shop, entity_id: str, event_type: str) -> None:
    """Returns once an event of an entity is told."""

    async def there() -> bool:
        events = await asyncio.to_thread(shop.records.events, entity_id)
        return event_type in [event.type for event in events]

    await rig.until(there)


async def test_plans_have_a_price_at_the_provider(shop: shops.Shop) -> None:
    """Plans: create, get, list, archive; an archived one sells no more."""
    plans = shop.client.plans
    made = await planned(shop, 1900)
    (price,) = made.prices
    assert (price.provider, bool(price.provider_object_id)) == (shop.provider, True)
    assert await plans.get(made.id) == made
    assert made.id in [one.id async for one in plans.list()]
    archived = await plans.archive(made.id)
    assert rig.state(archived) == "ARCHIVED"
    assert made.id not in [one.id async for one in plans.list()]
    customer = await shop.client.customers.create(name="Flo")
    with pytest.raises(payhub_client.errors.PayhubError):
        await shop.client.subscriptions.create(customer.id, made.id)
    story = await shop.story(made)
    assert story[0] == "plan.created"
    assert story.count("plan.archived") == 1


async def test_subscriptions_renew_change_and_end(shop: shops.Shop) -> None:
    """Paid at once, renewed by the provider's clock, moved to another plan, taken back, ended."""
    client = shop.client
    made, _ = await subscribed(shop)
    active = await becomes(shop, made, "ACTIVE")
    (first,) = await invoices(shop, made, _I.STATE_PAID, 1)

    await shop.advance(32)
    newest, older = await invoices(shop, made, _I.STATE_PAID, 2)
    assert older.id == first.id
    assert newest.amount_paid_minor == 900
    await becomes(
        shop,
        made,
        "ACTIVE",
        lambda it: it.current_period_end.seconds > active.current_period_end.seconds,
    )

    other = await planned(shop, 2900)
    moved = await client.subscriptions.change_plan(
        made.id, other.id, proration=subscriptions_pb.PRORATION_NOW
    )
    assert moved.plan_id == other.id
    (difference,) = [
        one
        for one in await invoices(shop, made, _I.STATE_PAID, 3)
        if one.id not in (newest.id, older.id)
    ]
    assert 0 < difference.amount_paid_minor <= 2000
    plan_changes = [
        (payload.previous.plan_id, payload.subscription.plan_id)
        for payload in map(shop.records.payload, shop.records.events(made.id))
        if "plan_id" in payload.changed.paths
    ]
    assert (made.plan_id, other.id) in plan_changes

    ending = await client.subscriptions.cancel(made.id, at_period_end=True)
    assert (rig.state(ending), ending.cancel_at_period_end) == ("ACTIVE", True)
    back = await client.subscriptions.reactivate(made.id)
    assert not back.cancel_at_period_end
    await client.subscriptions.cancel(made.id, at_period_end=True)
    await shop.advance(32)
    ended = await becomes(shop, made, "CANCELED")
    assert ended.HasField("end_time")
    story = shops.milestones(await shop.story(ended))
    assert (story[0], story[-1]) == ("subscription.created", "subscription.canceled")
    assert story.count("subscription.activated") == 1


async def test_subscriptions_are_canceled_now(shop: shops.Shop) -> None:
    """Cancel now: nothing is billed any more."""
    made, _ = await subscribed(shop)
    # Its invoice is news of it too, which may come after the payment.
    await becomes(shop, made, "ACTIVE", lambda it: it.latest_invoice_id)
    ended = await shop.client.subscriptions.cancel(made.id)
    assert rig.state(ended) == "CANCELED"
    await shop.advance(32)
    await invoices(shop, made, _I.STATE_PAID, 1)
    story = await shop.story(made)
    # Its webhook may overtake the answer, which then ends the operation in an event more.
    assert story[story.index("subscription.canceled") :][1:] in ([], ["subscription.updated"])


async def test_trials_end_in_payment(shop: shops.Shop) -> None:
    """Create with trial: told three days before its end, then paid and active."""
    made, _ = await subscribed(shop, 700, trial_days=10)
    assert rig.state(made) == "TRIALING"
    assert made.HasField("trial_end")
    await shop.advance(8)
    await told(shop, made.id, "subscription.trial_ending")
    await shop.advance(3)
    active = await becomes(shop, made, "ACTIVE")
    paid = await invoices(shop, made, _I.STATE_PAID, 1 if shop.provider == "mock" else 2)
    assert max(one.amount_paid_minor for one in paid) == 700
    assert "subscription.activated" in await shop.story(active)


async def test_subscriptions_wait_for_their_first_payment(shop: shops.Shop) -> None:
    """PENDING until its payment succeeds, which activates it, with events of both."""
    client = shop.client
    customer = await client.customers.create(name="Gus", user_id="u-6")
    method = await client.payment_methods.attach(customer.id, shop.card("good"), set_default=True)
    await shop.refuse(method)
    made = await client.subscriptions.create(customer.id, (await planned(shop, 300)).id)
    pending = await becomes(shop, made, "PENDING", lambda it: it.HasField("failure"))
    assert pending.failure.reason == "INSUFFICIENT_FUNDS"
    (invoice,) = await invoices(shop, made, _I.STATE_OPEN, 1)
    await told(shop, invoice.id, "invoice.payment_failed")
    await shop.refuse(method, refused=False)
    await shop.collect(invoice)
    active = await becomes(shop, made, "ACTIVE")
    (paid,) = await invoices(shop, made, _I.STATE_PAID, 1)
    assert paid.id == invoice.id
    assert (await shop.story(active)).count("subscription.activated") == 1
    assert "invoice.paid" in await shop.story(paid)


async def test_refused_renewals_are_past_due_until_mended(shop: shops.Shop) -> None:
    """Past due when a renewal is refused, active again when the provider's next try succeeds."""
    made, method = await subscribed(shop, 800)
    await becomes(shop, made, "ACTIVE")
    await shop.refuse(method)
    await shop.advance(32)
    late = await becomes(shop, made, "PAST_DUE")
    assert "subscription.past_due" in await shop.story(late)
    (invoice,) = await invoices(shop, made, _I.STATE_OPEN, 1)
    await told(shop, invoice.id, "invoice.payment_failed")
    await shop.refuse(method, refused=False)
    await shop.advance(8)
    mended = await becomes(shop, made, "ACTIVE")
    assert (await shop.story(mended)).count("subscription.past_due") == 1
    (again, _) = await invoices(shop, made, _I.STATE_PAID, 2)
    assert again.id == invoice.id


async def test_invoices_have_documents_and_payments(shop: shops.Shop) -> None:
    """Invoices: get with PDF address, list with limit; what paid one can be refunded."""
    client = shop.client
    made, _ = await subscribed(shop, 600)
    await becomes(shop, made, "ACTIVE")
    (invoice,) = await invoices(shop, made, _I.STATE_PAID, 1)

    async def linked() -> Any:
        found = await client.invoices.get(invoice.id)
        return found if found.payment_id else None

    found = await rig.until(linked)
    assert (await shop.read(found.pdf_url)).startswith(b"%PDF")
    assert (found.customer_id, found.user_id) == (made.customer_id, "u-5")

    async def paid() -> Any:
        payment = await client.payments.get(found.payment_id)
        return payment if rig.state(payment) == "SUCCEEDED" else None

    payment = await rig.until(paid)
    assert payment.invoice_id == found.id
    references = payment.references
    assert (references.subscription_id, references.user_id) == (made.id, "u-5")
    refund = await client.refunds.create(payment.id, amount_minor=100, currency="EUR")
    assert rig.state(refund) == "SUCCEEDED"
    await shop.story(payment)

    await shop.advance(32)
    await invoices(shop, made, _I.STATE_PAID, 2)
    where = payhub_client.InvoiceFilter(subscription_id=made.id)
    page = await client.invoices.list_page(where, page_size=1)
    assert len(page.invoices) == 1
    rest = await client.invoices.list_page(where, page_size=1, page_token=page.next_page_token)
    assert (rest.invoices[0].id, page.invoices[0].id != invoice.id) == (invoice.id, True)
    story = await shop.story(invoice)
    assert story[0] == "invoice.generated"
    assert "invoice.paid" in story
