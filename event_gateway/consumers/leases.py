"""Leases: the names of deliveries, when they end, and how they ended.

Owns tokens, deadlines and the memory of what was settled. Called by the machine.
Never knows what an event is; deadlines are epoch microseconds.
"""

import collections
import dataclasses
import heapq

from event_gateway.consumers import policy

# Ended leases that are remembered, so that a repeated settlement is answered.
REMEMBERED_MAX = 20_000
# Deadlines of leases that ended before, which wait behind one that is held for long.
OUTLIVED_MAX = 1_000


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Lease:
    """One delivery of one event.

    Attributes:
        token: What the member settles with.
        position: Of the event.
        session: Number of the member's session.
        until_us: When it ends.
        held: False once it has ended by itself; the event was not handed out again yet.
        erased: Something was erased since; why its member rejects the event is not kept.
        queued_us: When it is looked at next, 0 if not at all; not after its end.
    """

    token: str
    position: int
    session: int
    until_us: int
    held: bool = True
    erased: bool = False
    queued_us: int = 0


class Leases:
    """All leases of one consumer since it came to this process.

    Args:
        incarnation: Starts every token, so that none is taken for one of another time.
    """

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._number = 0
        self._open: dict[str, Lease] = {}
        self._ended: collections.OrderedDict[str, policy.Verdict | None] = collections.OrderedDict()
        self._deadlines: list[tuple[int, str]] = []
        self.held = 0

    def give(self, position: int, session: int, until_us: int) -> Lease:
        """Makes a lease."""
        self._number += 1
        token = f"{self._incarnation}-{self._number:x}"
        lease = Lease(token=token, position=position, session=session, until_us=until_us)
        self._open[token] = lease
        self.held += 1
        self._queue(lease)
        return lease

    def find(self, token: str) -> Lease | None:
        """Returns the lease that can be settled with *token*, if there is one."""
        return self._open.get(token)

    def verdict_on_ended(self, token: str, verdict: policy.Verdict) -> policy.Failure | None:
        """Returns what settling an ended lease comes to; None: it was settled so before."""
        if token not in self._ended:
            return policy.Failure.UNKNOWN
        stands = self._ended[token]
        if stands is None:
            return policy.Failure.LEASE_EXPIRED
        return None if stands is verdict else policy.Failure.CONFLICT

    def move(self, lease: Lease, until_us: int) -> None:
        """Gives a lease another end; holds it again if it had run out."""
        if not lease.held:
            lease.held = True
            self.held += 1
        lease.until_us = until_us
        if not lease.queued_us or until_us < lease.queued_us:
            self._queue(lease)

    def run_out(self, lease: Lease) -> None:
        """Ends a lease by time; it can still be settled until `end`."""
        if lease.held:
            lease.held = False
            self.held -= 1

    def end(self, lease: Lease, verdict: policy.Verdict | None) -> None:
        """Ends a lease for good: by *verdict*, or None if by another delivery or parking."""
        self.run_out(lease)
        del self._open[lease.token]
        self._ended[lease.token] = verdict
        if len(self._ended) > REMEMBERED_MAX:
            self._ended.popitem(last=False)

    def due(self, now_us: int) -> Lease | None:
        """Returns one held lease whose end has come; call `run_out` or `end` on it."""
        lease = self._first()
        if lease is None or lease.until_us > now_us:
            return None
        heapq.heappop(self._deadlines)
        lease.queued_us = 0
        return lease

    def next_us(self) -> int | None:
        """Returns when the next lease may end."""
        lease = self._first()
        return lease.until_us if lease is not None else None

    def _first(self) -> Lease | None:
        """Returns the held lease that ends first; the first deadline is its then."""
        while self._deadlines:
            queued_us, token = self._deadlines[0]
            lease = self._open.get(token)
            if lease is not None and lease.queued_us == queued_us:
                if lease.held and lease.until_us == queued_us:
                    return lease
                lease.queued_us = 0
            heapq.heappop(self._deadlines)
            if lease is not None and lease.held and not lease.queued_us:
                # Its end was moved on: once here, and not each time.
                self._queue(lease)
        return None

    def _queue(self, lease: Lease) -> None:
        lease.queued_us = lease.until_us
        heapq.heappush(self._deadlines, (lease.until_us, lease.token))
        if len(self._deadlines) > 2 * len(self._open) + OUTLIVED_MAX:
            self._deadlines = [
                (each.queued_us, each.token) for each in self._open.values() if each.queued_us
            ]
            heapq.heapify(self._deadlines)

    def forget_events(self) -> None:
        """Says that stored events were erased, maybe some of those that are leased."""
        for lease in self._open.values():
            lease.erased = True

    def of_session(self, session: int) -> list[Lease]:
        """Returns what a session holds."""
        return [lease for lease in self._open.values() if lease.held and lease.session == session]
