"""Pages of a stretch of the log, read before they are asked for.

Owns the reads that are under way and the pages that wait. Called by a stream that catches up,
which has one of its own. Never holds more pages than its limit, and never decides what is
sent.
"""

import asyncio
import collections
import contextlib
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
# How much of its pages a run is meant to fill: what is left over costs a read of its own.
_FULL = 0.9

Look = Callable[[storage.Connection, int, int], cutting.Page]


class _Run:
    """Places that are read one after the other.

    Attributes:
        read: The last place that was read, or the one before the first.
        upto: The last place. An open run has the end of the stretch, until its read ends.
        is_open: Nobody knows yet how far a read reaches.
        pages: What was read and not taken.
        reading: What reads, if anything does.
    """

    __slots__ = ("is_open", "pages", "read", "reading", "upto")

    def __init__(self, *, after: int, upto: int, is_open: bool) -> None:
        self.read, self.upto, self.is_open = after, upto, is_open
        self.pages: collections.deque[cutting.Page] = collections.deque()
        self.reading: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing more comes of it."""
        return not self.pages and self.reading is None and self.read >= self.upto


class ReadAhead:
    """What lies in (*after*, *upto*], page by page.

    Args:
        database: Where the log is.
        slots: Bounds the reads of all readers.
        look: Returns the first page between two positions; called in threads.
        after: Position to read after.
        upto: Last position to read.
    """

    def __init__(
        self,
        database: storage.Database,
        slots: asyncio.Semaphore,
        look: Look,
        *,
        after: int,
        upto: int,
    ) -> None:
        self._database = database
        self._slots = slots
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._taken = self._planned = after
        self._upto = upto
        self._runs: collections.deque[_Run] = collections.deque()
        # How many places a page covers, by the last ones.
        self._span = 0
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
        while self._runs and self._runs[0].is_done:
            self._runs.popleft()
        if self._runs and self._runs[0].pages:
            page = self._runs[0].pages.popleft()
            self._taken = page.upto
        elif self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
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
        for run in self._runs:
            if run.reading is not None:
                run.reading.cancel()

    def _read_more(self) -> None:
        """Begins the reads for which there is room."""
        while self._runs and self._runs[0].is_done:
            self._runs.popleft()
        is_known = self._span > 0
        while len(self._runs) < _RUNS_MAX and self._planned < self._upto:
            if not is_known and self._runs:
                break
            places = max(int(self._span * _RUN_PAGES * _FULL), 1)
            upto = min(self._planned + places, self._upto) if is_known else self._upto
            self._runs.append(_Run(after=self._planned, upto=upto, is_open=not is_known))
            self._planned = upto
        for run in self._runs:
            if run.reading is None and run.read < run.upto and len(run.pages) < _RUN_PAGES:
                run.reading = asyncio.create_task(self._read_on(run))

    async def _read_on(self, run: _Run) -> None:
        start, room = run.read, _RUN_PAGES - len(run.pages)

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

        try:
            async with self._slots:
                await self._database.read(look)
        except Exception as failure:
            self._failure = failure
        finally:
            run.reading = None
            if run.is_open:
                run.is_open = False
                run.upto = self._planned = run.read
            self._news.set()
        if self._failure is None and not self._ended:
            self._read_more()

    def _arrive(self, run: _Run, after: int, page: cutting.Page) -> None:
        if after != run.read:
            # The database runs the read again, and this page is there.
            return
        run.read = page.upto
        run.pages.append(page)
        # A page that ends with its run may have had room.
        span = page.upto - after
        self._span = span if page.upto < run.upto else max(span, self._span)
        self._news.set()
