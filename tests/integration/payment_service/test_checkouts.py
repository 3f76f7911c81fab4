"""Checkouts: pages of a provider, and the payments that they lead to."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest_asyncio
from google.protobuf import duration_pb2
from payhub.payments.v1 import checkout_service_pb2
from payhub.provider.v1 import operation_pb2, provider_object_pb2

from payment_service.domain.mirrors import base, objects
from tests.integration.payment_service import billing, merchant, rig

_C = provider_object_pb2.CheckoutObject
_O = operation_pb2.Operation
_K = objects.ObjectKind
SECRETS = (b"redirect-secret", b"client-secret-7")


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[merchant.Merchant]:
    """A service whose provider has checkouts; it asks for none by itself."""
    async with merchant.running(
        database_url,
        provider_config={"mock": {"publishable_key": "pk_test_1"}},
        resolver_pending_first_s=3600,
    ) as running:
        yield running


@pytest_asyncio.fixture
async def asking(database_url: str) -> AsyncIterator[merchant.Merchant]:
    """A service that soon asks for the checkouts that wait for their payers."""
    async with merchant.running(database_url) as running:
        yield running


def completes(
    shop: merchant.Merchant, checkout: merchant.Checkout, state: Any = None, **content: Any
) -> str:
    """The payer pays; returns the payment at the provider, which does not name its checkout."""
    identity = checkout.mirror.provider_object_id
    payment = shop.bank.has_payment(
        f"pay_of_{identity}",
        1000,
        _O.STATE_SUCCEEDED if state is None else state,
        **content,
    )
    shop.bank.put(
        identity,
        checkout={"state": _C.STATE_COMPLETED, "provider_payment_id": payment, "paid": True},
    )
    shop.bank.related[identity] = [payment]
    return payment


async def test_a_checkout_is_made_paid_and_leads_to_a_payment(shop: merchant.Merchant) -> None:
    """The payment is here once, whoever tells it, with whom it is for; it can be refunded."""
    customer = await shop.customer()
    key = rig.new_key()
    fields: dict[str, Any] = {"order_id": "o-1", "metadata": {"till": "4"}}
    made = await shop.check_out(key, customer_id=customer.id, **fields)
    assert (rig.state(made), billing.sync(made)) == ("OPEN", "SYNCED")
    assert (made.publishable_key, made.user_id) == ("pk_test_1", "u-1")
    assert "redirect-secret" in made.redirect_url
    assert await shop.check_out(key, customer_id=customer.id, **fields) == made
    sent = shop.bank.calls[-1][1]
    assert sent.provider_customer_id == customer.provider_customer_id
    assert sent.amount == rig.money(1000)
    payment = completes(shop, made)
    checkout = made.mirror.provider_object_id
    (alone,) = await shop.hears(_K.PAYMENT, payment)
    assert alone.verdict is base.Verdict.FOREIGN
    assert await shop.tell(shop.bank.objects[checkout]) == ["missing"]
    told = await asyncio.gather(
        shop.hears(_K.CHECKOUT, checkout),
        shop.hears(_K.PAYMENT, payment),
        shop.hears(_K.CHECKOUT, checkout),
    )
    assert base.Verdict.APPLIED in {one.verdict for each in told for one in each}
    done = await shop.checkout(made.id)
    assert (rig.state(done), done.redirect_url) == ("COMPLETED", "")
    assert done.payment_id
    paid = await shop.caller.get(done.payment_id)
    assert (rig.state(paid), paid.checkout_id) == ("SUCCEEDED", made.id)
    assert (paid.references.customer_id, paid.references.user_id) == (customer.id, "u-1")
    assert (paid.references.order_id, dict(paid.references.metadata)) == ("o-1", {"till": "4"})
    assert shop.records.story(paid) == ["payment.created", "payment.succeeded"]
    assert shop.records.story(done)[0] == "checkout.created"
    assert shop.records.story(done).count("checkout.completed") == 1
    assert shop.records.rows("select count(*) from payments") == [(1,)]
    assert rig.actions(paid) == {"REFUND": 1000}
    refund = await shop.caller.refund(paid.id, 400)
    assert rig.state(refund) == "SUCCEEDED"
    listed = await shop.caller.call(
        shop.checkouts.ListCheckouts,
        checkout_service_pb2.ListCheckoutsRequest(customer_id=customer.id),
    )
    assert [one.id for one in listed.checkouts] == [made.id]
    envelopes = [bytes(row[0]) for row in shop.records.rows("select envelope from outbox")]
    assert not [one for one in envelopes for secret in SECRETS if secret in one]


async def test_what_a_payer_does_at_a_checkout_is_followed(shop: merchant.Merchant) -> None:
    """Refused, tried again and paid, late and in any order: the payment is as the provider has
    it, can't be confirmed or canceled here, and every step is told.
    """
    made = await shop.check_out()
    identity = made.mirror.provider_object_id
    payment = completes(shop, made, _O.STATE_DECLINED, provider_checkout_id=identity)
    await shop.hears(_K.PAYMENT, payment)
    (failed,) = (await shop.caller.list()).payments
    failed = await shop.caller.get(failed.id)
    assert (rig.state(failed), rig.actions(failed)) == ("FAILED", {})
    for call in (shop.caller.confirm(failed.id), shop.caller.cancel(failed.id)):
        assert (await rig.refusal(call)).reason == "STATE_CONFLICT"
    shop.bank.has_payment(payment, 1000, _O.STATE_PENDING)
    await shop.hears(_K.PAYMENT, payment)
    assert rig.state(await shop.caller.get(failed.id)) == "PROCESSING"
    shop.bank.has_payment(payment, 1000)
    await asyncio.gather(*(shop.hears(_K.PAYMENT, payment) for _ in range(3)))
    paid = await shop.caller.get(failed.id)
    assert rig.operations(paid) == [("SALE", "DECLINED"), ("SALE", "SUCCEEDED")]
    assert shop.records.story(paid) == [
        "payment.created",
        "payment.failed",
        "payment.processing",
        "payment.succeeded",
    ]
    waiting = shop.records.rows("select count(*) from operations where next_check_us > 0")
    assert waiting == [(0,)]


async def test_snapshots_in_any_order_end_where_the_provider_is(
    shop: merchant.Merchant,
) -> None:
    """Shuffled and repeated, a payment and its checkout converge to the newest."""
    chance = random.Random(7)
    for end in (_O.STATE_SUCCEEDED, _O.STATE_DECLINED):
        made = await shop.check_out()
        identity = made.mirror.provider_object_id
        told = []
        for state in (_O.STATE_PENDING, _O.STATE_DECLINED, _O.STATE_ACTION_REQUIRED, end):
            payment = completes(shop, made, state, provider_checkout_id=identity)
            told += [_copy(shop, payment), _copy(shop, identity)]
        if end == _O.STATE_SUCCEEDED:
            for refunded in (100, 300):
                shop.bank.has_payment(payment, 1000, end, refunded_minor=refunded)
                told.append(_copy(shop, payment))
        shuffled = [*told, *told]
        chance.shuffle(shuffled)
        for one in shuffled:
            await shop.tell(one)
        checkout = await shop.checkout(made.id)
        assert rig.state(checkout) == "COMPLETED"
        paid = await shop.caller.get(checkout.payment_id)
        story = shop.records.story(paid)
        if end == _O.STATE_SUCCEEDED:
            assert (rig.state(paid), paid.amounts.foreign_refunded_minor) == ("SUCCEEDED", 300)
            assert story.count("payment.succeeded") == 1
        else:
            assert rig.state(paid) == "FAILED"
    assert shop.records.rows("select count(*) from payments") == [(2,)]


def _copy(shop: merchant.Merchant, identity: str) -> Any:
    made = provider_object_pb2.ProviderObject()
    made.CopyFrom(shop.bank.objects[identity])
    return made


async def test_the_customer_is_made_first_and_once_per_user(shop: merchant.Merchant) -> None:
    """Checkouts that begin together share the customer of their user; a failed one is made
    again.
    """
    calls = await asyncio.gather(
        *(shop.check_out(user_id="u-9", embedded=True) for _ in range(4)), return_exceptions=True
    )
    made = [one for one in calls if isinstance(one, merchant.Checkout)]
    others = {one.reason for one in calls if isinstance(one, rig.Refused)}
    assert made
    assert others <= {"IDEMPOTENCY_KEY_IN_FLIGHT", "STATE_CONFLICT"}
    assert shop.bank.customers_made == 1
    assert {one.user_id for one in made} == {"u-9"}
    assert len({one.customer_id for one in made}) == 1
    assert (made[0].redirect_url, made[0].client_secret) == ("", "client-secret-7")
    another = await shop.check_out(user_id="u-9")
    assert another.customer_id == made[0].customer_id
    nobody = await shop.check_out()
    assert nobody.customer_id == ""
    shop.bank.script["CreateCheckout"] = ["decline"]
    failed = await shop.check_out(user_id="u-9")
    assert rig.state(failed) == "FAILED"
    shop.bank.script["CreateCheckout"] = ["drop"]
    doubt = await shop.check_out(user_id="u-9")
    assert billing.sync(doubt) == "IN_DOUBT"

    async def known() -> merchant.Checkout | None:
        found = await shop.checkout(doubt.id)
        return found if rig.state(found) == "OPEN" else None

    await rig.until(known)


async def test_whoever_subscribes_on_a_page_is_a_customer_here(asking: merchant.Merchant) -> None:
    """The provider would make one of its own, and bill a subscription that nobody here knows."""
    plan, key = await asking.plan(1000), rig.new_key()
    made = await asking.check_out(key, plan_id=plan.id)
    assert made.customer_id
    sent = asking.bank.calls[-1][1]
    # As Stripe does, the provider makes a customer where it is told of none.
    payer = sent.provider_customer_id or "cust_of_its_own"
    subscription = asking.bank.new_id("subscr")
    asking.bank.put(
        subscription,
        subscription={
            "state": provider_object_pb2.SubscriptionObject.STATE_ACTIVE,
            "provider_customer_id": payer,
            "provider_price_id": sent.provider_price_id,
            "quantity": 1,
        },
    )
    done = {"state": _C.STATE_COMPLETED, "provider_subscription_id": subscription, "paid": True}
    asking.bank.put(made.mirror.provider_object_id, checkout=done)

    async def linked() -> merchant.Checkout | None:
        found = await asking.checkout(made.id)
        return found if found.subscription_id else None

    checkout = await rig.until(linked)
    known = await asking.subscription(checkout.subscription_id)
    assert known.customer_id == made.customer_id
    assert (await asking.check_out(key, plan_id=plan.id)).id == made.id
    another = await asking.check_out(plan_id=plan.id)
    assert another.customer_id != made.customer_id
    refused = await rig.refusal(asking.check_out(plan_id=f"plan_{'0' * 32}"))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert asking.bank.customers_made == 2


async def test_a_checkout_is_ended_once(shop: merchant.Merchant) -> None:
    """By the caller or by time; then it can't be ended again, nor paid."""
    made = await shop.check_out()
    results = await asyncio.gather(
        *(shop.expire(made.id) for _ in range(4)), return_exceptions=True
    )
    assert [name for name, _ in shop.bank.effects].count("ExpireCheckout") == 1
    assert {one.reason for one in results if isinstance(one, rig.Refused)} == {"STATE_CONFLICT"}
    ended = await shop.checkout(made.id)
    assert (rig.state(ended), ended.redirect_url) == ("EXPIRED", "")
    assert shop.records.story(ended)[-1] == "checkout.expired"
    refused = await rig.refusal(shop.expire(made.id))
    assert refused.metadata["state"] == "STATE_EXPIRED"
    other = await shop.check_out()
    identity = other.mirror.provider_object_id
    shop.bank.put(identity, checkout={"state": _C.STATE_EXPIRED})
    await shop.hears(_K.CHECKOUT, identity)
    assert rig.state(await shop.checkout(other.id)) == "EXPIRED"


