"""Unknown is not failed: who gets into doubt, who does not, and how it ends."""

import asyncio
import socket
from typing import Any

import grpc
import pytest

from deploy import stack
from servicekit import storage
from tests.integration.payment_service import binding_rig, conftest, inside, rig


async def _takes_its_time(service: conftest.Service, caller: rig.Caller) -> None:
    async with service.admin() as admin:
        await binding_rig.Admin(admin).create(caller.tenant, {"latency_ms": 120})


async def test_a_caller_that_gives_up_early_leaves_no_doubt(
    service: conftest.Service, caller: rig.Caller
) -> None:
    """50 ms are too short for the provider, but its time is the operator's, not the caller's."""
    await _takes_its_time(service, caller)
    keys: dict[str, str] = {}

    async def hurried() -> list[rig.Payment]:
        key = rig.new_key()
        order = f"order-{key}"
        keys[order] = key
        call = caller.create(key=key, timeout_s=0.05, references={"order_id": order})
        (end,) = await asyncio.gather(call, return_exceptions=True)
        if isinstance(end, rig.Payment):
            # The caller itself was held up until the answer was there.
            return []
        assert isinstance(end, rig.Refused)
        assert end.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return list((await caller.list(order_id=order)).payments)

    # A deadline that ends before the call arrives stores nothing and proves nothing.
    (stored,) = await rig.until(hurried)
    after = await caller.becomes(stored.id, "SUCCEEDED")
    assert service.records.story(after) == ["payment.created", "payment.succeeded"]
    order = after.references.order_id
    again = await caller.create(key=keys[order], references={"order_id": order})
    assert again == after
    assert service.ledger.effects(after.id) == [("SALE", "SUCCEEDED", 1000)]


async def test_a_caller_that_hangs_up_leaves_no_doubt(
    service: conftest.Service, caller: rig.Caller
) -> None:
    """Canceled calls and closed connections end the waiting, not the capture and the refund."""
    held, paid = await asyncio.gather(caller.create(manual=True), caller.create())
    await _takes_its_time(service, caller)
    tasks = [
        asyncio.create_task(caller.capture(held.id)),
        asyncio.create_task(caller.refund(paid.id, 400)),
    ]
    async with rig.Caller(service.target, caller.key, caller.tenant) as watching:

        async def both_under_way() -> bool:
            seen = [await watching.get(payment.id) for payment in (held, paid)]
            return all(len(payment.operations) == 2 for payment in seen)

        await rig.until(both_under_way)
        await caller.channel.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        captured = await watching.becomes(held.id, "SUCCEEDED")
        refunded = await watching.becomes(paid.id, "SUCCEEDED")
    assert rig.amounts(captured) == (1000, 1000, 0, 0, 0)
    assert rig.amounts(refunded) == (1000, 1000, 0, 400, 0)
    for payment in (captured, refunded):
        assert "payment.in_doubt" not in service.records.story(payment)


async def test_a_provider_that_is_down_fails_and_leaves_no_doubt(
    fragile: conftest.Service, join: conftest.Join
) -> None:
    """Nothing was sent, which is certain: FAILED for a technical reason, and confirmable."""
    await fragile.provider_up()
    caller = await join(fragile)
    held, paid = await asyncio.gather(caller.create(manual=True), caller.create())
    await fragile.provider_down()
    failed, refund, uncaptured, customer = await asyncio.gather(
        caller.create(), caller.refund(paid.id), caller.capture(held.id), caller.create_customer()
    )
    assert rig.state(failed) == "FAILED"
    assert failed.failure.kind == 2, "KIND_NOT_SENT"
    assert failed.failure.reason == "PROVIDER_UNREACHABLE"
    assert rig.operations(failed) == [("SALE", "NOT_SENT")]
    assert fragile.records.story(failed) == ["payment.created", "payment.failed"]
    assert rig.state(refund) == "FAILED"
    assert refund.failure.reason == "PROVIDER_UNREACHABLE"
    assert rig.actions(uncaptured) == {"CAPTURE": 1000, "CANCEL": 0, "INCREMENT": 0}
    assert rig.state(customer) == "FAILED"
    await fragile.provider_up()
    again = await caller.confirm(failed.id)
    assert rig.state(again) == "SUCCEEDED"


