"""Reading ahead: in order, within its limit, and not for those who are gone."""

import asyncio
import collections
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Callable
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
    """Pages of ten places each, or as *span* says by the place before; notes which were read."""

    def __init__(self, span: Callable[[int], int] = lambda after: PAGE) -> None:
        self.span = span
        self.read: list[tuple[int, int]] = []
        self.failures: collections.deque[Exception] = collections.deque()

    def look(self, conn: storage.Connection, after: int, upto: int) -> cutting.Page:
        """Returns the page after a place."""
        with contextlib.suppress(IndexError):
            raise self.failures.popleft()
        reached = min(after + self.span(after), upto)
        self.read.append((after, reached))
        return cutting.Page(state=STATE, parts=(), upto=reached)

    def places(self) -> list[int]:
        """Where the pages that were read end, one after the other from the beginning."""
        ends = dict(self.read)
        assert len(ends) == len(self.read), "a page was read twice"
        places = []
        after = 0
        while ends:
            after = ends.pop(after)
            places.append(after)
        return places


def ahead(
    database: storage.Database, log: Log, *, upto: int, slots: asyncio.Semaphore | None = None
) -> readahead.ReadAhead:
    """Reads *log* from its beginning."""
    shared = readahead.Shared(reads=slots or asyncio.Semaphore(2))
    return readahead.ReadAhead(database, shared, log.look, after=0, upto=upto)


async def next_page(pages: readahead.ReadAhead) -> cutting.Page:
    """The next page, once it is there."""
    async with asyncio.timeout(10):
        while (page := pages.take()) is None:
            await pages.wait(10.0)
    return page


async def taken(pages: readahead.ReadAhead, upto: int) -> list[int]:
    """Where the pages end that are there to be taken, up to a place."""
    places = []
    after = 0
    while pages.goes_on_after(after):
        after = (await next_page(pages)).upto
        places.append(after)
        assert after <= upto
    return places


async def read_up(pages: readahead.ReadAhead) -> None:
    """Returns once the reads that are under way have ended."""
    async with asyncio.timeout(10):
        while any(run.reading for run in pages._runs):
            await pages.wait(0.01)


@pytest.mark.parametrize(
    "span",
    [
        pytest.param(lambda after: PAGE, id="even"),
        pytest.param(lambda after: 200 if after < 200 else 7, id="denser"),
        pytest.param(lambda after: 7 if after < 200 else 200, id="sparser"),
        pytest.param(lambda after: 1 + after * 7919 % 97, id="mixed"),
    ],
)
async def test_pages_come_in_order_until_the_end(
    database: storage.Database, span: Callable[[int], int]
) -> None:
    """Each page begins where the one before ended, and nothing is read twice."""
    log = Log(span)
    pages = ahead(database, log, upto=1205)
    places = await taken(pages, 1205)
    assert places[-1] == 1205
    assert places == log.places()
    assert not pages.goes_on_after(100)


async def test_a_read_that_ends_at_once_is_read_once() -> None:
    """Its pages count as read though the loop has not taken them when it ends, as it may from
    Python 3.14 on.
    """

    class AtOnce:
        async def read(self, fn: Any) -> Any:
            return fn(None)

    log = Log()
    pages = ahead(cast(Any, AtOnce()), log, upto=205)
    assert await taken(pages, 205) == log.places()


async def test_pages_of_one_event_each_make_no_later_ones_small(
    database: storage.Database,
) -> None:
    """Where events are so large that a page holds one, nobody knows yet how much fits behind."""
    log = Log(lambda after: 1 if after < 10 else 100)
    await taken(ahead(database, log, upto=2010), 2010)
    assert len(log.read) < 60


async def test_a_read_that_begins_anew_tells_nothing_twice(database: storage.Database) -> None:
    """A database may run a function again, as after a conflict; its pages come once."""

    class Again:
        async def read(self, fn: Any) -> Any:
            return await database.read(lambda conn: (fn(conn), fn(conn))[1])

    log = Log()
    places = await taken(ahead(cast(Any, Again()), log, upto=205), 205)
    assert places[-1] == 205
    assert places == sorted(set(places)) == sorted({reached for _, reached in log.read})


async def test_a_reader_that_takes_nothing_is_read_only_so_far(
    database: storage.Database,
) -> None:
    """No more pages than the limit wait, however long nobody takes one."""
    log = Log(lambda after: PAGE if after < 300 else 3)
    pages = ahead(database, log, upto=1000)
    for number in range(1, 60):
        await next_page(pages)
        await read_up(pages)
        assert len(log.read) - number == pages.waiting <= readahead.WAITING_MAX
    assert pages.waiting > 0


