"""How much memory a process and its children hold.

Owns reading resident memory from /proc and judging its growth. Called by the
load checks when a run asks for it. Never looks at processes outside the group
of the one it was given.
"""

import pathlib
import statistics
from dataclasses import dataclass

# Caches fill and allocators keep a reserve; a leak goes on.
GROWTH_SHARE_MAX = 0.10
GROWTH_BYTES_MAX = 8 * 1024 * 1024
PARTS = 5

_PROC = pathlib.Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How memory went.

    Args:
        first_bytes: Early, after the start's own growth.
        last_bytes: At the end.
    """

    first_bytes: float
    last_bytes: float

    @property
    def grows(self) -> bool:
        """Whether it grew by more than what caches explain."""
        grown = self.last_bytes - self.first_bytes
        return grown > max(GROWTH_BYTES_MAX, GROWTH_SHARE_MAX * self.first_bytes)

    @property
    def text(self) -> str:
        """Says it for people."""
        return f"{self.first_bytes / 2**20:.1f} to {self.last_bytes / 2**20:.1f} MiB"


class Watch:
    """Looks at one process group.

    Args:
        pid: Leader of the group.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[int] = []

    def look(self) -> None:
        """Notes how much the group holds now."""
        self._seen.append(resident_bytes(self._pid))

    def growth(self) -> Growth:
        """Compares the second fifth of what was seen with the last one."""
        size = max(1, len(self._seen) // PARTS)
        return Growth(
            first_bytes=statistics.median(self._seen[size : 2 * size] or self._seen[:1]),
            last_bytes=statistics.median(self._seen[-size:]),
        )


def resident_bytes(group: int) -> int:
    """Returns what all processes of a group hold; 0 where /proc is missing."""
    total = 0
    for entry in _PROC.glob("[0-9]*/stat"):
        try:
            # The name may contain spaces and brackets; what follows it does not.
            after_name = entry.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(after_name[2]) == group:
            total += int(after_name[21]) * 4096
    return total
