"""Core and the simulated provider as processes, with its webhooks in between."""

import asyncio
import dataclasses
import json
import pathlib
import types
import urllib.request
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest_asyncio
from payhub.payments.v1 import checkout_service_pb2 as checkouts_pb
from payhub.payments.v1 import checkout_service_pb2_grpc, dispute_service_pb2_grpc
from payhub.payments.v1 import dispute_service_pb2 as disputes_pb

from deploy import stack
from tests.integration.payment_service import billing, conftest, records, rig

# Late, overtaking each other, twice, and a third of them forged first.
MISBEHAVING = {
    "PROVIDER_MOCK_WEBHOOK_JITTER_MS": "300",
    "PROVIDER_MOCK_WEBHOOK_DUPLICATE_SHARE": "0.5",
    "PROVIDER_MOCK_WEBHOOK_WRONG_SIGNATURE_SHARE": "0.3",
    "PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.1,0.2,0.5,1,2,5",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A merchant, core and the bank."""

    bill: billing.Billing
    bank_url: str
    records: records.Records

    def press(self, path: str) -> Any:
        """Presses a switch of the bank."""
        request = urllib.request.Request(f"{self.bank_url}{path}", method="POST")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    async def advance(self, days: float) -> None:
        """Moves the bank's clock."""
        await asyncio.to_thread(self.press, f"/clock?advance_s={days * 86_400}")

    async def ask(self, stub: Any, module: Any, rpc: str, **fields: Any) -> Any:
        """Calls an RPC of checkouts or disputes."""
        request = getattr(module, f"{rpc}Request")(**fields)
        if "idempotency_key" in request.DESCRIPTOR.fields_by_name:
            request.idempotency_key = rig.new_key()
        return await self.bill.caller.call(getattr(stub, rpc), request)


@pytest_asyncio.fixture
async def town(tmp_path: pathlib.Path) -> AsyncIterator[Town]:
    """Both processes, the bank misbehaving as it delivers."""
    ports = stack.free_ports()
    env = {
        **conftest.RESOLVER,
        **MISBEHAVING,
        # What converges does so by webhooks, or this test would show nothing.
        "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "3600",
        "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "3600",
        **stack.mock_webhooks(ports),
    }
    processes = stack.Stack(
        tmp_path / "var", ports=ports, env=env, names=(stack.PAYMENTS, stack.MOCK)
    )
    await asyncio.to_thread(processes.start)
    try:
        async with rig.Caller(processes.target(stack.PAYMENTS), processes.dev_key()) as caller:
            stored = records.Records(f"sqlite:///{tmp_path / 'var' / 'payments.db'}")
            service = types.SimpleNamespace(caller=caller)
            yield Town(
                bill=billing.Billing(
                    service=cast(Any, service), bank=cast(Any, None), records=stored
                ),
                bank_url=processes.http_url(stack.MOCK),
                records=stored,
            )
            stored.close()
    finally:
        await asyncio.to_thread(processes.stop)


async def test_what_the_bank_does_by_itself_arrives(town: Town) -> None:
    """Trial end, refused renewal, recovery, pause, dispute, checkout: core follows by webhooks."""
    bill = town.bill
    customer = await bill.customer()
    method = await bill.attach(customer.id, token="tok_approve")
    plan = await bill.plan()
    subscription = await bill.subscribe(customer.id, plan.id, trial_days=10)
    assert rig.state(subscription) == "TRIALING"
    card = method.mirror.provider_object_id

    await town.advance(11)
    await bill.becomes(subscription.id, "ACTIVE")
    await asyncio.to_thread(
        town.press, f"/control/payment_methods/{card}?token=tok_bill.decline_insufficient_funds"
    )
    await town.advance(31)
    await bill.becomes(subscription.id, "PAST_DUE")
    await asyncio.to_thread(town.press, f"/control/payment_methods/{card}?token=tok_approve")
    await town.advance(3)
    active = await bill.becomes(subscription.id, "ACTIVE")
    there = active.mirror.provider_object_id
    await asyncio.to_thread(town.press, f"/control/subscriptions/{there}/pause")
    await bill.becomes(subscription.id, "PAUSED")
    await asyncio.to_thread(town.press, f"/control/subscriptions/{there}/resume")
    await bill.becomes(subscription.id, "ACTIVE")

    async def invoices_paid() -> list[str] | None:
        listed = await bill.ask("ListInvoices", subscription_id=subscription.id)
        states = [rig.state(one) for one in listed.invoices]
        return states if states == ["PAID"] * 2 else None

    await rig.until(invoices_paid)

    disputes = dispute_service_pb2_grpc.DisputeServiceStub(bill.caller.channel)
    payment = await bill.caller.create("tok_approve+dispute.fraudulent")

    async def disputed(state: str) -> disputes_pb.Dispute:
        async def there() -> disputes_pb.Dispute | None:
            listed = await town.ask(disputes, disputes_pb, "ListDisputes", payment_id=payment.id)
            found = [one for one in listed.disputes if rig.state(one) == state]
            return found[0] if found else None

        found: disputes_pb.Dispute = await rig.until(there)
        return found

    opened = await disputed("NEEDS_RESPONSE")
    await town.ask(
        disputes,
        disputes_pb,
        "SubmitDisputeEvidence",
        dispute_id=opened.id,
        evidence={"uncategorized_text": "sent"},
    )
    dispute = opened.mirror.provider_object_id
    await asyncio.to_thread(town.press, f"/control/disputes/{dispute}/win")
    await disputed("WON")

    checkouts = checkout_service_pb2_grpc.CheckoutServiceStub(bill.caller.channel)
    made = await town.ask(
        checkouts,
        checkouts_pb,
        "CreateCheckout",
        amount=rig.money(700),
        success_url="https://shop.example/done",
        cancel_url="https://shop.example/back",
    )
    page = made.checkout.redirect_url.partition("/checkouts/")[2]
    assert page, made
    await asyncio.to_thread(town.press, f"/checkouts/{page}/complete")

    async def completed() -> Any:
        answer = await town.ask(
            checkouts, checkouts_pb, "GetCheckout", checkout_id=made.checkout.id
        )
        done = rig.state(answer.checkout) == "COMPLETED" and answer.checkout.payment_id
        return answer.checkout if done else None

    await rig.until(completed)
