"""Daily limits hold whatever races, and count exactly what may have taken effect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest_asyncio

from deploy import stack
from payment_service.db import usage
from payment_service.domain import bindings
from payment_service.usecases import daily_limits
from servicekit import storage
from tests import polling
from tests.integration.payment_service import binding_rig, conftest, inside, records, rig

ZONE = "Pacific/Kiritimati"


def used(stored: records.Records, binding_id: str) -> dict[str, int]:
    """Returns what a binding has used by currency, on the one day of a test."""
    rows = stored.rows(
        "select day, currency, used_minor from binding_usage where binding_id = ?", binding_id
    )
    assert len({day for day, _, _ in rows}) <= 2
    sums: dict[str, int] = {}
    for _, currency, minor in rows:
        sums[currency] = sums.get(currency, 0) + minor
    return sums


def daily(most: int, **more: Any) -> binding_rig.Options:
    """Returns options with a limit per day."""
    limits = [binding_rig.limit(daily_minor=most)]
    return binding_rig.Options(limits=limits, time_zone=ZONE, **more)


@pytest_asyncio.fixture
async def replicas(
    database_url: str, bank: stack.Stack
) -> AsyncIterator[Sequence[inside.InProcess]]:
    """Two services on one PostgreSQL database; one on SQLite, which one process has alone."""
    wanted = 1 if database_url.startswith("sqlite") else 2
    async with contextlib.AsyncExitStack() as opened:
        running = inside.running(database_url, bank.target(stack.MOCK), **SETTINGS)
        found = [await opened.enter_async_context(running)]
        for _ in range(wanted - 1):
            other = inside.running(database_url, bank.target(stack.MOCK), **SETTINGS)
            found.append(await opened.enter_async_context(other))
        yield found


SETTINGS: dict[str, Any] = {
    "encryption_keys": "q7ZQ3Y2m0yZpqQxqvTjmEoKfZk1Jc8Hn0qfCqkq3b2A=",
    # No payment of a crowd is in doubt because the crowd took long.
    "provider_timeout_s": 20,
}


async def test_of_payments_that_race_exactly_so_many_pass_as_the_day_holds(
    replicas: Sequence[inside.InProcess], database_url: str
) -> None:
    """Sales, authorizations and confirms over all replicas; not one minor unit more."""
    callers = [each.caller for each in replicas]
    admin = binding_rig.Admin(callers[0])
    for each in replicas:
        await inside.connected(each)
    binding = await admin.create(callers[0].tenant, {"settle_after_s": 0.5}, options=daily(1_000))
    for each in replicas:
        await each.parts.ctx.catalog.refresh()
    created = [
        await callers[n % len(callers)].create(token="", amount_minor=90, confirm=False)
        for n in range(8)
    ]
    calls = []
    for number in range(24):
        caller = callers[number % len(callers)]
        calls.append(caller.create(amount_minor=90, manual=number % 3 == 0))
        if number < len(created):
            calls.append(caller.confirm(created[number].id))
    results = await asyncio.gather(*calls, return_exceptions=True)
    paid = [each for each in results if not isinstance(each, BaseException)]
    refused = [each for each in results if isinstance(each, rig.Refused)]
    assert len(paid) + len(refused) == len(results), results
    assert len(paid) == 11
    assert {rig.state(each) for each in paid} <= {"SUCCEEDED", "AUTHORIZED"}
    assert {each.reason for each in refused} == {"LIMIT_EXCEEDED"}
    for one in refused:
        assert one.metadata["limit"] == "daily"
        assert one.metadata["time_zone"] == ZONE
        assert int(one.metadata["used_minor"]) + 90 > 1_000
    with contextlib.closing(records.Records(database_url)) as stored:
        assert used(stored, binding.id) == {"EUR": 990}
        began = stored.rows(
            "select count(*), sum(amount_minor) from operations where counted_day <> ''"
        )
        assert [tuple(map(int, row)) for row in began] == [(11, 990)]
        for payment in paid:
            stored.story(payment)
    small = await callers[0].create(amount_minor=10)
    assert rig.state(small) == "SUCCEEDED"
    assert (await rig.refusal(callers[0].create(amount_minor=1))).metadata["used_minor"] == "1000"
    assert rig.state(await callers[0].create(amount_minor=10**6, currency="USD")) == "SUCCEEDED"


async def test_what_had_no_effect_is_given_back_and_doubts_count(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """In the transaction of the outcome: declined, not sent, voided before it took anything."""
    caller = await join(hasty)
    async with hasty.admin() as administrator:
        admin = binding_rig.Admin(administrator)
        # As the shared one has it, so that a call takes long enough to be met half-way.
        config = {"latency_ms": 120}
        binding = await admin.create(caller.tenant, config, options=daily(1_000))
    stored = hasty.records

    def now() -> int:
        return used(stored, binding.id).get("EUR", 0)

    declined = await caller.create("tok_decline", 1_000)
    assert (rig.state(declined), now()) == ("FAILED", 0)
    assert (rig.state(await caller.create("tok_not_sent", 1_000)), now()) == ("FAILED", 0)
    again = await caller.confirm(declined.id, "tok_decline")
    assert (rig.state(again), now()) == ("FAILED", 0)
    doubt = await caller.create("tok_no_answer", 400)
    assert rig.state(doubt) in ("IN_DOUBT", "SUCCEEDED")
    assert now() == 400
    never = asyncio.create_task(caller.create("tok_drop_before_commit", 600))

    async def counted() -> bool:
        return now() == 1_000

    await rig.until(counted)
    refused = await rig.refusal(caller.create(amount_minor=1))
    assert (refused.reason, refused.metadata["used_minor"]) == ("LIMIT_EXCEEDED", "1000")
    assert rig.state(await caller.becomes((await never).id, "FAILED")) == "FAILED"
    assert now() == 400
    assert rig.state(await caller.becomes(doubt.id, "SUCCEEDED")) == "SUCCEEDED"
    waiting = await caller.create("tok_action_required", 600)
    assert now() == 1_000
    await caller.cancel(waiting.id)
    await caller.becomes(waiting.id, "CANCELED")
    assert now() == 400
    held = await caller.create(amount_minor=600, manual=True)
    await caller.capture(held.id, 100, more=True)
    await caller.cancel(held.id)
    await caller.refund(doubt.id)
    assert now() == 1_000
    for payment in (declined, doubt, waiting, held):
        stored.story(await caller.get(payment.id))


async def test_a_repeated_key_counts_once_and_is_answered_on_a_full_day(
    service: conftest.Service, caller: rig.Caller
) -> None:
    """Sent at once or later: one operation, one amount; another request gets its refusal."""
    async with service.admin() as administrator:
        await binding_rig.Admin(administrator).create(caller.tenant, options=daily(700))
    key = rig.new_key()
    results = await asyncio.gather(
        *(caller.create(amount_minor=700, key=key) for _ in range(6)), return_exceptions=True
    )
    paid = {each.id for each in results if not isinstance(each, BaseException)}
    assert len(paid) == 1
    refused = {each.reason for each in results if isinstance(each, rig.Refused)}
    assert refused <= {"IDEMPOTENCY_KEY_IN_FLIGHT"}
    assert (await caller.create(amount_minor=700, key=key)).id in paid
    assert (await rig.refusal(caller.create(amount_minor=700))).reason == "LIMIT_EXCEEDED"


async def test_a_day_is_counted_and_pruned_by_one_statement_each(
    new_database_url: Callable[[], str],
) -> None:
    """Sums near the largest number neither overflow nor pass; a pruned day takes no harm."""
    from payment_service import composition

    url = new_database_url()
    await asyncio.to_thread(storage.migrate, url, composition.MIGRATIONS)
    most = 2**63 - 1
    takes = bindings.Counted(
        binding_id="b",
        day="2026-01-01",
        zone="UTC",
        currency="EUR",
        amount_minor=most - 1,
        limit_minor=most,
    )
    db = await storage.open_database(url)
    try:
        write = db.write
        assert await write(lambda c: c.run(usage.COUNT, usage.params(takes))) == 1
        assert await write(lambda c: c.run(usage.COUNT, usage.params(takes))) == 0
        assert await db.read(lambda c: usage.used_minor(c, takes)) == most - 1
        back = usage.give_back_params("b", "2026-01-01", "EUR", 5)
        assert await write(lambda c: c.run(usage.GIVE_BACK, back)) == 1
        assert await db.read(lambda c: usage.used_minor(c, takes)) == most - 6
        assert await write(lambda c: usage.prune(c, "2026-01-01")) == 0
        assert await write(lambda c: usage.prune(c, "2026-01-02")) == 1
        assert await write(lambda c: c.run(usage.GIVE_BACK, back)) == 1
        assert await db.read(lambda c: usage.used_minor(c, takes)) == 0
    finally:
        await db.close()


async def test_days_are_forgotten_once_nothing_can_give_back_to_them(
    replicas: Sequence[inside.InProcess],
) -> None:
    """A running service deletes what was used on days long gone, and keeps the others."""
    ctx = replicas[0].parts.ctx

    def day(ago: int) -> str:
        return bindings.day(bindings.UTC, ctx.clock.now_us() - ago * 86_400_000_000)

    gone, kept = day(daily_limits.KEEP_DAYS + 1), day(daily_limits.KEEP_DAYS - 1)

    def plant(conn: storage.Connection) -> None:
        for each in (gone, kept):
            conn.run(usage.GIVE_BACK, usage.give_back_params("b", each, "EUR", 0))

    def days(conn: storage.Connection) -> list[str]:
        found = conn.all(storage.Statement("select day from binding_usage order by day"))
        return [row[0] for row in found]

    await ctx.db.write(plant)
    stop = asyncio.Event()
    pruning = asyncio.create_task(daily_limits.prune_forever(ctx, stop))

    async def is_over() -> bool:
        return await ctx.db.read(days) == [kept]

    await polling.until(is_over)
    stop.set()
    await pruning
