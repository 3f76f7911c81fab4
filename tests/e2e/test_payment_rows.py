"""Payments, payers and webhooks as asked for, from end to end at both providers."""

import datetime
import functools
import time
from typing import Any

import pytest
from payhub.admin.v1 import inbound_webhook_service_pb2 as hooks_pb
from payhub.payments.v1 import refund_service_pb2 as refunds_pb

import payhub_client
from tests.e2e import shops
from tests.integration.payment_service import rig
from tests.stripe_double import running as doubles

SHOP = "https://shop.example/back"


async def test_customers_are_made_read_and_changed(shop: shops.Shop) -> None:
    """Customers: create, get, update; the provider knows them, the reference is kept."""
    made = await shop.client.customers.create(
        name="Ada", email="ada@example.com", user_id="u-1", metadata={"tier": "gold"}
    )
    assert (rig.state(made), made.provider) == ("SYNCED", shop.provider)
    assert made.provider_customer_id
    assert made.profile.user_id == "u-1"
    changed = await shop.client.customers.update(made.id, name="Ada L.", email="al@example.com")
    assert changed == await shop.client.customers.get(made.id)
    assert (changed.profile.name, changed.profile.user_id) == ("Ada L.", "u-1")
    assert changed.provider_customer_id == made.provider_customer_id
    # Each change is told as it is asked for and as it is known at the provider.
    assert await shop.story(changed) == ["customer.created", *["customer.updated"] * 3]


async def test_payment_methods_are_kept_and_let_go(shop: shops.Shop) -> None:
    """Payment methods: attach, list, set default, detach; one default at a time."""
    methods = shop.client.payment_methods
    customer = await shop.client.customers.create(name="Bo")
    first = await methods.attach(customer.id, shop.card("good"), set_default=True)
    second = await methods.attach(customer.id, shop.card("asks"))
    assert [rig.state(one) for one in (first, second)] == ["ACTIVE", "ACTIVE"]
    assert (first.is_default, second.is_default) == (True, False)
    assert first.card.last4
    assert {one.id async for one in methods.list(customer.id)} == {first.id, second.id}
    chosen = await methods.set_default(second.id)
    assert chosen.is_default
    assert not (await methods.get(first.id)).is_default
    gone = await methods.detach(first.id)
    assert rig.state(gone) == "DETACHED"
    assert [one.id async for one in methods.list(customer.id)] == [second.id]
    kept, attached = "payment_method.created", "payment_method.attached"
    asked, moved = "payment_method.updated", "payment_method.default_changed"
    story = await shop.story(first)
    assert shops.milestones(story) == [kept, attached, moved, "payment_method.detached"]
    assert asked in story[story.index(moved) :]
    story = await shop.story(second)
    assert shops.milestones(story) == [kept, attached, moved]
    assert asked in story


async def test_payments_are_made_in_steps(shop: shops.Shop) -> None:
    """One-time: create, confirm, get, hold, capture a part, cancel, and a refusal's reason."""
    payments = shop.client.payments
    made = await payments.create(amount_minor=1200, currency="EUR", confirm=False, order_id="o-1")
    assert rig.state(made) == "CREATED"
    paid = await payments.confirm(made.id, payment_method=shop.card("good"))
    assert (rig.state(paid), paid.provider) == ("SUCCEEDED", shop.provider)
    assert rig.amounts(paid) == (1200, 1200, 0, 0, 0)
    assert await shop.story(made) == [
        "payment.created",
        "payment.processing",
        "payment.succeeded",
    ]

    held = await payments.create(
        amount_minor=1000, currency="EUR", payment_method=shop.card("good"), manual_capture=True
    )
    assert rig.actions(held)["CAPTURE"] == 1000
    taken = await payments.capture(held.id, amount_minor=600, currency="EUR")
    assert (rig.state(taken), taken.amounts.captured_minor) == ("SUCCEEDED", 600)
    assert await shop.story(taken) == [
        "payment.created",
        "payment.authorized",
        "payment.captured",
        "payment.succeeded",
    ]

    dropped = await payments.create(
        amount_minor=900, currency="EUR", payment_method=shop.card("good"), manual_capture=True
    )
    canceled = await payments.cancel(dropped.id, reason="out of stock")
    assert rig.state(canceled) == "CANCELED"
    assert (await shop.story(canceled))[-1] == "payment.canceled"

    refused = await payments.create(
        amount_minor=900, currency="EUR", payment_method=shop.card("refused")
    )
    assert (rig.state(refused), refused.failure.reason) == ("FAILED", "INSUFFICIENT_FUNDS")
    assert await shop.story(refused) == ["payment.created", "payment.failed"]


