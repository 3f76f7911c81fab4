"""The double's own time and what is due in it.

Owns an offset to real time and the list of timers. Advanced by the control API; ticked by
server. Never runs a timer out of the order of due times.
"""

import time
from typing import Any

Json = dict[str, Any]

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400


class Clock:
    """Seconds since 1970, shifted by what tests advanced."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self._held_s: float | None = None
        self.timers: list[Json] = []

    def exact_s(self) -> float:
        """Returns the time with its fraction."""
        return self._held_s if self._held_s is not None else time.time() + self.offset_s

    def now(self) -> int:
        """Returns the time in whole seconds, as Stripe's objects carry it."""
        return int(self.exact_s())

    def at(self, due_s: float, kind: str, account: str, identifier: str, **more: Any) -> None:
        """Sets a timer: *kind* is run on the object *identifier* of *account* at *due_s*."""
        self.timers.append(
            {"due_s": due_s, "kind": kind, "account": account, "id": identifier, **more}
        )

    def cancel(self, kind: str, identifier: str) -> None:
        """Drops the timers of a kind that an object still has."""
        self.timers = [
            timer for timer in self.timers if (timer["kind"], timer["id"]) != (kind, identifier)
        ]

    def pop_due(self, until_s: float) -> Json | None:
        """Takes the earliest timer due by *until_s* and holds the clock at its time."""
        due = [timer for timer in self.timers if timer["due_s"] <= until_s]
        if not due:
            return None
        timer = min(due, key=lambda one: one["due_s"])
        self.timers.remove(timer)
        # Work that comes due is dated when it was due, not when the clock was moved.
        held_s = self._held_s if self._held_s is not None else timer["due_s"]
        self._held_s = max(timer["due_s"], held_s)
        return timer

    def release(self) -> None:
        """Lets the clock run again after the timers that were due."""
        self._held_s = None
