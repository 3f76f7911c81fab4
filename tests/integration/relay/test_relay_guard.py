"""A database that lacks what the log has does nothing, and no other is taken for one."""

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from payment_service import relay
from payment_service.db import known, outbox
from payment_service.relay import gateway, options
from payment_service.usecases import standing
from servicekit import logs, metrics, storage
from tests import fake_clock, polling
from tests.integration.relay import fake_log, rig

MONTH_US = round(options.DAY_S * 40 * 1e6)


@pytest.fixture
async def target(log: fake_log.FakeLog) -> AsyncIterator[gateway.Gateway]:
    """The way to the log."""
    made = gateway.Gateway(log.target, fake_log.KEY, timeout_s=polling.LONGEST_S)
    yield made
    await made.close()


async def publish(db: storage.Database, log: fake_log.FakeLog, **given: object) -> int:
    """Lets a relay that has just been started publish once; returns how many are in the log."""
    one = rig.make(db, log.target, **given)  # type: ignore[arg-type]
    published = await one.run_once()
    await one.close()
    return published


async def is_behind(db: storage.Database, target: gateway.Gateway) -> bool:
    """Whether a process that has just been started may not act."""
    own = standing.Standing()
    guard = relay.Guard(db, own, metrics.Metrics())
    passes = await guard.passes((await target.place()).newest)
    assert passes is own.is_open is not own.is_behind
    return own.is_behind


