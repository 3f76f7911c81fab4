"""What others do to payments: refunds made elsewhere, disputes, and answers to them."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest_asyncio
from payhub.payments.v1 import dispute_service_pb2
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import provider_object_pb2

from payment_service.domain.mirrors import base, objects
from tests.integration.payment_service import billing, merchant, rig

_P = provider_object_pb2
_D = _P.DisputeObject
_K = objects.ObjectKind
SECRET = "the payer lives in a very secret street"


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[merchant.Merchant]:
    """A service whose provider has disputes."""
    async with merchant.running(database_url) as running:
        yield running


async def test_a_refund_made_elsewhere_is_raised_once_and_bounds_ours(
    shop: merchant.Merchant,
) -> None:
    """It counts against what is left, whoever tells it and however often."""
    paid = await shop.caller.create()
    refund = await shop.caller.refund(paid.id, 200)
    assert rig.state(refund) == "SUCCEEDED"
    identity = shop.bank.has_payment(
        paid.provider_payment_id,
        1000,
        core_id=paid.id,
        refunded_minor=500,
        foreign_refunds=None,
    )
    for verdict in (base.Verdict.APPLIED, base.Verdict.REPEAT):
        (told,) = await shop.hears(_K.PAYMENT, identity)
        assert (told.verdict, told.entity_id) == (verdict, paid.id)
    after = await shop.caller.get(paid.id)
    assert after.amounts.foreign_refunded_minor == 300
    assert rig.actions(after) == {"REFUND": 500}
    story = shop.records.story(after)
    assert story.count("reconciliation.discrepancy") == 1
    event = shop.records.payment_events(paid.id)[-1]
    assert list(event.changed.paths) == ["amounts.foreign_refunded_minor"]
    refused = await rig.refusal(shop.caller.refund(paid.id, 501))
    assert (refused.reason, refused.metadata["max_amount_minor"]) == ("AMOUNT_EXCEEDED", "500")
    await shop.caller.refund(paid.id, 500)
    assert rig.actions(await shop.caller.get(paid.id)) == {}


async def test_the_rest_is_a_part_of_what_was_captured(database_url: str) -> None:
    """A provider that returns everything or nothing is not asked for less, also where that is all
    that others have left.
    """
    left_out = capability_pb2.CAPABILITY_PARTIAL_REFUND
    able = [each for each in merchant.CAPABILITIES if each != left_out]
    async with merchant.running(database_url, merchant.Bank(able)) as shop:
        whole, partly = await shop.caller.create(), await shop.caller.create()
        identity = shop.bank.has_payment(
            partly.provider_payment_id, 1000, core_id=partly.id, refunded_minor=300
        )
        await shop.hears(_K.PAYMENT, identity)
        for amount in (None, 700):
            refused = await rig.refusal(shop.caller.refund(partly.id, amount))
            assert refused.reason == "CAPABILITY_MISSING"
            assert refused.metadata["capability"] == "PARTIAL_REFUND"
        assert rig.operations(await shop.caller.get(partly.id)) == [("SALE", "SUCCEEDED")]
        assert rig.state(await shop.caller.refund(whole.id)) == "SUCCEEDED"
        refused = await rig.refusal(shop.caller.refund(whole.id))
        assert refused.reason == "STATE_CONFLICT"


async def test_a_dispute_that_names_its_payment_at_the_provider_alone_is_ours(
    shop: merchant.Merchant,
) -> None:
    """The payment's own metadata name it, so it is asked for; what the bank took counts."""
    paid = await shop.caller.create()
    shop.bank.has_payment(paid.provider_payment_id, 1000, core_id=paid.id)
    identity = shop.bank.disputes(
        "dp_1",
        _D.STATE_NEEDS_RESPONSE,
        provider_payment_id=paid.provider_payment_id,
        amount=rig.money(1000),
    )
    told = await shop.hears(_K.DISPUTE, identity)
    assert told[-1].verdict is base.Verdict.APPLIED
    (dispute,) = await shop.disputes_of(paid.id)
    after = await shop.caller.get(paid.id)
    assert (after.amounts.disputed_minor, rig.actions(after)) == (1000, {})
    shop.records.story(dispute)
    shop.records.story(after)


async def test_a_payment_of_nobody_here_is_not_kept(shop: merchant.Merchant) -> None:
    """Neither one made elsewhere, nor one whose metadata name another tenant's payment."""
    identity = shop.bank.has_payment("pay_elsewhere", 700)
    (told,) = await shop.hears(_K.PAYMENT, identity)
    assert told.verdict is base.Verdict.FOREIGN
    shop.bank.has_payment("pay_lying", 700, core_id=f"pay_{'0' * 32}")
    (told,) = await shop.hears(_K.PAYMENT, "pay_lying")
    assert told.verdict is base.Verdict.FOREIGN
    assert shop.records.rows("select count(*) from payments") == [(0,)]


