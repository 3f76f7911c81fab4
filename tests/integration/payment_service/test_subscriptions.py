"""Plans and subscriptions: asked for here, made and billed by the provider."""

import asyncio
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import subscription_service_pb2 as pb
from payhub.provider.v1 import provider_object_pb2

from payment_service.usecases import intents
from tests.integration.payment_service import billing, rig, upstream

Plan = billing.Plan


async def test_a_plan_has_a_price_at_its_provider_until_it_is_archived(
    bill: billing.Billing,
) -> None:
    """A price that exists is compared first; a bad plan names its field and changes nothing."""
    made = await bill.plan(900, trial_days=7, metadata={"tier": "gold"})
    (price,) = made.prices
    assert (rig.state(made), price.provider_object_id) == ("ACTIVE", "price_1")
    assert bill.records.story(made) == ["plan.created", "plan.updated"]
    there = provider_object_pb2.PlanObject(
        amount=rig.money(1200),
        interval=provider_object_pb2.BILLING_INTERVAL_MONTH,
        interval_count=1,
        active=True,
    )
    bill.bank.objects["old"] = provider_object_pb2.ProviderObject(
        provider_object_id="old", plan=there
    )
    bill.bank.put("old")
    adopted = await bill.plan(1200, provider_price_id="old")
    assert adopted.prices[0].provider_object_id == "old"
    assert bill.records.story(adopted) == ["plan.created"]
    taken = await rig.refusal(bill.plan(1200, provider_price_id="old"))
    assert (taken.reason, taken.metadata["state"]) == ("STATE_CONFLICT", "TAKEN")
    for wanted, field in (
        ({"provider_price_id": "old", "amount_minor": 1300}, "provider_price_id"),
        ({"provider_price_id": "none"}, "provider_price_id"),
        ({"interval": Plan.INTERVAL_YEAR, "interval_count": 4}, "interval_count"),
        ({"currency": "XXX"}, "amount.currency_code"),
        ({"name": ""}, "name"),
    ):
        refused = await rig.refusal(bill.plan(**wanted))
        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])

    bill.bank.script["ArchivePlan"] = ["not_sent"]
    half = await bill.ask("ArchivePlan", plan_id=made.id)
    assert (rig.state(half), half.prices[0].sync_state) == ("ARCHIVED", 3)
    whole = await bill.ask("ArchivePlan", plan_id=made.id)
    assert whole.prices[0].sync_state == 2
    assert bill.records.story(whole).count("plan.archived") == 1
    again = await rig.refusal(bill.ask("ArchivePlan", plan_id=made.id))
    assert again.reason == "STATE_CONFLICT"
    listed = await bill.ask("ListPlans")
    assert [one.id for one in listed.plans] == [adopted.id]
    assert len((await bill.ask("ListPlans", include_archived=True)).plans) == 2

    bill.bank.script["CreatePlan"] = ["decline"]
    failed = await bill.plan(100)
    assert failed.prices[0].failure.reason == "INSTRUMENT_INVALID"
    mended = await bill.ask("AddPlanPrice", plan_id=failed.id)
    assert mended.prices[0].provider_object_id
    assert (await rig.refusal(bill.ask("AddPlanPrice", plan_id=failed.id))).reason


