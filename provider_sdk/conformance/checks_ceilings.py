"""Checks that no more is captured or refunded than there is.

Owns rules 41 and 42. Collected by `catalog`. What one operation answers is in
`checks_money`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import attempts, checks, checks_money, refusal
from provider_sdk.conformance import run as runs

State = operation_pb2.Operation

MANUAL_CAPTURE = capability_pb2.CAPABILITY_MANUAL_CAPTURE
VOID = capability_pb2.CAPABILITY_VOID
REFUND = capability_pb2.CAPABILITY_REFUND

# How many refunds of the whole arrive together.
TOGETHER = 5


@checks.check(
    number=41,
    part="a",
    title="A refund of more than was captured is refused with STATE_CONFLICT and does nothing.",
    needs=(REFUND,),
)
async def over_refund(run: runs.Run) -> None:
    """Refunds more than there is, at once and in addition."""
    binding = await run.new_binding()
    paid = await binding.pay()
    whole = paid.amount.amount_minor
    await _conflict(run, lambda: binding.refund(paid, whole + 1), "a refund of too much")
    await binding.refund(paid)
    await _conflict(run, lambda: binding.refund(paid, 1), "a refund after the whole was refunded")


@checks.check(
    number=41,
    part="b",
    title="A capture of more than was authorized is refused with STATE_CONFLICT and does nothing.",
    needs=(MANUAL_CAPTURE,),
)
async def over_capture(run: runs.Run) -> None:
    """Captures more than there is, at once and in addition."""
    binding = await run.new_binding()
    paid = await binding.authorize(sale=False)
    whole = paid.amount.amount_minor
    await _conflict(run, lambda: binding.capture(paid, whole + 1), "a capture of too much")
    captured = await binding.capture(paid)
    run.expect_state(captured, State.STATE_SUCCEEDED, what="the capture of the whole after it")
    await _conflict(run, lambda: binding.capture(paid, 1), "a capture after the whole was captured")


@checks.check(
    number=41,
    part="c",
    title="A capture after a void is refused with STATE_CONFLICT and does nothing.",
    needs=(MANUAL_CAPTURE, VOID),
)
async def capture_after_void(run: runs.Run) -> None:
    """Voids, then captures."""
    binding = await run.new_binding()
    paid = await binding.authorize(sale=False)
    await binding.void(paid)
    await _conflict(run, lambda: binding.capture(paid), "a capture after the void")


@checks.check(
    number=41,
    part="d",
    title="Refunds of the whole that arrive together under different ids return it once.",
    needs=(REFUND,),
)
async def refunds_together(run: runs.Run) -> None:
    """Sends five at once and counts those that were carried out."""
    binding = await run.new_binding()
    paid = await binding.pay()
    refunds = [attempts.refund(binding, paid) for _ in range(TOGETHER)]
    ended = await asyncio.gather(*(_carried_out(one) for one in refunds))
    # Whose answer tells nothing may have been carried out all the same; sent again, it tells.
    lost = [one.again() for one, done in zip(refunds, ended, strict=True) if done is None]
    returned = [*ended, *[await _carried_out(one) for one in lost]].count(True)
    if returned > 1:
        raise checks.Failed(
            f"{returned} of {TOGETHER} refunds of the whole payment were carried out",
            fix="look at what is left and book the refund in one step that keeps others out",
        )


async def _carried_out(refund: attempts.Attempt) -> bool | None:
    """Sends *refund*; returns whether it was, or will be, carried out; None if it can't tell."""
    try:
        answer = await refund.send()
    except refusal.Refused as refused:
        return False if refused.effect == "NONE" else None
    return answer.state in (State.STATE_SUCCEEDED, State.STATE_PENDING)


async def _conflict(run: runs.Run, call: Callable[[], Awaitable[Any]], what: str) -> None:
    await run.expect_status(
        call(),
        what=what,
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="STATE_CONFLICT",
        effect="NONE",
        fix="refuse it before anything is booked",
    )


@checks.check(
    number=42,
    part="a",
    title="Partial captures add up; without the capability they are refused with effect NONE.",
    needs=(MANUAL_CAPTURE,),
)
async def partial_capture(run: runs.Run) -> None:
    """Captures a part for good, then tries to capture and refund beyond it."""
    binding = await run.new_binding()
    paid = await binding.authorize(sale=False)
    whole = paid.amount.amount_minor
    part = whole * 2 // 5
    if not run.has(capability_pb2.CAPABILITY_PARTIAL_CAPTURE):
        await _not_offered(run, binding.capture(paid, part), "a partial capture")
        return
    await _moves(run, attempts.capture(binding, paid, part), part)
    await _conflict(run, lambda: binding.capture(paid, 1), "a capture after the final one")
    if run.has(REFUND):
        await _conflict(run, lambda: binding.refund(paid, part + 1), "a refund beyond the capture")


@checks.check(
    number=42,
    part="b",
    title="Several captures add up; without the capability they are refused with effect NONE.",
    needs=(MANUAL_CAPTURE, capability_pb2.CAPABILITY_PARTIAL_CAPTURE),
)
async def multiple_capture(run: runs.Run) -> None:
    """Captures in three parts up to the whole, then one unit more."""
    binding = await run.new_binding()
    paid = await binding.authorize(sale=False)
    whole = paid.amount.amount_minor
    third = whole // 3
    if not run.has(capability_pb2.CAPABILITY_MULTIPLE_CAPTURE):
        await binding.capture(paid, third, final=True)
        await _not_offered(run, binding.capture(paid, third), "a second capture")
        return
    for amount_minor in (third, third, whole - 2 * third):
        capture = attempts.capture(binding, paid, amount_minor, final=False)
        await _moves(run, capture, amount_minor)
    await _conflict(run, lambda: binding.capture(paid, 1), "a capture beyond three that add up")
    if run.has(REFUND):
        refund = attempts.refund(binding, paid, whole)
        await _moves(run, refund, whole)


@checks.check(
    number=42,
    part="c",
    title="Partial refunds add up; without the capability they are refused with effect NONE.",
    needs=(REFUND,),
)
async def partial_refund(run: runs.Run) -> None:
    """Refunds in three parts up to the whole, then one unit more."""
    binding = await run.new_binding()
    paid = await binding.pay()
    whole = paid.amount.amount_minor
    third = whole // 3
    if not run.has(capability_pb2.CAPABILITY_PARTIAL_REFUND):
        await _not_offered(run, binding.refund(paid, third), "a partial refund")
        return
    for amount_minor in (third, third, whole - 2 * third):
        await _moves(run, attempts.refund(binding, paid, amount_minor), amount_minor)
    await _conflict(run, lambda: binding.refund(paid, 1), "a refund beyond three that add up")


async def _moves(run: runs.Run, attempt: attempts.Attempt, amount_minor: int) -> None:
    checks_money.echoes(
        run, await attempt.send(), attempt, what=f"{attempt.name} of {amount_minor}"
    )


async def _not_offered(run: runs.Run, call: Awaitable[Any], what: str) -> None:
    code = grpc.StatusCode
    await run.expect_status(
        call,
        what=f"{what} without the capability",
        code=(code.UNIMPLEMENTED, code.FAILED_PRECONDITION, code.INVALID_ARGUMENT),
        effect="NONE",
        fix="declare the capability, or refuse it before anything is booked",
    )
