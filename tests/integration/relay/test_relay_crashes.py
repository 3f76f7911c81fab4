"""kill -9 at every boundary, and the real gateway on the other side."""

import asyncio
import pathlib
import signal

import pytest

from servicekit import storage
from tests.integration.gateway import harness
from tests.integration.relay import fake_log, rig

BOUNDARIES = ["relay_before_publish", "relay_after_publish", "relay_after_mark"]


@pytest.mark.parametrize("boundary", BOUNDARIES)
async def test_a_killed_relay_loses_and_repeats_nothing(
    outbox_url: str, log: fake_log.FakeLog, boundary: str
) -> None:
    """Whatever was published or marked before the end, the log ends complete, in order and
    without a second copy.
    """
    db = await storage.open_database(outbox_url)
    ids = await rig.fill(db, [f"pay_{n}" for n in range(400)])
    await db.close()
    process = rig.start_process(outbox_url, log.target, fail_point=f"payment_service.{boundary}:2")
    assert await asyncio.to_thread(process.wait, 40) == -signal.SIGKILL
    db = await storage.open_database(outbox_url)
    assert await rig.waiting(db)
    relay = rig.make(db, log.target)
    await relay.run_once()
    assert log.ids == ids
    assert log.rejected == []
    await rig.assert_in_log(db, log)
    await relay.close()
    await db.close()


async def test_a_relay_that_is_told_to_stop_ends_in_order(
    outbox_url: str, log: fake_log.FakeLog
) -> None:
    """SIGTERM ends a relay at once, with its lease given back."""
    db = await storage.open_database(outbox_url)
    ids = await rig.fill(db, ["pay_1"])
    await db.close()
    process = rig.start_process(outbox_url, log.target)
    await rig.until(lambda: log.ids == ids, 30)
    process.terminate()
    assert await asyncio.to_thread(process.wait, 40) == 0
    db = await storage.open_database(outbox_url)
    assert await db.read(lambda conn: conn.query("select * from leases")) == []
    await db.close()


@pytest.mark.parametrize("outbox_url", ["sqlite"], indirect=True)
async def test_the_real_gateway_ends_with_the_full_log_again(
    db: storage.Database, tmp_path: pathlib.Path
) -> None:
    """Deleted and started empty while events go on, the gateway gets everything, in order,
    although one row is no event at all; what changed long ago goes on there without the events
    that the outbox no longer keeps.
    """
    keys = harness.Keys()
    keys.start()
    key = keys.add("system", ("events:publish", "events:read"))
    reader = keys.add(rig.TENANT)
    ids: list[str] = []
    old: list[str] = []
    garbage = rig.event("bad", 1)
    await rig.write(db, rig.entry(garbage, envelope=b"\xff\xff\xff"))
    gateway = harness.Gateway(keys, f"sqlite:///{tmp_path}/first.db")
    gateway.start()
    port = gateway.target.rpartition(":")[2]

    async def arrived() -> bool:
        stored = await _log(gateway.client(reader))
        return len(stored) == len(ids) + len(old) and len(await rig.waiting(db)) == 1

    try:
        async with rig.running(rig.make(db, gateway.target, key=key, check_s=0.2)):
            ids += await rig.fill(db, [f"pay_{n}" for n in range(400)])
            old += await rig.fill(db, ["old"])
            await rig.until(arrived, 30)
            before = await rig.marks(db)
            gateway.signal(signal.SIGKILL)
            gateway.ended()
            await rig.leave(db, [old.pop(0), old.pop(0)])
            ids += await rig.fill(db, [f"pay_{n}" for n in range(400)], [4])
            gateway.database_url = f"sqlite:///{tmp_path}/second.db"
            gateway.start(EVENT_GATEWAY_GRPC_PORT=port)
            ids += await rig.fill(db, [f"pay_{n}" for n in range(400)], [5])
            old += await rig.fill(db, ["old"], [4, 5])
            await rig.until(arrived, 30)
        found = await _log(gateway.client(reader))
        assert sorted(found) == sorted(ids + old)
        assert [one for one in found if one in old] == old
        for n in range(400):
            assert [one for one in found if one in set(ids[n::400])] == ids[n::400]
        assert list(await rig.waiting(db)) == [garbage.id]
        after = await rig.marks(db)
        del before[garbage.id], after[garbage.id]
        assert {place for _, place in after.values()} == set(range(1, len(found) + 1))
        assert not {epoch for epoch, _ in before.values()} & {epoch for epoch, _ in after.values()}
    finally:
        gateway.stop()
        keys.stop()


async def _log(client: harness.Client) -> list[str]:
    """Ids of everything the gateway holds, in order."""
    found: list[str] = []
    token = ""
    while True:
        page = await client.query(page_size=1000, page_token=token)
        found += [event.id for event in page.events]
        token = page.next_page_token
        if not token:
            await client.channel.close()
            return found
