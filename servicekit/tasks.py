"""Work that must not stop in the middle.

Owns tasks that outlive their caller: a client's deadline or a server's stop
cancels the handler, while the tracked task goes on behind a shield. Called by
use cases and the provider SDK; drained on shutdown before storage is closed.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from servicekit import errors, logs, sanitizer

T = TypeVar("T")

_log = logs.get_logger(__name__)


def is_canceled() -> bool:
    """Tell whether a CancelledError is meant for the current task.

    If not, what it waited for was canceled: a call, for example, whose connection was closed.
    """
    task = asyncio.current_task()
    return task is None or bool(task.cancelling())


def detached(coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Begin what goes on for others too, as no part of the current call: its lines in the log
    carry neither the call's request id nor its trace.
    """
    return asyncio.create_task(coro, context=contextvars.Context())


class Tracker:
    """Runs coroutines as tracked tasks; at most `limit` at once.

    Args:
        limit: The most tasks at once.
        translate: What a caller is told of an exception that is no bug, as a pipeline asks it.
    """

    def __init__(
        self,
        *,
        limit: int = 10_000,
        translate: Callable[[Exception], errors.RpcError | None] | None = None,
    ) -> None:
        self._limit = limit
        self._translate = translate
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def active(self) -> int:
        """How many tasks are running."""
        return len(self._tasks)

    async def shielded(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` to its end even if the caller is cancelled; return its result.

        Raises:
            errors.RpcError: OVERLOADED, and `coro` was not started, at the limit.
        """
        if len(self._tasks) >= self._limit:
            coro.close()
            raise errors.overloaded("too many operations are running", retry_after_s=1.0)
        task = asyncio.get_running_loop().create_task(coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(self._report_abandoned)
            raise

    async def drain(self, timeout_s: float) -> int:
        """Wait at most `timeout_s` for all tasks; return how many are still running."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while self._tasks:
            left_s = deadline_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                _log.warning("tasks left running at the end of the drain", active=self.active)
                break
            await asyncio.wait(self._tasks, timeout=left_s)
        return self.active

    def _report_abandoned(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or (failure := task.exception()) is None:
            return
        if self._is_bug(failure):
            _log.error("a task failed after its caller had left", exc_info=failure)
            return
        problem = sanitizer.scrub_text(str(failure), tuple(logs.hidden()))
        _log.warning("a call was not served after its caller had left", problem=problem)

    def _is_bug(self, failure: BaseException) -> bool:
        told = failure if isinstance(failure, errors.RpcError) else None
        if told is None and self._translate is not None and isinstance(failure, Exception):
            told = self._translate(failure)
        return told is None or told.code in errors.BUG_CODES
