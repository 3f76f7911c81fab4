"""What sending again makes of the rows of an endpoint."""

import asyncio
import functools

import pytest
from payhub.events.v1 import consumer_pb2, event_pb2

from event_gateway import gateway
from event_gateway.consumers import definition, records
from event_gateway.db import consumers, parking, progress
from event_gateway.webhooks_out import replay
from servicekit import storage
from tests.integration.gateway import one_group

LEASE_US = 60_000_000


def given_up(conn: storage.Connection, *wanted: str) -> consumers.Stored:
    """An endpoint for these types that was sent four events: the first two were given up, behind
    the third one some were lost.
    """
    made = consumer_pb2.Consumer(filter=event_pb2.Filter(types=wanted))
    fields = {"definition": definition.encode(definition.complete(made)), "idle_expiry_us": 0}
    consumers.create(conn, "one", "whe_1", kind="webhook", floor=4, now_us=1, **fields)  # type: ignore[arg-type]
    mine = consumers.acquire(conn, "one", "whe_1", owner="x", endpoint="", lease_us=LEASE_US)
    assert mine is not None
    parks = [
        records.Park(
            position=n, key="", attempts=1, reason="", parked_us=1, blocked=False, skipped=n // 3
        )
        for n in (1, 2, 3)
    ]
    made_of = records.Changes(floor=4, runs=b"", retries=(), settled=(), parks=parks)
    assert progress.write(conn, mine, made_of) is progress.Written.DONE
    return mine


def left(conn: storage.Connection) -> list[int]:
    """What is given up still."""
    return [each.position for each in parking.page(conn, "one", "whe_1", after=-1, rows=9)]


async def test_one_event_is_found_among_many_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending one event again takes it from those that were given up, however many lie before it:
    else it would be sent once more with all of them.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    monkeypatch.setattr(replay, "RETRIED_MAX", 1)
    on = await one_group.on(database)

    def again(conn: storage.Connection, event_id: str) -> list[int]:
        assert replay.one(conn, given_up(conn), event_id) == 1
        return left(conn)

    try:
        ids = await on.publish("p1", "p2", "p3", "p4")
        assert await database.write(functools.partial(again, event_id=ids[1])) == [1, 3]
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("floor", "wanted", "expected"),
    [(0, (), [3]), (1, (), [1, 3]), (0, ("refund.created",), [1, 2, 3])],
)
async def test_what_everything_from_a_place_sends_again_is_given_up_no_longer(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    floor: int,
    wanted: tuple[str, ...],
    expected: list[int],
) -> None:
    """It would count as failed once it is delivered, and be sent once more with what failed. What
    lies before the place, is not wanted or was lost is not sent, and stays.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    monkeypatch.setattr(replay, "RETRIED_MAX", 1)
    on = await one_group.on(database)

    def again(conn: storage.Connection) -> list[int]:
        replay.everything_after(conn, given_up(conn, *wanted), floor)
        return left(conn)

    try:
        await on.publish("p1", "p2", "p3", "p4")
        assert await database.write(again) == expected
    finally:
        await database.close()
