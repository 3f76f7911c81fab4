"""What the simulated provider tells by itself, and how its plugin reads it."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from google.protobuf import duration_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import provider_object_pb2

from tests.integration.provider import further, inbox, rig

OLD, NEW = b"whsec_b2xkIHNlY3JldCBvZiB0aGUgbWVyY2hhbnQ=", b"the newer one, of any bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A merchant whose webhooks arrive in an inbox."""

    shop: further.Shop
    inbox: inbox.Inbox

    async def first(self, event_type: str) -> tuple[nps.WebhookRequest, dict[str, str]]:
        """Returns the first delivery of a type: the request as received, and its headers."""
        found: list[tuple[list[tuple[str, str]], bytes]] = []

        def arrived() -> bool:
            found[:] = [
                (headers, body)
                for _, headers, body in self.inbox.got
                if json.loads(body)["type"] == event_type
            ]
            return bool(found)

        await rig.until(arrived)
        headers, body = found[0]
        request = nps.WebhookRequest(body=body)
        request.receive_time.FromSeconds(int(time.time()))
        for name, value in headers:
            request.headers.add(name=name, value=value)
        return request, dict(headers)

    async def verify(
        self, request: nps.WebhookRequest, *, tolerance_s: int = 300
    ) -> nps.VerifyWebhookResponse:
        """Has a webhook verified."""
        asked = nps.VerifyWebhookRequest(
            binding_id=self.shop.core.binding_id,
            request=request,
            tolerance=duration_pb2.Duration(seconds=tolerance_s),
        )
        answer: nps.VerifyWebhookResponse = await self.shop.core.call(
            self.shop.stubs.notices.VerifyWebhook, asked, timeout_s=4.0
        )
        return answer


@pytest.fixture
def letters() -> Iterator[inbox.Inbox]:
    """A receiver of webhooks."""
    box = inbox.Inbox()
    yield box
    box.close()


@pytest_asyncio.fixture
async def told(
    start_mock: Callable[..., rig.MockProcess], letters: inbox.Inbox
) -> AsyncIterator[Told]:
    """A merchant with two signing secrets, whose provider is slow to settle."""
    env = {
        "PROVIDER_MOCK_WEBHOOK_URL": letters.url,
        "PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.05,0.05,0.05",
        "PROVIDER_MOCK_SETTLE_AFTER_S": "1000",
    }
    process = start_mock(env)
    core = rig.Core(process.target)
    await core.connect()
    await _configure(core, 2)
    yield Told(shop=further.Shop(core, process.http), inbox=letters)
    await core.close()
    process.books()


async def _configure(core: rig.Core, generation: int, *, old_expires_s: int = 3600) -> None:
    old = rig.ps.SecretValue(slot="webhook_secret", version=1, value=OLD)
    old.expire_time.FromSeconds(int(time.time()) + old_expires_s)
    new = rig.ps.SecretValue(slot="webhook_secret", version=2, value=NEW)
    await core.configure("{}", generation=generation, secrets=[old, new])


