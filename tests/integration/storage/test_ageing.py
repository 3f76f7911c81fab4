"""The time that deletions by age go by, on both databases."""

import asyncio
import types
from collections.abc import AsyncIterator
from typing import Any

import pytest

from event_gateway import gateway
from payment_service import composition as payments
from servicekit import storage
from servicekit.storage import ageing as ageing_
from tests import fake_clock

DAY_S = 86_400.0


@pytest.fixture(params=[gateway.MIGRATIONS, payments.MIGRATIONS], ids=["log", "payments"])
async def db(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[storage.Database]:
    """An empty database of each service that deletes by age."""
    await asyncio.to_thread(storage.migrate, database_url, request.param)
    opened = await storage.open_database(database_url, pool_size=2)
    try:
        yield opened
    finally:
        await opened.close()


async def test_things_age_with_the_clock_but_at_most_twice_as_fast_as_time_passes(
    db: storage.Database,
) -> None:
    """A clock that is set ahead ages nothing at once; one that is set back is followed at once."""
    time = fake_clock.FakeClock()
    ageing = storage.Ageing(db, time, "events")
    assert await ageing.now_us() == time.now_us()
    time.advance(3600)
    assert await ageing.now_us() == time.now_us()
    right_us = time.now_us()
    time.step(365 * DAY_S)
    assert await ageing.now_us() == right_us
    time.advance(60)
    assert await ageing.now_us() == right_us + 120_000_000
    assert await storage.Ageing(db, time, "others").now_us() == time.now_us(), "kinds are apart"
    time.step(-365 * DAY_S)
    assert await ageing.now_us() == time.now_us() == right_us + 60_000_000
    time.step(-DAY_S)
    assert await ageing.now_us() == time.now_us()


async def test_a_new_start_believes_no_more_and_time_without_one_is_caught_up_with(
    db: storage.Database,
) -> None:
    """What has aged is kept with the data: neither a start nor many age anything."""
    time = fake_clock.FakeClock()
    began_us = await storage.Ageing(db, time, "events").now_us()
    time.advance(2 * DAY_S)
    for _ in range(3):
        ageing = storage.Ageing(db, time, "events")
        assert await ageing.now_us() == began_us
    time.advance(DAY_S)
    assert await ageing.now_us() == began_us + 2 * DAY_S * 1e6
    time.advance(DAY_S)
    assert await ageing.now_us() == time.now_us()


async def test_many_that_look_age_nothing_faster(db: storage.Database) -> None:
    """Replicas, and looks at once, share the speed: each knows from what the time went on."""
    time = fake_clock.FakeClock()
    replicas = [storage.Ageing(db, time, "events") for _ in range(3)]
    (began_us,) = {await each.now_us() for each in replicas}
    time.step(365 * DAY_S)
    for passed_s in (60, 120):
        time.advance(60)
        looks = [each.now_us() for each in (*replicas, *replicas)]
        assert set(await asyncio.gather(*looks)) == {began_us + passed_s * 2_000_000}


async def test_a_clock_ahead_is_told_once_an_hour(
    db: storage.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator hears of it, with what to do, and not from each look."""
    told: list[tuple[str, Any]] = []
    log = types.SimpleNamespace(
        warning=lambda text, **fields: told.append((text, (fields["of"], fields["ahead_s"])))
    )
    monkeypatch.setattr(ageing_, "_log", log)
    time = fake_clock.FakeClock()
    ageing = storage.Ageing(db, time, "events")
    await ageing.now_us()
    time.step(1800)
    await ageing.now_us()
    assert not told
    time.step(DAY_S)
    for _ in range(5):
        await ageing.now_us()
        time.advance(10)
    assert [fields for _, fields in told] == [("events", DAY_S + 1800)]
    assert "put the clock right" in told[0][0]
    time.advance(3600)
    await ageing.now_us()
    assert len(told) == 2