async def test_a_subscription_lives_from_its_first_payment_to_its_end(
    bill: billing.Billing,
) -> None:
    """What may be done next is said and enforced; each change is one event with what it was."""
    customer = await bill.customer()
    gold, silver = await bill.plan(900), await bill.plan(500)
    method = await bill.attach(customer.id)
    made = await bill.subscribe(
        customer.id, gold.id, quantity=2, payment_method_id=method.id, metadata={"a": "b"}
    )
    assert (rig.state(made), billing.sync(made)) == ("ACTIVE", "SYNCED")
    assert (made.user_id, made.payment_method_id) == ("u-1", method.id)
    assert list(made.available_actions) == ["ChangeSubscriptionPlan", "CancelSubscription"]
    (_, sent) = bill.bank.calls[-1]
    assert (sent.amount.amount_minor, sent.quantity) == (1800, 2)
    invoice = await bill.ask("GetInvoice", invoice_id=made.latest_invoice_id)
    assert (rig.state(invoice), invoice.amount_paid_minor) == ("PAID", 1800)
    assert (invoice.customer_id, invoice.subscription_id) == (customer.id, made.id)
    assert invoice.pdf_url.startswith(upstream.PDF)
    assert bill.records.story(invoice) == ["invoice.generated", "invoice.paid"]

    moved = await bill.ask(
        "ChangeSubscriptionPlan", subscription_id=made.id, plan_id=silver.id, proration=2
    )
    assert (moved.plan_id, moved.quantity) == (silver.id, 2)
    assert bill.bank.calls[-1][1].proration == 2
    told = bill.records.payload(bill.records.events(made.id)[-1])
    assert (told.previous.plan_id, told.subscription.plan_id) == (gold.id, silver.id)
    ending = await bill.ask("CancelSubscription", subscription_id=made.id, at_period_end=True)
    assert ending.cancel_at_period_end
    assert "ReactivateSubscription" in ending.available_actions
    twice = await rig.refusal(
        bill.ask("CancelSubscription", subscription_id=made.id, at_period_end=True)
    )
    assert twice.metadata["allowed_actions"].split(",") == list(ending.available_actions)
    kept = await bill.ask("ReactivateSubscription", subscription_id=made.id)
    assert not kept.cancel_at_period_end
    none = await rig.refusal(bill.ask("ReactivateSubscription", subscription_id=made.id))
    assert (none.code, none.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    ended = await bill.ask("CancelSubscription", subscription_id=made.id)
    assert (rig.state(ended), list(ended.available_actions)) == ("CANCELED", [])
    story = bill.records.story(ended)
    assert story[:2] == ["subscription.created", "subscription.activated"]
    assert story[-1] == "subscription.canceled"
    gone = await rig.refusal(
        bill.ask("ChangeSubscriptionPlan", subscription_id=made.id, plan_id=gold.id)
    )
    assert gone.metadata["state"] == "STATE_CANCELED"
    envelopes = bill.records.rows("select envelope from outbox")
    assert not any(upstream.PDF.encode() in bytes(row[0]) for row in envelopes)
    listed = await bill.ask(
        "ListSubscriptions", user_id="u-1", state=pb.Subscription.STATE_CANCELED
    )
    assert [one.id for one in listed.subscriptions] == [made.id]
    found = await bill.ask("ListInvoices", subscription_id=made.id)
    assert [one.id for one in found.invoices] == [invoice.id]


async def test_a_subscription_waits_for_its_payment_and_needs_no_webhook(
    bill: billing.Billing,
) -> None:
    """PENDING becomes ACTIVE once the provider says so when asked; a trial has no payment."""
    customer, plan = await bill.customer(), await bill.plan(900)
    bill.bank.unpaid = True
    made = await bill.subscribe(customer.id, plan.id)
    assert rig.state(made) == "PENDING"
    bill.bank.pay(made.mirror.provider_object_id)
    after = await bill.becomes(made.id, "ACTIVE")
    assert "subscription.activated" in bill.records.story(after)
    invoice = await bill.ask("GetInvoice", invoice_id=after.latest_invoice_id)
    assert rig.state(invoice) == "PAID"
    trial = await bill.subscribe(customer.id, plan.id, trial_days=14)
    assert rig.state(trial) == "TRIALING"
    assert not bill.bank.calls[-1][1].HasField("amount")


async def test_a_subscription_of_unknown_outcome_is_made_once(bill: billing.Billing) -> None:
    """Lost answers are looked up, refusals fail, and one key subscribes once."""
    customer, plan = await bill.customer(), await bill.plan(900)
    for how, first, then in (
        ("drop", "PENDING", "ACTIVE"),
        ("mute", "PENDING", "ACTIVE"),
        ("decline", "FAILED", "FAILED"),
        ("not_sent", "FAILED", "FAILED"),
    ):
        bill.bank.script["CreateSubscription"] = [how]
        made = await bill.subscribe(customer.id, plan.id)
        assert rig.state(made) == first, how
        assert billing.sync(made) == ("IN_DOUBT" if then == "ACTIVE" else "FAILED")
        bill.records.story(await bill.becomes(made.id, then))
    assert [name for name, _ in bill.bank.effects].count("CreateSubscription") == 2
    key = rig.new_key()
    calls = await asyncio.gather(
        *[bill.subscribe(customer.id, plan.id, key=key) for _ in range(5)],
        return_exceptions=True,
    )
    assert len({one.id for one in calls if isinstance(one, pb.Subscription)}) == 1
    assert {one.reason for one in calls if isinstance(one, rig.Refused)} <= {
        "IDEMPOTENCY_KEY_IN_FLIGHT"
    }
    assert [name for name, _ in bill.bank.effects].count("CreateSubscription") == 3


async def test_one_change_at_a_time_is_made_of_a_subscription(database_url: str) -> None:
    """While nobody knows what becomes of one, another is refused and nothing is sent."""
    # It hangs until it is told to answer, however slow the machine is.
    async with billing.running(database_url, provider_timeout_s=20.0) as bill:
        customer, gold, silver = await bill.customer(), await bill.plan(900), await bill.plan(500)
        made = await bill.subscribe(customer.id, gold.id)
        bill.bank.answers = asyncio.Event()
        bill.bank.script["ChangeSubscription"] = ["hang"]
        changing = asyncio.create_task(
            bill.ask("ChangeSubscriptionPlan", subscription_id=made.id, plan_id=silver.id)
        )

        async def sent() -> bool:
            return bill.bank.calls[-1][0] == "ChangeSubscription"

        await rig.until(sent)
        busy = await rig.refusal(bill.ask("CancelSubscription", subscription_id=made.id))
        assert (busy.reason, busy.metadata["state"]) == ("STATE_CONFLICT", "SYNC_STATE_PENDING")
        assert not (await bill.subscription(made.id)).available_actions
        bill.bank.answers.set()
        await changing
        after = await bill.becomes(made.id, "ACTIVE")
        assert (after.plan_id, len(after.mirror.operations)) == (silver.id, 2)


async def test_a_subscription_needs_customer_plan_and_price(bill: billing.Billing) -> None:
    """What is missing is named before anything is written; others' things are not found."""
    customer, plan = await bill.customer(), await bill.plan(900)
    dollars = await bill.plan(900, "USD")
    archived = await bill.plan(100)
    await bill.ask("ArchivePlan", plan_id=archived.id)
    bill.bank.script["CreatePlan"] = ["decline"]
    unpriced = await bill.plan(100)
    other = await bill.customer()
    method = await bill.attach(other.id)
    stored = bill.records.rows("select count(*) from mirrors")
    nothing = "0" * 32
    for fields, code in (
        ({"customer_id": f"cus_{nothing}"}, grpc.StatusCode.NOT_FOUND),
        ({"plan_id": f"plan_{nothing}"}, grpc.StatusCode.NOT_FOUND),
        ({"payment_method_id": method.id}, grpc.StatusCode.NOT_FOUND),
        ({"plan_id": archived.id}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"plan_id": unpriced.id}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"plan_id": "plan_1"}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        wanted = {"customer_id": customer.id, "plan_id": plan.id} | fields
        refused = await rig.refusal(bill.subscribe(**wanted))
        assert refused.code is code, fields
    assert bill.records.rows("select count(*) from mirrors") == stored
    made = await bill.subscribe(customer.id, plan.id)
    async with bill.stranger() as others:
        own, own_plan = await others.customer(), await others.plan(900)
        for call in (
            others.ask("GetPlan", plan_id=plan.id),
            others.ask("ArchivePlan", plan_id=plan.id),
            others.subscribe(own.id, plan.id),
            others.subscribe(customer.id, own_plan.id),
            others.subscription(made.id),
            others.ask("CancelSubscription", subscription_id=made.id),
            others.ask("GetInvoice", invoice_id=made.latest_invoice_id),
        ):
            assert (await rig.refusal(call)).code is grpc.StatusCode.NOT_FOUND
        assert not (await others.ask("ListSubscriptions")).subscriptions
        assert not (await others.ask("ListInvoices", customer_id=customer.id)).invoices
        assert [one.id for one in (await others.ask("ListPlans")).plans] == [own_plan.id]
    mixed = await rig.refusal(
        bill.ask("ChangeSubscriptionPlan", subscription_id=made.id, plan_id=dollars.id)
    )
    assert mixed.reason == "CURRENCY_MISMATCH"
    same = await rig.refusal(
        bill.ask("ChangeSubscriptionPlan", subscription_id=made.id, plan_id=plan.id)
    )
    assert same.reason == "STATE_CONFLICT"


async def test_a_subscription_names_the_price_that_has_become_known_meanwhile(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request is of the plan that allows it, not of the plan as it was before."""
    async with billing.running(database_url, resolver_doubt_first_s=1000.0) as bill:
        customer = await bill.customer()
        bill.bank.script["CreatePlan"] = ["drop"]
        plan = await bill.plan(900)
        assert not plan.prices[0].provider_object_id
        way = intents.way

        async def priced() -> bool:
            found = await bill.ask("GetPlan", plan_id=plan.id)
            return bool(found.prices[0].provider_object_id)

        async def meanwhile(*args: Any, **options: Any) -> Any:
            await rig.until(priced)
            return await way(*args, **options)

        monkeypatch.setattr(intents, "way", meanwhile)
        made = await bill.subscribe(customer.id, plan.id)
        assert (rig.state(made), billing.sync(made)) == ("ACTIVE", "SYNCED")
