"""Calls on their way between the event loop and the threads that talk to databases.

Owns how a call waits, how a group of waiting ones is taken, and how results
come back. Called by both databases. Knows no SQL.
"""

import asyncio
import queue
from collections.abc import Callable
from typing import Any, NamedTuple

from servicekit.storage import database


class Call(NamedTuple):
    """A function that waits for a connection, and who waits for its value."""

    fn: Callable[[database.Connection], Any]
    future: asyncio.Future[Any]


class Result(NamedTuple):
    """What became of a call."""

    future: asyncio.Future[Any]
    value: Any
    error: BaseException | None


# None tells one thread to end.
Calls = queue.SimpleQueue[Call | None]


def take(waiting: Calls, most: int) -> list[Call]:
    """Waits for a call and returns it with what else waits, at most *most*; [] to end."""
    first = waiting.get()
    if first is None:
        return []
    group = [first]
    while len(group) < most:
        try:
            another = waiting.get_nowait()
        except queue.Empty:
            break
        if another is None:
            waiting.put(None)
            break
        group.append(another)
    return group


def settle(results: list[Result]) -> None:
    """Wakes everybody whose call has ended; runs on the event loop."""
    for future, value, error in results:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
