"""Entities whose first events have left the outbox, before a log that was lost."""

import asyncio

import grpc
import pytest

from payment_service import relay
from payment_service.db import outbox
from payment_service.relay import beginnings
from servicekit import storage
from tests import fake_clock
from tests.integration.relay import fake_log, rig

# Longer than the regular look at the log, and than the first pauses after a refusal.
ROUND_S = 20.0


async def go_on(db: storage.Database, time: fake_clock.FakeClock, *relays: relay.Relay) -> None:
    """Runs relays, all at once, until nothing waits any more."""
    for _ in range(100):
        time.advance(ROUND_S)
        await asyncio.gather(*(one.run_once() for one in relays))
        if not await rig.waiting(db):
            return
    raise AssertionError(f"still waiting: {await rig.waiting(db)}")


@pytest.mark.parametrize("relays", [1, 2])
async def test_entities_go_on_without_what_left_the_outbox(
    db: storage.Database, log: fake_log.FakeLog, monkeypatch: pytest.MonkeyPatch, relays: int
) -> None:
    """After each loss of the log, an entity begins with its first event that there is, others
    with their first one; all in order and once, whatever other relay publishes them, too.
    """
    monkeypatch.setattr(beginnings, "CHUNK", 7)
    monkeypatch.setattr(beginnings, "CHUNKS", 4)
    monkeypatch.setattr(beginnings, "ENTITIES_MAX", 5)
    time = fake_clock.FakeClock()
    all_relays = [rig.make(db, log.target, owner="same", time=time) for _ in range(relays)]
    names = [f"pay_{n}" for n in range(20)]
    ids = await rig.fill(db, names)
    await go_on(db, time, *all_relays)
    left = [ids[version * 20 + n] for n in range(8) for version in range(1 + n % 3)]
    await rig.leave(db, left)
    for version in (4, 6):
        log.rebuild()
        ids += await rig.fill(db, names, [version, version + 1])
        log.said_first.clear()
        log.rejected.clear()
        await go_on(db, time, *all_relays)
        there = [one for one in ids if one not in left]
        assert sorted(log.ids) == sorted(there)
        for n in range(20):
            own = ids[n::20]
            assert [one for one in log.ids if one in own] == [one for one in own if one in there]
        assert set(log.said_first) == {ids[(1 + n % 3) * 20 + n] for n in range(8)}
        assert relays > 1 or set(log.said_first) <= set(log.rejected)
        await rig.assert_in_log(db, log)
    for one in all_relays:
        await one.close()


async def test_an_earlier_row_is_published_first_or_not_at_all(
    db: storage.Database, log: fake_log.FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is any earlier row of an entity, one that waits or one that is marked in a log
    that does not hold it, no other is said to be its first.
    """
    monkeypatch.setattr(beginnings, "CHUNK", 2)
    time = fake_clock.FakeClock(1_800_000_000_000_000)
    one = rig.make(db, log.target, time=time)
    await rig.fill(db, ["other"])
    await one.run_once()
    late, (first, second) = (
        await rig.fill(db, ["late"], [2]),
        await rig.fill(db, ["belied"], [1, 2]),
    )
    late = await rig.fill(db, ["late"], [1]) + late
    row_ids = {row.event_id: row.id for row in await waiting(db)}
    postponed = outbox.Postponed(row_ids[late[0]], time.now_us() + 200_000_000, "")
    await db.write(lambda conn: outbox.postpone(conn, [postponed]))
    await db.write(lambda conn: outbox.mark(conn, log.epoch, [(row_ids[first], 1)]))
    for _ in range(8):
        await one.run_once()
        time.advance(ROUND_S)
    assert {late[1], second} <= set(log.rejected)
    assert set(await rig.waiting(db)) == {*late, second}
    assert log.said_first == []
    time.advance(60)
    await one.run_once()
    time.advance(60)
    await one.run_once()
    assert log.ids[3:] == late
    assert list(await rig.waiting(db)) == [second]
    await one.close()


async def waiting(db: storage.Database) -> list[outbox.Waiting]:
    """Every row that waits."""
    return await db.read(
        lambda conn: outbox.take(
            conn, now_us=2**62, skipped=[], rows_max=1000, bytes_max=10_000_000
        )
    )


async def test_a_gateway_that_does_not_know_of_it_refuses_as_before(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Before a gateway is upgraded, and with a key that is not the relay's, such an entity
    waits and others go on; afterwards it goes on by itself.
    """
    time = fake_clock.FakeClock(1_800_000_000_000_000)
    one = rig.make(db, log.target, time=time)
    log.old = True
    late = await rig.fill(db, ["late"], [3, 4])
    for version in (1, 2, 3):
        (other,) = await rig.fill(db, ["other"], [version])
        assert await one.run_once() == 1
        assert log.ids[-1] == other
        time.advance(ROUND_S)
    assert log.said_first == []
    log.old, log.denies_late = False, True
    denied = 0
    for version in range(4, 10):
        await rig.fill(db, ["other"], [version])
        try:
            await one.run_once()
        except grpc.aio.AioRpcError:
            denied += 1
            await one.run_once()
        assert log.events[-1].entity_version == version
        time.advance(ROUND_S)
    assert denied >= 1
    assert set(await rig.waiting(db)) == set(late)
    log.denies_late = False
    await go_on(db, time, one)
    assert log.ids[-2:] == late
    await rig.assert_in_log(db, log)
    await one.close()