async def test_a_provider_that_was_never_there_leaves_no_doubt_either(
    database_url: str,
) -> None:
    """Nothing is known of it, not even what it can do: everything fails, nothing is lost."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with inside.running(database_url, target) as service:
            caller = service.caller
            payment, customer = await asyncio.gather(
                caller.create(), caller.create_customer(name="Ada")
            )
            assert rig.state(payment) == rig.state(customer) == "FAILED"
            assert payment.failure.reason == "PROVIDER_UNREACHABLE"
            assert rig.state(await caller.cancel(payment.id)) == "CANCELED"


async def test_a_configuration_that_can_not_be_read_leaves_no_doubt(
    database_url: str, bank: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nothing is sent, whatever kept core from reading it."""

    async def unread(*_: Any) -> Any:
        raise storage.StorageUnavailable("took too long")

    async with inside.running(database_url, bank.target(stack.MOCK)) as service:
        await inside.connected(service)
        monkeypatch.setattr(service.parts.ctx.providers, "configuration", unread)
        failed = await service.caller.create()
        assert (rig.state(failed), failed.failure.reason) == ("FAILED", "BINDING_NOT_CONFIGURED")
        monkeypatch.undo()
        assert rig.state(await service.caller.confirm(failed.id)) == "SUCCEEDED"


async def test_a_provider_that_dies_leaves_doubts_that_are_settled_as_its_books_say(
    fragile: conftest.Service, join: conftest.Join
) -> None:
    """Before or after its commit looks the same to us; the restarted provider knows."""
    caller = await join(fragile)
    for fault in ("crash_after", "crash_before"):
        await fragile.provider_up()
        calls = [caller.create(f"tok_{fault}"), *(caller.create() for _ in range(8))]
        payments = await asyncio.gather(*calls)
        assert await asyncio.to_thread(fragile.processes.wait_exit, stack.MOCK) == -9
        assert rig.state(payments[0]) == "IN_DOUBT"
        assert rig.actions(payments[0]) == {"CANCEL": 0}
        await fragile.provider_up()
        for number, payment in enumerate(payments):
            after = await caller.becomes_known(payment.id)
            effects = fragile.ledger.effects(payment.id)
            if rig.state(after) == "SUCCEEDED":
                assert effects == [("SALE", "SUCCEEDED", 1000)]
            else:
                assert rig.state(after) == "FAILED"
                assert effects == []
            if number == 0:
                assert rig.state(after) == ("SUCCEEDED" if fault == "crash_after" else "FAILED")
            assert len(after.operations) == 1
            fragile.records.story(after)


async def test_the_wish_to_cancel_a_doubt_is_kept_and_carried_out(
    fragile: conftest.Service, join: conftest.Join
) -> None:
    """Once it is known, a sale is refunded, an authorization voided, and nothing is canceled."""
    await fragile.provider_up()
    caller = await join(fragile)
    calling = asyncio.gather(
        caller.create("tok_late_answer"),
        caller.create("tok_late_answer", manual=True),
        caller.create("tok_drop_before_commit"),
    )

    async def two_are_booked() -> bool:
        stored = [payment.id for payment in (await caller.list()).payments]
        return sum(len(fragile.ledger.of(payment_id)) for payment_id in stored) == 2

    await rig.until(two_are_booked)
    await fragile.provider_down()
    doubts = await calling
    for doubt in doubts:
        assert rig.state(doubt) == "IN_DOUBT"
        key = rig.new_key()
        waiting = await caller.cancel(doubt.id, key)
        assert rig.state(waiting) == "IN_DOUBT"
        assert waiting.cancel_requested
        assert rig.actions(waiting) == {}
        assert (await caller.cancel(doubt.id, key)).cancel_requested
        assert (await rig.refusal(caller.cancel(doubt.id))).reason == "STATE_CONFLICT"
    await fragile.provider_up()
    sale, authorization, nothing = doubts
    voided = await caller.becomes(authorization.id, "CANCELED")
    failed = await caller.becomes(nothing.id, "CANCELED")

    async def refunded() -> rig.Payment | None:
        payment = await caller.becomes(sale.id, "SUCCEEDED")
        return payment if payment.amounts.refunded_minor else None

    returned: rig.Payment = await rig.until(refunded)
    assert rig.amounts(returned) == (1000, 1000, 0, 1000, 0)
    assert not any(payment.cancel_requested for payment in (returned, voided, failed))
    story = fragile.records.story
    assert story(returned) == [
        "payment.created",
        "payment.in_doubt",
        "payment.updated",
        "payment.succeeded",
        "refund.created",
        "refund.succeeded",
        "payment.refunded",
    ]
    assert story(voided) == [
        "payment.created",
        "payment.in_doubt",
        "payment.updated",
        "payment.authorized",
        "payment.updated",
        "payment.canceled",
    ]
    assert story(failed) == [
        "payment.created",
        "payment.in_doubt",
        "payment.updated",
        "payment.canceled",
    ]
    booked = [fragile.ledger.effects(doubt.id) for doubt in doubts]
    assert [[kind for kind, _, _ in effects] for effects in booked] == [
        ["REFUND", "SALE"],
        ["AUTHORIZE", "VOID"],
        [],
    ]


