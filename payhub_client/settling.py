"""Events that a member of a durable consumer got to deal with.

Owns the verdicts that a receiver can give, what the contract takes of them, and which event is
the same as another. Made by `consumption`, handed over by `Client.consume`. Never sends anything
itself.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from google.protobuf import duration_pb2
from payhub.events.v1 import consumer_pb2, event_pb2

_Settlement = consumer_pb2.Settlement

_LOST = (
    consumer_pb2.SettlementFailure.REASON_LEASE_EXPIRED,
    consumer_pb2.SettlementFailure.REASON_UNKNOWN,
)
_REASON_MAX = 1024
_DELAY_S_MAX = 172_800


@dataclass(slots=True, eq=False)
class Received:
    """One event to deal with. Settle it once, by `ack` or one of the others; until then its
    lease is extended.
    """

    event: event_pb2.Event
    attempt: int
    """1 on the first delivery."""
    last_reason: str
    """Reason given with the last rejection, if any."""
    _settle: Callable[["Received", _Settlement], Awaitable[None]] = field(repr=False)
    lease: str = field(repr=False)
    settled: bool = field(default=False, init=False)
    _span_s: float = field(default=30.0, init=False, repr=False)
    _extend_at_s: float = field(default=0.0, init=False, repr=False)
    _extend_until_s: float | None = field(default=None, init=False, repr=False)
    """None as long as it waits to be handed over."""

    async def ack(self) -> None:
        """Say that it is done. Durable a moment later, see `Consumption.flush`."""
        await self._settle(self, _Settlement(verdict=_Settlement.VERDICT_ACK))

    async def reject(self, reason: str = "", *, delay_s: float = 0.0) -> None:
        """Ask for it again, after the consumer's backoff and not before `delay_s`, 0 to 48 h.

        Of `reason` the first 1024 characters are kept. Raises ValueError for another `delay_s`.
        """
        if not 0 <= delay_s <= _DELAY_S_MAX:
            text = f"delay_s must be 0 to {_DELAY_S_MAX}, not {delay_s}"
            raise ValueError(text)
        settlement = _Settlement(verdict=_Settlement.VERDICT_REJECT, reason=_sendable(reason))
        settlement.delay.CopyFrom(duration(delay_s))
        await self._settle(self, settlement)

    async def park(self, reason: str) -> None:
        """Set it aside for an operator: it can't be dealt with.

        Of `reason` the first 1024 characters are kept.
        """
        await self._settle(
            self, _Settlement(verdict=_Settlement.VERDICT_PARK, reason=_sendable(reason))
        )

    async def release(self) -> None:
        """Give it back unprocessed; this delivery does not count."""
        await self._settle(self, _Settlement(verdict=_Settlement.VERDICT_RELEASE))


def identity(event: event_pb2.Event) -> tuple[str, str]:
    """Return what tells an event from others: two tenants may give theirs the same id."""
    return event.tenant_id, event.id


def forget(
    held: dict[tuple[str, str], Received], failures: Iterable[consumer_pb2.SettlementFailure]
) -> int:
    """Take out what waits under a lease that failed, so that it is not handed over: another member
    has it, or will. Return how many they were.
    """
    lost = {each.lease for each in failures if each.reason in _LOST}
    gone = [each for each in held.values() if each._extend_until_s is None and each.lease in lost]
    for each in gone:
        each.settled = True
        del held[identity(each.event)]
    return len(gone)


def duration(seconds: float) -> duration_pb2.Duration:
    """Return a length of time as the contract has it."""
    made = duration_pb2.Duration()
    made.FromMicroseconds(round(seconds * 1e6))
    return made


def _sendable(reason: str) -> str:
    """Return what the contract takes of a reason: one that it refuses would end the stream."""
    text = reason[:_REASON_MAX].encode(errors="replace").decode()
    return text.replace("\0", "\ufffd")
