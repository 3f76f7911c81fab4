"""Marks that are written together, some time after their events were published."""

from servicekit import storage
from tests import fake_clock
from tests.integration.relay import fake_log, rig


async def test_published_rows_are_not_sent_again_before_they_are_marked(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """A row whose mark is still to come is published once, and marked when the relay ends."""
    ids = await rig.fill(db, ["pay_1", "pay_2"])
    one = rig.make(db, log.target, mark_s=3600.0)
    assert await one.run_once() == 6
    assert set((await rig.marks(db)).values()) == {("", 0)}
    assert await one.run_once() == 0
    assert log.ids == ids
    assert len(log.batches) == 1
    await one.close()
    await rig.assert_in_log(db, log)


async def test_marks_are_written_together_when_they_are_due(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """The marks of several batches become one write once the first of them is old enough."""
    time = fake_clock.FakeClock()
    one = rig.make(db, log.target, mark_s=0.2, time=time)
    await one.run_once()
    for version in (1, 2, 3):
        await rig.write(db, rig.entry(rig.event("pay_1", version)))
        time.advance(0.05)
        assert await one.run_once() == 1
    assert set((await rig.marks(db)).values()) == {("", 0)}
    time.advance(0.2)
    assert await one.run_once() == 0
    await one.close()
    await rig.assert_in_log(db, log)


async def test_a_lost_log_is_noticed_although_marks_are_held(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Held marks are written before they are checked, so a rebuilt log gets everything again."""
    ids = await rig.fill(db, ["pay_1", "pay_2"])
    time = fake_clock.FakeClock()
    one = rig.make(db, log.target, mark_s=3600.0, time=time)
    assert await one.run_once() == 6
    log.rebuild()
    time.advance(6)
    assert await one.run_once() == 6
    assert log.ids == ids
    await one.close()
    await rig.assert_in_log(db, log)
