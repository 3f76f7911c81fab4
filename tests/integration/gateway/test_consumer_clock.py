"""Durable consumers while the gateway's clock is wrong, and after it."""

import dataclasses
from typing import Any

from payhub.events.v1 import consumer_pb2

from event_gateway.consumers import definition as consumer_definition
from event_gateway.consumers import groups, policy, records
from event_gateway.db import consumers, parking, progress
from tests import fake_clock
from tests.integration.gateway import harness, one_group


async def test_leases_and_waits_follow_no_step_of_the_clock(on: one_group.Running) -> None:
    """What was leased or rejected while the clock was a year ahead comes again in time once it is
    right; leases do not end with a step. Members are told deadlines, and operators when an event
    was parked, by the clock.
    """
    time = fake_clock.FakeClock()
    on.around = dataclasses.replace(on.around, time=time)
    on.time = time  # type: ignore[assignment]
    await on.publish("p1", "p2", "p3")
    running = await on.start()
    running.lease_until_s = float("inf")
    joined = one_group.join(running)

    async def handed_out(count: int) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def are_there() -> bool:
            found.update((one.event.entity_id, one) for one in one_group.taken(joined))
            running.wake()
            return len(found) == count

        await harness.until(are_there)
        return found

    timeout_us = running.message.rules.ack_timeout_us
    first = await handed_out(3)
    time.step(365 * 86_400)
    assert running.settle(first["p1"].lease, policy.Verdict.ACK) is None
    assert running.settle(first["p2"].lease, policy.Verdict.REJECT, delay_us=60_000_000) is None
    time.step(-365 * 86_400)
    time.advance(61)
    again = await handed_out(2)
    assert {one.attempt for one in again.values()} == {2}
    time.step(365 * 86_400)
    assert running.settle(again["p2"].lease, policy.Verdict.PARK) is None
    assert running.settle(again["p3"].lease, policy.Verdict.REJECT) is None
    await running.durable()
    time.advance(61)
    third = await handed_out(1)
    assert third["p3"].deadline.ToMicroseconds() == time.now_us() + timeout_us
    (parked,) = await on.database.read(
        lambda conn: parking.page(conn, "one", "a", after=-1, rows=9)
    )
    assert parked.parked_us == time.now_us() - 61_000_000
    running.leave(joined)
    await running.close()


async def test_what_a_clock_ahead_put_off_is_due_after_a_new_start(on: one_group.Running) -> None:
    """No wait is longer than the contract allows: what is due later than that is due now."""
    await on.publish("p1", "p2")
    now_us = on.time.now_us()
    waits_us = {1: 86_400_000_000, 2: 365 * 86_400_000_000}
    retries = [
        records.Retry(
            position=one, key="k", attempts=1, due_us=now_us + wait_us, reason="", extra=False
        )
        for one, wait_us in waits_us.items()
    ]
    running = await on.start()
    made = records.Changes(floor=0, runs=b"", retries=retries, settled=(), parks=())
    wrote = await on.database.write(lambda conn: progress.write(conn, running.stored, made))
    assert wrote is progress.Written.DONE
    known = await on.database.read(lambda conn: progress.known(conn, "one", "a"))
    assert [one.due_us for one in known.retries] == [now_us + waits_us[1], 0]
    await running.close()


async def test_a_clock_that_is_set_ahead_makes_no_consumer_idle(on: one_group.Running) -> None:
    """One that nobody came for while the clock was a year ahead is not deleted before its time."""
    time = fake_clock.FakeClock()
    around = dataclasses.replace(on.around, time=time)
    running = groups.Groups(around, owner="x", lease_s=6.0, on_event=lambda: None)
    made = consumer_definition.encode(consumer_definition.complete(consumer_pb2.Consumer(name="a")))
    idle_us = 86_400_000_000
    fields = {"kind": "consumer", "definition": made, "idle_expiry_us": idle_us}
    await on.database.write(
        lambda conn: consumers.create(conn, "one", "a", floor=0, now_us=time.now_us(), **fields)  # type: ignore[arg-type]
    )

    async def left() -> int:
        await running._tidy()
        return await on.database.read(lambda conn: consumers.count(conn, "one"))

    assert await left() == 1
    time.step(365 * 86_400)
    for _ in range(3):
        time.advance(groups.TIDY_EVERY_S)
        assert await left() == 1
    time.step(-365 * 86_400)
    assert await left() == 1
    time.advance(86_400)
    assert await left() == 0
