"""Looks at what is unknown or pending: who brings them about, how often, and what they change."""

import functools
from typing import Any

import pytest

from deploy import stack
from payment_service.db import operations, payments
from payment_service.domain import model, outcomes
from payment_service.provider_client import reading
from payment_service.usecases import settling
from tests.integration.payment_service import inside, paying, rig


async def test_looking_at_a_doubt_makes_the_resolver_look(
    database_url: str, bank: stack.Stack
) -> None:
    """A Get, and a repeat with the same key, never wait; the answer is there soon after."""
    target = bank.target(stack.MOCK)
    async with inside.running(
        database_url, target, resolver_doubt_first_s=3600, resolver_longest_s=3600
    ) as service:
        await inside.connected(service)
        caller = service.caller
        key = rig.new_key()
        doubt = await caller.create("tok_no_answer", key=key)
        assert rig.state(doubt) == "IN_DOUBT"
        assert rig.state(await caller.create("tok_no_answer", key=key)) == "IN_DOUBT"
        await caller.becomes(doubt.id, "SUCCEEDED")


async def test_looks_that_tell_nothing_leave_the_payment_alone(
    database_url: str, bank: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a provider hangs, looking at doubts neither locks nor reads; later they are settled."""
    read: list[str] = []
    looks: list[str] = []
    load = payments.load

    def noted(conn: Any, tenant_id: str, payment_id: str, **options: Any) -> Any:
        read.append(payment_id)
        return load(conn, tenant_id, payment_id, **options)

    async def hangs(operation: model.Operation, object_id: str) -> outcomes.Report:
        looks.append(operation.id)
        return reading.unknown(operation.version, "no answer")

    async def looked() -> bool:
        return len(looks) >= 3

    async with inside.running(database_url, bank.target(stack.MOCK)) as service:
        await inside.connected(service)
        provider = service.parts.ctx.providers.find("mock")
        with monkeypatch.context() as patch:
            patch.setattr(provider, "look_up", hangs)
            patch.setattr(payments, "load", noted)
            doubt = await service.caller.create("tok_no_answer")
            await rig.until(looked)
            assert not read
        await service.caller.becomes(doubt.id, "SUCCEEDED")


async def test_a_contradicted_operation_is_looked_at_ever_more_seldom(
    database_url: str, bank: stack.Stack
) -> None:
    """Each look raises it again, so a provider that forgot what it accepted is not asked
    whenever a lease runs out.
    """
    first_s, lease_us, clock = 100.0, 2**60, paying.Clock()
    async with inside.running(
        database_url,
        bank.target(stack.MOCK),
        clock=clock,
        resolver_pending_first_s=first_s,
        resolver_longest_s=3600.0,
    ) as service:
        await inside.connected(service)
        caller, ctx = service.caller, service.parts.ctx
        pending = await caller.create("tok_pending_then_settled")
        assert rig.operations(pending) == [("SALE", "PENDING")]
        for looks in (1, 2):
            later_us = ctx.clock.now_us() + round(first_s * 2 * 1e6)
            (operation,) = await ctx.db.write(
                functools.partial(
                    operations.claim_due, now_us=later_us, lease_until_us=lease_us, most=2
                )
            )
            clock.advance(first_s)
            asked_us = ctx.clock.now_us()
            report = reading.not_sent(operation.version, "NEVER_ARRIVED")
            settled = await settling.Settler(ctx).settle(operation, report)
            assert settled.verdict is outcomes.Verdict.ILLEGAL
            (after,) = await ctx.db.read(lambda conn: operations.newest(conn, pending.id, 9))
            assert after.state is model.OperationState.PENDING
            assert asked_us + first_s * looks * 1e6 <= after.next_check_us < lease_us


async def test_a_doubt_is_looked_at_again_after_an_answer_that_comes_too_late(
    database_url: str, bank: stack.Stack
) -> None:
    """What an older question contradicts is not applied, so nobody was told and looks go on."""
    async with inside.running(
        database_url,
        bank.target(stack.MOCK),
        resolver_doubt_first_s=1000.0,
        resolver_longest_s=3600.0,
    ) as service:
        await inside.connected(service)
        caller, ctx = service.caller, service.parts.ctx
        doubt = await caller.create("tok_no_answer")
        assert rig.operations(doubt) == [("SALE", "IN_DOUBT")]
        (operation,) = await ctx.db.read(lambda conn: operations.newest(conn, doubt.id, 9))
        late = reading.mismatch(operation.version - 1, "the provider booked 1 EUR")
        settled = await settling.Settler(ctx).settle(operation, late)
        assert settled.verdict is outcomes.Verdict.STALE
        (after,) = await ctx.db.read(lambda conn: operations.newest(conn, doubt.id, 9))
        assert after.failure is None
        assert after.next_check_us > ctx.clock.now_us()


async def test_rows_that_a_newer_version_left_keep_nobody_waiting(
    database_url: str, bank: stack.Stack
) -> None:
    """What can't be read waits for a version that can; everything else is looked at."""
    names = ", ".join(operations.COLUMNS)
    changed = {"id": "'op_new'", "kind": "99", "state": "2", "next_check_us": "1"}
    values = ", ".join(changed.get(name, name) for name in operations.COLUMNS)
    copy = f"insert into operations ({names}) select {values} from operations"
    mirror = (
        "insert into mirrors (tenant_id, kind, id, state, customer_id, user_id, parent_id, body, "
        "version, revision, next_fetch_us, created_us, updated_us) "
        "values ('t-inside', 4, 'sub_new', 1, '', '', '', '{}', 1, 1, 1, 1, 1)"
    )
    async with inside.running(database_url, bank.target(stack.MOCK)) as service:
        await inside.connected(service)
        caller, db = service.caller, service.parts.ctx.db
        await caller.create()
        for text in (copy, mirror):
            await db.write(lambda conn, text=text: conn.query(text))  # type: ignore[misc]
        doubt = await caller.create("tok_no_answer")
        assert (await caller.cancel(doubt.id)).cancel_requested

        async def returned() -> bool:
            return (await caller.get(doubt.id)).amounts.refunded_minor == 1000

        await rig.until(returned)
