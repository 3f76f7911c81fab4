"""How much a statement makes SQLite do."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from servicekit import storage
from servicekit.storage import sqlite

T = TypeVar("T")

_STEPS = 100


def counted(raw: sqlite3.Connection, run: Callable[[storage.Connection], T]) -> tuple[T, int]:
    """Returns what *run* does, and how many instructions SQLite takes for it: about a dozen to
    look at one row.
    """
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += _STEPS
        return 0

    raw.set_progress_handler(count, _STEPS)
    try:
        found = run(sqlite.SqliteConnection(raw))
    finally:
        raw.set_progress_handler(None, 0)
    return found, steps
