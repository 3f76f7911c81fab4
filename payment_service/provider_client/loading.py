"""How long a process of a plugin takes until operations can be sent to it.

Owns when a load begins, what it comes to, and that nothing is told twice of it. Told by `client`
and `link` what they see of one place; `counting` keeps what it tells. Never calls an instance.
"""

import enum
from collections.abc import Callable

from servicekit import clock as clocks


class Outcome(enum.Enum):
    """What became of a load.

    REFUSED: core did not let it in. FAILED: it gave no usable answer. Either is tried again, and
    may be READY later. LOST: it was gone before, or nobody wanted it any more.
    """

    READY = "ready"
    REFUSED = "refused"
    FAILED = "failed"
    LOST = "lost"


class Load:
    """The loads of the processes at one place, one after the other.

    A process is loaded once, however often the connection to it is lost.

    Args:
        clock: Where time comes from.
        tell: Hears of outcomes, and the seconds since the connection.
    """

    __slots__ = ("_clock", "_closed", "_loaded", "_met", "_since_s", "_tell", "_told")

    def __init__(self, clock: clocks.Clock, tell: Callable[[Outcome, float], None]) -> None:
        self._clock = clock
        self._tell = tell
        # None while no load is under way.
        self._since_s: float | None = None
        self._told: set[Outcome] = set()
        # The process that was let in over this connection, and the one that was loaded last.
        self._met = ""
        self._loaded = ""
        self._closed = False

    def connected(self) -> None:
        """There is a connection to some process; it is known later to which."""
        if self._since_s is None and not self._closed:
            self._since_s = self._clock.monotonic_s()
            self._told.clear()
            self._met = ""

    def failed(self, outcome: Outcome) -> None:
        """It may not be used, or did not answer; it is asked again soon."""
        self._end(outcome)

    def met(self, instance_id: str) -> None:
        """It was let in; if it was loaded before, that was not a load."""
        self._met = instance_id
        if instance_id == self._loaded:
            self._since_s = None

    def ready(self) -> None:
        """It takes operations; nothing is told if it has for a while, or was not met yet."""
        if self._since_s is not None and self._met:
            self._end(Outcome.READY)
            self._since_s = None
            self._loaded = self._met

    def lost(self) -> None:
        """There is no connection any more."""
        if not self._told:
            self._end(Outcome.LOST)
        self._since_s = None

    def close(self) -> None:
        """Nobody wants it any more: nothing is told from now on."""
        self.lost()
        self._closed = True

    def _end(self, outcome: Outcome) -> None:
        if self._since_s is not None and outcome not in self._told:
            self._told.add(outcome)
            self._tell(outcome, self._clock.monotonic_s() - self._since_s)