async def test_a_dispute_takes_money_is_answered_and_gives_it_back(
    shop: merchant.Merchant,
) -> None:
    """An inquiry takes nothing, a dispute its amount, a won one gives it back."""
    paid = await shop.caller.create(references={"user_id": "u-7"})
    dispute = shop.bank.disputes(
        "dp_1",
        _D.STATE_WARNING,
        payment_id=paid.id,
        amount=rig.money(400),
        reason="fraudulent",
    )
    (told,) = await shop.hears(_K.DISPUTE, dispute)
    assert told.verdict is base.Verdict.APPLIED
    (found,) = await shop.disputes_of(paid.id)
    assert (rig.state(found), found.user_id, found.reason) == ("WARNING", "u-7", "fraudulent")
    assert list(found.available_actions) == ["SubmitDisputeEvidence", "AcceptDispute"]
    assert rig.actions(await shop.caller.get(paid.id)) == {"REFUND": 1000}
    shop.bank.disputes(dispute, _D.STATE_NEEDS_RESPONSE)
    await shop.hears(_K.DISPUTE, dispute)
    await shop.hears(_K.DISPUTE, dispute)
    taken = await shop.caller.get(paid.id)
    assert (taken.amounts.disputed_minor, rig.actions(taken)) == (400, {"REFUND": 600})
    refused = await rig.refusal(shop.caller.refund(paid.id, 601))
    assert refused.metadata["max_amount_minor"] == "600"
    key = rig.new_key()
    shop.bank.script["SubmitEvidence"] = ["drop"]
    doubt = await shop.submit(found.id, key, uncategorized_text=SECRET)
    assert billing.sync(doubt) == "IN_DOUBT"
    busy = await rig.refusal(shop.accept(found.id))
    assert busy.reason == "STATE_CONFLICT"

    async def in_review() -> merchant.Dispute | None:
        (now,) = await shop.disputes_of(paid.id)
        return now if rig.state(now) == "UNDER_REVIEW" else None

    review = await rig.until(in_review)
    assert (review.has_evidence, list(review.available_actions)) == (True, [])
    assert [name for name, _ in shop.bank.effects].count("SubmitEvidence") == 1
    shop.bank.disputes(dispute, _D.STATE_WON)
    await shop.hears(_K.DISPUTE, dispute)
    (won,) = await shop.disputes_of(paid.id)
    # It wants evidence, that is under way, nobody knows, it is in review.
    updates = ["dispute.updated"] * 4
    assert shop.records.story(won) == ["dispute.opened", *updates, "dispute.closed"]
    back = await shop.caller.get(paid.id)
    assert back.amounts.disputed_minor == 0
    story = shop.records.story(back)
    assert story[-2:] == ["payment.disputed", "payment.dispute_released"]
    envelopes = shop.records.rows("select envelope from outbox")
    assert not any(SECRET.encode() in bytes(row[0]) for row in envelopes)


async def test_an_accepted_dispute_is_lost_and_stays_taken(shop: merchant.Merchant) -> None:
    """Repeats by key, and by another once it is lost; nobody else may, and bad input may not."""
    paid = await shop.caller.create()
    await shop.hears(
        _K.DISPUTE,
        shop.bank.disputes(
            "dp_2", _D.STATE_NEEDS_RESPONSE, payment_id=paid.id, amount=rig.money(1000)
        ),
    )
    (found,) = await shop.disputes_of(paid.id)
    async with rig.Caller(shop.caller.target, "") as nobody:
        request = dispute_service_pb2.GetDisputeRequest(dispute_id=found.id)
        stub = shop.dispute_stub
        refused = await rig.refusal(nobody.call(stub.GetDispute, request))
        assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    _, secret = await shop.service.parts.keys.create(tenant_id="t-other", scopes=rig.PAY, name="o")
    async with rig.Caller(shop.caller.target, secret, "t-other") as stranger:
        request = dispute_service_pb2.GetDisputeRequest(dispute_id=found.id)
        refused = await rig.refusal(stranger.call(shop.dispute_stub.GetDispute, request))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        lists = dispute_service_pb2.ListDisputesRequest()
        assert not (await stranger.call(shop.dispute_stub.ListDisputes, lists)).disputes
    empty = await rig.refusal(shop.submit(found.id))
    assert empty.fields == ["evidence"]
    bad = await rig.refusal(shop.accept("dsp_1"))
    assert bad.fields == ["dispute_id"]
    key = rig.new_key()
    results = await asyncio.gather(
        *(shop.accept(found.id, key) for _ in range(4)),
        *(shop.accept(found.id) for _ in range(4)),
        return_exceptions=True,
    )
    assert [name for name, _ in shop.bank.effects].count("AcceptDispute") == 1
    refusals = {one.reason for one in results if isinstance(one, rig.Refused)}
    assert refusals <= {"STATE_CONFLICT", "IDEMPOTENCY_KEY_IN_FLIGHT"}
    (lost,) = await shop.disputes_of(paid.id)
    assert rig.state(lost) == "LOST"
    again = await rig.refusal(shop.submit(found.id, text="late"))
    assert again.metadata["state"] == "STATE_LOST"
    after = await shop.caller.get(paid.id)
    assert (after.amounts.disputed_minor, rig.actions(after)) == (1000, {})
