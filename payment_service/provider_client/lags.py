"""How far the clocks of a plugin's instances are behind core's.

Owns what their probes told of it, also of instances that are gone: one that stood still may go
on and act by its own clock. Told by `link`, asked where a fence must have passed on every clock.
Never sets a clock.
"""

from servicekit import bounded

INSTANCES_MAX = 100
# A clock that was never set must not keep a doubt for ever: from here on it is the operator's.
LAG_MAX_S = 86_400.0


class Lags:
    """See the module."""

    def __init__(self) -> None:
        self._behind_s: bounded.Bounded[str, float] = bounded.Bounded(INSTANCES_MAX)

    @property
    def longest_s(self) -> float:
        """How far the one furthest behind is at most, seconds; 0 if none is known to be."""
        return max(self._behind_s.values(), default=0.0)

    def note(self, instance_id: str, *, asked_us: int, told_us: int, answered_us: int) -> float:
        """Takes note of the time that an instance told.

        Args:
            instance_id: Which one.
            asked_us: When it was asked, by core's clock.
            told_us: What it answered.
            answered_us: When the answer was there, by core's clock.

        Returns:
            How far its clock is behind at least, seconds; below 0: ahead; 0: neither for sure.
        """
        least_s = (asked_us - told_us) / 1_000_000
        most_s = (answered_us - told_us) / 1_000_000
        if least_s > 0:
            self._behind_s[instance_id] = min(most_s, LAG_MAX_S)
            return least_s
        self._behind_s.pop(instance_id, None)
        return min(most_s, 0.0)
