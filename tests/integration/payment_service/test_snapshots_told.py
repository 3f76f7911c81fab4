"""What a provider tells of subscriptions and invoices: in any order, at once, unasked."""

import asyncio
import random

from payhub.payments.v1 import invoice_service_pb2 as invoices_pb
from payhub.provider.v1 import operation_pb2, provider_object_pb2

from tests.integration.payment_service import billing, rig

_S = provider_object_pb2.SubscriptionObject
_I = provider_object_pb2.InvoiceObject


def _declined() -> operation_pb2.Decline:
    return operation_pb2.Decline(reason=operation_pb2.DECLINE_REASON_INSUFFICIENT_FUNDS)


async def test_snapshots_in_any_order_end_in_the_same_state(bill: billing.Billing) -> None:
    """Late, repeated and shuffled ones change nothing that a newer one has told."""
    customer, plan = await bill.customer(), await bill.plan(900)
    bill.bank.unpaid = True
    ends = []
    for seed in range(4):
        made = await bill.subscribe(customer.id, plan.id)
        name = made.mirror.provider_object_id
        first = bill.bank.objects[name].subscription.provider_invoice_id
        told = [bill.bank.objects[name], bill.bank.objects[first]]
        told.append(bill.bank.put(first, invoice={"attempt_count": 1, "decline": _declined()}))
        told += bill.bank.pay(name)
        second = bill.bank.bill(name, bill.bank.new_id("bill"), rig.money(900))
        told.append(second)
        told.append(
            bill.bank.put(
                name,
                subscription={
                    "state": _S.STATE_PAST_DUE,
                    "provider_invoice_id": second.provider_object_id,
                },
            )
        )
        told.append(bill.bank.put(second.provider_object_id, invoice={"state": _I.STATE_VOID}))
        told.append(bill.bank.put(name, subscription={"state": _S.STATE_CANCELED}))
        order = told * 2
        if seed:
            random.Random(seed).shuffle(order)
        for one in order:
            await bill.tell(one)
        after = await bill.subscription(made.id)
        bill.records.story(after)
        found = (await bill.ask("ListInvoices", subscription_id=made.id)).invoices
        for invoice in found:
            bill.records.story(invoice)
        latest = next(one for one in found if one.id == after.latest_invoice_id)
        states = sorted(invoices_pb.Invoice.State.Name(one.state) for one in found)
        ends.append((rig.state(after), states, rig.state(latest)))
    assert ends == [("CANCELED", ["STATE_PAID", "STATE_VOID"], "VOID")] * 4


async def test_snapshots_that_come_at_once_make_each_entity_once(database_url: str) -> None:
    """Concurrent webhooks of one customer wait for each other, and none is lost."""
    async with billing.running(database_url, rehearsed=False) as bill:
        customer, plan = await bill.customer(), await bill.plan(900)
        bill.bank.unpaid = True
        made = await bill.subscribe(customer.id, plan.id)
        name = made.mirror.provider_object_id
        told = bill.bank.pay(name)
        for number in range(4):
            told.append(bill.bank.bill(name, f"bill_more_{number}", rig.money(900)))
            told.append(bill.bank.put(f"bill_more_{number}", invoice={"state": _I.STATE_VOID}))
            newest = {"provider_invoice_id": f"bill_more_{number}", "quantity": number + 1}
            told.append(bill.bank.put(name, subscription=newest))
            told.append(
                bill.bank.put(
                    f"pm_{number}",
                    payment_method={
                        "provider_customer_id": customer.provider_customer_id,
                        "is_default": True,
                    },
                )
            )
        order = told * 2
        random.Random(7).shuffle(order)
        await asyncio.gather(*[bill.tell(one) for one in order])
        after = await bill.subscription(made.id)
        assert (rig.state(after), after.quantity) == ("ACTIVE", 4)
        bill.records.story(after)
        found = (await bill.ask("ListInvoices", subscription_id=made.id)).invoices
        assert len({one.mirror.provider_object_id for one in found}) == len(found) == 5
        latest = next(one for one in found if one.id == after.latest_invoice_id)
        assert latest.mirror.provider_object_id == "bill_more_3"
        methods = (await bill.methods(customer.id)).payment_methods
        assert [one.is_default for one in methods].count(True) == 1
        default = next(one for one in methods if one.is_default)
        assert default.mirror.provider_object_id == "pm_3"
        for entity in (*found, *methods):
            bill.records.story(entity)


async def test_two_snapshots_of_one_moment_are_told_apart_by_asking(
    bill: billing.Billing,
) -> None:
    """A provider that knows only seconds is asked at once which of the two is newer."""
    customer, plan = await bill.customer(), await bill.plan(900)
    silver = await bill.plan(500)
    bill.bank.frozen = True
    made = await bill.subscribe(customer.id, plan.id)
    moved = await bill.ask(
        "ChangeSubscriptionPlan", subscription_id=made.id, plan_id=silver.id, quantity=3
    )
    assert (moved.plan_id, moved.quantity) == (silver.id, 3)
    assert made.mirror.provider_object_id in bill.bank.fetched
    assert await bill.tell(bill.bank.objects[made.mirror.provider_object_id]) == ["repeat"]


async def test_what_the_provider_made_by_itself_becomes_known(bill: billing.Billing) -> None:
    """A subscription of a known customer is adopted, one of a stranger is not; an invoice
    waits for the subscription it bills.
    """
    customer, plan = await bill.customer(), await bill.plan(900)
    there = customer.provider_customer_id
    content = {
        "state": _S.STATE_ACTIVE,
        "provider_customer_id": there,
        "provider_price_id": plan.prices[0].provider_object_id,
        "quantity": 1,
    }
    sub = bill.bank.put("sub_made_there", subscription=content)
    bill.bank.unpaid = True
    billed = bill.bank.bill("sub_made_there", "bill_there", rig.money(900))
    assert await bill.tell(billed) == ["missing"]
    assert await bill.tell(billed, sub, billed) == ["applied", "applied", "repeat"]
    (adopted,) = (await bill.ask("ListSubscriptions", customer_id=customer.id)).subscriptions
    assert (adopted.plan_id, adopted.user_id, rig.state(adopted)) == (plan.id, "u-1", "ACTIVE")
    assert bill.records.story(adopted) == ["subscription.created"]
    (invoice,) = (await bill.ask("ListInvoices", customer_id=customer.id)).invoices
    assert invoice.subscription_id == adopted.id
    stranger = bill.bank.put(
        "sub_of_stranger", subscription=content | {"provider_customer_id": "cust_of_nobody"}
    )
    alien = bill.bank.put(
        "bill_of_stranger",
        invoice={"state": _I.STATE_PAID, "provider_customer_id": "cust_of_nobody"},
    )
    assert await bill.tell(stranger, alien) == ["foreign", "foreign"]
    overdue = bill.bank.put("bill_there", invoice={"overdue": True})
    assert await bill.tell(overdue) == ["applied"]
    failed = bill.bank.put("bill_there", invoice={"attempt_count": 1, "decline": _declined()})
    await bill.tell(failed)
    story = bill.records.story(await bill.ask("GetInvoice", invoice_id=invoice.id))
    assert story == ["invoice.generated", "invoice.overdue", "invoice.payment_failed"]
