"""The provider's own rules: idempotency, ceilings, voids, and who may see what."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from tests.integration.provider import further, patience, rig

State = operation_pb2.Operation
DAY_S = 86_400


async def test_one_operation_id_has_one_effect_however_often_it_is_sent(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """Repeats in sequence and all at once get the same answer and book once."""
    request = core.authorization(sale=True)
    first = await core.authorize(operation_id="op_in_sequence", sale=True)
    for attempt in range(2, 5):
        again = await core.authorize(operation_id="op_in_sequence", sale=True, attempt=attempt)
        assert again == first
    answers = await asyncio.gather(
        *(core.call(core.stub.AuthorizePayment, request) for _ in range(10))
    )
    assert all(answer == answers[0] for answer in answers)
    assert len(bank.effects("op_in_sequence")) == 1
    refund_id = rig.new_operation_id()
    backs = [await core.refund(first, 1000, operation_id=refund_id) for _ in range(3)]
    assert backs == [backs[0]] * 3


async def test_different_ids_are_different_effects(core: rig.Core) -> None:
    """Equal parameters under two ids are two payments."""
    one, two = await core.authorize(), await core.authorize()
    assert one.provider_object_id != two.provider_object_id


@pytest.mark.parametrize(
    "change", ["amount", "currency", "token", "method", "binding", "kind", "payment"]
)
async def test_an_id_with_other_parameters_is_refused(
    core: rig.Core, bank: rig.MockProcess, change: str
) -> None:
    """OPERATION_MISMATCH with effect none, and the first effect stays alone."""
    first = core.authorization()
    paid = (await core.call(core.stub.AuthorizePayment, first)).operation
    operation_id = paid.operation_id
    other = pps.AuthorizePaymentRequest()
    other.CopyFrom(first)
    match change:
        case "amount":
            other.amount.amount_minor += 1
        case "currency":
            other.amount.currency_code = "USD"
        case "token":
            other.payment_method = "tok_decline"
        case "method":
            other.capture_method = pps.CAPTURE_METHOD_AUTOMATIC
        case "payment":
            other.payment_id = "pay_other"
        case "binding":
            other.context.binding_id = "11111111-2222-4333-8444-555555555555"
            await core.configure("{}", binding_id=other.context.binding_id)
    if change == "kind":
        work = core.capture(paid, 1000, operation_id=operation_id)
    else:
        work = core.call(core.stub.AuthorizePayment, other)
    with pytest.raises(rig.Refused) as refused:
        await work
    assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert (refused.value.reason, refused.value.effect) == ("OPERATION_MISMATCH", "NONE")
    assert len(bank.effects(operation_id)) == 1


async def test_a_concurrent_duplicate_with_other_parameters_is_refused(core: rig.Core) -> None:
    """A duplicate in flight is compared too, not given the other's answer."""
    generations = itertools.count(2)

    async def meet(stretch: float) -> None:
        slow = f'{{"latency_ms": {150 * stretch:.0f}}}'
        await core.configure(slow, generation=next(generations))
        request = core.authorization()
        other = pps.AuthorizePaymentRequest()
        other.CopyFrom(request)
        other.amount.amount_minor = 7
        first = asyncio.ensure_future(core.call(core.stub.AuthorizePayment, request))
        await core.running(request.context.operation_id)
        with pytest.raises(rig.Refused) as refused:
            await core.call(core.stub.AuthorizePayment, other)
        assert refused.value.reason == "OPERATION_MISMATCH"
        assert (await first).operation.amount == rig.money(1000)

    await patience.caught(meet)


async def test_unknown_fields_and_attempts_do_not_make_another_operation(core: rig.Core) -> None:
    """A newer core's field is ignored, also in the comparison of parameters."""
    request = core.authorization()
    first = await core.call(core.stub.AuthorizePayment, request)
    newer = pps.AuthorizePaymentRequest.FromString(
        request.SerializeToString() + b"\xfa\x7f\x03new"  # field 2047
    )
    newer.context.attempt = 2
    assert await core.call(core.stub.AuthorizePayment, newer) == first


async def test_ceilings_hold(core: rig.Core) -> None:
    """Over-capture, over-refund and capture after void change nothing, with effect none."""
    paid = await core.authorize(amount_minor=100)
    beyond: tuple[Callable[[], Any], ...] = (
        lambda: core.capture(paid, 101),
        lambda: core.refund(paid, 1),
    )
    for work in beyond:
        with pytest.raises(rig.Refused) as refused:
            await work()
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (refused.value.reason, refused.value.effect) == ("STATE_CONFLICT", "NONE")
    await core.capture(paid, 60, final=False)
    with pytest.raises(rig.Refused):
        await core.capture(paid, 41)
    await core.refund(paid, 50)
    with pytest.raises(rig.Refused):
        await core.refund(paid, 11)
    released = await core.void(paid.operation_id)
    assert released.amount == rig.money(40)
    with pytest.raises(rig.Refused):
        await core.capture(paid, 1)
    assert (await core.refund(paid, 10)).state == State.STATE_SUCCEEDED


async def test_concurrent_refunds_never_exceed_the_capture(core: rig.Core) -> None:
    """Of two refunds of 60 on 100 at once, exactly one succeeds."""
    paid = await core.authorize(amount_minor=100, sale=True)
    results = await asyncio.gather(
        core.refund(paid, 60), core.refund(paid, 60), return_exceptions=True
    )
    assert sum(isinstance(result, rig.Refused) for result in results) == 1


