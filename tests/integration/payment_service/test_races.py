"""What concurrent callers may do to one payment: never more than it holds."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

import grpc

from tests.integration.payment_service import conftest, rig


async def together(calls: Iterable[Awaitable[Any]]) -> tuple[list[Any], list[rig.Refused]]:
    """Makes calls at once; returns what was answered and what was refused."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, rig.Refused)]
    done = [result for result in results if not isinstance(result, BaseException)]
    assert len(done) + len(refused) == len(results), results
    assert {one.code for one in refused} <= {grpc.StatusCode.FAILED_PRECONDITION}
    return done, refused


async def test_of_two_refunds_of_60_on_a_captured_100_exactly_one_succeeds(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """The other one is refused with the 40 that are left, whatever the outcome of the first."""
    caller = await join(hasty)

    async def one(token: str) -> None:
        payment = await caller.create(token, 100)
        done, refused = await together(caller.refund(payment.id, 60) for _ in range(2))
        assert len(done) == 1
        assert refused[0].reason == "AMOUNT_EXCEEDED"
        assert refused[0].metadata["max_amount_minor"] == "40"
        await caller.refund_becomes(done[0].id, "SUCCEEDED")
        after = await caller.get(payment.id)
        assert rig.amounts(after) == (100, 100, 0, 60, 0)
        hasty.records.story(after)
        assert ("REFUND", "SUCCEEDED", 60) in hasty.ledger.effects(payment.id)
        assert len(hasty.ledger.of(payment.id)) == 2

    tokens = ["tok_approve"] * 8 + ["tok_approve+refund.no_answer"] * 2
    await asyncio.gather(*(one(token) for token in tokens))


async def test_refunds_in_flight_at_once_all_settle(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """A report carries its own operation's version, so one outcome never stales another."""
    caller = await join(hasty)

    async def one(outcome: str) -> None:
        payment = await caller.create(f"tok_approve+refund.{outcome}")
        done, _ = await together(caller.refund(payment.id, n) for n in (100, 200, 300))
        assert len(done) == 3
        for refund in done:
            await caller.refund_becomes(refund.id, "SUCCEEDED")
        after = await caller.get(payment.id)
        assert rig.amounts(after) == (1000, 1000, 0, 600, 0), outcome
        hasty.records.story(after)
        backs = [effect for effect in hasty.ledger.effects(payment.id) if effect[0] == "REFUND"]
        assert backs == [("REFUND", "SUCCEEDED", n) for n in (100, 200, 300)]

    outcomes = ("approve", "late_answer", "no_answer", "pending_then_settled", "drop_after_commit")
    await asyncio.gather(*(one(outcome) for outcome in outcomes))


async def test_one_operation_takes_money_at_a_time(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """Of concurrent captures, captures against a cancel, and confirms, one begins."""
    caller = await join(hasty)

    async def captures() -> None:
        held = await caller.create("tok_approve+capture.late_answer", manual=True)
        done, refused = await together(caller.capture(held.id, 300, more=True) for _ in range(5))
        assert len(done) == 1
        assert {one.reason for one in refused} == {"STATE_CONFLICT"}
        after = await caller.becomes(held.id, "AUTHORIZED")
        assert rig.amounts(after) == (1000, 300, 0, 0, 0)
        assert hasty.ledger.effects(held.id)[1:] == [("CAPTURE", "SUCCEEDED", 300)]

    async def capture_or_cancel() -> None:
        held = await caller.create("tok_approve+capture.late_answer+void.late_answer", manual=True)
        done, refused = await together((caller.capture(held.id), caller.cancel(held.id)))
        assert len(done) == len(refused) == 1
        assert refused[0].reason == "STATE_CONFLICT"
        kind, _ = rig.operations(done[0])[-1]
        after = await caller.becomes(held.id, "SUCCEEDED" if kind == "CAPTURE" else "CANCELED")
        assert len(after.operations) == len(hasty.ledger.of(held.id)) == 2
        hasty.records.story(after)

    async def confirms() -> None:
        made = await caller.create(token="", confirm=False)
        done, refused = await together(
            caller.confirm(made.id, "tok_late_answer") for _ in range(12)
        )
        assert len(done) == 1
        assert {one.reason for one in refused} == {"STATE_CONFLICT"}
        after = await caller.becomes(made.id, "SUCCEEDED")
        assert rig.operations(after) == [("SALE", "SUCCEEDED")]
        assert hasty.ledger.effects(made.id) == [("SALE", "SUCCEEDED", 1000)]

    await asyncio.gather(captures(), *(capture_or_cancel() for _ in range(4)), confirms())


async def test_whatever_races_the_books_agree(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Captures, refunds and a cancel at once: sums, events and the ledger tell one story."""

    async def one() -> None:
        held = await caller.create(manual=True)
        await caller.capture(held.id, 200, more=True)
        await together(
            (
                *(caller.capture(held.id, 150, more=True) for _ in range(4)),
                *(caller.refund(held.id, 120) for _ in range(4)),
                caller.cancel(held.id),
            )
        )
        after = await caller.get(held.id)
        authorized, captured, capture_pending, refunded, refund_pending = rig.amounts(after)
        assert (authorized, capture_pending, refund_pending) == (1000, 0, 0)
        assert refunded <= captured <= authorized
        effects = service.ledger.effects(held.id)
        assert captured == sum(n or 0 for kind, _, n in effects if kind == "CAPTURE")
        assert refunded == sum(n or 0 for kind, _, n in effects if kind == "REFUND")
        assert len(effects) == len(after.operations)
        service.records.story(after)

    await asyncio.gather(*(one() for _ in range(6)))
