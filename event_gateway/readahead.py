"""Pages of a stretch of the log, read before they are asked for.

Owns the read that is under way and the pages that wait. Called by a stream that catches up,
which has one of its own. Never holds more pages than its limit, and never decides what is
sent.
"""

import asyncio
import collections
import contextlib
from collections.abc import Callable

from event_gateway import cutting
from servicekit import storage

# All that is held for a reader that takes nothing, besides the page that is being sent. One read
# fetches several pages from one snapshot: a thread that had to be asked for each anew would stand
# still a third of the time.
WAITING_MAX = 4
_REFILL_AT = WAITING_MAX // 2

Look = Callable[[storage.Connection, int, int], cutting.Page]


class ReadAhead:
    """What lies in (*after*, *upto*], page by page.

    Args:
        database: Where the log is.
        slots: Bounds the reads of all readers.
        look: Returns the first page between two positions; called in a thread.
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
        self._taken = self._read = after
        self._upto = upto
        self._pages: collections.deque[cutting.Page] = collections.deque()
        self._reading: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._ended = False

    def goes_on_after(self, position: int) -> bool:
        """Whether the next page is the one after *position*."""
        return self._taken == position < self._upto

    def take(self) -> cutting.Page | None:
        """Returns the next page, or None: it is not there yet.

        Raises:
            Exception: What reading raised, once; the call after it tries again.
        """
        page = self._pages.popleft() if self._pages else None
        if page is not None:
            self._taken = page.upto
        elif self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        is_wanted = self._read < self._upto and len(self._pages) <= _REFILL_AT
        if is_wanted and self._reading is None and self._failure is None:
            self._reading = asyncio.create_task(self._read_on())
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
        if self._reading is not None:
            self._reading.cancel()

    async def _read_on(self) -> None:
        start, room = self._read, WAITING_MAX - len(self._pages)

        def look(conn: storage.Connection) -> None:
            after = start
            for _ in range(room):
                page = self._look(conn, after, self._upto)
                self._loop.call_soon_threadsafe(self._arrive, after, page)
                if self._ended or page.upto in (after, self._upto):
                    return
                after = page.upto

        try:
            async with self._slots:
                await self._database.read(look)
        except Exception as failure:
            self._failure = failure
        finally:
            self._reading = None
            self._news.set()

    def _arrive(self, after: int, page: cutting.Page) -> None:
        if after != self._read:
            # The database runs the read again, and this page is there.
            return
        self._read = page.upto
        self._pages.append(page)
        self._news.set()