async def test_payers_are_asked_by_their_bank(shop: shops.Shop) -> None:
    """3-D Secure: an address or a secret for the payer; agreeing pays, refusing fails."""
    payments = shop.client.payments
    for agreed, state, told in (
        (True, "SUCCEEDED", "payment.succeeded"),
        (False, "FAILED", "payment.failed"),
    ):
        asked = await payments.create(
            amount_minor=1500,
            currency="EUR",
            payment_method=shop.card("asks"),
            return_url=SHOP,
        )
        assert rig.state(asked) == "REQUIRES_ACTION"
        assert asked.action.redirect_url or asked.action.client_secret
        await shop.authenticate(asked, agreed=agreed)
        done = await shops.becomes(functools.partial(payments.get, asked.id), state)
        assert not done.HasField("action")
        assert await shop.story(done) == ["payment.created", "payment.requires_action", told]
        if not agreed:
            assert done.failure.reason == "AUTHENTICATION_FAILED"


async def test_a_failed_payment_is_confirmed_again(shop: shops.Shop) -> None:
    """Another attempt is paid, and that the first one was ended for it is no news of it."""
    payments = shop.client.payments
    asked = await payments.create(
        amount_minor=1500, currency="EUR", payment_method=shop.card("asks"), return_url=SHOP
    )
    await shop.authenticate(asked, agreed=False)
    await shops.becomes(lambda: payments.get(asked.id), "FAILED")
    paid = await payments.confirm(asked.id, payment_method=shop.card("good"))
    assert rig.state(paid) == "SUCCEEDED"
    assert paid.provider_payment_id not in ("", asked.provider_payment_id)
    later = await payments.create(
        amount_minor=100, currency="EUR", payment_method=shop.card("good"), manual_capture=True
    )
    await payments.cancel(later.id)
    told = ["payment.created", "payment.requires_action", "payment.failed"]
    told += ["payment.processing", "payment.succeeded"]
    assert await shop.story(paid) == told


async def test_refunds_are_partial_full_and_have_reasons(shop: shops.Shop) -> None:
    """Refunds: a part, then the rest, with reason; more than that is refused."""
    payments, refunds = shop.client.payments, shop.client.refunds
    paid = await payments.create(
        amount_minor=1000, currency="EUR", payment_method=shop.card("good")
    )
    part = await refunds.create(
        paid.id,
        amount_minor=300,
        currency="EUR",
        reason=refunds_pb.Refund.REASON_REQUESTED_BY_CUSTOMER,
        note="too small",
    )
    assert (rig.state(part), part.reason, part.note) == (
        "SUCCEEDED",
        refunds_pb.Refund.REASON_REQUESTED_BY_CUSTOMER,
        "too small",
    )
    assert rig.actions(await payments.get(paid.id)) == {"REFUND": 700}
    with pytest.raises(payhub_client.errors.PayhubError):
        await refunds.create(paid.id, amount_minor=701, currency="EUR")
    rest = await refunds.create(paid.id)
    assert (rig.state(rest), rest.amount.amount_minor) == ("SUCCEEDED", 700)
    after = await payments.get(paid.id)
    assert (after.amounts.refunded_minor, rig.actions(after)) == (1000, {})
    listed = [one.id async for one in refunds.list(payment_id=paid.id)]
    assert listed == [rest.id, part.id]
    story = await shop.story(after)
    assert story[:2] == ["payment.created", "payment.succeeded"]
    assert story[-1] == "payment.refunded"


async def test_held_money_is_raised(shop: shops.Shop) -> None:
    """Incremental authorization: more is held, and can be captured."""
    payments = shop.client.payments
    held = await payments.create(
        amount_minor=1000, currency="EUR", payment_method=shop.card("good"), manual_capture=True
    )
    raised = await payments.increment_authorization(held.id, amount_minor=500, currency="EUR")
    assert (rig.state(raised), raised.amounts.authorized_minor) == ("AUTHORIZED", 1500)
    taken = await payments.capture(held.id)
    assert taken.amounts.captured_minor == 1500
    assert (await shop.story(taken))[:2] == ["payment.created", "payment.authorized"]


