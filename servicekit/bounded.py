"""A mapping with a limit.

Owns what makes room: the entry that was set the longest ago goes. Called by whatever remembers
something for each of who knows how many. Never fails for being full.
"""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V]):
    """A dictionary of at most *most* entries, from 1; `move_to_end` makes one count as set anew.

    Args:
        most: Entries it holds.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        """Sets an entry as the newest, and forgets the oldest one beyond the limit."""
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
