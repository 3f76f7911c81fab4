"""Stripe repeats its first answer for a key: a repeat tells what is true now all the same."""

import pytest
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as pb

from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig
from tests.stripe_double import refunds

_O = rig.Operation
Core = stripe_rig.Core


async def _replays(core: Core) -> int:
    """Returns how many answers the double has repeated so far."""
    arrived = await core.order("requests", "GET")
    return sum(1 for one in arrived["data"] if one["replayed"])


async def test_a_payment_that_went_on_is_not_told_as_it_was(core: Core) -> None:
    """What waited for its payer and was paid, refused or canceled since is that in a repeat."""
    for agreed, state in ((True, _O.STATE_SUCCEEDED), (False, _O.STATE_DECLINED)):
        operation_id = rig.new_operation_id()
        token = "pm_card_threeDSecure2Required"
        asked = await core.authorize(token, operation_id=operation_id)
        assert asked.state == _O.STATE_ACTION_REQUIRED
        payment = f"payment_intents/{asked.provider_object_id}"
        await core.order(f"{payment}/authenticate", agreed=agreed)
        before = await _replays(core)
        again = await core.authorize(token, operation_id=operation_id, attempt=2)
        assert await _replays(core) == before + 1
        assert (again.state, again.provider_object_id) == (state, asked.provider_object_id)
        assert not again.HasField("action")
    operation_id = rig.new_operation_id()
    asked = await core.authorize(token, operation_id=operation_id)
    await core.void(operation_id, provider_payment_id=asked.provider_object_id)
    again = await core.authorize(token, operation_id=operation_id, attempt=2)
    assert again.state == _O.STATE_VOIDED


async def test_an_authorization_stays_one_whatever_came_after_it(core: Core) -> None:
    """Raised, captured and refunded, or voided: it succeeded, with the amount it held."""
    ids = [rig.new_operation_id() for _ in range(2)]
    held, other = [await core.authorize("pm_card_visa", operation_id=one) for one in ids]
    raising = pps.IncrementAuthorizationRequest(
        context=core.context(),
        provider_payment_id=held.provider_object_id,
        amount=rig.money(500),
        total=rig.money(1_500),
    )
    capture_id, refund_id = rig.new_operation_id(), rig.new_operation_id()
    raised = (await core.call(core.stub.IncrementAuthorization, raising)).operation
    taken = await core.capture(held, 1_200, operation_id=capture_id)
    back = await core.refund(held, 700, operation_id=refund_id)
    await core.void(other.operation_id, provider_payment_id=other.provider_object_id)
    for one, first in zip(ids, (held, other), strict=True):
        again = await core.authorize("pm_card_visa", operation_id=one, attempt=2)
        assert (again.state, again.amount) == (_O.STATE_SUCCEEDED, first.amount)
    raising.context.attempt = 2
    repeated = (
        ((await core.call(core.stub.IncrementAuthorization, raising)).operation, raised),
        (await core.capture(held, 1_200, operation_id=capture_id, attempt=2), taken),
        (await core.refund(held, 700, operation_id=refund_id, attempt=2), back),
    )
    for again, first in repeated:
        assert (again.state, again.amount) == (first.state, first.amount)


async def test_a_refund_that_ended_since_is_told_as_it_ended(core: Core) -> None:
    """Pending then and done now, or done then and failed now: a repeat tells what is now."""
    repeats = []
    for token, first, now in (
        ("pm_card_pendingRefund", _O.STATE_PENDING, _O.STATE_SUCCEEDED),
        ("pm_card_refundFail", _O.STATE_SUCCEEDED, _O.STATE_DECLINED),
    ):
        sale = await core.authorize(token, sale=True)
        operation_id = rig.new_operation_id()
        back = await core.refund(sale, 400, operation_id=operation_id)
        assert back.state == first
        repeats.append((sale, operation_id, now))
    await core.order("advance", seconds=refunds.SETTLES_S + 1)
    for sale, operation_id, now in repeats:
        again = await core.refund(sale, 400, operation_id=operation_id, attempt=2)
        assert again.state == now
        assert again.decline.provider_code == (
            "lost_or_stolen_card" if now == _O.STATE_DECLINED else ""
        )


async def test_a_method_that_was_detached_since_is_told_so(core: Core) -> None:
    """A repeated attachment does not bring back a method, nor that it is the default."""
    customer = await core.customer()
    request = mps.AttachPaymentMethodRequest(
        context=core.context(),
        payment_method_id="pmt_of_core",
        token="tok_visa",
        provider_customer_id=customer,
        set_default=True,
    )
    kept = (await core.call(core.more.methods.AttachPaymentMethod, request)).objects[0]
    assert kept.payment_method.is_default
    await core.attach(customer, "pm_card_mastercard", set_default=True)
    again = (await core.call(core.more.methods.AttachPaymentMethod, request)).objects[0]
    assert again.provider_object_id == kept.provider_object_id
    assert again.payment_method.provider_customer_id == customer
    assert not again.payment_method.is_default
    detaching = mps.DetachPaymentMethodRequest(
        context=core.context(), provider_payment_method_id=kept.provider_object_id
    )
    await core.call(core.more.methods.DetachPaymentMethod, detaching)
    again = (await core.call(core.more.methods.AttachPaymentMethod, request)).objects[0]
    assert again.payment_method.provider_customer_id == ""
    fetched = await core.fetch(pb.OBJECT_KIND_PAYMENT_METHOD, kept.provider_object_id)
    assert fetched.object.payment_method == again.payment_method


async def test_a_default_that_was_replaced_since_is_told_so(core: Core) -> None:
    """A repeated choice of a default does not undo a later one."""
    customer = await core.customer()
    first, second = [
        (await core.attach(customer, token)).objects[0].provider_object_id
        for token in ("pm_card_visa", "pm_card_mastercard")
    ]
    chosen = [
        mps.SetDefaultPaymentMethodRequest(
            context=core.context(),
            provider_payment_method_id=method,
            provider_customer_id=customer,
        )
        for method in (first, second)
    ]
    for request in chosen:
        answer = await core.call(core.more.methods.SetDefaultPaymentMethod, request)
        assert answer.objects[0].payment_method.is_default
    again = await core.call(core.more.methods.SetDefaultPaymentMethod, chosen[0])
    assert again.operation.state == _O.STATE_SUCCEEDED
    assert not again.objects[0].payment_method.is_default


async def test_what_can_not_be_read_again_is_unknown(core: Core) -> None:
    """A repeat whose object can't be asked for claims neither success nor that nothing was done."""
    operation_id = rig.new_operation_id()
    sale = await core.authorize("pm_card_visa", sale=True, operation_id=operation_id)
    path = f"/v1/payment_intents/{sale.provider_object_id}"
    await core.order("faults", kind="rate_limit", method="GET", path=path, times=3)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("pm_card_visa", sale=True, operation_id=operation_id, attempt=2)
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_NO_ANSWER", "UNKNOWN")
