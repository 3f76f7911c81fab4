"""Doubts that an operator ends: who may, when, and what is told of it."""

import asyncio
import contextlib
import dataclasses
import pathlib
import types
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import psycopg
import pytest
from payhub.admin.v1 import doubt_service_pb2 as pb
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from deploy import stack
from payment_service import composition
from payment_service.db import operations, payments
from payment_service.domain import outcomes
from payment_service.usecases import doubts, settling
from provider_sdk import errors as plugin_errors
from servicekit import storage
from tests import shells
from tests.integration.payment_service import (
    billing,
    desks,
    paying,
    rehearsing,
    rig,
    sidecars,
)

TOOK_EFFECT = pb.SettleDoubtRequest.FINDING_TOOK_EFFECT
NO_EFFECT = pb.SettleDoubtRequest.FINDING_NO_EFFECT
# Beyond every fence of this service.
LATER_S = doubts.SETTLEABLE_AFTER_S + 30.0


class Forgetful(sidecars.Sidecar):
    """Takes the money and tells nobody, and knows nothing of it afterwards."""

    def __init__(self) -> None:
        super().__init__("mock")
        self.handshake.capabilities.add(
            capability=capability_pb2.CAPABILITY_OPERATION_LOOKUP, enabled=True
        )
        self.handshake.upstream_request_max.FromSeconds(600)

    async def AuthorizePayment(
        self, request: provider_pb.AuthorizePaymentRequest, context: Any
    ) -> provider_pb.AuthorizePaymentResponse:
        """Ends without an answer."""
        self.charged.append(request.context.operation_id)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        raise AssertionError

    async def GetOperation(
        self, request: provider_pb.GetOperationRequest, context: Any
    ) -> provider_pb.GetOperationResponse:
        """Says that there is none."""
        none = plugin_errors.to_rpc(plugin_errors.NotFound("no such operation"), domain="mock")
        await sidecars.fail(context, none)


@pytest.fixture
async def desk(database_url: str, bank: stack.Stack) -> AsyncIterator[desks.Desk]:
    """Returns a desk on an empty database."""
    async with desks.opened(database_url, bank.target(stack.MOCK)) as found:
        yield found


