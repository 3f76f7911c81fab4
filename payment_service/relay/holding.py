"""Entities that wait because the gateway refused one of their events.

Owns the memory of who waits until when, and the pauses. Called by the relay.
Forgetting it is safe: the outbox keeps it too, and the gateway takes no version
before the one below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from payment_service.db import outbox

FIRST_S = 1.0
LONGEST_S = 60.0
ENTITIES_MAX = 100_000


@dataclass(slots=True, kw_only=True)
class _Wait:
    version: int
    until_us: int
    pause_s: float


class Holding:
    """Who waits; see the module."""

    def __init__(self) -> None:
        self._waits: dict[outbox.Entity, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def load(self, refused: Sequence[tuple[outbox.Entity, int, int]]) -> None:
        """Starts from what the outbox says: entity, refused version, when it is due."""
        for entity, version, until_us in refused:
            if entity not in self._waits:
                self._waits[entity] = _Wait(version=version, until_us=until_us, pause_s=FIRST_S)

    def refuse(self, entity: outbox.Entity, version: int, now_us: int) -> int:
        """Notes that *version* was refused; returns when it may be sent again.

        The pause is 1 s and doubles up to 60 s while the same version is refused. While a lower
        version waits, a higher one waits for it.
        """
        wait = self._waits.get(entity)
        if wait is not None and wait.version < version and _lasts(wait, now_us):
            return wait.until_us
        if wait is not None and wait.version == version:
            pause_s = min(wait.pause_s * 2, LONGEST_S)
        else:
            pause_s = FIRST_S
        if wait is None and len(self._waits) >= ENTITIES_MAX:
            del self._waits[next(iter(self._waits))]
        until_us = now_us + round(pause_s * 1_000_000)
        self._waits[entity] = _Wait(version=version, until_us=until_us, pause_s=pause_s)
        return until_us

    def accept(self, entity: outbox.Entity, version: int) -> None:
        """Notes that *version* is in the log."""
        wait = self._waits.get(entity)
        if wait is not None and wait.version <= version:
            del self._waits[entity]

    def until_us(self, entity: outbox.Entity, version: int, now_us: int) -> int:
        """Returns when *version* may be sent; 0 for now."""
        wait = self._waits.get(entity)
        if wait is None or version < wait.version or not _lasts(wait, now_us):
            return 0
        return wait.until_us


def _lasts(wait: _Wait, now_us: int) -> bool:
    """Whether a wait goes on; one that began while the clock was ahead does not."""
    return now_us < wait.until_us <= now_us + outbox.RETRY_MAX_US
