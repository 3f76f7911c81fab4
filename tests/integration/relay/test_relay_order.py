"""What reaches the log, in which order, and how it is marked."""

import asyncio
import random

import grpc
import pytest

from payment_service.db import outbox
from payment_service.relay import daemon, gateway
from servicekit import metrics, storage
from tests import fake_clock
from tests.integration.relay import fake_log, rig

_END_LEASE = storage.Statement("update leases set until_us = 1")


async def test_everything_is_published_in_order_and_marked(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Every row reaches the log once, each entity by version, and is marked with its place."""
    ids = await rig.fill(db, [f"pay_{n}" for n in range(500)])
    one = rig.make(db, log.target)
    assert await one.run_once() == 1500
    assert log.ids == ids
    assert max(map(len, log.batches)) == gateway.BATCH_ROWS_MAX
    await rig.assert_in_log(db, log)
    assert await one.run_once() == 0
    await one.close()


async def test_nothing_is_missed_while_others_write(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Rows that commit late or out of order are found; none is refused, none comes twice."""
    wake = asyncio.Event()
    pause = random.Random(7)

    async def pay(entity_id: str) -> None:
        for version in (1, 2, 3, 4):
            await asyncio.sleep(pause.uniform(0, 0.01))
            await rig.write(db, rig.entry(rig.event(entity_id, version)))
            wake.set()

    async with rig.running(rig.make(db, log.target, wake=wake)):
        async with asyncio.TaskGroup() as writers:
            for n in range(60):
                writers.create_task(pay(f"pay_{n}"))
        await rig.until(lambda: len(log.events) == 240, 30)
    assert log.rejected == []
    await rig.assert_in_log(db, log)


async def test_a_batch_stays_below_the_gateways_limit(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Large events make small batches, never a refused one."""
    events = [rig.event(f"pay_{n}", 1, data=bytes(250_000)) for n in range(25)]
    await rig.write(db, *map(rig.entry, events))
    one = rig.make(db, log.target)
    assert await one.run_once() == 25
    assert len(log.batches) == 3
    assert log.bytes_max <= 3 * 1024 * 1024
    await one.close()


async def test_a_lost_answer_is_asked_for_again(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Events that were appended without an answer are marked as what they are: duplicates."""
    await rig.fill(db, ["pay_1", "pay_2"])
    one = rig.make(db, log.target)
    log.lose_answers = 2
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError):
            await one.run_once()
    assert len(await rig.waiting(db)) == 6
    assert await one.run_once() == 6
    await rig.assert_in_log(db, log)
    await one.close()


async def test_relays_that_ignore_each_other_do_no_harm(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Two relays that both believe in their lease publish nothing twice and in no other order."""
    relays = [rig.make(db, log.target, owner="same") for _ in range(2)]
    for round_ in range(4):
        await rig.fill(db, [f"pay_{n}" for n in range(200)], (2 * round_ + 1, 2 * round_ + 2))
        await asyncio.gather(*(one.run_once() for one in relays))
    assert len(log.events) == 1600
    assert log.rejected == []
    await rig.assert_in_log(db, log)
    for one in relays:
        await one.close()


async def test_one_relay_works_while_it_has_the_lease(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Another relay does nothing until the lease is given back or runs out."""
    time = fake_clock.FakeClock()
    first = rig.make(db, log.target, owner="first", time=time)
    second = rig.make(db, log.target, owner="second", time=time)
    await rig.fill(db, ["pay_1"], [1])
    assert await first.run_once() == 1
    await rig.fill(db, ["pay_1"], [2])
    assert await second.run_once() == 0
    await first.close()
    time.advance(daemon.WATCH_S)
    assert await second.run_once() == 1
    await rig.fill(db, ["pay_1"], [3])
    await db.write(lambda conn: conn.run(_END_LEASE))
    assert await first.run_once() == 1
    time.advance(daemon.RENEW_S)
    assert await second.run_once() == 0
    await first.close()
    await second.close()


async def test_what_can_t_be_counted_is_published_all_the_same(
    db: storage.Database, log: fake_log.FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longer the backlog, the longer it takes to count: it must not grow for that."""

    def too_slow(_: storage.Connection) -> outbox.Status:
        raise storage.StorageUnavailable("canceling statement due to statement timeout")

    monkeypatch.setattr(outbox, "status", too_slow)
    one = rig.make(db, log.target)
    await rig.fill(db, ["pay_1"], [1])
    assert await one.run_once() == 1
    await one.close()


async def test_how_long_the_oldest_event_has_waited_is_told(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """The age is that of the event when it was looked at; a clock that was set back tells 0."""
    registry = metrics.Metrics()
    time = fake_clock.FakeClock()
    one = rig.make(db, log.target, time=time, registry=registry, check_s=1.0)
    written_us = time.now_us() - 90_000_000
    await rig.write(db, rig.entry(rig.event("pay_1", 1), created_us=written_us))
    await one.run_once()
    assert b"payhub_outbox_oldest_seconds 90.0" in registry.render()
    await rig.write(db, rig.entry(rig.event("pay_1", 2), created_us=time.now_us() + 90_000_000))
    time.advance(1.0)
    await one.run_once()
    assert b"payhub_outbox_oldest_seconds 0.0" in registry.render()
    await one.close()


async def test_events_wait_while_the_gateway_is_away(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """The outbox grows and says so; all of it is published once the gateway is back."""
    registry = metrics.Metrics()
    wake = asyncio.Event()
    await log.stop()
    async with rig.running(rig.make(db, log.target, registry=registry, wake=wake, check_s=0.05)):
        for n in range(20):
            await rig.fill(db, [f"pay_{n}"])
            wake.set()
        await rig.until(lambda: b"payhub_outbox_waiting 60.0" in registry.render())
        assert b"payhub_outbox_oldest_seconds 0.0" not in registry.render()
        await log.start()
        await rig.until(lambda: len(log.events) == 60)
        await rig.until(lambda: b"payhub_outbox_waiting 0.0" in registry.render())
    assert b"payhub_relay_published_total 60.0" in registry.render()
    await rig.assert_in_log(db, log)


async def test_a_key_that_is_not_the_relays_publishes_nothing(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """The gateway is shown the relay's key; with another one everything waits, unrefused."""
    await rig.fill(db, ["pay_1"])
    one = rig.make(db, log.target, key="phk_testtesttesttest_other")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await one.run_once()
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert set((await rig.waiting(db)).values()) == {(0, "")}
    await one.close()
