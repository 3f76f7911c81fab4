"""Folders in memory for what a test run writes, where the system has room for them.

Owns where they lie, who owns them and which are left of runs that were killed. Called by
tests/conftest.py and tests/postgres.py. Never names one whose owner lives as left behind.
"""

import os
import pathlib
import shutil
from collections.abc import Iterator

# Databases come and go by the hundred in a run of the tests, each of many small files.
PLACE = pathlib.Path("/dev/shm")
FREE_MIN_BYTES = 2 << 30
_OWNER = "owner.pid"


def place() -> pathlib.Path | None:
    """Returns where files cost least to make and remove; None: where all temporary ones lie."""
    try:
        roomy = shutil.disk_usage(PLACE).free >= FREE_MIN_BYTES
    except OSError:
        return None
    return PLACE if roomy and os.access(PLACE, os.W_OK) else None


def own(folder: pathlib.Path) -> None:
    """Notes in *folder* that it is this process's."""
    (folder / _OWNER).write_text(str(os.getpid()))


def left(within: pathlib.Path, prefix: str) -> Iterator[pathlib.Path]:
    """Finds folders in *within* whose owner has ended without removing them."""
    for folder in within.glob(f"{prefix}*"):
        owner = first_number(folder / _OWNER)
        if owner is not None and not pathlib.Path(f"/proc/{owner}").exists():
            yield folder


def first_number(path: pathlib.Path) -> int | None:
    """Returns the number that a file begins with; None if there is none."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
