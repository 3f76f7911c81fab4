"""Money that goes back: whole, in parts, several at once, and what can go wrong."""

import asyncio

import grpc

from tests.integration.payment_service import conftest, rig


async def test_a_full_refund_returns_everything(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Without an amount all that is left goes back; the payment stays SUCCEEDED."""
    payment = await caller.create()
    refund = await caller.refund(
        payment.id, reason=rig.Refund.REASON_REQUESTED_BY_CUSTOMER, note="too small"
    )
    assert rig.state(refund) == "SUCCEEDED"
    assert refund.amount == rig.money(1000)
    assert refund.note == "too small"
    assert await caller.get_refund(refund.id) == refund
    after = await caller.get(payment.id)
    assert rig.state(after) == "SUCCEEDED"
    assert rig.amounts(after) == (1000, 1000, 0, 1000, 0)
    assert rig.actions(after) == {}
    assert after.operations[-1].refund_id == refund.id
    assert service.records.story(after) == [
        "payment.created",
        "payment.succeeded",
        "refund.created",
        "refund.succeeded",
        "payment.refunded",
    ]
    told = service.records.payment_events(payment.id)
    assert told[2].refund.state == rig.Refund.STATE_PENDING
    assert told[3].refund == refund
    assert not told[4].HasField("refund")
    assert service.ledger.effects(payment.id) == [
        ("REFUND", "SUCCEEDED", 1000),
        ("SALE", "SUCCEEDED", 1000),
    ]


async def test_partial_refunds_add_up_to_what_was_captured(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Each is its own operation; the one above what is left is refused with what is."""
    payment = await caller.create(manual=True)
    await caller.capture(payment.id, 700)
    first = await caller.refund(payment.id, 300)
    second = await caller.refund(payment.id, 150)
    after = await caller.get(payment.id)
    assert rig.amounts(after) == (1000, 700, 0, 450, 0)
    assert rig.actions(after) == {"REFUND": 250}
    refused = await rig.refusal(caller.refund(payment.id, 251))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "AMOUNT_EXCEEDED"
    assert refused.metadata["max_amount_minor"] == "250"
    assert refused.metadata["currency_code"] == "EUR"
    assert refused.metadata["allowed_actions"] == "refund"
    last = await caller.refund(payment.id)
    assert last.amount.amount_minor == 250
    whole = await caller.get(payment.id)
    assert service.records.story(whole)[-7:] == [
        *("refund.created", "refund.succeeded") * 3,
        "payment.refunded",
    ]
    listed = (await caller.list_refunds(payment_id=payment.id)).refunds
    assert [refund.id for refund in listed] == [last.id, second.id, first.id]


async def test_a_payment_captured_in_parts_is_refunded_while_more_may_follow(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """It stays AUTHORIZED and is not called refunded before it has ended."""
    payment = await caller.create(manual=True)
    await caller.capture(payment.id, 400, more=True)
    await caller.refund(payment.id)
    between = await caller.get(payment.id)
    assert rig.state(between) == "AUTHORIZED"
    assert rig.actions(between) == {"CAPTURE": 600, "CANCEL": 0}
    assert service.records.story(between)[-1] == "refund.succeeded"
    ended = await caller.cancel(payment.id)
    assert rig.state(ended) == "SUCCEEDED"
    assert service.records.story(ended)[-2:] == ["payment.succeeded", "payment.refunded"]


async def test_a_declined_refund_may_be_tried_again(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """FAILED gives its amount back to what may be refunded."""
    payment = await caller.create("tok_approve+refund.decline_other")
    refund = await caller.refund(payment.id, 600)
    assert rig.state(refund) == "FAILED"
    assert refund.failure.reason == "OTHER"
    after = await caller.get(payment.id)
    assert rig.amounts(after) == (1000, 1000, 0, 0, 0)
    assert rig.actions(after) == {"REFUND": 1000}
    assert service.records.story(after)[-2:] == ["refund.created", "refund.failed"]


async def test_a_refund_that_was_not_sent_has_failed_for_a_technical_reason(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """No effect is certain, so the amount is free again and nothing is in doubt."""
    payment = await caller.create("tok_approve+refund.not_sent")
    refund = await caller.refund(payment.id)
    assert rig.state(refund) == "FAILED"
    assert refund.failure.reason == "UPSTREAM_UNREACHABLE"
    assert rig.operations(await caller.get(payment.id))[-1] == ("REFUND", "NOT_SENT")
    assert len(service.ledger.of(payment.id)) == 1


async def test_pending_refunds_keep_their_amount_until_they_end(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """What is pending can't be refunded again; a decline frees it, a success books it."""
    good = await caller.create("tok_approve+refund.pending_then_settled")
    bad = await caller.create("tok_approve+refund.pending_then_declined")
    returning, staying = await asyncio.gather(
        caller.refund(good.id, 800), caller.refund(bad.id, 800)
    )
    assert rig.state(returning) == rig.state(staying) == "PENDING"
    # The event of refund.pending: by now it may have been returned.
    told = service.records.payment_events(good.id)[3].payment
    assert rig.amounts(told) == (1000, 1000, 0, 0, 800)
    refused = await rig.refusal(caller.refund(good.id, 201))
    assert refused.metadata["max_amount_minor"] == "200"
    await caller.refund_becomes(returning.id, "SUCCEEDED")
    await caller.refund_becomes(staying.id, "FAILED")
    paid, kept = await caller.get(good.id), await caller.get(bad.id)
    assert rig.amounts(paid) == (1000, 1000, 0, 800, 0)
    assert rig.amounts(kept) == (1000, 1000, 0, 0, 0)
    assert service.records.story(paid)[2:] == [
        "refund.created",
        "refund.pending",
        "refund.succeeded",
    ]
    assert service.records.story(kept)[-1] == "refund.failed"


async def test_lists_of_refunds_are_paged(caller: rig.Caller) -> None:
    """Newest first over all payments of the tenant, without gaps."""
    payments = [await caller.create() for _ in range(2)]
    made = [(await caller.refund(payment.id, 100)).id for payment in payments * 2]
    seen: list[str] = []
    token = ""
    while True:
        page = await caller.list_refunds(page_size=3, page_token=token)
        seen += [refund.id for refund in page.refunds]
        token = page.next_page_token
        if not token:
            break
    assert seen == made[::-1]


async def test_only_captured_money_can_be_refunded(caller: rig.Caller) -> None:
    """A payment without any is refused with what may be done instead."""
    payment = await caller.create(manual=True)
    refused = await rig.refusal(caller.refund(payment.id, 100))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "STATE_CONFLICT"
    assert refused.metadata["state"] == "STATE_AUTHORIZED"
    assert refused.metadata["allowed_actions"] == "capture,cancel,increment"
