"""Looks that are due too late, as after a clock that was ahead."""

from typing import Any

from deploy import stack
from servicekit import storage
from tests.integration.payment_service import inside, rig

AHEAD_S = 86_400
PUT_OFF = storage.Statement(
    "update operations set next_check_us = next_check_us + :ahead_us where next_check_us > 0"
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
