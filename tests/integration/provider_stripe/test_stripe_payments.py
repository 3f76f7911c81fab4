"""Payments through the Stripe sidecar: done once, and said when it is not known."""

import aiohttp
import pytest
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig

_O = rig.Operation
Core = stripe_rig.Core


async def test_a_sale_an_authorization_a_capture_and_refunds_go_through(core: Core) -> None:
    """Every money operation books what it was asked for."""
    sale = await core.authorize("pm_card_visa", sale=True, amount_minor=2_000)
    assert (sale.state, sale.amount) == (_O.STATE_SUCCEEDED, rig.money(2_000))
    held = await core.authorize("pm_card_visa", amount_minor=1_000)
    taken = await core.capture(held, 600)
    assert (taken.state, taken.amount) == (_O.STATE_SUCCEEDED, rig.money(600))
    back = await core.refund(held, 250)
    assert (back.state, back.amount) == (_O.STATE_SUCCEEDED, rig.money(250))
    assert back.provider_operation_id.startswith("re_")
    with pytest.raises(rig.Refused) as refused:
        await core.refund(held, 351)
    assert (refused.value.reason, refused.value.effect) == ("STATE_CONFLICT", "NONE")


@pytest.mark.parametrize(
    ("currency", "amount_minor"), [("JPY", 500), ("KWD", 12_340), ("ISK", 300), ("MGA", 90_000)]
)
async def test_currencies_keep_their_units(core: Core, currency: str, amount_minor: int) -> None:
    """What Stripe books comes back in minor units, whatever units Stripe counts in."""
    sale = await core.authorize(
        "pm_card_visa", sale=True, amount_minor=amount_minor, currency=currency
    )
    assert (sale.state, sale.amount) == (_O.STATE_SUCCEEDED, rig.money(amount_minor, currency))


@pytest.mark.parametrize(
    ("token", "reason", "later"),
    [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "INSUFFICIENT_FUNDS", True),
        ("pm_card_chargeDeclinedExpiredCard", "INSTRUMENT_EXPIRED", False),
        ("pm_card_visa_chargeDeclinedStolenCard", "SUSPECTED_FRAUD", False),
        ("pm_card_chargeDeclinedProcessingError", "OTHER", True),
    ],
)
async def test_a_decline_has_its_reason(core: Core, token: str, reason: str, later: bool) -> None:
    """A refusal is a result with a reason and whether another try makes sense."""
    refused = await core.authorize(token, sale=True)
    assert refused.state == _O.STATE_DECLINED
    name = operation_pb2.DeclineReason.Name(refused.decline.reason)
    assert name == f"DECLINE_REASON_{reason}"
    assert refused.decline.retryable_later is later


async def test_the_payer_is_asked_only_when_there(core: Core) -> None:
    """3D Secure is an action on session and a refusal off session."""
    asked = await core.authorize("pm_card_threeDSecure2Required", sale=True)
    assert asked.state == _O.STATE_ACTION_REQUIRED
    assert asked.action.client_secret
    await core.order(f"payment_intents/{asked.provider_object_id}/authenticate", agreed=True)
    done = await core.look(asked.operation_id, "AuthorizePayment")
    assert done.operation.state == _O.STATE_SUCCEEDED

    customer = await core.customer()
    kept = await core.attach(customer, "pm_card_authenticationRequired")
    request = core.authorization(kept.objects[0].provider_object_id, sale=True)
    request.off_session, request.provider_customer_id = True, customer
    refused = (await core.call(core.stub.AuthorizePayment, request)).operation
    assert refused.state == _O.STATE_DECLINED
    assert refused.decline.reason == operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED


async def test_a_void_releases_and_an_increment_raises(core: Core) -> None:
    """An authorization can be raised while it stands, and its end is not taken for a failure."""
    held = await core.authorize("pm_card_visa", amount_minor=1_000)
    more = pps.IncrementAuthorizationRequest(
        context=core.context(),
        provider_payment_id=held.provider_object_id,
        amount=rig.money(500),
        total=rig.money(1_500),
    )
    raised = (await core.call(core.stub.IncrementAuthorization, more)).operation
    assert (raised.state, raised.amount) == (_O.STATE_SUCCEEDED, rig.money(500))
    released = await core.void(held.operation_id, provider_payment_id=held.provider_object_id)
    assert released.state == _O.STATE_SUCCEEDED
    again = await core.void(held.operation_id, provider_payment_id=held.provider_object_id)
    assert again.state == _O.STATE_SUCCEEDED
    found = await core.look(
        held.operation_id, "AuthorizePayment", provider_object_id=held.provider_object_id
    )
    assert found.operation.state == _O.STATE_SUCCEEDED
    assert found.operation.amount == rig.money(1_000)
    with pytest.raises(rig.Refused) as refused:
        await core.capture(held, 100)
    assert refused.value.reason == "STATE_CONFLICT"


