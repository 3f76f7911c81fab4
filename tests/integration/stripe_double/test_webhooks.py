"""Webhooks of the double, verified by the SDK's own code."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp.web
import pytest
import stripe

from tests.integration.stripe_double import asking
from tests.stripe_double import running


class Receiver:
    """An HTTP endpoint that keeps what it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[bytes, str]] = []
        self.answers: list[int] = []

    async def receive(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """Keeps a delivery and answers as ordered, 200 by default."""
        self.got.append((await request.read(), request.headers["Stripe-Signature"]))
        return aiohttp.web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def wait(self, count: int) -> list[tuple[bytes, str]]:
        """Returns the first *count* deliveries once they are there."""
        await asking.until(lambda: len(self.got) >= count)
        return self.got[:count]


@contextlib.asynccontextmanager
async def _listening() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = aiohttp.web.Application()
    app.router.add_post("/hook", receiver.receive)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint that listens."""
    async with _listening() as listening:
        yield listening


def _types(got: list[tuple[bytes, str]], secret: str) -> list[str]:
    return [stripe.Webhook.construct_event(body, mark, secret).type for body, mark in got]


SALE = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


async def test_events_arrive_signed_and_in_order(
    double: running.Double, client: Any, receiver: Receiver
) -> None:
    """The SDK accepts each delivery with any live secret and refuses it with another one."""
    await double.order("webhooks", url=receiver.url, secrets=["whsec_old", "whsec_new"])
    intent = await client.payment_intents.create_async(
        params=asking.payment(), options={"idempotency_key": "k1"}
    )
    got = await receiver.wait(3)
    assert _types(got, "whsec_old") == _types(got, "whsec_new") == SALE
    with pytest.raises(stripe.SignatureVerificationError):
        _types(got, "whsec_other")
    event = stripe.Webhook.construct_event(*got[2], "whsec_new")
    assert event.data.object["id"] == intent.id
    assert event.request.idempotency_key == "k1"
    assert event.api_version == stripe.api_version
    listed = await client.events.list_async(params={"type": "payment_intent.*"})
    assert [one.type for one in listed.data] == [SALE[2], SALE[0]]
    assert (await client.events.retrieve_async(event.id)).id == event.id


async def test_deliveries_in_disorder(
    double: running.Double, client: Any, receiver: Receiver
) -> None:
    """Held events arrive reversed and twice, badly signed ones are refused, old ones too."""
    hook = {"url": receiver.url, "secrets": ["whsec_1"], "enabled_events": ["payment_intent.*"]}
    endpoint = await double.order("webhooks", **hook, hold=True, order="reversed", duplicates=1)
    await asking.pay(client)
    assert (await double.order("webhooks/flush"))["sent"] == 4
    assert _types(receiver.got, "whsec_1") == [SALE[2], SALE[2], SALE[0], SALE[0]]
    receiver.got.clear()
    await double.order(
        "webhooks", id=endpoint["id"], hold=False, duplicates=0, wrong_signature=True
    )
    await asking.pay(client)
    with pytest.raises(stripe.SignatureVerificationError):
        _types(await receiver.wait(2), "whsec_1")
    receiver.got.clear()
    await double.order("webhooks", id=endpoint["id"], wrong_signature=False, stale_s=301)
    await asking.pay(client)
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        _types(await receiver.wait(2), "whsec_1")


async def test_failed_deliveries_are_repeated(
    double: running.Double, client: Any, receiver: Receiver
) -> None:
    """A delivery that is not answered with 2xx comes again."""
    receiver.answers = [500, 302]
    hook = {"url": receiver.url, "secrets": ["whsec_1"], "enabled_events": [SALE[2]]}
    await double.order("webhooks", **hook)
    await asking.pay(client)
    assert _types(await receiver.wait(3), "whsec_1") == [SALE[2]] * 3
    tries = (await double.order("deliveries", "GET"))["data"]
    assert [one["status"] for one in tries[:2]] == [500, 302]
