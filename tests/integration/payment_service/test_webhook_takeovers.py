"""Webhooks that are worked on in the background: who waits for whom, and whose word counts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from payhub.provider.v1 import operation_pb2

from payment_service.db import webhooks as rows
from payment_service.domain import webhooks
from payment_service.usecases.webhooks import replaying
from servicekit import storage
from tests.integration.payment_service import hooking, rig

_O = operation_pb2.Operation
# More than are worked on at once for one provider.
STUCK = 96
UNKNOWN = _O(operation_id=f"op_{'0' * 32}", state=_O.STATE_SUCCEEDED)


@pytest_asyncio.fixture
async def hooks(database_url: str) -> AsyncIterator[hooking.Hooks]:
    """A service with a provider that sends webhooks."""
    async with hooking.running(database_url) as running:
        yield running


async def stored(hooks: hooking.Hooks, webhook_id: str) -> webhooks.Webhook:
    """Returns a webhook's row."""
    found = await hooks.service.parts.ctx.db.read(lambda conn: rows.load(conn, webhook_id))
    assert found is not None
    return found


async def test_a_provider_that_hangs_keeps_no_others_webhooks_waiting(
    hooks: hooking.Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its webhooks are due, those of others are worked on beside them."""
    _, parked = await hooks.send(hooks.told(operations=[UNKNOWN]))
    one = await stored(hooks, parked)
    ctx = hooks.service.parts.ctx
    due_us = ctx.clock.now_us()
    hang, begun = asyncio.Event(), set[str]()
    work = replaying.Webhooks.work

    async def hanging(cases: replaying.Webhooks, webhook: webhooks.Webhook) -> webhooks.Webhook:
        begun.add(webhook.id)
        if webhook.provider == "stuck":
            await hang.wait()
        return await work(cases, webhook)

    def make_due(conn: storage.Connection) -> None:
        for number in range(STUCK):
            identity = f"whk_{number:032x}"
            early_us = due_us - 1_000_000 + number
            rows.insert(conn, replace(one, id=identity, provider="stuck", next_attempt_us=early_us))
        rows.update(conn, replace(one, next_attempt_us=due_us))

    async def worked_on() -> bool:
        return parked in begun

    async def all_worked_on() -> bool:
        return len(begun) > STUCK

    monkeypatch.setattr(replaying.Webhooks, "work", hanging)
    await ctx.db.write(make_due)
    try:
        await rig.until(worked_on)
        assert len(begun) < STUCK
    finally:
        hang.set()
    await rig.until(all_worked_on)


async def test_who_took_longer_than_its_lease_does_not_undo_what_was_applied(
    hooks: hooking.Hooks,
) -> None:
    """A webhook that another worker has applied stays so, also after the last of all tries."""
    _, parked = await hooks.send(hooks.told(operations=[UNKNOWN]))
    before = await stored(hooks, parked)
    assert before.state is webhooks.State.PARKED
    ctx, cases = hooks.service.parts.ctx, hooks.service.parts.webhook_cases
    done = webhooks.ended(before, webhooks.State.APPLIED, ctx.clock.now_us(), ("pay_1",))
    await ctx.db.write(lambda conn: rows.update(conn, done))
    for slow in (before, replace(before, attempts=len(webhooks.WAITS_US) + 1)):
        assert (await cases.work(slow)).state is webhooks.State.APPLIED
        assert await stored(hooks, parked) == done
    # Nor does it put off what somebody else is working on now.
    taken = replace(before, attempts=before.attempts + 1, next_attempt_us=2**60)
    await ctx.db.write(lambda conn: rows.update(conn, taken))
    await cases.work(before)
    assert await stored(hooks, parked) == taken


async def test_what_takes_longer_than_its_lease_is_not_taken_again_where_it_is_worked_on(
    hooks: hooking.Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one try all the time, and what comes of it counts."""
    _, parked = await hooks.send(hooks.told(operations=[UNKNOWN]))
    one = await stored(hooks, parked)
    ctx, other = hooks.service.parts.ctx, f"whk_{1:032x}"
    hang, begun = asyncio.Event(), set[str]()
    work = replaying.Webhooks.work

    async def hanging(cases: replaying.Webhooks, webhook: webhooks.Webhook) -> webhooks.Webhook:
        begun.add(webhook.id)
        if webhook.id == parked:
            await hang.wait()
        return await work(cases, webhook)

    async def due(*which: str) -> None:
        """Has leases end, or times come, all at once."""
        now_us = ctx.clock.now_us()

        def write(conn: storage.Connection) -> None:
            for identity in which:
                if (found := rows.load(conn, identity)) is None:
                    rows.insert(conn, replace(one, id=identity, next_attempt_us=now_us))
                else:
                    rows.update(conn, replace(found, next_attempt_us=now_us))

        await ctx.db.write(write)

    async def is_begun(*which: str) -> bool:
        return begun >= set(which)

    async def is_put_off() -> bool:
        found = await stored(hooks, parked)
        return found.updated_us > one.updated_us

    monkeypatch.setattr(replaying.Webhooks, "work", hanging)
    await due(parked)
    try:
        await rig.until(lambda: is_begun(parked))
        await due(parked, other)
        # Whoever takes this one has seen that the lease of the first is over.
        await rig.until(lambda: is_begun(parked, other))
    finally:
        hang.set()
    await rig.until(is_put_off)
    assert (await stored(hooks, parked)).attempts == one.attempts + 1