async def test_an_operator_ends_what_nothing_looks_at_any_more(desk: desks.Desk) -> None:
    """What took effect counts like the provider's own answer; who says so and why is kept."""
    wrong = await desk.caller.create("tok_wrong_amount")
    looked_at = await desk.caller.create("tok_no_answer")
    assert rig.state(wrong) == rig.state(looked_at) == "IN_DOUBT"
    (doubt,) = (await desk.list(needs_operator=True)).doubts
    assert (doubt.entity_id, doubt.kind, doubt.provider) == (wrong.id, "SALE", "mock")
    assert doubt.plugin_version == "0.1.0"
    assert doubt.failure.reason == "ANSWER_MISMATCH"
    assert not doubt.HasField("next_look_time")
    assert len((await desk.list()).doubts) == 2

    early = await rig.refusal(desk.settle(doubt, TOOK_EFFECT))
    assert (early.code, early.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    assert early.metadata["settleable_time"] == doubt.settleable_time.ToJsonString()
    assert rig.state(await desk.caller.get(wrong.id)) == "IN_DOUBT"

    desk.clock.advance(LATER_S)
    assert not wrong.provider_payment_id
    more = {"provider_payment_id": "mpay_seen"}
    unseen = {"version": doubt.version - 1, **more}
    assert (await rig.refusal(desk.settle(doubt, TOOK_EFFECT, **unseen))).reason == "STATE_CONFLICT"
    paid = await desk.settle(doubt, TOOK_EFFECT, **more)
    assert rig.state(paid) == "SUCCEEDED"
    assert rig.amounts(paid) == (1000, 1000, 0, 0, 0)
    assert paid.provider_payment_id
    assert await desk.settle(doubt, TOOK_EFFECT, **more) == paid
    assert (await rig.refusal(desk.settle(doubt, TOOK_EFFECT, **unseen))).reason == "STATE_CONFLICT"
    for version in (doubt.version, doubt.version + 1):
        other = await rig.refusal(desk.settle(doubt, NO_EFFECT, version=version))
        assert (other.reason, other.metadata["state"]) == ("STATE_CONFLICT", "STATE_SUCCEEDED")
        assert "list doubts again" in str(other)
    assert not (await desk.list(needs_operator=True)).doubts

    told = desk.records.events(wrong.id)[-1]
    assert told.type == "payment.succeeded"
    (report,) = desk.records.rows(
        "select outcome, detail from reports where entity_id = ?", wrong.id
    )
    assert report[0] == "succeeded"
    assert report[1].endswith(": seen in the dashboard, ticket 4711")
    assert told.cause.actor.startswith("key:")
    assert report[1].startswith(told.cause.actor)


async def test_a_request_that_takes_long_is_waited_for(database_url: str) -> None:
    """Nobody ends a doubt while the plugin says that a request of it may be under way."""
    async with Forgetful() as bank, desks.opened(database_url, bank.target) as desk:
        payment = await desk.caller.create("tok_any")
        assert rig.state(payment) == "IN_DOUBT"
        doubt = await desk.one(payment)
        begun_s = payment.create_time.seconds
        assert 600 <= doubt.settleable_time.seconds - begun_s <= 605
        desk.clock.advance(LATER_S)
        early = await rig.refusal(desk.settle(doubt, NO_EFFECT))
        assert early.metadata["settleable_time"] == doubt.settleable_time.ToJsonString()
        desk.clock.advance(600.0)
        assert rig.state(await desk.settle(doubt, NO_EFFECT)) == "FAILED"


async def test_not_found_proves_nothing_while_a_request_may_be_under_way(
    database_url: str,
) -> None:
    """NOT_FOUND counts only after the time that the plugin gives its requests upstream."""
    async with Forgetful() as bank, desks.opened(database_url, bank.target) as desk:
        payment = await desk.caller.create("tok_any")
        desk.clock.advance(LATER_S)

        async def looked() -> bool:
            now = await desk.caller.get(payment.id)
            return now.operations[0].attempts > 1

        await rig.until(looked)
        assert rig.state(await desk.caller.get(payment.id)) == "IN_DOUBT"
        desk.clock.advance(600.0)
        failed = await desk.caller.becomes(payment.id, "FAILED")
        assert failed.failure.reason == "NEVER_ARRIVED"


async def test_a_refund_that_was_not_made_gives_its_amount_back(desk: desks.Desk) -> None:
    """What has had no effect is as if it had never arrived, and can be asked for again."""
    payment = await desk.caller.create("tok_approve+refund.wrong_amount")
    refund = await desk.caller.refund(payment.id, 700)
    assert rig.state(refund) == "IN_DOUBT"
    too_much = await rig.refusal(desk.caller.refund(payment.id, 400))
    assert too_much.reason == "AMOUNT_EXCEEDED"
    desk.clock.advance(LATER_S)
    after = await desk.settle(await desk.one(payment), NO_EFFECT)
    assert rig.amounts(after) == (1000, 1000, 0, 0, 0)
    failed = await desk.caller.get_refund(refund.id)
    assert (rig.state(failed), failed.failure.reason) == ("FAILED", outcomes.FOUND_BY_OPERATOR)
    assert (await desk.caller.refund(payment.id, 400)).id


async def test_a_doubt_that_was_sent_again_meanwhile_is_not_ended(desk: desks.Desk) -> None:
    """Whoever sends it again says so first; what was seen before proves nothing any more."""
    payment = await desk.caller.create("tok_no_answer")
    desk.clock.advance(LATER_S)
    doubt = await desk.one(payment)
    ctx = desk.service.parts.ctx
    seen = await ctx.db.read(lambda conn: operations.load(conn, payment.id, doubt.operation_id))
    assert seen is not None
    again = dataclasses.replace(seen, not_after_us=ctx.clock.now_us() + 1_000_000)
    assert await ctx.db.write(lambda conn: operations.fence(conn, again))
    assert not await ctx.db.write(lambda conn: operations.hold_doubt(conn, seen))
    refused = await rig.refusal(desk.settle(doubt, NO_EFFECT))
    assert refused.reason == "STATE_CONFLICT"
    assert "may still arrive" in str(refused)
    desk.clock.advance(LATER_S)
    ended = await desk.settle(await desk.one(payment), NO_EFFECT)
    assert rig.state(ended) == "FAILED"
    # What takes its time for ever is never sent again, and never applied.
    assert not await ctx.db.write(lambda conn: operations.fence(conn, again))
    late = outcomes.Report(outcome=outcomes.Outcome.SUCCEEDED, operation_version=doubt.version)
    settled = await settling.Settler(ctx).settle(seen, late)
    assert settled.verdict is outcomes.Verdict.ILLEGAL
    assert desk.records.events(payment.id)[-1].type == "reconciliation.discrepancy"


async def test_a_doubt_that_is_sent_again_while_it_is_ended_stays(
    desk: desks.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends it again notes that without the payment's lock; the end finds it noted."""
    payment = await desk.caller.create("tok_no_answer")
    desk.clock.advance(LATER_S)
    doubt = await desk.one(payment)
    ctx = desk.service.parts.ctx
    before = await ctx.db.read(lambda conn: payments.load(conn, desk.caller.tenant, payment.id))
    assert before is not None
    later_us = ctx.clock.now_us() + 1_000_000
    again = dataclasses.replace(before.operations[0], not_after_us=later_us)
    assert await ctx.db.write(lambda conn: operations.fence(conn, again))
    monkeypatch.setattr(payments, "load", lambda *_, **__: before)
    refused = await rig.refusal(desk.settle(doubt, NO_EFFECT))
    monkeypatch.undo()
    assert "may still arrive" in str(refused)
    assert rig.state(await desk.caller.get(payment.id)) == "IN_DOUBT"


async def test_a_payment_that_took_effect_needs_the_providers_id(desk: desks.Desk) -> None:
    """Without it nothing could be captured, canceled or refunded; nowhere else is one taken."""
    payment = await desk.caller.create("tok_no_answer", manual=True)
    desk.clock.advance(LATER_S)
    doubt = await desk.one(payment)
    nothing = await rig.refusal(desk.settle(doubt, TOOK_EFFECT))
    assert (nothing.reason, nothing.fields) == ("INVALID_FIELD", ["provider_payment_id"])
    needless = await rig.refusal(desk.settle(doubt, NO_EFFECT, provider_payment_id="mpay_1"))
    assert needless.fields == ["provider_payment_id"]
    paid = await desk.caller.create()
    named = {"provider_payment_id": paid.provider_payment_id}
    mistaken = await rig.refusal(desk.settle(doubt, TOOK_EFFECT, **named))
    assert mistaken.fields == ["provider_payment_id"]
    assert paid.id in str(mistaken)
    for pasted in ("mpay_seen ", "mpay_seen\u00a0", "\u200bmpay_seen", "mpay_seen\n"):
        unclean = await rig.refusal(desk.settle(doubt, TOOK_EFFECT, provider_payment_id=pasted))
        assert unclean.fields == ["provider_payment_id"]
    held = await desk.settle(doubt, TOOK_EFFECT, provider_payment_id="mpay_seen")
    late = await rig.refusal(desk.settle(doubt, TOOK_EFFECT, provider_payment_id="mpay_other"))
    assert (late.reason, late.metadata["state"]) == ("STATE_CONFLICT", "STATE_SUCCEEDED")
    assert (rig.state(held), held.provider_payment_id) == ("AUTHORIZED", "mpay_seen")

    # A webhook that comes after all.
    ctx = desk.service.parts.ctx
    ended = await ctx.db.read(lambda conn: operations.load(conn, payment.id, doubt.operation_id))
    assert ended is not None
    told = outcomes.Report(
        outcome=outcomes.Outcome.SUCCEEDED,
        operation_version=ended.version,
        provider_object_id="mpay_made",
    )
    await settling.Settler(ctx).settle(ended, told)
    assert desk.records.events(payment.id)[-1].type == "reconciliation.discrepancy"
    reports = desk.records.rows("select detail from reports where entity_id = ?", payment.id)
    assert ("mpay_made",) in reports


async def test_what_is_wrong_with_a_request_is_said(desk: desks.Desk) -> None:
    """Unknown ids, old versions and missing reasons change nothing."""
    payment = await desk.caller.create("tok_no_answer")
    doubt = await desk.one(payment)
    unknown = await rig.refusal(desk.settle(doubt, NO_EFFECT, operation_id=f"op_{'0' * 32}"))
    assert unknown.code is grpc.StatusCode.NOT_FOUND
    old = await rig.refusal(desk.settle(doubt, NO_EFFECT, version=doubt.version + 1))
    assert (old.reason, old.metadata["version"]) == ("STATE_CONFLICT", str(doubt.version))
    wrong = await rig.refusal(
        desk.settle(doubt, pb.SettleDoubtRequest.FINDING_UNSPECIFIED, reason="")
    )
    assert sorted(wrong.fields) == ["finding", "reason"]


async def test_a_doubt_that_only_a_newer_version_can_read_hides_no_others(desk: desks.Desk) -> None:
    """After a newer version was replaced by this one, pages go on behind what it left."""
    payments = [await desk.caller.create("tok_wrong_amount") for _ in range(4)]
    newer = storage.Statement("update operations set kind = 99 where entity_id = :id")
    for each in payments[1:3]:
        values = {"id": each.id}
        await desk.service.parts.ctx.db.write(lambda conn, values=values: conn.run(newer, values))  # type: ignore[misc]
    first = await desk.list(page_size=1)
    rest = await desk.list(page_size=1, page_token=first.next_page_token)
    listed = [each.entity_id for each in (*first.doubts, *rest.doubts)]
    assert listed == [payments[0].id, payments[3].id]
    assert not rest.next_page_token


async def test_who_ended_a_doubt_is_logged_whoever_gives_up(
    desk: desks.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who stops waiting has settled it all the same."""
    payment = await desk.caller.create("tok_no_answer")
    desk.clock.advance(LATER_S)
    doubt = await desk.one(payment)
    logged: list[Any] = []
    log = types.SimpleNamespace(warning=lambda *text, **fields: logged.append(fields))
    monkeypatch.setattr(doubts, "_log", log)
    ctx = desk.service.parts.ctx
    cases = doubts.Doubts(ctx, settling.Settler(ctx))
    waiting = asyncio.create_task(
        cases.settle(
            doubt.operation_id,
            version=doubt.version,
            took_effect=False,
            provider_payment_id="",
            reason="seen",
            actor="key:night",
        )
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await desk.caller.becomes(payment.id, "FAILED")

    async def told() -> bool:
        return bool(logged)

    await rig.until(told)
    assert (logged[0]["actor"], logged[0]["detail"]) == ("key:night", "seen")


async def test_only_doubts_of_payments_are_ended_by_hand(database_url: str) -> None:
    """Of everything else the provider tells what it has; such a doubt is only shown."""
    clock = paying.Clock()
    async with billing.running(database_url, clock=clock) as bill:
        bill.bank.twist = lambda made: made.plan.amount.CopyFrom(rig.money(901))
        plan = await bill.plan(900)
        desk = desks.Desk(bill.service, clock, database_url)
        with contextlib.closing(desk.records):
            (doubt,) = (await desk.list()).doubts
            assert doubt.operation_id == plan.prices[0].operations[0].id
            assert doubt.kind == "CREATE_PLAN"
            assert not doubt.settleable
            clock.advance(LATER_S)
            refused = await rig.refusal(desk.settle(doubt, NO_EFFECT))
    assert (refused.reason, refused.fields) == ("INVALID_FIELD", ["operation_id"])
    assert doubt.entity_id in str(refused)


async def test_payctl_lists_and_settles_doubts(desk: desks.Desk) -> None:
    """What is listed is what `settle` takes; pages go on where the last one ended."""
    payments = [await desk.caller.create("tok_wrong_amount") for _ in range(3)]
    first = await desk.list(page_size=2)
    rest = await desk.list(page_size=2, page_token=first.next_page_token)
    listed = [*first.doubts, *rest.doubts]
    assert [each.entity_id for each in listed] == [payment.id for payment in payments]
    assert not rest.next_page_token
    terminal = shells.Terminal(
        "doubts",
        PAYHUB_TARGET=desk.caller.target,
        PAYHUB_KEY=desk.caller.key,
        COLUMNS="250",
    )
    shown, _ = await terminal("list", "--stuck")
    assert all(payment.id in shown for payment in payments)
    assert "the provider booked" in shown
    desk.clock.advance(LATER_S)
    version = ("--version", str(listed[0].version))
    why = ("--reason", "refunded there by hand")
    ended, _ = await terminal("settle", listed[0].operation_id, *version, "--no-effect", *why)
    assert "FAILED" in ended
    _, refused = await terminal(
        "settle", listed[0].operation_id, *version, "--took-effect", *why, code=1
    )
    assert "list doubts again" in refused


# Some that nobody has ended for long, all that was settled since, and those of an outage now.
_OLD, _SETTLED, _NEW = 60, 40_000, 10_000
_FILL = f"""
    insert into operations (entity_id, id, tenant_id, kind, state, amount_minor, currency,
      reserved_minor, final, refund_id, version, attempts, provider, binding_id, request,
      provider_operation_id, failure, correlation_id, idempotency_key, actor, not_after_us,
      next_check_us, created_us, updated_us)
    select 'pay_' || lpad(n::text, 9, '0'), 'op_' || lpad(n::text, 9, '0'), 't', 2,
      case when n > {_OLD} and n <= {_OLD + _SETTLED} then 5 else 4 end, 1, 'EUR', 0, 0, '', 2, 1,
      'mock', 'b', '', '', '', '', '', '', 0,
      case when n > {_OLD + _SETTLED} then n else 0 end, n, n
    from generate_series(1, {_OLD + _SETTLED + _NEW}) as n"""


@pytest.mark.parametrize(
    "wanted",
    [{"needs_operator": True}, {"after_id": f"op_{_OLD:09}"}],
    ids=["stuck", "second page"],
)
async def test_what_was_settled_is_not_read_to_find_doubts(
    new_postgres_database: Callable[[], str], wanted: dict[str, Any]
) -> None:
    """In an outage doubts are many, which is no reason to go through all operations for them."""
    url = new_postgres_database()
    storage.migrate(url, pathlib.Path(composition.MIGRATIONS))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL)
        connection.execute("analyze operations")
    db = await storage.open_database(url)
    try:

        def listed(conn: storage.Connection) -> tuple[list[Any], str]:
            asked = rehearsing.Recording(conn)
            found = operations.list_doubts(asked, operations.DoubtFilter(**wanted), most=51)
            (_, text, values, _) = asked.asked[0]
            plan = conn.query(f"explain {text}", *values)
            return found, "\n".join(row[0] for row in plan)

        found, plan = await db.read(listed)
    finally:
        await db.close()
    assert len(found) == 51
    assert "operations_open" in plan