async def test_what_no_checkout_can_be_is_refused_by_its_field(shop: merchant.Merchant) -> None:
    """Nothing is stored of it; other tenants and callers without a key see none."""
    customer = await shop.customer()
    held = await shop.check_out()
    stored = shop.records.rows("select count(*) from mirrors")
    for fields, paths in (
        ({"amount": rig.money(0)}, ["amount.amount_minor"]),
        ({"amount": rig.money(1, "XXQ")}, ["amount.currency_code"]),
        ({"quantity": 2}, ["quantity"]),
        ({"trial_days": 2}, ["trial_days"]),
        ({"open_for": duration_pb2.Duration(seconds=1799)}, ["open_for"]),
        ({"customer_id": "cus_1"}, ["customer_id"]),
        ({"user_id": "u" * 129}, ["user_id"]),
        ({"plan_id": "plan_1", "amount": None}, ["plan_id"]),
    ):
        refused = await rig.refusal(shop.check_out(**fields))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT, fields
        assert refused.fields == paths, fields
    for fields in ({"customer_id": f"cus_{'0' * 32}"}, {"plan_id": f"plan_{'0' * 32}"}):
        missing = await rig.refusal(shop.check_out(**fields))
        assert missing.code is grpc.StatusCode.NOT_FOUND
    assert shop.records.rows("select count(*) from mirrors") == stored
    assert customer.id
    _, secret = await shop.service.parts.keys.create(
        tenant_id="t-other", scopes=("payments:read",), name="o"
    )
    request = checkout_service_pb2.GetCheckoutRequest(checkout_id=held.id)
    async with rig.Caller(shop.caller.target, secret, "t-other") as stranger:
        refused = await rig.refusal(stranger.call(shop.checkouts.GetCheckout, request))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        ending = checkout_service_pb2.ExpireCheckoutRequest(
            idempotency_key="k", checkout_id=held.id
        )
        refused = await rig.refusal(stranger.call(shop.checkouts.ExpireCheckout, ending))
        assert refused.reason == "SCOPE_MISSING"
    async with rig.Caller(shop.caller.target, "") as nobody:
        refused = await rig.refusal(nobody.call(shop.checkouts.GetCheckout, request))
        assert refused.reason == "KEY_INVALID"


