"""What becomes of a payment: states, amounts, what may follow, and its events."""

import asyncio
from typing import Any

import grpc
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from tests.integration.payment_service import binding_rig, conftest, inside, rig, sidecars


async def test_a_sale_is_captured_at_once_and_emits_succeeded_alone(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Created and succeeded are its only events; all of it may be refunded."""
    payment = await caller.create(amount_minor=1050, references={"order_id": "o-1"})
    assert rig.state(payment) == "SUCCEEDED"
    assert rig.amounts(payment) == (1050, 1050, 0, 0, 0)
    assert rig.actions(payment) == {"REFUND": 1050}
    assert rig.operations(payment) == [("SALE", "SUCCEEDED")]
    assert await caller.get(payment.id) == payment
    assert service.records.story(payment) == ["payment.created", "payment.succeeded"]
    assert service.ledger.effects(payment.id) == [("SALE", "SUCCEEDED", 1050)]


async def test_an_unconfirmed_payment_is_kept_and_nothing_is_sent(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """It is CREATED without a payment method, and may be confirmed or canceled."""
    payment = await caller.create(token="", confirm=False, manual=True)
    assert rig.state(payment) == "CREATED"
    assert rig.amounts(payment) == (0, 0, 0, 0, 0)
    assert rig.actions(payment) == {"CONFIRM": 0, "CANCEL": 0}
    assert service.records.story(payment) == ["payment.created"]
    assert service.ledger.of(payment.id) == []


async def test_confirm_sends_a_created_payment(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """The confirmation is an event of its own before the outcome."""
    created = await caller.create(token="", confirm=False, manual=True)
    payment = await caller.confirm(created.id)
    assert rig.state(payment) == "AUTHORIZED"
    assert rig.amounts(payment) == (1000, 0, 0, 0, 0)
    assert rig.actions(payment) == {"CAPTURE": 1000, "CANCEL": 0, "INCREMENT": 0}
    assert service.records.story(payment) == [
        "payment.created",
        "payment.processing",
        "payment.authorized",
    ]


async def test_a_declined_payment_may_be_confirmed_with_another_method(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """FAILED is not the end: the second attempt is an operation of its own."""
    failed = await caller.create("tok_decline_insufficient_funds")
    assert rig.state(failed) == "FAILED"
    assert rig.actions(failed) == {"CONFIRM": 0, "CANCEL": 0}
    assert failed.failure.reason == "INSUFFICIENT_FUNDS"
    assert failed.failure.retryable_later
    again = await caller.confirm(failed.id, "tok_decline_suspected_fraud")
    assert again.failure.reason == "SUSPECTED_FRAUD"
    paid = await caller.confirm(failed.id)
    assert rig.state(paid) == "SUCCEEDED"
    assert not paid.HasField("failure")
    assert rig.operations(paid) == [
        ("SALE", "DECLINED"),
        ("SALE", "DECLINED"),
        ("SALE", "SUCCEEDED"),
    ]
    assert service.records.story(paid) == [
        "payment.created",
        "payment.failed",
        "payment.processing",
        "payment.failed",
        "payment.processing",
        "payment.succeeded",
    ]


async def test_partial_captures_leave_it_authorized_until_the_final_one(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """A final capture releases the remainder; every capture is an event."""
    payment = await caller.create(manual=True)
    part = await caller.capture(payment.id, 300, more=True)
    assert rig.state(part) == "AUTHORIZED"
    assert rig.amounts(part) == (1000, 300, 0, 0, 0)
    assert rig.actions(part) == {"CAPTURE": 700, "CANCEL": 0, "REFUND": 300}
    last = await caller.capture(payment.id, 200)
    assert rig.state(last) == "SUCCEEDED"
    assert rig.amounts(last) == (1000, 500, 0, 0, 0)
    assert rig.actions(last) == {"REFUND": 500}
    assert [operation.final for operation in last.operations] == [False, False, True]
    assert service.records.story(last) == [
        "payment.created",
        "payment.authorized",
        "payment.captured",
        "payment.captured",
        "payment.succeeded",
    ]
    assert service.ledger.effects(payment.id) == [
        ("AUTHORIZE", "SUCCEEDED", 1000),
        ("CAPTURE", "SUCCEEDED", 200),
        ("CAPTURE", "SUCCEEDED", 300),
    ]


async def test_a_capture_without_an_amount_takes_all_that_is_left(caller: rig.Caller) -> None:
    """Also after a part; a capture of everything ends the payment although more was announced."""
    payment = await caller.create(manual=True)
    await caller.capture(payment.id, 400, more=True)
    whole = await caller.capture(payment.id, more=True)
    assert rig.state(whole) == "SUCCEEDED"
    assert rig.amounts(whole) == (1000, 1000, 0, 0, 0)


async def test_cancel_ends_a_payment_without_money(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Nothing is sent for what never reached the provider; what is held is voided."""
    created = await caller.create(token="", confirm=False)
    failed = await caller.create("tok_decline")
    held = await caller.create(manual=True)
    for payment in (created, failed):
        canceled = await caller.cancel(payment.id)
        assert rig.state(canceled) == "CANCELED"
        assert rig.actions(canceled) == {}
        assert not canceled.HasField("failure")
        assert service.records.story(canceled)[-1] == "payment.canceled"
    voided = await caller.cancel(held.id, reason="changed their mind")
    assert rig.state(voided) == "CANCELED"
    assert rig.operations(voided) == [("AUTHORIZE", "SUCCEEDED"), ("VOID", "SUCCEEDED")]
    assert service.records.story(voided) == [
        "payment.created",
        "payment.authorized",
        "payment.canceled",
    ]
    assert service.ledger.effects(created.id) == []


async def test_cancel_after_a_partial_capture_releases_the_rest(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """What was captured stays captured: the payment has SUCCEEDED."""
    payment = await caller.create(manual=True)
    await caller.capture(payment.id, 250, more=True)
    ended = await caller.cancel(payment.id)
    assert rig.state(ended) == "SUCCEEDED"
    assert rig.amounts(ended) == (1000, 250, 0, 0, 0)
    assert rig.actions(ended) == {"REFUND": 250}
    assert service.records.story(ended)[-2:] == ["payment.captured", "payment.succeeded"]


async def test_a_payer_who_must_act_gets_told_where(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """REQUIRES_ACTION carries the redirect; agreeing pays, refusing fails, cancel ends it."""
    first, second, third = await asyncio.gather(
        *(caller.create("tok_action_required", return_url="https://shop.test/") for _ in range(3))
    )
    for payment in (first, second, third):
        assert rig.state(payment) == "REQUIRES_ACTION"
        assert rig.actions(payment) == {"CANCEL": 0}
    await rig.post(f"{first.action.redirect_url}/complete")
    await rig.post(f"{second.action.redirect_url}/fail")
    canceled = await caller.cancel(third.id)
    assert rig.state(canceled) == "CANCELED"
    assert rig.operations(canceled) == [("SALE", "SUPERSEDED"), ("VOID", "SUCCEEDED")]
    paid = await caller.becomes(first.id, "SUCCEEDED")
    assert not paid.HasField("action")
    assert service.records.story(paid) == [
        "payment.created",
        "payment.requires_action",
        "payment.succeeded",
    ]
    refused = await caller.becomes(second.id, "FAILED")
    assert refused.failure.reason == "AUTHENTICATION_FAILED"


async def test_pending_payments_settle_by_themselves(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """That the provider has it, by which id, is told, and so is what it decides later."""
    good, bad, held = await asyncio.gather(
        caller.create("tok_pending_then_settled"),
        caller.create("tok_pending_then_declined"),
        caller.create("tok_pending_then_settled", manual=True),
    )
    for payment in (good, bad, held):
        assert (rig.state(payment), payment.version) == ("PROCESSING", 2)
        told = service.records.payment_events(payment.id)[1]
        assert list(told.changed.paths) == ["provider_payment_id"]
        assert told.payment.provider_payment_id == payment.provider_payment_id != ""
    begun = ["payment.created", "payment.processing"]
    settled = await caller.becomes(good.id, "SUCCEEDED")
    assert service.records.story(settled) == [*begun, "payment.succeeded"]
    declined = await caller.becomes(bad.id, "FAILED")
    assert service.records.story(declined) == [*begun, "payment.failed"]
    authorized = await caller.becomes(held.id, "AUTHORIZED")
    assert service.records.story(authorized) == [*begun, "payment.authorized"]


async def test_a_pending_payment_may_be_canceled(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """The void reaches the provider before it settles, so no money moves."""
    async with service.admin() as admin:
        await binding_rig.Admin(admin).create(caller.tenant, {"settle_after_s": 3600})
    payment = await caller.create("tok_pending_then_settled")
    canceled = await caller.cancel(payment.id)
    assert rig.state(canceled) == "CANCELED"
    assert service.records.story(canceled) == [
        "payment.created",
        "payment.processing",
        "payment.canceled",
    ]
    effects = service.ledger.effects(payment.id)
    assert [(kind, state) for kind, state, _ in effects] == [
        ("SALE", "VOIDED"),
        ("VOID", "SUCCEEDED"),
    ]


async def test_amounts_are_minor_units_of_every_kind_of_currency(caller: rig.Caller) -> None:
    """Currencies without and with three decimals, and the largest amount, are taken as given."""
    for amount_minor, currency in ((500, "JPY"), (1234, "KWD"), (2**63 - 1, "EUR")):
        payment = await caller.create(amount_minor=amount_minor, currency=currency)
        assert rig.state(payment) == "SUCCEEDED"
        assert payment.amount == rig.money(amount_minor, currency)
        assert payment.amounts.captured_minor == amount_minor


async def test_what_the_caller_gives_comes_back_and_is_in_events(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """References, description and metadata, in any script, are stored as given."""
    references = {
        "user_id": "user-7",
        "order_id": "Bestellung № 7",
        "subscription_id": "sub-1",
        "metadata": {"käse": "ja 🧀", "x" * 64: "y" * 512, "quote": "'\"%s:name{}"},
    }
    payment = await caller.create(references=references, description="Für dich: %s ✓")
    assert payment.references.metadata["käse"] == "ja 🧀"
    assert payment.references.order_id == "Bestellung № 7"
    assert payment.description == "Für dich: %s ✓"
    event = service.records.events(payment.id)[-1]
    assert event.user_id == "user-7"
    assert event.tenant_id == caller.tenant
    assert event.cause.actor == f"key:{caller.key.split('_')[1]}"
    assert service.records.payment_events(payment.id)[-1].payment.references == payment.references


async def test_events_say_what_changed_and_what_it_was(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Paths and previous values of each step, and which operation and key caused it."""
    payment = await caller.create(manual=True, key="the-create")
    captured = await caller.capture(payment.id, key="the-capture")
    created, authorized, part, succeeded = service.records.payment_events(payment.id)
    assert created.payment.state == rig.Payment.STATE_PROCESSING
    assert list(created.changed.paths) == []
    assert {"state", "amounts.authorized_minor"} <= set(authorized.changed.paths)
    assert authorized.previous.state == rig.Payment.STATE_PROCESSING
    assert set(part.changed.paths) == {"amounts.captured_minor", "amounts.capture_pending_minor"}
    assert part.previous.amounts.capture_pending_minor == 1000
    assert list(succeeded.changed.paths) == ["state"]
    events = service.records.events(payment.id)
    assert [event.cause.idempotency_key for event in events] == [
        *("the-create", "the-create"),
        *("the-capture", "the-capture"),
    ]
    assert part.operation_id == captured.operations[-1].id == events[2].cause.causation_id


async def test_lists_are_newest_first_and_paged_without_gaps(caller: rig.Caller) -> None:
    """Pages join to the whole; a payment made meanwhile shows up on none of the later ones."""
    made = [(await caller.create(token="", confirm=False)).id for _ in range(5)]
    first = await caller.list(page_size=2)
    made_later = await caller.create(token="", confirm=False)
    seen = [payment.id for payment in first.payments]
    token = first.next_page_token
    while token:
        page = await caller.list(page_size=2, page_token=token)
        seen += [payment.id for payment in page.payments]
        token = page.next_page_token
    assert seen == made[::-1]
    assert [p.id for p in (await caller.list()).payments] == [made_later.id, *made[::-1]]


async def test_lists_are_filtered(caller: rig.Caller) -> None:
    """Filters are combined with AND and none of them is a prefix match."""
    paid = await caller.create(references={"user_id": "u1", "order_id": "o1"})
    failed = await caller.create("tok_decline", references={"user_id": "u1", "order_id": "o2"})
    other = await caller.create(references={"user_id": "u11", "order_id": "o3"})

    async def ids(**filters: object) -> list[str]:
        return [payment.id for payment in (await caller.list(**filters)).payments]

    assert await ids(user_id="u1") == [failed.id, paid.id]
    assert await ids(user_id="u1", states=[rig.Payment.STATE_SUCCEEDED]) == [paid.id]
    assert await ids(order_id="o3") == [other.id]
    assert await ids(provider="mock") == [other.id, failed.id, paid.id]
    assert await ids(provider="another") == []
    assert await ids(created_from=failed.create_time) == [other.id, failed.id]
    assert await ids(created_before=failed.create_time) == [paid.id]
    assert await ids(states=[rig.Payment.STATE_SUCCEEDED, rig.Payment.STATE_FAILED]) == [
        *(other.id, failed.id, paid.id)
    ]
    assert await ids(customer_id=f"cus_{'0' * 32}") == []
    assert await ids(states=[rig.Payment.STATE_REQUIRES_ACTION]) == []
    waits = await caller.create("tok_action_required", return_url="https://shop.test/")
    for states in (["REQUIRES_ACTION", "IN_DOUBT"], ["REQUIRES_ACTION", "CANCELED"]):
        wanted = [rig.Payment.State.Value(f"STATE_{name}") for name in states]
        assert await ids(states=wanted) == [waits.id]


async def test_lists_tell_what_may_be_done_as_get_does(caller: rig.Caller) -> None:
    """Operations are left out, and yet nothing is offered that an open one forbids."""
    idle = await caller.create(manual=True)
    capturing = await caller.create("tok_capture.wrong_amount", manual=True)
    # It stays in doubt until an operator ends it.
    await caller.capture(capturing.id, 400, more=True)
    listed = (await caller.list()).payments
    assert [rig.actions(one) for one in listed] == [{}, rig.actions(idle)]
    shown = [await caller.get(one.id) for one in listed]
    for one in shown:
        one.ClearField("operations")
    assert list(listed) == shown


async def test_a_provider_that_is_not_set_up_is_refused_by_name(caller: rig.Caller) -> None:
    """The refusal lists those that are."""
    refused = await rig.refusal(caller.create(provider="stripe"))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "PROVIDER_UNKNOWN"
    assert refused.metadata["providers"] == "mock"


class Whole(sidecars.Sidecar):
    """Captures what it holds in one piece only."""

    async def CapturePayment(
        self, request: provider_pb.CapturePaymentRequest, context: Any
    ) -> provider_pb.CapturePaymentResponse:
        """Takes it."""
        return provider_pb.CapturePaymentResponse(
            operation=operation_pb2.Operation(
                operation_id=request.context.operation_id,
                state=operation_pb2.Operation.STATE_SUCCEEDED,
                amount=request.amount,
            )
        )


async def test_all_that_is_held_is_no_part_of_it(database_url: str) -> None:
    """A provider that captures the whole alone is asked for it, named or not, and for no less."""
    async with Whole("mock") as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        named, unnamed = await caller.create(manual=True), await caller.create(manual=True)
        for amount, more, missing in (
            (999, False, "PARTIAL_CAPTURE"),
            (1000, True, "MULTIPLE_CAPTURE"),
        ):
            refused = await rig.refusal(caller.capture(named.id, amount, more=more))
            assert refused.reason == "CAPABILITY_MISSING"
            assert refused.metadata["capability"] == missing
        assert rig.state(await caller.capture(named.id, 1000)) == "SUCCEEDED"
        assert rig.state(await caller.capture(unnamed.id)) == "SUCCEEDED"
