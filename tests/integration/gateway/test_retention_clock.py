"""Retention by age while the gateway's clock is wrong, on both databases."""

import asyncio

from event_gateway import appender, gateway, retention, window
from event_gateway.api import ingest
from event_gateway.db import read
from servicekit import storage
from tests import fake_clock
from tests.integration.gateway.harness import event

HOUR_S = 3600.0
YEAR_S = 365 * 86_400.0


async def test_a_clock_that_is_set_ahead_deletes_nothing_that_is_not_old(
    database_url: str,
) -> None:
    """Neither events go while it is ahead, nor are they announced, also after a new start; once
    it is right again what is old goes, and ids are remembered as long as was said.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    time = fake_clock.FakeClock()
    policy = retention.Policy(
        age_s=HOUR_S, size_bytes=0, for_consumers=1.0, dedup_s=2 * HOUR_S, lead_s=10.0
    )

    def started() -> retention.Retention:
        return retention.Retention(
            database,
            policy,
            floor=lambda: asyncio.sleep(0, None),
            kick=lambda: None,
            every_s=30.0,
            time=time,
        )

    async def kept() -> tuple[int, int, int]:
        found = await database.read(read.state)
        ids = await database.read(lambda conn: conn.query("select count(*) from event_key"))
        return found.oldest, found.expiring, ids[0][0]

    writing = appender.Appender(
        database,
        window.Window(bytes_max=2**24, head=0),
        on_growth=lambda: None,
        on_hole=lambda: None,
        time=time,
    )
    try:
        tidy = started()
        await tidy.run_once()
        await writing.append([ingest.candidate(event("one")) for _ in range(3)])
        time.advance(60)
        await tidy.run_once()
        time.step(YEAR_S)
        for _ in range(5):
            time.advance(30)
            await tidy.run_once()
        tidy = started()
        time.advance(30)
        await tidy.run_once()
        assert await kept() == (0, 0, 3)
        time.step(-YEAR_S)
        time.advance(HOUR_S)
        await tidy.run_once()
        assert await kept() == (0, 3, 3), "announced"
        time.step(YEAR_S)
        time.advance(11)
        await tidy.run_once()
        assert await kept() == (3, 3, 3), "gone, ids remembered"
        time.step(-YEAR_S)
        time.advance(HOUR_S)
        await tidy.run_once()
        assert await kept() == (3, 3, 0)
    finally:
        await writing.drain()
        await database.close()
