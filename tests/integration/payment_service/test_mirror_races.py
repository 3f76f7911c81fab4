"""What one snapshot names becomes known while it waits for its entity."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from payhub.provider.v1 import provider_object_pb2

from payment_service.db import mirrors
from payment_service.domain.mirrors import base, objects, payment_methods, subscriptions
from payment_service.provider_client import seeing
from payment_service.usecases.mirrors import absorbing, fetching, linking, renewing
from tests.integration.payment_service import billing, merchant, rig, sidecars

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


class Away(merchant.Bank):
    """Tells nothing of its objects and operations while it is `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refused: list[str] = []

    async def FetchObject(self, request: Any, context: Any) -> Any:
        """Returns an object, or can't."""
        if self.away:
            self.refused.append(request.reference.provider_object_id)
            await sidecars.away(context)
        return await super().FetchObject(request, context)

    async def GetOperation(self, request: Any, context: Any) -> Any:
        """Says what became of an operation, or can't."""
        if self.away:
            await sidecars.away(context)
        return await super().GetOperation(request, context)


async def test_what_is_told_of_an_object_that_is_being_made_is_of_whom_it_is_made_for(
    database_url: str,
) -> None:
    """The provider keeps no id of core: nobody else becomes the object's entity meanwhile."""
    bank = Away()
    async with merchant.running(database_url, bank) as shop:
        customer = await shop.customer()
        bank.away = True
        bank.script["AttachPaymentMethod"] = ["pending"]
        made = await shop.attach(customer.id)
        assert (rig.state(made), billing.sync(made)) == ("ACTIVE", "PENDING")
        there = bank.put(made.mirror.provider_object_id, payment_method={"type": "card"})
        there.core_id = ""
        there.payment_method.card.last4 = "0000"
        assert await shop.tell(there) == ["applied"]
        (kept,) = (await shop.methods(customer.id)).payment_methods
        assert (kept.id, kept.card.last4) == (made.id, "0000")
        bank.away = False
        after = await shop.settles(made.id, "ACTIVE")
        assert billing.sync(after) == "SYNCED"
        shop.records.story(after)


async def test_what_could_not_be_asked_for_at_once_is_asked_for_later(database_url: str) -> None:
    """Whoever fails between what was told and what belongs to it loses neither, without
    webhooks too: the invoice of a subscription, its payment, and which of two answers of
    one moment holds.
    """
    bank = Away()
    async with merchant.running(database_url, bank) as shop:
        customer, plan = await shop.customer(), await shop.plan(2000)
        made = await shop.subscribe(customer.id, plan.id)
        subscription = made.mirror.provider_object_id
        bank.away = True
        bank.bill(subscription, "bill_2", rig.money(2000))
        bank.has_payment("pay_of_bill", 2000, provider_invoice_id="bill_2")
        bank.put("bill_2", invoice={"provider_payment_id": "pay_of_bill"})
        newest = bank.put(subscription, subscription={"provider_invoice_id": "bill_2"})
        assert await shop.tell(newest) == ["applied"]
        method = await shop.attach(customer.id)
        other = await shop.attach(customer.id)
        bank.frozen = True
        await shop.change_method("SetDefaultPaymentMethod", other.id)
        unknown = await shop.method(other.id)
        assert not unknown.is_default

        async def asked_twice() -> bool:
            return bank.refused.count(other.mirror.provider_object_id) > 1

        await rig.until(asked_twice)
        bank.away = False

        async def all_is_known() -> rig.Payment | None:
            default = (await shop.method(other.id)).is_default
            billed = (await shop.subscription(made.id)).latest_invoice_id
            found = (await shop.caller.list(customer_id=customer.id)).payments
            return found[0] if found and default and billed else None

        payment = await rig.until(all_is_known)
        invoice = await shop.ask("GetInvoice", invoice_id=payment.invoice_id)
        assert (invoice.payment_id, invoice.number) == (payment.id, "BILL_2")
        after = await shop.subscription(made.id)
        assert after.latest_invoice_id == invoice.id
        paid, default = await shop.caller.get(payment.id), await shop.method(other.id)
        for entity in (after, invoice, paid, method, default):
            shop.records.story(entity)


async def test_what_is_asked_for_while_it_is_fetched_is_fetched_again(
    shop: merchant.Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came of the fetch may be older than what the other one knows to be missing."""
    customer = await shop.customer()
    method = await shop.attach(customer.id)
    ctx, tenant_id = shop.service.parts.ctx, shop.caller.tenant
    rules = payment_methods.RULES
    # Far away, so that nobody else fetches it.
    lease_until_us, asked_us = 2**60, 2**61

    async def ask(when_us: int) -> None:
        await ctx.db.write(lambda conn: mirrors.fetch_at(conn, entity, when_us))

    def next_fetch_us() -> int:
        ((found,),) = shop.records.rows("select next_fetch_us from mirrors where id = ?", method.id)
        return int(found)

    async def renew(until_us: int) -> None:
        await renewing.Renewing(ctx).renew(entity, 1, "resolver", lease_until_us=until_us)

    entity = await ctx.db.read(lambda conn: mirrors.load(conn, rules, tenant_id, method.id))
    fetch = fetching.Fetcher.fetch

    async def interrupted(fetcher: fetching.Fetcher, *wanted: Any, **of: Any) -> fetching.Known:
        known = await fetch(fetcher, *wanted, **of)
        await ask(asked_us)
        return known

    with monkeypatch.context() as patch:
        patch.setattr(fetching.Fetcher, "fetch", interrupted)
        await ask(lease_until_us)
        await renew(lease_until_us)
        assert next_fetch_us() == asked_us
    await renew(asked_us)
    assert next_fetch_us() == 0


async def test_what_is_asked_for_while_it_is_fetched_is_not_put_off(
    shop: merchant.Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of what waits for its provider anyway, and if the fetch told news of what belongs to
    it: the earlier time counts.
    """
    customer, plan = await shop.customer(), await shop.plan(2000)
    made = await shop.subscribe(customer.id, plan.id)
    ctx, tenant_id = shop.service.parts.ctx, shop.caller.tenant
    rules = subscriptions.RULES
    # So far away that nobody else fetches it, and before its period ends.
    lease_until_us, asked_us = 2**60, ctx.clock.now_us() + 3_600_000_000
    entity = await ctx.db.read(lambda conn: mirrors.load(conn, rules, tenant_id, made.id))
    there = objects.Reference(kind=objects.ObjectKind.INVOICE, provider_object_id="bill_2")
    invoice = absorbing.Absorbed(verdict=base.Verdict.APPLIED, reference=there, entity_id="inv_2")
    fetch = fetching.Fetcher.fetch

    async def at(when_us: int) -> None:
        await ctx.db.write(lambda conn: mirrors.fetch_at(conn, entity, when_us))

    async def interrupted(fetcher: fetching.Fetcher, *wanted: Any, **of: Any) -> fetching.Known:
        known = await fetch(fetcher, *wanted, **of)
        await at(asked_us)
        return replace(known, absorbed=(*known.absorbed, invoice))

    async def renewed(until_us: int) -> int:
        await at(until_us)
        await renewing.Renewing(ctx).renew(entity, 1, "resolver", lease_until_us=until_us)
        ((found,),) = shop.records.rows("select next_fetch_us from mirrors where id = ?", made.id)
        return int(found)

    with monkeypatch.context() as patch:
        patch.setattr(fetching.Fetcher, "fetch", interrupted)
        assert await renewed(lease_until_us) == asked_us
    assert asked_us < await renewed(lease_until_us) < lease_until_us
