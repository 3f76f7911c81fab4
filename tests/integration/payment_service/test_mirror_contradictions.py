"""Answers and snapshots that can't be true: kept, raised, never applied."""

from payhub.payments.v1 import mirror_pb2, payment_pb2

from payment_service.db import operations
from payment_service.domain import outcomes
from payment_service.usecases import settling
from tests.integration.payment_service import billing, rig

IN_DOUBT = mirror_pb2.SYNC_STATE_IN_DOUBT
DISCREPANCY = "reconciliation.discrepancy"


async def test_an_answer_that_is_not_what_was_asked_for_waits_for_an_operator(
    bill: billing.Billing,
) -> None:
    """Another price, or the object of another entity: nobody knows, and nobody repeats it."""
    bill.bank.twist = lambda made: made.plan.amount.CopyFrom(rig.money(901))
    plan = await bill.plan(900)
    assert plan.prices[0].sync_state == IN_DOUBT
    assert not plan.prices[0].provider_object_id
    (operation,) = plan.prices[0].operations
    assert operation.failure.reason == "ANSWER_MISMATCH"
    bill.bank.twist = None

    customer = await bill.customer()
    first = await bill.attach(customer.id)
    there = first.mirror.provider_object_id
    bill.bank.twist = lambda made: setattr(made, "provider_object_id", there)
    second = await bill.attach(customer.id)
    assert second.mirror.sync_state == IN_DOUBT
    assert rig.state(second) == "PENDING"
    assert await bill.method(first.id) == first
    bill.bank.twist = None
    due = bill.records.rows("select count(*) from operations where next_check_us > 0")
    assert due == [(0,)]
    for entity in (plan, second):
        bill.records.story(entity)


async def test_a_second_object_for_one_entity_is_raised_once(bill: billing.Billing) -> None:
    """Somebody is billed twice, or a webhook lies: either way a person must look."""
    customer, plan = await bill.customer(), await bill.plan(900)
    made = await bill.subscribe(customer.id, plan.id)
    known = bill.bank.objects[made.mirror.provider_object_id]
    twin = bill.bank.put("twin")
    twin.MergeFrom(known)
    twin.provider_object_id = "twin"
    for _ in range(2):
        assert await bill.tell(twin) == ["repeat"]
    after = await bill.subscription(made.id)
    assert after.mirror.provider_object_id == made.mirror.provider_object_id
    story = bill.records.story(after)
    assert story.count(DISCREPANCY) == 1


async def test_a_report_against_what_is_settled_is_kept_and_raised(
    bill: billing.Billing,
) -> None:
    """It changes nothing of the entity and is stored for an operator."""
    customer = await bill.customer()
    method = await bill.attach(customer.id)
    ctx = bill.service.parts.ctx
    (operation,) = await ctx.db.read(lambda conn: operations.newest(conn, method.id, 9))
    late = outcomes.Report(
        outcome=outcomes.Outcome.DECLINED, operation_version=operation.version, detail="late"
    )
    settled = await settling.Settler(ctx).settle(operation, late)
    assert settled.verdict is outcomes.Verdict.ILLEGAL
    after = await bill.method(method.id)
    assert (rig.state(after), after.version) == ("ACTIVE", method.version + 1)
    assert after.mirror.operations[0].state == payment_pb2.Operation.STATE_SUCCEEDED
    assert bill.records.story(after)[-1] == DISCREPANCY
    kept = bill.records.rows("select operation_id, outcome, detail from reports")
    assert kept == [(operation.id, "declined", "late")]