async def test_readers_that_take_nothing_are_bounded_together(
    database: storage.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once enough pages wait for all of them, nobody is read for ahead; who asks gets a page, and
    what waited for those who left makes room.
    """
    monkeypatch.setattr(readahead, "CROWDED_AT", 2 * readahead.WAITING_MAX)
    shared = readahead.Shared(reads=asyncio.Semaphore(2))
    logs = [Log() for _ in range(20)]
    readers = [readahead.ReadAhead(database, shared, log.look, after=0, upto=1000) for log in logs]
    for each in readers:
        assert (await next_page(each)).upto == PAGE
        await read_up(each)
    assert shared.waiting == sum(each.waiting for each in readers)
    assert shared.waiting <= readahead.CROWDED_AT + readahead.WAITING_MAX
    reached = [(await next_page(readers[-1])).upto for _ in range(5)]
    assert [PAGE, *reached] == logs[-1].places()
    for each in readers:
        each.end()
    assert shared.waiting == 0


async def test_reads_that_wait_for_their_turn_are_bounded_too(
    database: storage.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that took all and then nothing more leave reads behind that have not begun: these
    read nothing once enough pages wait, until somebody asks.
    """
    shared = readahead.Shared(reads=asyncio.Semaphore(1))
    logs = [Log() for _ in range(20)]
    readers = [readahead.ReadAhead(database, shared, log.look, after=0, upto=1000) for log in logs]
    for each in readers:
        await next_page(each)
        await read_up(each)
    await shared.reads.acquire()
    for each in readers:
        while each.waiting:
            each.take()
    monkeypatch.setattr(readahead, "CROWDED_AT", 2 * readahead.WAITING_MAX)
    shared.reads.release()
    for each in readers:
        await read_up(each)
    assert shared.waiting <= readahead.CROWDED_AT + readahead.WAITING_MAX
    for each, log in zip(readers, logs, strict=True):
        for _ in range(5):
            await next_page(each)
        await read_up(each)
        assert log.places()[-1] >= 6 * PAGE


async def test_two_reads_are_under_way_at_once(database: storage.Database) -> None:
    """The database works for one while another makes responses; order does not depend on them."""
    met = threading.Barrier(2, timeout=10)
    second_is_read = threading.Event()

    class Together(Log):
        def look(self, conn: storage.Connection, after: int, upto: int) -> cutting.Page:
            if 2 * PAGE <= after < 5 * PAGE and not second_is_read.is_set():
                met.wait()
                if after == 2 * PAGE:
                    assert second_is_read.wait(10)
                page = super().look(conn, after, upto)
                second_is_read.set()
                return page
            return super().look(conn, after, upto)

    log = Together()
    places = await taken(ahead(database, log, upto=205), 205)
    assert second_is_read.is_set()
    assert places == log.places()


async def test_two_reads_are_under_way_behind_a_gap_too(database: storage.Database) -> None:
    """A page that covers a long way makes nobody read all that follows in one read."""
    met, looks = threading.Barrier(2, timeout=10), itertools.count(1)
    behind = 100 * PAGE

    class Together(Log):
        def look(self, conn: storage.Connection, after: int, upto: int) -> cutting.Page:
            page = super().look(conn, after, upto)
            if after > behind + 3 * PAGE and next(looks) <= 2:
                met.wait()
            return page

    log = Together(lambda after: behind - after if PAGE <= after < behind else PAGE)
    places = await taken(ahead(database, log, upto=2 * behind), 2 * behind)
    assert places == log.places()


async def test_a_failure_is_told_once_and_reading_goes_on(database: storage.Database) -> None:
    """Pages that were read before a failure still come, and the next call tries again."""
    log = Log()
    pages = ahead(database, log, upto=1000)
    assert (await next_page(pages)).upto == PAGE
    await read_up(pages)
    log.failures.append(storage.StorageUnavailable("away"))
    seen = [PAGE]

    async def read_on() -> None:
        while seen[-1] < 1000:
            seen.append((await next_page(pages)).upto)

    with pytest.raises(storage.StorageUnavailable, match="away"):
        await read_on()
    assert len(seen) > 1
    await read_on()
    assert seen == log.places()


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
    assert [after for after, _ in held.read] == [0]


async def test_a_read_that_begins_too_late_reads_nothing() -> None:
    """One that waited for a connection until its reader had gone costs those who wait no page."""
    log, queued = Log(), asyncio.Queue[Any]()

    class Busy:
        async def read(self, fn: Any) -> None:
            queued.put_nowait(fn)
            await asyncio.Event().wait()

    pages = ahead(cast(Any, Busy()), log, upto=1000)
    assert pages.take() is None
    late = await queued.get()
    pages.end()
    late(None)
    assert log.read == []
