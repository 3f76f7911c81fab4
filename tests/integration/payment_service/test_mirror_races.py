"""What one snapshot names becomes known while it waits for its entity."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from payhub.provider.v1 import provider_object_pb2

from payment_service.domain.mirrors import objects
from payment_service.provider_client import seeing
from payment_service.usecases.mirrors import absorbing, linking
from tests.integration.payment_service import billing, merchant, rig

_I = provider_object_pb2.InvoiceObject


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[merchant.Merchant]:
    """A service whose provider bills."""
    async with merchant.running(database_url) as running:
        yield running


async def test_a_payment_adopted_meanwhile_stays_with_its_invoice(
    shop: merchant.Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction adopts it after the invoice's snapshot looked and before it locked."""
    customer, plan = await shop.customer(), await shop.plan(2000)
    made = await shop.subscribe(customer.id, plan.id)
    shop.bank.bill(made.mirror.provider_object_id, "bill_2", rig.money(2000))
    there = shop.bank.put("bill_2", invoice={"state": _I.STATE_OPEN})
    assert await shop.tell(there) == ["applied"]
    shop.bank.has_payment("pay_of_bill", 2000, provider_invoice_id="bill_2")
    meanwhile = seeing.read(shop.bank.objects["pay_of_bill"])
    resolve = linking.resolve

    def interrupted(conn: Any, scope: Any, seen: objects.Seen) -> linking.Found:
        found = resolve(conn, scope, seen)
        if isinstance(seen, objects.Invoice) and found.wanted:
            absorbing.absorb_in(conn, scope, meanwhile)
        return found

    monkeypatch.setattr(linking, "resolve", interrupted)
    paid = {"state": _I.STATE_PAID, "provider_payment_id": "pay_of_bill"}
    assert await shop.tell(shop.bank.put("bill_2", invoice=paid)) == ["applied"]
    (payment,) = (await shop.caller.list(customer_id=customer.id)).payments
    invoice = await shop.ask("GetInvoice", invoice_id=payment.invoice_id)
    assert (rig.state(invoice), invoice.payment_id) == ("PAID", payment.id)
    shop.records.story(invoice)


async def test_a_payment_adopted_with_its_invoice_meanwhile_stays_with_it(
    shop: merchant.Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction makes the invoice and its payment known after a snapshot of the
    invoice found neither.
    """
    customer, plan = await shop.customer(), await shop.plan(2000)
    made = await shop.subscribe(customer.id, plan.id)
    shop.bank.bill(made.mirror.provider_object_id, "bill_2", rig.money(2000))
    there = shop.bank.put("bill_2", invoice={"state": _I.STATE_OPEN})
    shop.bank.has_payment("pay_of_bill", 2000, provider_invoice_id="bill_2")
    meanwhile = [seeing.read(there), seeing.read(shop.bank.objects["pay_of_bill"])]
    adopt = absorbing._adopt

    def interrupted(conn: Any, scope: Any, rules: Any, seen: Any, links: Any, **how: Any) -> Any:
        if isinstance(seen, objects.Invoice) and links.wanted:
            absorbing.absorb_all_in(conn, scope, meanwhile)
        return adopt(conn, scope, rules, seen, links, **how)

    monkeypatch.setattr(absorbing, "_adopt", interrupted)
    paid = {"state": _I.STATE_PAID, "provider_payment_id": "pay_of_bill"}
    assert await shop.tell(shop.bank.put("bill_2", invoice=paid)) == ["applied"]
    (payment,) = (await shop.caller.list(customer_id=customer.id)).payments
    invoice = await shop.ask("GetInvoice", invoice_id=payment.invoice_id)
    assert (rig.state(invoice), invoice.payment_id) == ("PAID", payment.id)
    shop.records.story(invoice)


async def test_what_is_told_of_an_object_that_is_being_made_is_of_whom_it_is_made_for(
    shop: merchant.Merchant,
) -> None:
    """The provider keeps no id of core: nobody else becomes the object's entity meanwhile."""
    customer = await shop.customer()
    shop.bank.script["AttachPaymentMethod"] = ["pending"]
    made = await shop.attach(customer.id)
    assert (rig.state(made), billing.sync(made)) == ("ACTIVE", "PENDING")
    there = shop.bank.put(made.mirror.provider_object_id, payment_method={"type": "card"})
    there.core_id = ""
    there.payment_method.card.last4 = "0000"
    assert await shop.tell(there) == ["applied"]
    (kept,) = (await shop.methods(customer.id)).payment_methods
    assert (kept.id, kept.card.last4) == (made.id, "0000")
    after = await shop.settles(made.id, "ACTIVE")
    assert billing.sync(after) == "SYNCED"
    shop.records.story(after)