async def test_nothing_is_published_by_a_restored_database(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """What it published would hide what is missing. Once a recovery has read the log, it goes on
    by itself, whatever of that it could not write down.
    """
    time, own, registry = fake_clock.FakeClock(), standing.Standing(), metrics.Metrics()
    one = rig.make(db, log.target, time=time, standing_=own, registry=registry)
    ids = await rig.fill(db, ["pay_1", "pay_2"])
    await one.run_once()
    assert own.is_open
    await rig.leave(db, ids[-1:])
    new = await rig.fill(db, ["pay_3"], [1])
    time.advance(5)
    for _ in range(2):
        assert await one.run_once() == 0
        assert own.is_behind
    assert log.ids == ids
    assert b"payhub_database_behind 1.0" in registry.render()

    await db.write(lambda conn: known.note(conn, log.epoch, len(log.ids)))
    time.advance(5)
    assert await one.run_once() == 1
    assert own.is_open
    assert log.ids == ids + new
    assert b"payhub_database_behind 0.0" in registry.render()
    await one.close()


async def test_an_empty_database_is_behind(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway
) -> None:
    """One that was made anew knows nothing of what the log holds; before an empty log it does."""
    assert not await is_behind(db, target)
    ids = await rig.fill(db, ["pay_1"])
    await publish(db, log)
    assert not await is_behind(db, target)
    await rig.leave(db, ids)
    assert await is_behind(db, target)


async def test_an_installation_that_is_idle_for_months_is_not(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway
) -> None:
    """That its newest event was here is known after that has left the outbox."""
    time = fake_clock.FakeClock(start_us=1_700_000_000_000_000)
    await rig.fill(db, ["pay_1"])
    assert await publish(db, log, time=time) == 3
    time.advance(MONTH_US / 1e6)
    assert await publish(db, log, time=time, keep_s=30 * options.DAY_S) == 0
    assert await rig.marks(db) == {}
    assert not await is_behind(db, target)
    await rig.fill(db, ["pay_2"])
    assert await publish(db, log, time=time) == 3


async def test_a_database_that_older_versions_used_meanwhile_is_not(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway
) -> None:
    """After a way back to a version that notes neither what came last nor what has left the
    outbox, what came since shows that the database is no older.
    """
    ids = await rig.fill(db, ["pay_1"])
    await publish(db, log)
    log.told_head = log.head()
    await rig.fill(db, ["pay_2"])
    await publish(db, log)
    await rig.leave(db, ids)
    assert not await is_behind(db, target)


async def test_an_event_that_waits_for_its_mark_is_known(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway
) -> None:
    """A process that ended after it had published, and before it marked, is not behind; nor is
    one that looks while another one publishes.
    """
    await rig.fill(db, ["pay_1"])
    asked = (await target.place()).newest
    log.lose_answers = 1
    one = rig.make(db, log.target)
    with pytest.raises(grpc.aio.AioRpcError):
        await one.run_once()
    await one.close()
    assert not any(epoch for epoch, _ in (await rig.marks(db)).values())
    assert not await is_behind(db, target)
    guard = relay.Guard(db, standing.Standing(), metrics.Metrics())
    assert await guard.passes(asked)
    assert await publish(db, log) == 3
    assert not await is_behind(db, target)


@pytest.mark.parametrize("left", [0, 4, 6])
async def test_a_restored_log_is_no_restored_database(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway, left: int
) -> None:
    """Its newest event was here, under another epoch, whether that has left the outbox since or
    not, and whether the relay has published what is missing or not.
    """
    time = fake_clock.FakeClock(start_us=1_700_000_000_000_000)
    ids = await rig.fill(db, ["pay_1", "pay_2"])
    await publish(db, log, time=time)
    if left:
        await rig.leave(db, ids[:left])
        await db.write(lambda conn: known.note(conn, log.epoch, len(ids)))
    log.restore(4)
    assert not await is_behind(db, target)
    assert await publish(db, log, time=time) == 6 - left
    assert not await is_behind(db, target)
    log.restore(4)
    assert not await is_behind(db, target)


async def test_a_lost_log_is_no_restored_database(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway
) -> None:
    """Nor is one that others have begun anew."""
    await rig.fill(db, ["pay_1"])
    await publish(db, log)
    log.rebuild()
    assert not await is_behind(db, target)
    log.append(rig.event("order_1", 1, tenant_id="others"))
    assert not await is_behind(db, target)


async def test_a_database_older_than_a_restored_log_is_found(
    db: storage.Database, log: fake_log.FakeLog, target: gateway.Gateway
) -> None:
    """Both were restored, and the log to a later moment."""
    ids = await rig.fill(db, ["pay_1"])
    await publish(db, log)
    log.restore(2)
    await rig.leave(db, ids[1:])
    assert await is_behind(db, target)


async def test_what_is_not_sure_stops_nothing(
    db: storage.Database,
    log: fake_log.FakeLog,
    target: gateway.Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a backlog a bounded part is looked at: the event may be behind that."""
    ids = await rig.fill(db, ["pay_1"])
    await publish(db, log)
    await rig.leave(db, ids)
    await rig.fill(db, ["pay_2"])
    assert await is_behind(db, target)
    monkeypatch.setattr(outbox, "COUNT_MAX", 3)
    assert not await is_behind(db, target)


async def test_a_gateway_that_does_not_tell_stops_nothing(
    db: storage.Database,
    log: fake_log.FakeLog,
    target: gateway.Gateway,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One of an older version; that is said once."""
    log.tells_head = False
    guard = relay.Guard(db, standing.Standing(), metrics.Metrics())
    for _ in range(2):
        assert await guard.passes((await target.place()).newest)
    logs.flush()
    assert capfd.readouterr().err.count("does not tell") == 1


async def test_a_process_waits_for_the_first_answer(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Until then nothing may be done, and after some time all the same; once the gateway answers,
    what it says counts.
    """
    ids = await rig.fill(db, ["pay_1"])
    await publish(db, log)
    await rig.leave(db, ids)
    await log.stop()
    time, own, stop = fake_clock.FakeClock(), standing.Standing(), asyncio.Event()
    guard = relay.Guard(db, own, metrics.Metrics())
    asking = relay.Asking(endpoint=log.target, key=fake_log.KEY, every_s=0.01, wait_s=10)
    running = asyncio.create_task(guard.run(stop, asking, time))
    await rig.until(lambda: not own.is_open)
    assert not await own.opens(0)
    time.advance(10)
    await rig.until(lambda: own.is_open)
    await log.start()
    await rig.until(lambda: own.is_behind)
    await db.write(lambda conn: known.note(conn, log.epoch, len(log.ids)))
    await rig.until(lambda: own.is_open)
    stop.set()
    await running
