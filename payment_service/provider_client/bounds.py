"""How many calls of providers may be under way at once.

Owns the numbers, and the places of look-ups and fetches. Kept by `pool`. Never calls anybody.
"""

from dataclasses import dataclass

from servicekit import turns

# Webhooks that wait to ask: by default more than are at the door and in a batch together.
WAITING_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Most calls at once, so that a plugin that hangs ties up no more than its share.

    `calls_max` operations of a plugin over all its instances, `instance_max` over one of
    them (or what it states itself, if that is less), `lookups_max` look-ups of a plugin and
    as many fetches. Webhooks wait for their turn to look up or fetch, and hold at most three
    quarters of these places together: the rest is for who does not wait, as the resolver.
    """

    calls_max: int = 512
    instance_max: int = 256
    lookups_max: int = 16

    def asking(self) -> turns.Turns:
        """Returns the places of look-ups or of fetches."""
        share = max(1, self.lookups_max - max(1, self.lookups_max // 4))
        return turns.Turns(self.lookups_max, waiting_max=WAITING_MAX, share=share)
