"""When the client repeats something, and how long it waits before.

Owns the backoff and the seams for time, sleep and chance that make it testable. Called by
`calls` (one RPC), `subscription` and `consumption` (one stream after another). Never decides
*whether* a failed call may be repeated: the contract and the server's answer do.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waits with jitter, so that many clients do not come back at once."""

    first_s: float = 0.1
    longest_s: float = 5.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s or self.factor < 1:
            message = "a backoff needs 0 < first_s <= longest_s and factor >= 1"
            raise ValueError(message)

    def wait_s(self, failures: int, *, chance: float, asked_s: float | None = None) -> float:
        """Return the wait after the `failures`-th failure in a row (from 1), in seconds.

        `chance` in [0, 1) picks a point in the upper half of the step. `asked_s` is what the
        server asked for: never waited less, and spread over half as much again.
        """
        # Beyond 2**32 the step is longest_s anyway, and a float power would overflow.
        step_s = min(self.longest_s, self.first_s * self.factor ** min(failures - 1, 32))
        if asked_s is not None:
            return asked_s + chance * max(asked_s, self.first_s) / 2
        return step_s * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time, sleep and chance as the client uses them."""

    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Coroutine[object, object, None]] = asyncio.sleep
    chance: Callable[[], float] = field(default=random.random)
