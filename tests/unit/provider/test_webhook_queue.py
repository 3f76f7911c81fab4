"""The queue of webhooks that the simulated provider keeps."""

import functools
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from provider_mock.webhooks import journal, sender
from servicekit import storage
from tests import fake_clock

DAY_US = 86_400_000_000


@pytest_asyncio.fixture
async def queue(tmp_path: pathlib.Path) -> AsyncIterator[storage.Database]:
    """An empty one."""
    database = await storage.open_database(f"sqlite:///{tmp_path}/ledger.db")

    def create(conn: storage.Connection) -> None:
        for table in journal.TABLES:
            conn.run(table)

    await database.write(create)
    yield database
    await database.close()


def _event(number: int, *, created_us: int, due_us: int | None = None) -> journal.Event:
    return journal.Event(
        event_id=f"evt_{number}",
        binding_id="b",
        type="plan.active",
        body="{}",
        due_us=due_us,
        attempts=0,
        status="waiting",
        created_us=created_us,
    )


def _insert(row: dict[str, Any], conn: storage.Connection) -> None:
    conn.run(journal._INSERT, row)


async def test_the_newest_events_are_shown(queue: storage.Database) -> None:
    """In the order they were made in; what falls off is the oldest."""

    def fill(conn: storage.Connection) -> list[str]:
        for number in (3, 1, 2):
            _insert(_event(number, created_us=number)._asdict(), conn)
        return [event.event_id for event in journal.listed(conn, 2)]

    assert await queue.write(fill) == ["evt_2", "evt_3"]


async def test_events_wait_for_days_for_what_signs_them(queue: storage.Database) -> None:
    """A restarted process hears of it once core is back, and writes seldom until then."""
    time = fake_clock.FakeClock()
    now_us = time.now_us()
    for number, age_us in enumerate((0, 3 * DAY_US)):
        row = _event(number, created_us=now_us - age_us, due_us=now_us)._asdict()
        await queue.write(functools.partial(_insert, row))
    sending = sender.Sender("http://x", retry_after_s=(1,), now_us=time.now_us, secrets=dict)
    assert await sending.run(queue) == 2
    old, fresh = await queue.read(lambda conn: journal.listed(conn, 2))
    assert fresh.due_us == now_us + sender.UNCONFIGURED_PAUSE_US
    assert old.due_us is not None
    assert now_us + 5_000_000 < old.due_us <= now_us + 10_000_000


async def test_an_event_outlives_a_moment_without_a_secret(queue: storage.Database) -> None:
    """As between two generations of a configuration; without one for good nothing is sent."""
    time = fake_clock.FakeClock()
    row = _event(1, created_us=time.now_us() - DAY_US, due_us=time.now_us())._asdict()
    await queue.write(functools.partial(_insert, row))
    sending = sender.Sender(
        "http://x", retry_after_s=(1,), now_us=time.now_us, secrets=lambda: {"b": ()}
    )
    assert await sending.run(queue) == 1
    assert await queue.read(journal.waiting) == 1
    time.advance(sender.UNSIGNED_MAX_US / 1e6)
    assert await sending.run(queue) == 1
    assert await queue.read(journal.waiting) == 0
