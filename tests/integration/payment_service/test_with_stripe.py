"""Payments through the real Stripe sidecar: doubts end, webhooks arrive, nothing twice."""

import pathlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from payhub.admin.v1 import inbound_webhook_service_pb2 as hooks_pb
from payhub.admin.v1 import inbound_webhook_service_pb2_grpc

from tests.integration.payment_service import rig, stripe_site


@pytest_asyncio.fixture
async def site(tmp_path: pathlib.Path) -> AsyncIterator[stripe_site.Site]:
    """A service with Stripe as its only provider."""
    url = f"sqlite:///{tmp_path}/payments.db"
    async with stripe_site.running(url, tmp_path) as running:
        yield running


async def test_a_doubt_ends_and_the_payer_is_charged_once(site: stripe_site.Site) -> None:
    """Found by list where Stripe has it, sent again where it has not, with one effect."""
    for fault in ("drop_after_commit", "drop_before_commit", "truncate"):
        await site.order("faults", kind=fault, method="POST", path="/v1/payment_intents")
        payment = await site.caller.create("pm_card_visa")
        settled = await site.caller.becomes(payment.id, "SUCCEEDED")
        (operation,) = settled.operations
        assert await site.made(operation.id) == 1
        assert site.records.story(settled) == [
            "payment.created",
            "payment.in_doubt",
            "payment.succeeded",
        ], (fault, await site.asked())
        assert (await site.order("faults", "DELETE"))["dropped"] == 0


async def test_a_doubt_that_is_not_wanted_is_never_sent_again(site: stripe_site.Site) -> None:
    """A cancellation that meets a doubt stops repeats; what Stripe has not stays unknown."""
    await site.order("faults", kind="drop_before_commit", path="/v1/payment_intents")
    payment = await site.caller.create("pm_card_visa")
    assert rig.state(payment) == "IN_DOUBT"
    canceled = await site.caller.cancel(payment.id)
    if not canceled.cancel_requested:
        pytest.skip("it was settled before it could be canceled")

    async def looked() -> bool:
        found = await site.caller.get(payment.id)
        return found.operations[0].attempts > 4

    await rig.until(looked)
    assert rig.state(await site.caller.get(payment.id)) == "IN_DOUBT"
    assert await site.made(payment.operations[0].id) == 0


async def test_what_happens_at_stripe_is_told(site: stripe_site.Site) -> None:
    """3D Secure ends by webhook; captures, refunds and their webhooks change things once."""
    asked = await site.caller.create("pm_card_threeDSecure2Required")
    assert rig.state(asked) == "REQUIRES_ACTION"
    await site.order(f"payment_intents/{asked.provider_payment_id}/authenticate", agreed=True)
    paid = await site.caller.becomes(asked.id, "SUCCEEDED")
    refund = await site.caller.refund(paid.id, 400)
    assert rig.state(refund) == "SUCCEEDED"
    held = await site.caller.create("pm_card_visa", manual=True)
    taken = await site.caller.capture(held.id, 600)
    assert rig.state(taken) == "SUCCEEDED"

    stub = inbound_webhook_service_pb2_grpc.InboundWebhookServiceStub(site.caller.channel)

    async def all_done() -> bool:
        waiting = (await site.order("deliveries", "GET"))["waiting"]
        listed = await site.caller.call(
            stub.ListInboundWebhooks, hooks_pb.ListInboundWebhooksRequest(page_size=200)
        )
        states = {rig.state(one) for one in listed.webhooks}
        return bool(listed.webhooks) and not waiting and states <= {"APPLIED", "IGNORED"}

    await rig.until(all_done)
    after = await site.caller.get(paid.id)
    assert rig.amounts(after) == (1000, 1000, 0, 400, 0)
    # Each webhook that followed found nothing new.
    assert site.records.story(await site.caller.get(held.id)) == [
        "payment.created",
        "payment.authorized",
        "payment.captured",
        "payment.succeeded",
    ]
