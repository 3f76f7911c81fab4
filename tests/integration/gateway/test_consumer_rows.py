"""The rows of consumers: who runs one, and when one that nobody uses goes."""

import asyncio

from event_gateway import gateway
from event_gateway.db import consumers
from servicekit import storage

LEASE_US = 60_000_000


async def test_one_owner_at_a_time_and_idle_ones_go(database_url: str) -> None:
    """A good lease keeps others out; a released one does not; a consumer that nobody used for
    its idle expiry is deleted, but never one that somebody runs.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)

    def take(conn: storage.Connection, owner: str) -> consumers.Stored:
        taken = consumers.acquire(
            conn, "one", "a", owner=owner, endpoint=f"{owner}:1", lease_us=LEASE_US
        )
        assert taken is not None
        return taken

    def prolong(conn: storage.Connection, stored: consumers.Stored) -> tuple[int, int] | None:
        return consumers.renew(
            conn, stored, members=1, outstanding=2, active=False, lease_us=LEASE_US
        )

    try:
        for name, idle_us in (("a", 1), ("b", 0)):
            await database.write(
                lambda conn, name=name, idle_us=idle_us: consumers.create(
                    conn,
                    "one",
                    name,
                    kind="consumer",
                    definition=b"",
                    floor=3,
                    idle_expiry_us=idle_us,
                    now_us=1,
                )
            )
        first = await database.write(lambda conn: take(conn, "x"))
        assert (first.owner, first.term) == ("x", 1)
        assert (await database.write(lambda conn: take(conn, "y"))).owner == "x"
        assert await database.write(consumers.delete_idle) == []
        assert await database.write(lambda conn: prolong(conn, first)) == (1, 1)
        await database.write(lambda conn: consumers.release(conn, first))
        second = await database.write(lambda conn: take(conn, "y"))
        assert (second.owner, second.term) == ("y", 2)
        assert await database.write(lambda conn: prolong(conn, first)) is None
        assert await database.read(consumers.lowest_floor) == 3
        assert await database.read(consumers.nearly_overtaken) == []
        await database.write(lambda conn: consumers.release(conn, second))
        assert await database.write(consumers.delete_idle) == [("one", "a")]
        assert await database.read(lambda conn: consumers.count(conn, "one")) == 1
    finally:
        await database.close()