async def test_a_payment_can_be_canceled_while_it_is_under_way(
    fragile: conftest.Service, join: conftest.Join
) -> None:
    """The wish waits for the outcome, also when that is a plain approval or a decline."""
    await fragile.provider_up()
    caller = await join(fragile)

    async def one(token: str, *, manual: bool, wanted: str) -> None:
        order = rig.new_key()
        creating = asyncio.create_task(
            caller.create(token, manual=manual, references={"order_id": order})
        )

        async def stored() -> rig.Payment | None:
            found = (await caller.list(order_id=order)).payments
            return found[0] if found else None

        payment: rig.Payment = await rig.until(stored)
        await caller.cancel(payment.id)
        await creating

        async def met() -> rig.Payment | None:
            now = await caller.becomes(payment.id, wanted)
            whole = wanted == "CANCELED" or now.amounts.refunded_minor == 1000
            return now if whole and not now.cancel_requested else None

        fragile.records.story(await rig.until(met))

    await asyncio.gather(
        one("tok_late_answer", manual=True, wanted="CANCELED"),
        one("tok_late_answer", manual=False, wanted="SUCCEEDED"),
        one("tok_late_answer+void.not_sent", manual=False, wanted="SUCCEEDED"),
    )


async def test_an_answer_that_contradicts_the_question_is_never_settled_by_itself(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """Another amount than asked for is IN_DOUBT until an operator decides."""
    caller = await join(hasty)
    wrong = await caller.create("tok_wrong_amount")
    asked = await caller.create("tok_approve+refund.wrong_amount")
    refund = await caller.refund(asked.id, 300)
    assert rig.state(wrong) == rig.state(refund) == "IN_DOUBT"
    # Looking at a doubt makes the resolver look; one that comes later is settled meanwhile.
    for payment in (wrong, asked):
        await caller.get(payment.id)
    later = await caller.create("tok_no_answer")
    await caller.becomes(later.id, "SUCCEEDED")
    after = await caller.get(wrong.id)
    assert rig.state(after) == "IN_DOUBT"
    assert after.operations[0].attempts == 1
    assert rig.amounts(await caller.get(asked.id)) == (1000, 1000, 0, 0, 300)
    scheduled = hasty.records.rows(
        "select next_check_us from operations where tenant_id = ? and state = 4", caller.tenant
    )
    assert scheduled == [(0,), (0,)]


async def test_a_doubt_that_never_arrived_fails_once_nothing_can_arrive_any_more(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """NOT_FOUND counts only after the fence and the skew of clocks; then it may be tried again."""
    caller = await join(hasty)
    doubt = await caller.create("tok_drop_before_commit")
    assert rig.state(doubt) == "IN_DOUBT"
    failed = await caller.becomes(doubt.id, "FAILED")
    assert failed.failure.reason == "NEVER_ARRIVED"
    took_s = (failed.update_time.ToMicroseconds() - failed.create_time.ToMicroseconds()) / 1_000_000
    assert took_s >= conftest.HASTY_TIMEOUT_S + conftest.SKEW_S
    assert failed.operations[0].attempts > 2
    paid = await caller.confirm(failed.id)
    assert rig.state(paid) == "SUCCEEDED"
    assert hasty.ledger.effects(doubt.id) == [("SALE", "SUCCEEDED", 1000)]


async def test_the_status_counts_what_is_open(hasty: conftest.Service, join: conftest.Join) -> None:
    """Operators see doubts, the oldest of them, and every provider."""
    caller = await join(hasty)
    await caller.create("tok_wrong_amount")
    async with hasty.admin() as admin:
        status = await admin.call(admin.status.GetStatus, rig.status_request())
    open_counts = {found.state: found.count for found in status.open_operations}
    assert open_counts["STATE_IN_DOUBT"] >= 1
    assert status.HasField("oldest_doubt_time")
    (provider,) = status.providers
    assert (provider.provider, provider.ready, provider.default) == ("mock", True, True)
    assert status.outbox.waiting >= 2