async def test_voids_can_be_repeated_and_never_touch_what_is_captured(core: rig.Core) -> None:
    """Undo of something undone is OK; a void of a sale is a conflict."""
    paid = await core.authorize()
    first = await core.void(paid.operation_id, provider_payment_id=paid.provider_object_id)
    again = await core.void(paid.operation_id, provider_payment_id=paid.provider_object_id)
    assert (first.amount, again.HasField("amount")) == (rig.money(1000), False)
    assert again.state == State.STATE_SUCCEEDED
    sold = await core.authorize(sale=True)
    with pytest.raises(rig.Refused) as refused:
        await core.void(sold.operation_id)
    assert refused.value.reason == "STATE_CONFLICT"
    declined = await core.authorize("tok_decline")
    assert (await core.void(declined.operation_id)).state == State.STATE_SUCCEEDED


@pytest.mark.parametrize("token", ["tok_pending_then_settled", "tok_action_required"])
async def test_a_void_ends_an_authorization_that_has_not_taken_effect(
    core: rig.Core, token: str
) -> None:
    """The authorization becomes VOIDED for good and nothing was ever held."""
    waiting = await core.authorize(token)
    ended = await core.void(waiting.operation_id)
    assert (ended.state, ended.HasField("amount")) == (State.STATE_SUCCEEDED, False)
    assert (await core.find(waiting.operation_id)).state == State.STATE_VOIDED
    with pytest.raises(rig.Refused) as refused:
        await core.capture(waiting, 1)
    assert refused.value.reason == "STATE_CONFLICT"


async def test_a_void_that_comes_first_keeps_the_late_authorization_out(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """Voiding an id nobody has heard of succeeds, and its authorization is then declined."""
    target_id = rig.new_operation_id()
    assert (await core.void(target_id)).state == State.STATE_SUCCEEDED
    late = await core.authorize(operation_id=target_id, sale=True)
    assert late.decline.reason == operation_pb2.DECLINE_REASON_NOT_ALLOWED
    assert await core.find(target_id) == late
    assert [row["state"] for row in bank.effects(target_id)] == ["DECLINED"]


async def test_another_bindings_payments_do_not_exist(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """Ids of one binding are NOT_FOUND through another, for effects and look-ups."""
    paid = await core.authorize()
    other = rig.Core(bank.target)
    await other.connect()
    foreign: tuple[Callable[[], Any], ...] = (
        lambda: other.capture(paid, 1),
        lambda: other.refund(paid, 1),
        lambda: other.void(paid.operation_id, provider_payment_id=paid.provider_object_id),
        lambda: other.void(paid.operation_id),
        lambda: other.find(paid.operation_id),
    )
    for work in foreign:
        with pytest.raises(rig.Refused) as refused:
            await work()
        assert (refused.value.reason, refused.value.effect) == ("NOT_FOUND", "NONE")
    await other.close()


async def test_malformed_requests_name_the_field_and_do_nothing(core: rig.Core) -> None:
    """INVALID_REQUEST with field paths, effect none, for contract and provider rules alike."""
    paid = await core.authorize()
    no_method = core.authorization()
    no_method.capture_method = pps.CAPTURE_METHOD_UNSPECIFIED
    no_amount = core.authorization()
    no_amount.ClearField("amount")
    for request, field in (
        (core.authorization(amount_minor=0), "amount.amount_minor"),
        (core.authorization(amount_minor=-1), "amount.amount_minor"),
        (core.authorization(currency="ZZZ"), "amount.currency_code"),
        (core.authorization(operation_id="short"), "context.operation_id"),
        (no_method, "capture_method"),
        (no_amount, "amount"),
    ):
        with pytest.raises(rig.Refused) as refused:
            await core.call(core.stub.AuthorizePayment, request)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (refused.value.reason, refused.value.effect) == ("INVALID_REQUEST", "NONE")
        assert refused.value.fields == [field]
    with pytest.raises(rig.Refused) as refused:
        await core.capture(paid, 1, currency="USD")
    assert refused.value.fields == ["amount.currency_code"]
    other = await core.authorize()
    with pytest.raises(rig.Refused) as refused:
        await core.void(other.operation_id, provider_payment_id=paid.provider_object_id)
    assert refused.value.fields == ["target_operation_id"]


@pytest.mark.parametrize("sale", [True, False])
async def test_a_void_that_waits_gives_nothing_back_of_what_was_taken_meanwhile(
    shop: further.Shop, sale: bool
) -> None:
    """It is declined when it settles, and never said to have undone a payment that took money."""
    core = shop.core
    token = "tok_pending_then_settled+void.pending_then_settled"
    paid = await core.authorize(token, sale=sale)
    shop.advance(30 / DAY_S)
    void = await core.void(paid.operation_id)
    assert void.state == State.STATE_PENDING
    shop.advance(40 / DAY_S)
    assert (await core.find(paid.operation_id)).state == State.STATE_SUCCEEDED
    if not sale:
        assert (await core.capture(paid, 1000)).state == State.STATE_SUCCEEDED
    shop.advance(40 / DAY_S)
    ended = await core.find(void.operation_id)
    assert ended.state == State.STATE_DECLINED
    assert ended.decline.reason == operation_pb2.DECLINE_REASON_NOT_ALLOWED