@pytest.mark.parametrize(
    ("fault", "effects"),
    [("drop_before_commit", 0), ("drop_after_commit", 1), ("truncate", 1), ("error_500", 0)],
)
async def test_a_lost_answer_is_unknown_and_repeated_once(
    core: Core, fault: str, effects: int
) -> None:
    """Whatever the wire loses, a repeat with the same id has one effect at Stripe."""
    operation_id = rig.new_operation_id()
    await core.order("faults", kind=fault, method="POST", path="/v1/payment_intents")
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("pm_card_visa", sale=True, operation_id=operation_id)
    assert refused.value.effect == "UNKNOWN"
    assert await core.made(operation_id) == effects
    settled = await core.authorize("pm_card_visa", sale=True, operation_id=operation_id, attempt=2)
    assert settled.state == _O.STATE_SUCCEEDED
    assert await core.made(operation_id) == 1


async def test_nothing_is_sent_over_a_connection_that_never_was(core: Core) -> None:
    """A refused connection is certain to have had no effect."""
    await core.order("refuse", for_s=2.0)

    async def is_refused() -> bool:
        # Over a connection that is still open it may go through, or break.
        try:
            await core.authorize("pm_card_visa", sale=True)
        except rig.Refused as refused:
            return (refused.reason, refused.effect) == ("UPSTREAM_UNREACHABLE", "NONE")
        return False

    await rig.until(is_refused)

    async def is_back() -> bool:
        try:
            await core.order("health", "GET")
        except aiohttp.ClientError:
            return False
        return True

    await rig.until(is_back)
    assert (await core.authorize("pm_card_visa")).state == _O.STATE_SUCCEEDED


async def test_a_rate_limit_says_when_to_come_back(core: Core) -> None:
    """429 is no effect, with the wait that Stripe asks for."""
    await core.order(
        "faults", kind="rate_limit", path="/v1/payment_intents", retry_after_s=7, times=3
    )
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("pm_card_visa", sale=True)
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_RATE_LIMITED", "NONE")
    assert refused.value.retry_after_s == 7


async def test_what_stripe_asks_to_repeat_is_repeated_with_the_same_key(core: Core) -> None:
    """Stripe-Should-Retry on a failure leads to one more request and one effect."""
    operation_id = rig.new_operation_id()
    await core.order("faults", kind="error_500", path="/v1/payment_intents", should_retry="true")
    settled = await core.authorize("pm_card_visa", sale=True, operation_id=operation_id)
    assert settled.state == _O.STATE_SUCCEEDED
    assert await core.made(operation_id) == 1


async def test_a_doubt_is_found_by_list_and_an_empty_search_proves_nothing(core: Core) -> None:
    """What carries the operation's id is found; what is not found stays unknown."""
    operation_id = rig.new_operation_id()
    await core.order("settings", search_lag_s=3_600)
    await core.order("faults", kind="drop_after_commit", path="/v1/payment_intents")
    with pytest.raises(rig.Refused):
        await core.authorize("pm_card_visa", amount_minor=1_234, operation_id=operation_id)
    found = await core.look(operation_id, "AuthorizePayment")
    assert found.operation.state == _O.STATE_SUCCEEDED
    assert found.operation.amount == rig.money(1_234)
    with pytest.raises(rig.Refused) as refused:
        await core.look(rig.new_operation_id(), "AuthorizePayment")
    assert refused.value.reason == "LOOKUP_INCONCLUSIVE"


async def test_follow_ups_leave_marks_that_are_found(core: Core) -> None:
    """Captures and refunds whose answers were lost are found on their payment."""
    held = await core.authorize("pm_card_visa", amount_minor=1_000)
    capture_id, refund_id = rig.new_operation_id(), rig.new_operation_id()
    payment = held.provider_object_id
    lost = "drop_after_commit"
    await core.order("faults", kind=lost, path=f"/v1/payment_intents/{payment}/capture")
    with pytest.raises(rig.Refused):
        await core.capture(held, 700, operation_id=capture_id)
    await core.order("faults", kind=lost, method="POST", path="/v1/refunds")
    with pytest.raises(rig.Refused):
        await core.refund(held, 200, operation_id=refund_id)
    taken = await core.look(capture_id, "CapturePayment", provider_object_id=payment)
    assert (taken.operation.state, taken.operation.amount) == (_O.STATE_SUCCEEDED, rig.money(700))
    back = await core.look(refund_id, "RefundPayment", provider_object_id=payment)
    assert (back.operation.state, back.operation.amount) == (_O.STATE_SUCCEEDED, rig.money(200))


