"""Webhooks that are worked on in the background: who waits for whom, and whose word counts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from payhub.provider.v1 import operation_pb2

from payment_service.db import webhooks as rows
from payment_service.domain import webhooks
from payment_service.usecases.webhooks import replaying
from servicekit import storage
from tests.integration.payment_service import hooking, rig

_O = operation_pb2.Operation
# More than are worked on at once for one provider.
STUCK = 96
_HEADERS = storage.Statement("update inbound_webhooks set headers = :headers where id = :id")
# As long as a test lasts.
NEVER_US = 2**52
UNKNOWN = _O(operation_id=f"op_{'0' * 32}", state=_O.STATE_SUCCEEDED)


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


async def test_what_a_graceful_stop_breaks_off_is_due_at_once(
    hooks: hooking.Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process waits for no lease, and no try is lost; what was applied stays so."""
    _, parked = await hooks.send(hooks.told(operations=[UNKNOWN]))
    one = await stored(hooks, parked)
    ctx, applied, begun = hooks.service.parts.ctx, f"whk_{1:032x}", set[str]()

    async def hanging(cases: replaying.Webhooks, webhook: webhooks.Webhook) -> webhooks.Webhook:
        begun.add(webhook.id)
        await asyncio.Event().wait()
        raise AssertionError

    due = replace(one, attempts=7, next_attempt_us=ctx.clock.now_us())

    def make_due(conn: storage.Connection) -> None:
        rows.update(conn, due)
        rows.insert(conn, replace(due, id=applied))

    async def all_begun() -> bool:
        return begun == {parked, applied}

    monkeypatch.setattr(replaying.Webhooks, "work", hanging)
    await ctx.db.write(make_due)
    await rig.until(all_begun)
    done = webhooks.ended(
        await stored(hooks, applied), webhooks.State.APPLIED, ctx.clock.now_us(), ("pay_1",)
    )
    await ctx.db.write(lambda conn: rows.update(conn, done))
    hooks.stop.set()
    await hooks.daemon
    after = await stored(hooks, parked)
    assert after.attempts == 7
    assert after.next_attempt_us <= ctx.clock.now_us()
    assert await stored(hooks, applied) == done


async def of_nobody(hooks: hooking.Hooks, **changes: Any) -> webhooks.Webhook:
    """Keeps a webhook of a provider that is not set up, due at a time that never comes."""
    _, parked = await hooks.send(hooks.told(operations=[UNKNOWN]))
    one = await stored(hooks, parked)
    changes = {"id": f"whk_{1:032x}", "provider": "away", "next_attempt_us": NEVER_US, **changes}
    made = replace(one, **changes)
    await hooks.service.parts.ctx.db.write(lambda conn: rows.insert(conn, made))
    return made


async def claimed(hooks: hooking.Hooks, now_us: int, lease_us: int) -> list[webhooks.Webhook]:
    """Takes what `of_nobody` made as a worker at *now_us* does."""

    def claim(conn: storage.Connection) -> list[webhooks.Webhook]:
        return rows.claim_due(conn, now_us=now_us, lease_us=lease_us, busy=["mock"], most=9)

    return await hooks.service.parts.ctx.db.write(claim)


async def test_what_takes_longer_than_each_lease_is_not_taken_over_for_ever(
    hooks: hooking.Hooks,
) -> None:
    """The lease of each further try is longer, so that the one who works comes to an end."""
    lease_us, leases = 30_000_000, list[int]()
    now_us = (await of_nobody(hooks)).next_attempt_us
    for _ in webhooks.WAITS_US:
        (taken,) = await claimed(hooks, now_us, lease_us)
        leases.append(taken.next_attempt_us - now_us)
        now_us = taken.next_attempt_us
    assert leases[0] == lease_us
    assert leases == sorted(set(leases))
    assert leases[-1] > 10 * lease_us
    # Whoever's process ended in the last try too gets no less time than before.
    for _ in range(3):
        (taken,) = await claimed(hooks, now_us, lease_us)
        assert leases[-1] < taken.next_attempt_us - now_us < 100 * lease_us
        now_us = taken.next_attempt_us


async def test_a_webhook_that_only_a_newer_version_can_read_loses_no_try(
    hooks: hooking.Hooks,
) -> None:
    """It is passed over however often its time comes; who can read it has all tries left, and
    waits no longer for it than for any other.
    """
    made = await of_nobody(hooks, attempts=5)
    write = hooks.service.parts.ctx.db.write
    await write(lambda conn: conn.run(_HEADERS, {"headers": "of a newer one", "id": made.id}))
    for number in range(3):
        assert not await claimed(hooks, NEVER_US + number * 1_000_000, 1_000_000)
    await write(lambda conn: conn.run(_HEADERS, {"headers": "[]", "id": made.id}))
    after = await stored(hooks, made.id)
    assert (after.attempts, after.next_attempt_us) == (made.attempts, NEVER_US + 3_000_000)


async def test_a_webhook_of_which_nothing_readable_was_kept_is_put_off(
    hooks: hooking.Hooks,
) -> None:
    """Its tries come to an end, like those of any other that can't be applied."""
    made = await of_nobody(hooks, told=b"\xff")
    cases = hooks.service.parts.webhook_cases
    assert (await cases.work(made)).state is webhooks.State.PARKED
    last = replace(made, attempts=len(webhooks.WAITS_US) + 1)
    assert (await cases.work(last)).state is webhooks.State.FAILED
