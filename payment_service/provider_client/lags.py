"""How far the clocks of a plugin's instances are behind core's.

Owns what their probes told of it, also of instances that are gone: one that stood still may go
on and act by its own clock. Told by `link`, asked where a fence must have passed on every clock.
Never sets a clock.
"""

from servicekit import bounded

INSTANCES_MAX = 100
# What is sent to an instance after its last probe, as long as nobody knows that it is gone, has
# passed its own time by then.
GONE_FOR_S = 300.0
# A clock that was never set must not keep a doubt for ever: from here on it is the operator's.
LAG_MAX_S = 86_400.0


class Lags:
    """See the module."""

    def __init__(self) -> None:
        # How far behind, and until when that counts.
        self._told: bounded.Bounded[str, tuple[float, int]] = bounded.Bounded(INSTANCES_MAX)

    def longest_s(self, now_us: int) -> float:
        """Returns how far the one furthest behind is at most, seconds; 0 if none is known to be.

        One that is gone counts until everything that it was sent is over by its own clock.
        """
        return max(
            (most_s for most_s, until_us in self._told.values() if now_us < until_us), default=0.0
        )

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
            # Core's own clock may have stepped back meanwhile.
            most_s = min(max(least_s, most_s), LAG_MAX_S)
            until_us = answered_us + round((most_s + GONE_FOR_S) * 1_000_000)
            self._told[instance_id] = (most_s, until_us)
            return least_s
        self._told.pop(instance_id, None)
        return min(most_s, 0.0)