async def test_an_id_used_with_other_parameters_is_refused(core: Core) -> None:
    """Stripe's own check of idempotency keys is passed on as a mismatch."""
    operation_id = rig.new_operation_id()
    await core.authorize("pm_card_visa", operation_id=operation_id)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("pm_card_visa", amount_minor=2_222, operation_id=operation_id)
    assert refused.value.reason == "OPERATION_MISMATCH"


async def test_a_caller_that_goes_leaves_one_effect(core: Core) -> None:
    """A deadline of the caller does not stop the request at Stripe, nor double it."""
    operation_id = rig.new_operation_id()
    await core.order("faults", kind="slow_after_commit", path="/v1/payment_intents", delay_s=1.0)
    with pytest.raises(rig.Refused):
        await core.authorize("pm_card_visa", operation_id=operation_id, timeout_s=0.4)

    async def is_there() -> bool:
        try:
            again = await core.authorize("pm_card_visa", operation_id=operation_id, attempt=2)
        except rig.Refused:
            return False
        return bool(again.state == _O.STATE_SUCCEEDED)

    await rig.until(is_there)
    assert await core.made(operation_id) == 1


async def test_a_wrong_key_needs_an_operator(core: Core) -> None:
    """Credentials that Stripe refuses are told apart from everything else."""
    secrets = [stripe_rig.secret("api_key", b"sk_test_wrong")]
    await core.configure("{}", generation=2, secrets=secrets)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("pm_card_visa")
    assert (refused.value.reason, refused.value.effect) == ("CREDENTIALS_REJECTED", "NONE")


async def test_a_payment_that_was_only_made_is_not_told_as_refused(core: Core) -> None:
    """While Stripe still confirms it, a PaymentIntent waits for a method and has no error yet."""
    operation_id = rig.new_operation_id()
    made = await core.elsewhere(
        "payment_intents",
        amount=1_000,
        currency="eur",
        capture_method="manual",
        **{"metadata[payhub_operation_id]": operation_id},
    )
    assert (made["status"], made["last_payment_error"]) == ("requires_payment_method", None)
    for hints in ({}, {"provider_object_id": made["id"]}):
        with pytest.raises(rig.Refused) as refused:
            await core.look(operation_id, "AuthorizePayment", **hints)
        assert refused.value.reason == "LOOKUP_INCONCLUSIVE"
    # Whoever wants it ended needs no answer.
    voided = await core.void(operation_id)
    assert (voided.state, voided.provider_object_id) == (_O.STATE_SUCCEEDED, made["id"])
    found = await core.look(operation_id, "AuthorizePayment")
    assert found.operation.state == _O.STATE_VOIDED


async def test_an_attempt_that_failed_is_ended_before_the_next(core: Core) -> None:
    """Whoever still holds the client secret of the first can't pay it beside the second."""
    asked = await core.authorize("pm_card_threeDSecure2Required", sale=True)
    await core.order(f"payment_intents/{asked.provider_object_id}/authenticate", agreed=False)
    failed = await core.look(asked.operation_id, "AuthorizePayment")
    assert failed.operation.state == _O.STATE_DECLINED
    request = core.authorization("pm_card_visa", sale=True)
    request.previous_provider_payment_id = asked.provider_object_id
    for _ in range(2):
        paid = (await core.call(core.stub.AuthorizePayment, request)).operation
        assert paid.state == _O.STATE_SUCCEEDED
    first = await core.look(asked.operation_id, "AuthorizePayment")
    assert first.operation.state == _O.STATE_VOIDED
    # It is over already for the next attempt, and for one whose account has no such payment.
    for previous_id in (asked.provider_object_id, "pi_0000000000000000"):
        again = core.authorization("pm_card_visa", sale=True)
        again.previous_provider_payment_id = previous_id
        done = (await core.call(core.stub.AuthorizePayment, again)).operation
        assert done.state == _O.STATE_SUCCEEDED


async def test_nothing_is_paid_beside_an_attempt_that_was_paid_after_all(core: Core) -> None:
    """The second is refused, and nothing of it was made."""
    paid = await core.authorize("pm_card_visa", sale=True)
    request = core.authorization("pm_card_visa", sale=True)
    request.previous_provider_payment_id = paid.provider_object_id
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.stub.AuthorizePayment, request)
    assert (refused.value.reason, refused.value.effect) == ("STATE_CONFLICT", "NONE")
    assert await core.made(request.context.operation_id) == 0
