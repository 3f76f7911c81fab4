"""What the double's signed webhooks tell, and what is not believed."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_stripe import transport
from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig

Core = stripe_rig.Core


def signed(event: dict[str, Any], secret: bytes, *, age_s: int = 0) -> nps.WebhookRequest:
    """Returns a request as Stripe would send it."""
    body = json.dumps(event).encode()
    at_s = int(time.time()) - age_s
    made = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    request = nps.WebhookRequest(body=body)
    request.headers.add(name="stripe-signature", value=f"t={at_s},v1={made}")
    request.receive_time.GetCurrentTime()
    return request


async def verify(core: Core, request: nps.WebhookRequest) -> nps.VerifyWebhookResponse:
    """Asks the sidecar."""
    asked = nps.VerifyWebhookRequest(binding_id=core.binding_id, request=request)
    answer: nps.VerifyWebhookResponse = await core.call(core.more.notices.VerifyWebhook, asked)
    return answer


def event(kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Returns an event of Stripe's."""
    return {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": 1_790_000_000,
        "api_version": transport.API_VERSION,
        "data": {"object": body},
        **more,
    }


async def test_signatures_decide(core: Core) -> None:
    """Only a signature by a live secret of the binding, in time, is believed."""
    told = event("price.created", {"id": "price_1", "object": "price"})
    good = await verify(core, signed(told, stripe_rig.WEBHOOK_SECRET))
    assert good.authenticity == nps.AUTHENTICITY_AUTHENTIC
    for request in (
        signed(told, b"whsec_other"),
        signed(told, stripe_rig.WEBHOOK_SECRET, age_s=400),
        nps.WebhookRequest(body=b"{}", receive_time=good.event_time),
    ):
        bad = await verify(core, request)
        assert bad.authenticity == nps.AUTHENTICITY_FAILED
        assert bad.detail
        assert not bad.objects
    late = await verify(core, signed(told, stripe_rig.WEBHOOK_SECRET, age_s=400))
    assert late.detail.startswith("signed 40")

    secrets = [
        stripe_rig.secret("api_key", b"sk_test_double"),
        stripe_rig.secret("webhook_secret", stripe_rig.WEBHOOK_SECRET, 1),
        stripe_rig.secret("webhook_secret", b"whsec_next", 2),
    ]
    await core.configure("{}", generation=2, secrets=secrets)
    for secret in (stripe_rig.WEBHOOK_SECRET, b"whsec_next"):
        answer = await verify(core, signed(told, secret))
        assert answer.authenticity == nps.AUTHENTICITY_AUTHENTIC


async def test_money_is_asked_for_again(core: Core) -> None:
    """A payment that moved money is told with its operation and with what to fetch."""
    sale = await core.authorize("pm_card_visa", sale=True)
    intent = await core.order(f"objects/{sale.provider_object_id}", "GET")
    told = await verify(
        core, signed(event("payment_intent.succeeded", intent), stripe_rig.WEBHOOK_SECRET)
    )
    assert [o.operation_id for o in told.operations] == [sale.operation_id]
    assert told.operations[0].state == rig.Operation.STATE_SUCCEEDED
    assert told.operations[0].amount == sale.amount
    assert [(r.kind, r.provider_object_id) for r in told.refetch] == [
        (pb.OBJECT_KIND_PAYMENT, sale.provider_object_id)
    ]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"api_version": "2020-08-27"}, True),
        ({"account": "acct_other"}, False),
        ({"type": "product.created"}, False),
    ],
)
async def test_what_is_not_understood_is_asked_for_or_left(
    core: Core, change: dict[str, Any], kept: bool
) -> None:
    """Another API version is never read; another account's event is not ours."""
    body = {"id": "sub_1", "object": "subscription", "status": "strange"}
    told = await verify(
        core,
        signed(event("customer.subscription.updated", body) | change, stripe_rig.WEBHOOK_SECRET),
    )
    assert told.authenticity == nps.AUTHENTICITY_AUTHENTIC
    assert not told.objects
    assert told.irrelevant is not kept
    assert [r.provider_object_id for r in told.refetch] == (["sub_1"] if kept else [])


async def test_a_refund_made_in_the_dashboard_is_seen(core: Core) -> None:
    """A fetch tells refunds that carry no operation of core apart from ours."""
    sale = await core.authorize("pm_card_visa", sale=True, amount_minor=1_000)
    await core.refund(sale, 300)
    await core.elsewhere("refunds", payment_intent=sale.provider_object_id, amount=200)
    fetched = await core.fetch(pb.OBJECT_KIND_PAYMENT, sale.provider_object_id)
    payment = fetched.object.payment
    assert (payment.captured_minor, payment.refunded_minor) == (1_000, 500)
    assert [refund.amount_minor for refund in payment.foreign_refunds] == [200]
    assert fetched.object.operation_id == sale.operation_id
    with pytest.raises(rig.Refused) as refused:
        await core.fetch(pb.OBJECT_KIND_PAYMENT, "pi_unknown")
    assert refused.value.reason == "NOT_FOUND"


async def test_a_refusal_that_the_payer_has_mended_is_not_the_end(core: Core) -> None:
    """A payment that failed may be paid by its payer's next card: what is final is asked for."""
    asked = await core.authorize("pm_card_threeDSecure2Required", sale=True)
    payment = asked.provider_object_id
    await core.order(f"payment_intents/{payment}/authenticate", agreed=False)
    failed = await core.order(f"objects/{payment}", "GET")
    assert failed["status"] == "requires_payment_method"
    # As its front end may, which still has the client secret.
    confirmed = {"payment_method": "pm_card_visa", "return_url": "https://shop.example"}
    await core.elsewhere(f"payment_intents/{payment}/confirm", **confirmed)
    told = await verify(
        core, signed(event("payment_intent.payment_failed", failed), stripe_rig.WEBHOOK_SECRET)
    )
    assert [r.provider_object_id for r in told.refetch] == [payment]
    found = await core.look(asked.operation_id, "AuthorizePayment", provider_object_id=payment)
    assert found.operation.state == rig.Operation.STATE_SUCCEEDED
