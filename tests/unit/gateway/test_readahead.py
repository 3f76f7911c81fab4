"""Reading ahead: in order, within its limit, and not for those who are gone."""

import asyncio
import collections
import threading
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from event_gateway import cutting, readahead
from event_gateway.db import read
from servicekit import storage

STATE = read.State(epoch=1, head=1000, oldest=0, head_append_us=0)
PAGE = 10


@pytest.fixture
async def database(tmp_path: Any) -> AsyncIterator[storage.Database]:
    """One to read from in threads."""
    opened = await storage.open_database(f"sqlite:///{tmp_path}/log.db")
    yield opened
    await opened.close()


class Log:
    """Pages of ten places each; notes which were read."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.failures: collections.deque[Exception] = collections.deque()

    def look(self, conn: storage.Connection, after: int, upto: int) -> cutting.Page:
        """Returns the page after a place."""
        if self.failures:
            raise self.failures.popleft()
        self.read.append(after)
        return cutting.Page(state=STATE, parts=(), upto=min(after + PAGE, upto))


def ahead(
    database: storage.Database, log: Log, *, upto: int, slots: asyncio.Semaphore | None = None
) -> readahead.ReadAhead:
    """Reads *log* from its beginning."""
    slots = slots or asyncio.Semaphore(1)
    return readahead.ReadAhead(database, slots, log.look, after=0, upto=upto)


async def next_page(pages: readahead.ReadAhead) -> cutting.Page:
    """The next page, once it is there."""
    while (page := pages.take()) is None:
        await pages.wait(10.0)
    return page


async def read_up(pages: readahead.ReadAhead, slots: asyncio.Semaphore) -> None:
    """Returns once the read that is under way has ended."""
    async with asyncio.timeout(10):
        while slots.locked():
            await pages.wait(0.01)


async def test_pages_come_in_order_until_the_end(database: storage.Database) -> None:
    """Each page begins where the one before ended, and nothing is read twice."""
    log = Log()
    pages = ahead(database, log, upto=205)
    places = []
    after = 0
    while pages.goes_on_after(after):
        after = (await next_page(pages)).upto
        places.append(after)
    assert places == [*range(PAGE, 205, PAGE), 205]
    assert log.read == list(range(0, 205, PAGE))
    assert not pages.goes_on_after(100)


async def test_a_read_that_begins_anew_tells_nothing_twice(database: storage.Database) -> None:
    """A database may run a function again, as after a conflict; its pages come once."""

    class Again:
        async def read(self, fn: Any) -> Any:
            return await database.read(lambda conn: (fn(conn), fn(conn))[1])

    pages = ahead(cast(Any, Again()), Log(), upto=205)
    places = []
    after = 0
    while pages.goes_on_after(after):
        after = (await next_page(pages)).upto
        places.append(after)
    assert places == [*range(PAGE, 205, PAGE), 205]


async def test_a_reader_that_takes_nothing_is_read_only_so_far(
    database: storage.Database,
) -> None:
    """No more pages than the limit wait, however long nobody takes one."""
    log, slots = Log(), asyncio.Semaphore(1)
    pages = ahead(database, log, upto=1000, slots=slots)
    for taken in range(1, 10):
        await next_page(pages)
        await read_up(pages, slots)
        assert len(log.read) - taken <= readahead.WAITING_MAX
    assert len(log.read) >= 10


async def test_a_failure_is_told_once_and_reading_goes_on(database: storage.Database) -> None:
    """Pages that were read before a failure still come, and the next call tries again."""
    log, slots = Log(), asyncio.Semaphore(1)
    pages = ahead(database, log, upto=1000, slots=slots)
    assert (await next_page(pages)).upto == PAGE
    await read_up(pages, slots)
    log.failures.append(storage.StorageUnavailable("away"))
    seen: list[int] = []

    async def read_on() -> None:
        while len(seen) < 2 * readahead.WAITING_MAX:
            seen.append((await next_page(pages)).upto)

    with pytest.raises(storage.StorageUnavailable, match="away"):
        await read_on()
    assert 0 < len(seen) < readahead.WAITING_MAX
    await read_on()
    assert seen == [PAGE * number for number in range(2, len(seen) + 2)]


async def test_who_has_gone_gives_the_slot_back(database: storage.Database) -> None:
    """A reader that ended reads no further, and others are served."""
    log, begun, go = Log(), threading.Event(), threading.Event()
    slots = asyncio.Semaphore(1)

    class Held(Log):
        def look(self, conn: storage.Connection, after: int, upto: int) -> cutting.Page:
            begun.set()
            assert go.wait(10)
            return super().look(conn, after, upto)

    held = Held()
    first = ahead(database, held, upto=1000, slots=slots)
    assert first.take() is None
    assert await asyncio.to_thread(begun.wait, 10)
    first.end()
    second = ahead(database, log, upto=10, slots=slots)
    assert (await next_page(second)).upto == 10
    go.set()
    await database.close()
    assert held.read == [0]