async def test_kept_methods_pay_without_their_payers(shop: shops.Shop) -> None:
    """Off session: kept while paying, charged later, refused softly, and tried again."""
    client = shop.client
    customer = await client.customers.create(name="Cy")
    await client.payments.create(
        amount_minor=400,
        currency="EUR",
        payment_method=shop.card("good"),
        customer_id=customer.id,
        save_payment_method=True,
    )
    (kept,) = [one async for one in client.payment_methods.list(customer.id)]

    async def pay() -> Any:
        return await client.payments.create(
            amount_minor=700,
            currency="EUR",
            payment_method_id=kept.id,
            customer_id=customer.id,
            off_session=True,
        )

    paid = await pay()
    assert (rig.state(paid), paid.off_session, paid.payment_method_id) == (
        "SUCCEEDED",
        True,
        kept.id,
    )
    await client.retry_policy.set([datetime.timedelta(hours=1)])
    await shop.refuse(kept)
    refused = await pay()
    assert refused.failure.retryable_later
    assert refused.HasField("next_retry_time")
    await shop.refuse(kept, refused=False)
    await shop.make_due()
    again = await shops.becomes(lambda: client.payments.get(refused.id), "SUCCEEDED")
    assert [state for _, state in rig.operations(again)] == ["DECLINED", "SUCCEEDED"]
    assert again.amounts.captured_minor == 700
    assert (await shop.story(again))[-1] == "payment.succeeded"
    await client.retry_policy.set([])


async def test_references_are_kept_and_told(shop: shops.Shop) -> None:
    """User, customer, subscription and order references are on payments and in events."""
    customer = await shop.client.customers.create(name="Di", user_id="u-7")
    paid = await shop.client.payments.create(
        amount_minor=500,
        currency="EUR",
        payment_method=shop.card("good"),
        customer_id=customer.id,
        user_id="u-7",
        subscription_id="their-sub-1",
        order_id="o-7",
        metadata={"cart": "9"},
    )
    kept = paid.references
    assert (kept.customer_id, kept.user_id, kept.subscription_id, kept.order_id) == (
        customer.id,
        "u-7",
        "their-sub-1",
        "o-7",
    )
    for told in shop.records.payment_events(paid.id):
        assert told.payment.references == kept
    assert {event.user_id for event in shop.records.events(paid.id)} == {"u-7"}
    where = payhub_client.PaymentFilter(customer_id=customer.id)
    assert [one.id async for one in shop.client.payments.list(where)] == [paid.id]


async def test_tenants_choose_among_providers(running: shops.Town) -> None:
    """Several providers: the installation's default, a payment's own choice, the tenant's."""
    tenant, key = "both-shop", "sk_test_of_both"
    await doubles.order(running.double, "keys", key=key, account="acct_both")
    secrets = {"mock": {}, "stripe": {"api_key": key}}
    async with shops.admin(running) as operator:
        for provider, slots in secrets.items():
            await shops.bind(operator, tenant, provider, slots)
        async with shops.calling(running, tenant) as client:

            async def pay(provider: str, chosen: str = "") -> Any:
                return await client.payments.create(
                    amount_minor=100,
                    currency="EUR",
                    payment_method=shops.CARDS[provider]["good"],
                    provider=chosen,
                )

            first = await pay("mock")
            chosen = await pay("stripe", chosen="stripe")
            await operator.bindings.set_default(tenant, "stripe", reason="it switches")
            switched = await pay("stripe")
            # What was paid before is still refunded where it was paid.
            refund = await client.refunds.create(first.id)
        for paid, provider in ((first, "mock"), (chosen, "stripe"), (switched, "stripe")):
            assert (rig.state(paid), paid.provider) == ("SUCCEEDED", provider)
        assert rig.state(refund) == "SUCCEEDED"


async def test_webhooks_are_audited_and_forged_ones_refused(shop: shops.Shop) -> None:
    """Webhooks: a bad signature is 401 and kept for audit; good ones are applied or ignored."""
    await shop.client.payments.create(
        amount_minor=100, currency="EUR", payment_method=shop.card("good")
    )
    assert await shop.forge(int(time.time())) == 401
    admin = shop.client.inbound_webhooks

    async def listed(state: Any) -> list[Any]:
        page = await admin.list_page(provider=shop.provider, tenant_id=shop.tenant, state=state)
        return list(page.webhooks)

    states = hooks_pb.InboundWebhook
    rejected = await listed(states.STATE_REJECTED)
    assert {one.http_status for one in rejected} == {401}
    (applied, *_) = await rig.until(lambda: listed(states.STATE_APPLIED))
    assert (applied.http_status, applied.tenant_id) == (200, shop.tenant)
    assert applied.entity_ids
    again = await admin.replay(applied.id)
    assert rig.state(again) in ("APPLIED", "DUPLICATE", "RECEIVED")
