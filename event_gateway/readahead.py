"""Pages of a stretch of the log, read before they are asked for.

Owns the reads that are under way and the pages that wait. Called by a stream that catches up,
which has one of its own. Never holds more pages than its limit, and never decides what is
sent.
"""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Callable

from event_gateway import cutting
from servicekit import storage

# Two reads at once: the thread of one makes responses while the database fetches for the other.
_RUNS_MAX = 2
# One read fetches several pages from one snapshot: a thread that had to be asked for each anew
# would stand still a third of the time.
_RUN_PAGES = 2
# All that is held for a reader that takes nothing, besides the page that is being sent.
WAITING_MAX = _RUNS_MAX * _RUN_PAGES
# Once so many pages wait for readers that are slower than storage, each is read for when it asks
# and no sooner.
CROWDED_AT = 256
# How much of its pages a run is meant to fill: what is left over costs a read of its own.
_FULL = 0.9

Look = Callable[[storage.Connection, int, int], cutting.Page]


@dataclasses.dataclass(slots=True, kw_only=True)
class Shared:
    """What the readers of a process have in common.

    Attributes:
        reads: Bounds their reads at a time.
        waiting: Pages that wait for all of them.
    """

    reads: asyncio.Semaphore
    waiting: int = 0

    @property
    def is_crowded(self) -> bool:
        """Whether nothing is to be read that nobody asks for yet."""
        return self.waiting >= CROWDED_AT


class _Run:
    """Places that are read one after the other.

    Attributes:
        read: The last place that was read, or the one before the first.
        upto: The last place, which is a guess until a run is planned behind this one.
        pages: What was read and not taken.
        reading: What reads, if anything does.
    """

    __slots__ = ("pages", "read", "reading", "upto")

    def __init__(self, *, after: int, upto: int) -> None:
        self.read, self.upto = after, upto
        self.pages: collections.deque[cutting.Page] = collections.deque()
        self.reading: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing more comes of it."""
        return not self.pages and self.reading is None and self.read >= self.upto

    @property
    def has_room(self) -> bool:
        """Whether to read on for it now."""
        return self.reading is None and self.read < self.upto and len(self.pages) < _RUN_PAGES


class ReadAhead:
    """What lies in (*after*, *upto*], page by page.

    Args:
        database: Where the log is.
        shared: What it has in common with other readers.
        look: Returns the first page between two positions; called in threads.
        after: Position to read after.
        upto: Last position to read.
    """

    def __init__(
        self,
        database: storage.Database,
        shared: Shared,
        look: Look,
        *,
        after: int,
        upto: int,
    ) -> None:
        self._database = database
        self._shared = shared
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._taken = self._planned = after
        self._upto = upto
        self._runs: collections.deque[_Run] = collections.deque()
        # How many places a page covers, by the last ones.
        self._span = 0
        # Whether the next page was asked for and was not there.
        self._is_asked = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._ended = False

    @property
    def waiting(self) -> int:
        """How many pages wait."""
        return sum(len(run.pages) for run in self._runs)

    def goes_on_after(self, position: int) -> bool:
        """Whether the next page is the one after *position*."""
        return self._taken == position < self._upto

    def take(self) -> cutting.Page | None:
        """Returns the next page, or None: it is not there yet.

        Raises:
            Exception: What reading raised, once; the call after it tries again.
        """
        page = None
        first = self._first()
        if first is not None and first.pages:
            page = first.pages.popleft()
            self._taken = page.upto
            self._shared.waiting -= 1
        elif self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self._is_asked = page is None
        if self._failure is None:
            self._read_more()
        return page

    async def wait(self, timeout_s: float) -> None:
        """Returns when `take` has something to say, or after *timeout_s* seconds."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def end(self) -> None:
        """Stops reading."""
        self._ended = True
        self._shared.waiting -= self.waiting
        for run in self._runs:
            run.pages.clear()
            if run.reading is not None:
                run.reading.cancel()

    def _first(self) -> _Run | None:
        """Returns the run that the next page is of; forgets those before it."""
        while self._runs and self._runs[0].is_done:
            self._runs.popleft()
        return self._runs[0] if self._runs else None

    def _read_more(self) -> None:
        """Begins the reads for which there is room."""
        first = self._first()
        runs_max = _RUNS_MAX
        if self._shared.is_crowded:
            if not self._is_asked or (first is not None and first.pages):
                return
            runs_max = 1
        while len(self._runs) < runs_max and self._planned < self._upto:
            if not self._plan():
                break
        for run in itertools.islice(self._runs, runs_max):
            if run.has_room:
                run.reading = asyncio.create_task(self._read_on(run))

    def _plan(self) -> bool:
        """Adds a run that is meant to fill its pages; False if nobody knows how long one is.

        The first run then reads on as far as it comes, and is planned anew.
        """
        upto = self._upto
        if self._span:
            # No fewer than one more than a page covers: a guess that is too low has to grow.
            places = max(int(self._span * _RUN_PAGES * _FULL), self._span + 1)
            upto = min(self._planned + places, upto)
        elif self._runs:
            return False
        self._runs.append(_Run(after=self._planned, upto=upto))
        self._planned = upto
        return True

    async def _read_on(self, run: _Run) -> None:
        try:
            try:
                async with self._shared.reads:
                    if self._is_wanted(run):
                        await self._database.read(self._next_look(run))
            except Exception as failure:
                self._failure = failure
            # A read that ends at once does so before the loop has taken what it handed over.
            await asyncio.sleep(0)
        finally:
            run.reading = None
            if run is self._runs[-1]:
                # What is left of it may be long, and is planned anew.
                run.upto = self._planned = run.read
            self._news.set()
        if self._failure is None and not self._ended:
            self._read_more()

    def _is_wanted(self, run: _Run) -> bool:
        """Whether to read on for it, now that it is its turn: many may have waited for theirs."""
        if not self._shared.is_crowded:
            return True
        first = next(each for each in self._runs if not each.is_done)
        return self._is_asked and run is first and not run.pages

    def _next_look(self, run: _Run) -> Callable[[storage.Connection], None]:
        """Returns what reads on in a thread, now that it may."""
        start = run.read
        room = 1 if self._shared.is_crowded else _RUN_PAGES - len(run.pages)

        def look(conn: storage.Connection) -> None:
            after = start
            for _ in range(room):
                if self._ended:
                    return
                page = self._look(conn, after, run.upto)
                self._loop.call_soon_threadsafe(self._arrive, run, after, page)
                if page.upto in (after, run.upto):
                    return
                after = page.upto

        return look

    def _arrive(self, run: _Run, after: int, page: cutting.Page) -> None:
        if self._ended or after != run.read:
            # The database runs the read again, and this page is there.
            return
        run.read = page.upto
        self._shared.waiting += 1
        run.pages.append(page)
        # A page that ends with its run may have had room.
        span = page.upto - after
        self._span = span if page.upto < run.upto else max(span, self._span)
        self._news.set()
