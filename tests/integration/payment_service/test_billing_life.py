"""Billing from end to end: real processes, the provider's own clock, signed webhooks."""

import asyncio
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from payhub.payments.v1 import invoice_service_pb2 as invoices_pb

from deploy import stack
from tests import invariants
from tests.integration.payment_service import (
    billing,
    conftest,
    killable,
    records,
    rig,
)

DAY_S = 86_400
MONTH_S = 32 * DAY_S
SECRET = "whsec_c2VjcmV0LW9mLWJpbGxpbmctdGVzdHM="


class Life:
    """A service, the simulated provider, and what they hold.

    Args:
        bill: Calls the service.
        http: Control port of the provider.
    """

    def __init__(self, bill: billing.Billing, http: str) -> None:
        self.bill = bill
        self._http = http

    async def advance(self, seconds: int) -> None:
        """Moves the provider's clock."""
        await rig.post(f"{self._http}/clock?advance_s={seconds}")

    async def press(self, path: str) -> None:
        """Presses a button of the provider."""
        await rig.post(f"{self._http}/control/{path}")

    async def invoices(self, subscription_id: str, state: str, count: int) -> list[Any]:
        """Returns the invoices of a subscription in a state, newest first, once it has so
        many of them.
        """
        wanted = getattr(invoices_pb.Invoice, f"STATE_{state}")

        async def there() -> list[Any]:
            page = await self.bill.ask(
                "ListInvoices", subscription_id=subscription_id, state=wanted
            )
            return list(page.invoices) if len(page.invoices) == count else []

        found: list[Any] = await rig.until(there)
        return found

    async def hears(self, entity: Any, event_type: str) -> None:
        """Returns once an event of an entity is told."""

        async def told() -> bool:
            events = await asyncio.to_thread(self.bill.records.events, entity.id)
            return event_type in [event.type for event in events]

        await rig.until(told)

    async def paid(self, invoice_id: str) -> rig.Payment:
        """Returns the payment that paid an invoice, once it is known here."""

        async def known() -> str:
            invoice = await self.bill.ask("GetInvoice", invoice_id=invoice_id)
            return str(invoice.payment_id)

        return await self.bill.caller.get(await rig.until(known))


@pytest.mark.timeout(240)
async def test_subscriptions_live_by_the_providers_clock(
    new_database_url: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """Paid, renewed, moved, tried, refused, mended and ended, all told by webhooks; what pays
    an invoice is a payment like any other.
    """
    url, ports = new_database_url(), stack.free_ports()
    http = f"http://127.0.0.1:{ports[stack.PAYMENTS].http}"
    env = conftest.RESOLVER | {
        "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps({"mock": {"webhook_secret": SECRET}}),
        # Webhooks alone bring the news.
        "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "600",
        "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "600",
        "PROVIDER_MOCK_WEBHOOK_URL": f"{http}/webhooks/mock/{{binding_id}}",
        "PROVIDER_MOCK_WEBHOOK_JITTER_MS": "50",
        "PROVIDER_MOCK_WEBHOOK_DUPLICATE_SHARE": "0.3",
    }
    processes = stack.Stack(
        tmp_path / "life",
        ports=ports,
        env=env,
        databases={stack.PAYMENTS: url},
        names=(stack.PAYMENTS, stack.MOCK),
    )
    stored = records.Records(url)
    try:
        await asyncio.to_thread(processes.start)
        target = processes.target(stack.PAYMENTS)
        async with rig.Caller(target, processes.dev_key()) as caller:
            service: Any = killable.Outside(caller=caller)
            bank: Any = None
            bill = billing.Billing(service=service, bank=bank, records=stored)
            life = Life(bill, processes.http_url(stack.MOCK))
            await _renews_moves_and_ends(life)
            await _is_tried_first(life)
            await _is_refused_and_mended(life)
    finally:
        stored.close()
        await asyncio.to_thread(processes.stop)
    found = invariants.check(
        payments=url,
        ledger=tmp_path / "life" / "mock_ledger.db",
        secrets=[SECRET],
        printed=[processes.log_file(name) for name in (stack.PAYMENTS, stack.MOCK)],
    )
    assert not found


async def _renews_moves_and_ends(life: Life) -> None:
    bill = life.bill
    customer = await bill.customer()
    method = await bill.attach(customer.id, token="tok_approve", set_default=True)
    assert (rig.state(method), method.is_default) == ("ACTIVE", True)
    gold, silver = await bill.plan(900), await bill.plan(500, name="Silver")
    made = await bill.subscribe(customer.id, gold.id, metadata={"seat": "4"})
    active = await bill.becomes(made.id, "ACTIVE")
    (first,) = await life.invoices(made.id, "PAID", 1)
    payment = await life.paid(first.id)
    assert (rig.state(payment), payment.amount.amount_minor) == ("SUCCEEDED", 900)
    assert payment.references.subscription_id == made.id
    refund = await bill.caller.refund(payment.id, 100)
    assert rig.state(refund) == "SUCCEEDED"

    await life.advance(MONTH_S)
    await life.invoices(made.id, "PAID", 2)

    async def renewed() -> bool:
        # Its invoice may be heard of before it is.
        found = await bill.subscription(made.id)
        return bool(found.current_period_end.seconds > active.current_period_end.seconds)

    await rig.until(renewed)
    moved = await bill.ask(
        "ChangeSubscriptionPlan", subscription_id=made.id, plan_id=silver.id, proration=3
    )
    assert (moved.plan_id, billing.sync(moved)) == (silver.id, "SYNCED")
    ending = await bill.ask("CancelSubscription", subscription_id=made.id, at_period_end=True)
    assert ending.cancel_at_period_end
    await life.advance(MONTH_S)
    await bill.becomes(made.id, "CANCELED")
    story = await bill.story(made.id)
    assert story.count("subscription.canceled") == 1
    assert set(story[story.index("subscription.canceled") + 1 :]) <= {"subscription.updated"}


async def _is_tried_first(life: Life) -> None:
    bill = life.bill
    customer = await bill.customer()
    await bill.attach(customer.id, token="tok_approve", set_default=True)
    plan = await bill.plan(700, trial_days=7)
    trial = await bill.subscribe(customer.id, plan.id)
    assert rig.state(trial) == "TRIALING"
    await life.advance(5 * DAY_S)
    await life.hears(trial, "subscription.trial_ending")
    await life.advance(3 * DAY_S)
    await bill.becomes(trial.id, "ACTIVE")
    await life.invoices(trial.id, "PAID", 1)
    await life.hears(trial, "subscription.activated")


async def _is_refused_and_mended(life: Life) -> None:
    bill = life.bill
    customer = await bill.customer()
    token = "tok_approve+bill.decline_insufficient_funds"
    method = await bill.attach(customer.id, token=token, set_default=True)
    plan = await bill.plan(300)
    made = await bill.subscribe(customer.id, plan.id)
    assert rig.state(await bill.subscription(made.id)) == "PENDING"
    (invoice,) = await life.invoices(made.id, "OPEN", 1)
    await life.hears(invoice, "invoice.payment_failed")
    there = method.mirror.provider_object_id
    await life.press(f"payment_methods/{there}?token=tok_approve")
    await life.press(f"invoices/{invoice.mirror.provider_object_id}/pay")
    await bill.becomes(made.id, "ACTIVE")
    (paid,) = await life.invoices(made.id, "PAID", 1)
    assert paid.id == invoice.id
    assert rig.state(await life.paid(paid.id)) == "SUCCEEDED"
    await bill.story(made.id)