async def test_a_webhook_is_believed_if_its_own_secret_signed_it_in_time(told: Told) -> None:
    """Both secrets of a rotation verify until one expires; everything altered is refused."""
    customer = await told.shop.customer()
    await told.shop.attach(customer)
    request, headers = await told.first("payment_method.attached")
    good = await told.verify(request)
    assert good.authenticity == nps.AUTHENTICITY_AUTHENTIC
    assert good.provider_event_id == headers["webhook-id"]
    method = good.objects[0]
    assert (method.core_id, method.payment_method.provider_customer_id) == ("pmt_1", customer)
    fetched = await told.shop.fetch("payment_method", method.provider_object_id)
    assert fetched.object == method
    assert await told.verify(request) == good

    def altered(**changes: str | bytes | int) -> nps.WebhookRequest:
        copy = nps.WebhookRequest()
        copy.CopyFrom(request)
        if "body" in changes:
            copy.body = bytes(str(changes["body"]), "utf-8")
        if "late_s" in changes:
            copy.receive_time.seconds += int(changes["late_s"])
        for header in copy.headers:
            if header.name in changes:
                header.value = str(changes[header.name])
        return copy

    for forged, verdict in (
        (altered(body=request.body.decode().replace("attached", "detached")), "FAILED"),
        (altered(late_s=301), "FAILED"),
        (altered(late_s=-400), "FAILED"),
        (altered(**{"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}), "FAILED"),
        (altered(**{"webhook-id": "evt_other"}), "FAILED"),
        (altered(**{"webhook-signature": "v1,AAAA"}), "FAILED"),
        (altered(**{"webhook-timestamp": "soon"}), "MALFORMED"),
        (nps.WebhookRequest(body=request.body, receive_time=request.receive_time), "MALFORMED"),
    ):
        answer = await told.verify(forged)
        assert nps.Authenticity.Name(answer.authenticity) == f"AUTHENTICITY_{verdict}"
        assert not answer.objects
    assert (await told.verify(altered(late_s=301), tolerance_s=400)).objects
    for off_s, when in ((601, "before"), (-601, "after")):
        assert f" {when} core's clock" in (await told.verify(altered(late_s=off_s))).detail

    told.shop.press("/control/webhooks?sign_with=oldest")
    await told.shop.plan()
    old_request, _ = await told.first("plan.active")
    assert (await told.verify(old_request)).authenticity == nps.AUTHENTICITY_AUTHENTIC
    # Before the request was received, however long ago that is by now.
    await _configure(told.shop.core, 3, old_expires_s=-60)
    assert (await told.verify(old_request)).authenticity == nps.AUTHENTICITY_FAILED
    assert (await told.verify(request)).authenticity == nps.AUTHENTICITY_AUTHENTIC


async def test_deliveries_repeat_until_taken_and_misbehave_on_demand(told: Told) -> None:
    """Refused ones come again; duplicates and forgeries on command; nothing is lost."""
    told.inbox.refusals = 2
    paid = await told.shop.core.authorize(sale=True)
    request, _ = await told.first("sale.succeeded")
    await rig.until(lambda: len(told.inbox.got) >= 3)
    verified = await told.verify(request)
    assert [one.operation_id for one in verified.operations] == [paid.operation_id]
    kind = provider_object_pb2.OBJECT_KIND_PAYMENT
    assert [(one.kind, one.provider_object_id) for one in verified.refetch] == [
        (kind, paid.provider_object_id)
    ]
    assert {path for path, _, _ in told.inbox.got} == {
        f"/webhooks/mock/{told.shop.core.binding_id}"
    }
    assert len({body for _, _, body in told.inbox.got}) == 1

    told.inbox.got.clear()
    told.shop.press("/control/webhooks?duplicate_share=1&wrong_signature_share=1")
    told.inbox.refusals = 1
    await told.shop.core.authorize(sale=True)
    await rig.until(lambda: len(told.inbox.got) >= 3)
    verdicts = []
    for _, headers, body in told.inbox.got[:3]:
        answer = await told.shop.verify(headers, body)
        verdicts.append(answer.authenticity)
    assert sorted(verdicts)[:2] == [nps.AUTHENTICITY_AUTHENTIC] * 2
    assert sorted(verdicts)[2] == nps.AUTHENTICITY_FAILED

    def waits() -> int:
        listed = told.shop.press("/control/webhooks", method="GET")
        return int(listed["waiting"])

    await rig.until(lambda: waits() == 0)


async def test_time_tells_of_itself(told: Told) -> None:
    """Trial ending, overdue invoices, renewals and disputes arrive with their notices."""
    shop = told.shop
    customer, price = await shop.customer(), await shop.plan()
    kept = await shop.attach(customer)
    await shop.subscribe(customer, price, trial_days=10)
    shop.advance(8)
    trial, _ = await told.first("subscription.trial_will_end")
    assert list((await told.verify(trial)).notices) == ["subscription.trial_ending"]
    method_id = kept.operation.provider_object_id
    shop.press(f"/control/payment_methods/{method_id}?token=tok_bill.decline_do_not_honor")
    shop.advance(4)
    late, _ = await told.first("invoice.overdue")
    assert list((await told.verify(late)).notices) == ["invoice.overdue"]
    past_due, _ = await told.first("subscription.past_due")
    state = (await told.verify(past_due)).objects[0].subscription.state
    assert state == provider_object_pb2.SubscriptionObject.STATE_PAST_DUE
    shop.press(f"/control/payment_methods/{method_id}?token=tok_approve")
    shop.advance(3)
    paid, _ = await told.first("invoice.paid")
    asks = (await told.verify(paid)).refetch
    assert [one.kind for one in asks] == [provider_object_pb2.OBJECT_KIND_INVOICE]
    sale = await shop.core.authorize("tok_approve+dispute.fraudulent", sale=True)
    dispute, _ = await told.first("dispute.needs_response")
    verified = await told.verify(dispute)
    assert [one.kind for one in verified.refetch] == [provider_object_pb2.OBJECT_KIND_DISPUTE]
    fetched = await shop.fetch("dispute", verified.refetch[0].provider_object_id)
    assert fetched.object.dispute.provider_payment_id == sale.provider_object_id


async def test_a_killed_provider_still_tells(
    start_mock: Callable[..., rig.MockProcess], letters: inbox.Inbox
) -> None:
    """What was queued before a kill is sent once core has configured the binding again."""
    env = {"PROVIDER_MOCK_WEBHOOK_URL": letters.url, "PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.05"}
    process = start_mock(env)
    core = rig.Core(process.target)
    await core.connect()
    await _configure(core, 2)
    further.Shop(core, process.http).press("/control/webhooks?held=1")
    paid = await core.authorize(sale=True)
    process.kill()
    await core.close()
    assert letters.got == []
    process = start_mock(env)
    reborn = rig.Core(process.target)
    reborn.binding_id = core.binding_id
    shop = further.Shop(reborn, process.http)

    def held_back() -> bool:
        events = shop.press("/control/webhooks", method="GET")["events"]
        return [one["status"] for one in events] == ["not configured"]

    await rig.until(held_back)
    await reborn.connect()
    await _configure(reborn, 2)
    told = Told(shop=shop, inbox=letters)
    request, _ = await told.first("sale.succeeded")
    verified = await told.verify(request)
    assert [one.operation_id for one in verified.operations] == [paid.operation_id]
    await reborn.close()
