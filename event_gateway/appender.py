"""Publishing: many callers, one transaction after the other.

Owns the queue of batches that wait for the log, their joining into one
transaction and the hand-over to the window. Called by the ingest API. Never
judges a single event; that is `event_gateway.db.append`.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Callable, Sequence

from event_gateway import window
from event_gateway.db import append, rows
from servicekit import clock, errors, failpoints, logs, storage, tasks

# Joined batches: enough to make a commit cheap, few enough to keep it short.
_JOINED_EVENTS_MAX = 2000
_JOINED_BYTES_MAX = 4 * 1024 * 1024
# What may wait in memory; more is refused and the producer comes back.
_WAITING_BYTES_MAX = 64 * 1024 * 1024

_log = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The answer for one caller's batch.

    Attributes:
        verdicts: One per candidate, in order.
        epoch: Of the log.
        head: Position of the newest event when the answer was made.
    """

    verdicts: Sequence[append.Verdict]
    epoch: int
    head: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiting:
    candidates: Sequence[rows.Candidate]
    size_bytes: int
    done: asyncio.Future[Appended]


class Appender:
    """Appends to one log.

    Args:
        database: Where the log is.
        log: Gets every event after its commit.
        on_growth: Called after the window has grown.
        on_hole: Called when another process appended in between.
        time: For append times.
        origin: Names this process to the others on the same log.
    """

    def __init__(
        self,
        database: storage.Database,
        log: window.Window,
        *,
        on_growth: Callable[[], None],
        on_hole: Callable[[], None],
        time: clock.Clock,
        origin: str = "",
    ) -> None:
        self._database = database
        self._window = log
        self._origin = origin
        self._on_growth = on_growth
        self._on_hole = on_hole
        self._time = time
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._waiting_bytes = 0
        self._worker: asyncio.Task[None] | None = None

    async def append(self, candidates: Sequence[rows.Candidate]) -> Appended:
        """Returns once *candidates* are decided and what is new of them is durable.

        Goes on when the caller is cancelled; what it did is found by repeating it.

        Raises:
            errors.RpcError: OVERLOADED, too much waits already.
            storage.StorageError: The database failed; nothing or all may be appended.
        """
        size = sum(len(candidate.body) for candidate in candidates)
        if self._waiting_bytes and self._waiting_bytes + size > _WAITING_BYTES_MAX:
            raise errors.overloaded("too many events wait to be appended", retry_after_s=1.0)
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(candidates=candidates, size_bytes=size, done=done))
        self._waiting_bytes += size
        if self._worker is None or self._worker.done():
            self._worker = tasks.detached(self._work())
        return await done

    async def drain(self) -> None:
        """Returns when nothing waits any more."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait({self._worker})

    async def _work(self) -> None:
        while self._queue:
            joined = self._take()
            try:
                await self._append(joined)
            except Exception as failure:
                if not isinstance(failure, storage.StorageError):
                    _log.exception("appending failed")
                for waiting in joined:
                    if not waiting.done.done():
                        waiting.done.set_exception(failure)

    def _take(self) -> list[_Waiting]:
        joined: list[_Waiting] = []
        events = size = 0
        while self._queue:
            first = self._queue[0]
            events += len(first.candidates)
            size += first.size_bytes
            if joined and (events > _JOINED_EVENTS_MAX or size > _JOINED_BYTES_MAX):
                break
            joined.append(self._queue.popleft())
            self._waiting_bytes -= first.size_bytes
        return joined

    async def _append(self, joined: Sequence[_Waiting]) -> None:
        candidates = [candidate for waiting in joined for candidate in waiting.candidates]
        now_us = self._time.now_us()
        seen = self._window.head
        try:
            result = await self._database.write(
                lambda conn: append.append(conn, candidates, now_us, origin=self._origin, seen=seen)
            )
        except storage.CommitUnknown:
            self._on_hole()
            raise
        except append.WentBack as failure:
            # Who follows the log ends this process.
            self._on_hole()
            raise storage.StorageUnavailable(str(failure)) from failure
        failpoints.hit("event_gateway.after_append_commit")
        if result.entries:
            if self._window.extend(
                result.head_before, result.entries, result.head, head_us=result.append_us
            ):
                self._on_growth()
            else:
                self._on_hole()
        start = 0
        for waiting in joined:
            end = start + len(waiting.candidates)
            if not waiting.done.done():
                waiting.done.set_result(
                    Appended(
                        verdicts=result.verdicts[start:end], epoch=result.epoch, head=result.head
                    )
                )
            start = end
