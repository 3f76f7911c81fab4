"""Events that the gateway refuses: who waits for them, and for how long."""

import grpc
import pytest
from payhub.payments.v1 import payment_pb2

from payment_service.db import outbox
from payment_service.relay import holding
from servicekit import metrics, storage
from tests import fake_clock
from tests.integration.relay import fake_log, rig


async def test_a_refused_event_holds_back_its_entity_only(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Later rows of its entity are not sent before it; those of others go on, and nothing is told
    to wait for the gateway.
    """
    time = fake_clock.FakeClock(1_800_000_000_000_000)
    registry, seen = metrics.Metrics(), metrics.Metrics()
    one = rig.make(db, log.target, time=time, registry=registry)
    await rig.fill(db, ["bad"], [1])
    (poison,) = await rig.fill(db, ["bad"], [2])
    log.poison.add(poison)
    await rig.fill(db, ["good"])
    assert await one.run_once() == 4
    behind = await rig.fill(db, ["bad"], [3, 4])
    sent = len(log.batches)
    await rig.fill(db, ["good"], [4])
    assert await one.run_once() == 1
    assert not set(behind) & {one for batch in log.batches[sent:] for one in batch}
    refused = {one: text for one, (_, text) in (await rig.waiting(db)).items()}
    assert refused == {poison: "INVALID: as asked", **dict.fromkeys(behind, "")}
    status = await db.read(outbox.status)
    assert (status.waiting, status.blocked) == (3, 1)
    await rig.make(db, log.target, owner="other", time=time, registry=seen).run_once()
    assert b"payhub_outbox_blocked 1.0" in seen.render()
    assert b"payhub_outbox_oldest_seconds 0.0" in seen.render()
    log.poison.clear()
    time.advance(holding.FIRST_S)
    assert await one.run_once() == 3
    await rig.assert_in_log(db, log)
    assert b"payhub_relay_refused_total 1.0" in registry.render()
    assert await db.read(outbox.status) == outbox.Status(
        waiting=0, oldest_us=0, oldest_free_us=0, blocked=0
    )
    await one.close()


async def test_pauses_grow_and_survive_a_restart(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """An event that stays refused is sent ever more rarely, once a minute in the end; a relay
    that takes over keeps the entity waiting.
    """
    time = fake_clock.FakeClock()
    one = rig.make(db, log.target, time=time)
    (poison,) = await rig.fill(db, ["bad"], [1])
    log.poison.add(poison)
    pauses = []
    for _ in range(8):
        await one.run_once()
        ((retry_us, _),) = (await rig.waiting(db)).values()
        pauses.append((retry_us - time.now_us()) / 1_000_000)
        time.advance(pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    await one.run_once()
    await one.close()
    sent = len(log.batches)
    (behind,) = await rig.fill(db, ["bad"], [2])
    other = rig.make(db, log.target, owner="other", time=time)
    assert await other.run_once() == 0
    assert len(log.batches) == sent
    assert (await rig.waiting(db))[behind] == (time.now_us() + 60_000_000, "")
    await other.close()


async def test_no_row_waits_for_a_clock_that_was_ahead(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """What was refused while the clock was a day ahead is sent again when it is right, by the same
    relay and by one that takes over.
    """
    time = fake_clock.FakeClock()
    for number, owner in ((1, "one"), (3, "other")):
        time.step(86_400)
        log.poison.update(await rig.fill(db, ["bad"], [number]))
        one = rig.make(db, log.target, owner="one", time=time)
        await one.run_once()
        await rig.fill(db, ["bad"], [number + 1])
        log.poison.clear()
        time.step(-86_400)
        if owner != "one":
            await one.close()
            one = rig.make(db, log.target, owner=owner, time=time)
        assert await one.run_once() == 2
        await one.close()


async def test_many_rows_that_wait_starve_nobody(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Thousands of rows behind a refused one do not keep others from being found."""
    one = rig.make(db, log.target, time=fake_clock.FakeClock())
    log.poison.update(await rig.fill(db, ["bad"], [1]))
    await one.run_once()
    await rig.fill(db, ["bad"], range(2, 2002))
    (last,) = await rig.fill(db, ["good"], [1])
    assert await one.run_once() == 1
    assert log.ids == [last]
    assert len(await rig.waiting(db)) == 2001
    await one.close()


async def test_bytes_that_are_no_event_hold_back_their_entity_only(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """A row that makes the whole request unreadable is found and set aside."""
    one = rig.make(db, log.target)
    garbage = rig.event("bad", 1)
    await rig.fill(db, ["good"])
    await rig.write(db, rig.entry(garbage, envelope=b"\xff\xff\xff"))
    await rig.fill(db, ["good"], [4])
    assert await one.run_once() == 4
    assert (await rig.waiting(db))[garbage.id][1] == "the stored bytes are no event"
    await one.close()


async def test_an_event_that_fits_no_request_holds_back_its_entity_only(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """An event larger than a batch may be is refused here, whatever the gateway says of it."""
    one = rig.make(db, log.target)
    large = rig.event("bad", 1, data=bytes(5_000_000))
    await rig.write(db, rig.entry(large))
    await rig.fill(db, ["good"])
    assert await one.run_once() == 3
    assert "at most" in (await rig.waiting(db))[large.id][1]
    await one.close()


async def test_an_event_that_spoils_its_batch_is_found_by_halving(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """When the gateway refuses batches as a whole, only the event that is at fault waits."""
    one = rig.make(db, log.target)
    ids = await rig.fill(db, [f"pay_{n}" for n in range(300)], [1])
    log.spoils = lambda event: grpc.StatusCode.INVALID_ARGUMENT if event.id == ids[123] else None
    assert await one.run_once() == 299
    assert list(await rig.waiting(db)) == [ids[123]]
    assert len(log.batches) < 30
    await one.close()


async def test_an_event_that_breaks_the_gateway_is_found_with_pauses(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """INTERNAL may mean the event or the gateway: each try ends with a pause, and in the end
    one event waits.
    """
    one = rig.make(db, log.target)
    ids = await rig.fill(db, ["a", "b", "c", "d"], [1])
    log.spoils = lambda event: grpc.StatusCode.INTERNAL if event.id == ids[2] else None
    failures = 0
    while len(log.events) < 3:
        try:
            await one.run_once()
        except grpc.aio.AioRpcError:
            failures += 1
    assert failures <= 4
    assert list(await rig.waiting(db)) == [ids[2]]
    await one.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
async def test_a_gateway_in_trouble_refuses_no_event(
    db: storage.Database, log: fake_log.FakeLog, code: grpc.StatusCode
) -> None:
    """A failure that says nothing about the events leaves them as they were."""
    one = rig.make(db, log.target)
    await rig.fill(db, ["a"])
    log.spoils = lambda _: code
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError):
            await one.run_once()
    assert set((await rig.waiting(db)).values()) == {(0, "")}
    log.spoils = lambda _: None
    assert await one.run_once() == 3
    await one.close()


async def test_a_discrepancy_is_counted_once_it_is_in_the_log(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """What operators are woken by counts when the gateway has it, not while it is refused; what
    a caller wrote into a payment does not.
    """
    registry, time = metrics.Metrics(), fake_clock.FakeClock()
    one = rig.make(db, log.target, time=time, registry=registry)
    told = rig.event("pay_1", 1, type="reconciliation.discrepancy")
    log.poison.add(told.id)
    written = payment_pb2.Payment(references={"metadata": {"about": "reconciliation.discrepancy"}})
    other = rig.event("pay_2", 1, data=written.SerializeToString())
    await rig.write(db, rig.entry(told), rig.entry(other))
    assert await one.run_once() == 1
    assert registry.registry.get_sample_value("payhub_relay_discrepancies_total") == 0
    log.poison.clear()
    time.advance(holding.FIRST_S)
    assert await one.run_once() == 1
    assert registry.registry.get_sample_value("payhub_relay_discrepancies_total") == 1
    await one.close()