async def test_a_checkout_of_a_plan_leads_to_a_subscription_and_its_payment(
    asking: merchant.Merchant,
) -> None:
    """All three are here, linked, without any webhook: what waits is asked for."""
    customer, plan = await asking.customer(), await asking.plan(1000)
    key = rig.new_key()
    terms: dict[str, Any] = {"customer_id": customer.id, "plan_id": plan.id, "quantity": 2}
    made = await asking.check_out(key, **terms)
    sent = asking.bank.calls[-1][1]
    assert sent.provider_price_id == plan.prices[0].provider_object_id
    assert (sent.quantity, made.plan_id, made.quantity) == (2, plan.id, 2)
    subscription, invoice = asking.bank.new_id("subscr"), asking.bank.new_id("bill")
    asking.bank.put(
        subscription,
        subscription={
            "state": provider_object_pb2.SubscriptionObject.STATE_ACTIVE,
            "provider_customer_id": customer.provider_customer_id,
            "provider_price_id": sent.provider_price_id,
            "quantity": 2,
            "provider_invoice_id": invoice,
        },
    )
    asking.bank.bill(subscription, invoice, rig.money(2000))
    payment = asking.bank.has_payment("pay_of_bill", 2000, provider_invoice_id=invoice)
    asking.bank.put(invoice, invoice={"provider_payment_id": payment})
    identity = made.mirror.provider_object_id
    done = {"state": _C.STATE_COMPLETED, "provider_subscription_id": subscription, "paid": True}
    asking.bank.put(identity, checkout=done)

    async def linked() -> merchant.Checkout | None:
        found = await asking.checkout(made.id)
        return found if found.subscription_id else None

    checkout = await rig.until(linked)
    assert rig.state(checkout) == "COMPLETED"
    known = await asking.subscription(checkout.subscription_id)
    assert (rig.state(known), known.plan_id) == ("ACTIVE", plan.id)

    async def adopted() -> Any:
        found = (await asking.caller.list(customer_id=customer.id)).payments
        return found[0] if found else None

    paid = await asking.caller.get((await rig.until(adopted)).id)
    assert (rig.state(paid), paid.amount) == ("SUCCEEDED", rig.money(2000))
    assert paid.references.subscription_id == known.id
    bill = await asking.ask("GetInvoice", invoice_id=paid.invoice_id)
    assert bill.payment_id == paid.id
    refused = await rig.refusal(asking.caller.cancel(paid.id))
    assert refused.metadata["allowed_actions"] == "refund"
    await asking.ask("ArchivePlan", plan_id=plan.id)
    gone = await rig.refusal(asking.check_out(customer_id=customer.id, plan_id=plan.id))
    assert gone.metadata["state"] == "STATE_ARCHIVED"
    assert (await asking.check_out(key, **terms)).id == made.id
