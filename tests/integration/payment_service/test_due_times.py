"""What is due too late, as after a clock that was ahead."""

import functools
from dataclasses import replace
from typing import Any

from payhub.provider.v1 import operation_pb2

from deploy import stack
from payment_service.db import leases
from payment_service.db import webhooks as rows
from servicekit import storage
from tests.integration.payment_service import hooking, inside, rig

AHEAD_S = 86_400
PUT_OFF = storage.Statement(
    "update operations set next_check_us = next_check_us + :ahead_us where next_check_us > 0"
)
WISHED_AHEAD = storage.Statement(
    "update payments set cancel_requested = 1, updated_us = updated_us + :ahead_us"
)
LEASED = storage.Statement("update leases set until_us = until_us + :ahead_us")
UNKNOWN = operation_pb2.Operation(
    operation_id=f"op_{'0' * 32}", state=operation_pb2.Operation.STATE_SUCCEEDED
)
DUE = storage.Statement("select next_check_us from operations where next_check_us > 0")


async def test_nothing_waits_longer_than_the_longest_wait(
    database_url: str, bank: stack.Stack
) -> None:
    """What was noted while the clock was a day ahead is looked at within a minute, and no more."""
    quiet: Any = {"resolver_doubt_first_s": 600.0, "resolver_longest_s": 600.0}
    async with inside.running(database_url, bank.target(stack.MOCK), **quiet) as service:
        resolver, db = service.parts.resolver, service.parts.ctx.db
        payment = await service.caller.create("tok_no_answer")
        assert rig.state(payment) == "IN_DOUBT"
        ((due_us,),) = await db.read(lambda conn: conn.all(DUE))
        assert await resolver.pull_in() == 0
        assert await db.read(lambda conn: conn.all(DUE)) == [(due_us,)]
        await db.write(lambda conn: conn.run(PUT_OFF, {"ahead_us": AHEAD_S * 1_000_000}))
        assert await resolver.pull_in() == 1

        async def settled() -> bool:
            return rig.state(await service.caller.get(payment.id)) == "SUCCEEDED"

        await rig.until(settled)
        assert await resolver.pull_in() == 0


async def test_a_wish_noted_by_a_clock_ahead_is_carried_out(
    database_url: str, bank: stack.Stack
) -> None:
    """A payment that changed while the clock was ahead waits for no such time to be canceled."""
    async with inside.running(database_url, bank.target(stack.MOCK)) as service:
        db = service.parts.ctx.db
        payment = await service.caller.create()
        await db.write(lambda conn: conn.run(WISHED_AHEAD, {"ahead_us": AHEAD_S * 1_000_000}))

        async def returned() -> bool:
            return (await service.caller.get(payment.id)).amounts.refunded_minor == 1000

        await rig.until(returned)


async def test_a_lease_given_by_a_clock_ahead_keeps_nobody_out(
    database_url: str, bank: stack.Stack
) -> None:
    """The relay of a process that was killed while the clock was ahead is followed by another one
    once it is right; one of a usual length, if of another version, is not taken from its owner.
    """
    async with inside.running(database_url, bank.target(stack.MOCK)) as service:
        db = service.parts.ctx.db

        async def take(owner: str, length_s: int = 60) -> bool:
            length_us = length_s * 1_000_000
            return await db.write(
                lambda conn: leases.take(conn, name="x", owner=owner, length_us=length_us)
            )

        assert await take("one")
        assert not await take("other")
        assert not await take("other", length_s=10)
        await db.write(lambda conn: conn.run(LEASED, {"ahead_us": AHEAD_S * 1_000_000}))
        assert await take("other")
        assert not await take("one")


async def test_no_webhook_waits_longer_than_any_try(hooks: hooking.Hooks) -> None:
    """One that was put off while the clock was ahead is tried again; one that waits as long as the
    last try does, is not.
    """
    ctx, cases = hooks.service.parts.ctx, hooks.service.parts.webhook_cases
    day_us = 86_400_000_000
    waits = {(await hooks.send(hooks.told(operations=[UNKNOWN])))[1]: n * day_us for n in (1, 9)}

    async def stored(webhook_id: str) -> Any:
        return await ctx.db.read(lambda conn: rows.load(conn, webhook_id))

    now_us = ctx.clock.now_us()
    for each, wait_us in waits.items():
        later = replace(await stored(each), next_attempt_us=now_us + wait_us)
        await ctx.db.write(functools.partial(rows.update, webhook=later))
    assert await cases.pull_in() == 1
    one, nine = [(await stored(each)).next_attempt_us for each in waits]
    assert one == now_us + day_us
    assert nine < now_us + day_us
