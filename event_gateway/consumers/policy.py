"""What a consumer's definition asks of the machine, in plain values.

Owns the names of orders, scopes and verdicts, and the waits between deliveries.
Read by the machine; made from the contract by `event_gateway.consumers.definition`.
"""

import dataclasses
import enum


class Ordering(enum.IntEnum):
    """What order members may rely on; numbers as in the contract."""

    PER_ENTITY = 1
    NONE = 2
    TOTAL = 3


class ParkScope(enum.IntEnum):
    """What a parked event holds up; numbers as in the contract."""

    ENTITY = 1
    EVENT = 2
    CONSUMER = 3


class Verdict(enum.IntEnum):
    """What a member decides about a delivery; numbers as in the contract."""

    ACK = 1
    REJECT = 2
    PARK = 3
    EXTEND = 4
    RELEASE = 5


class Failure(enum.IntEnum):
    """Why a settlement had no effect; numbers as in the contract."""

    LEASE_EXPIRED = 1
    CONFLICT = 2
    UNKNOWN = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How deliveries are made.

    Attributes:
        max_deliveries: Of one event before it is parked, at least 1.
        backoff_us: Least waits after the first, second, ... rejection; the last repeats.
        max_outstanding: Leases at a time.
    """

    ordering: Ordering
    park_scope: ParkScope
    ack_timeout_us: int
    max_deliveries: int
    backoff_us: tuple[int, ...]
    max_outstanding: int
    paused: bool

    def wait_us(self, attempts: int, delay_us: int, chance: float) -> int:
        """Returns the wait after the *attempts*-th delivery was rejected, microseconds.

        *chance* (0 to 1) spreads the backoff by a fifth; what the member asked for is never
        cut.
        """
        backoff_us = 0
        if self.backoff_us:
            backoff_us = self.backoff_us[min(attempts, len(self.backoff_us)) - 1]
        return max(delay_us, round(backoff_us * (0.8 + 0.4 * chance)))

    @property
    def blocks_entities(self) -> bool:
        """Whether a parked event holds up later ones of its entity."""
        return self.ordering is Ordering.PER_ENTITY and self.park_scope is ParkScope.ENTITY
