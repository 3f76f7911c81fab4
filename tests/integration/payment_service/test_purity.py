"""Transaction functions may run more than once: each run asks for the same writes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest_asyncio

from deploy import stack
from payment_service.db import operations, payments
from payment_service.domain import outcomes
from payment_service.usecases import settling
from servicekit import storage
from tests.integration.payment_service import inside, records, rehearsing, rig


@pytest_asyncio.fixture
async def rehearsed(
    database_url: str, bank: stack.Stack
) -> AsyncIterator[tuple[inside.InProcess, rehearsing.Rehearsing]]:
    """A payment service whose every transaction is rehearsed."""
    made: list[rehearsing.Rehearsing] = []

    def wrap(db: storage.Database) -> rehearsing.Rehearsing:
        made.append(rehearsing.Rehearsing(db))
        return made[0]

    async with inside.running(database_url, bank.target(stack.MOCK), wrap=wrap) as service:
        await inside.connected(service)
        yield service, made[0]


async def test_every_transaction_asks_the_same_when_it_runs_again(
    rehearsed: tuple[inside.InProcess, rehearsing.Rehearsing], database_url: str
) -> None:
    """Ids and times come from outside, so a rerun writes nothing else; all flows, all outcomes."""
    service, db = rehearsed
    caller = service.caller

    async def captured_and_refunded() -> rig.Payment:
        held = await caller.create(manual=True)
        await caller.capture(held.id, 400, more=True)
        await asyncio.gather(caller.refund(held.id, 100), caller.refund(held.id, 200))
        await rig.refusal(caller.refund(held.id, 101))
        await caller.cancel(held.id)
        return await caller.get(held.id)

    async def confirmed_again() -> rig.Payment:
        made = await caller.create(token="", confirm=False)
        await caller.confirm(made.id, "tok_decline")
        await caller.confirm(made.id)
        return await caller.get(made.id)

    async def canceled_while_under_way() -> rig.Payment:
        creating = asyncio.create_task(
            caller.create("tok_late_answer", references={"order_id": "late"})
        )

        async def stored() -> rig.Payment | None:
            found = (await caller.list(order_id="late")).payments
            return found[0] if found else None

        payment: rig.Payment = await rig.until(stored)
        await caller.cancel(payment.id)
        await creating

        async def refunded() -> rig.Payment | None:
            now = await caller.becomes_known(payment.id)
            return now if now.amounts.refunded_minor else None

        after: rig.Payment = await rig.until(refunded)
        return after

    async def settled(token: str, state: str) -> rig.Payment:
        return await caller.becomes((await caller.create(token)).id, state)

    async def repeated() -> rig.Payment:
        key = rig.new_key()
        payment = await caller.create(key=key)
        assert await caller.create(key=key) == payment
        assert (await rig.refusal(caller.create(amount_minor=1, key=key))).reason
        return payment

    payments_ = await asyncio.gather(
        captured_and_refunded(),
        confirmed_again(),
        canceled_while_under_way(),
        repeated(),
        settled("tok_no_answer", "SUCCEEDED"),
        settled("tok_drop_before_commit", "FAILED"),
        settled("tok_pending_then_settled", "SUCCEEDED"),
        settled("tok_pending_then_declined", "FAILED"),
    )
    customer = await caller.create_customer(email="mock+no_answer@example.com")
    await caller.customer_becomes(customer.id, "SYNCED")
    customer = await caller.update_customer(customer.id, name="Grace")
    with contextlib.closing(records.Records(database_url)) as stored:
        for entity in (*payments_, customer):
            stored.story(entity)
    assert db.rehearsed > 40


async def test_a_report_that_contradicts_what_is_settled_is_kept_once(
    rehearsed: tuple[inside.InProcess, rehearsing.Rehearsing], database_url: str
) -> None:
    """It changes no amount; it is stored and raised as one event, however often it is run."""
    service, _ = rehearsed
    caller, ctx = service.caller, service.parts.ctx
    paid = await caller.create()
    loaded = await ctx.db.read(lambda conn: payments.load(conn, caller.tenant, paid.id))
    assert loaded is not None
    (operation,) = loaded.operations
    declined = outcomes.Report(
        outcome=outcomes.Outcome.DECLINED, operation_version=operation.version, detail="late"
    )
    settled = await settling.Settler(ctx).settle(operation, declined)
    assert settled.verdict is outcomes.Verdict.ILLEGAL
    after = await caller.get(paid.id)
    assert rig.state(after) == "SUCCEEDED"
    assert rig.amounts(after) == rig.amounts(paid)
    with contextlib.closing(records.Records(database_url)) as stored:
        assert stored.story(after)[-1] == "reconciliation.discrepancy"
        kept = stored.rows("select operation_id, outcome, detail from reports")
    assert kept == [(operation.id, "declined", "late")]
    due = await ctx.db.read(lambda conn: operations.open_counts(conn))
    assert due == []
