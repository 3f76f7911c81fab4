"""The events of one consumer that are known and not settled, and their leases.

Owns which of them are in memory with their bytes, in line or under a lease, and keeps the
three in step. Called by the machine, which decides. Never judges a delivery.
"""

import heapq
from collections.abc import Iterator

from event_gateway.consumers import leases, ordering, policy, records

# Bytes of events kept for the next delivery; the others are read again.
KEPT_BYTES_MAX = 8 * 1024 * 1024


class Unsettled:
    """Entries by position.

    Args:
        order: Which of them wait for each other.
        incarnation: Starts lease tokens.
    """

    def __init__(self, order: policy.Ordering, incarnation: str) -> None:
        self.by_position: dict[int, records.Entry] = {}
        self.leases = leases.Leases(incarnation)
        self.line = ordering.Line(order, self.by_position)
        # Those that reading on from the floor finds.
        self.plain = 0
        # Positions of those that may not go yet.
        self._ahead: list[int] = []
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.by_position)

    def __iter__(self) -> Iterator[records.Entry]:
        """Yields those of now, whatever becomes of them meanwhile."""
        yield from list(self.by_position.values())

    @property
    def read(self) -> int:
        """How many of them reading on has come to."""
        return len(self.by_position) - len(self._ahead)

    @property
    def retrying(self) -> int:
        """Events with a rejected or lost delivery behind them."""
        return sum(
            1
            for entry in self.by_position.values()
            if entry.attempts and (entry.lease is None or not entry.lease.held)
        )

    def add(self, entry: records.Entry, chunk: bytes | None) -> None:
        """Takes an entry in, with its bytes if they are known and there is room for them."""
        if chunk is not None and self._kept_bytes + len(chunk) <= KEPT_BYTES_MAX:
            entry.chunk = chunk
            self._kept_bytes += len(chunk)
        self.by_position[entry.position] = entry
        self.plain += not entry.extra
        if entry.ahead:
            self.hold_back(entry)
        self.line.add(entry)

    def hold_back(self, entry: records.Entry) -> None:
        """Lets an entry wait until reading on comes to it."""
        entry.ahead = True
        heapq.heappush(self._ahead, entry.position)

    def come_to(self, upto: int) -> None:
        """Says that reading on has come to *upto*: what waited for that may go."""
        while self._ahead and self._ahead[0] <= upto:
            entry = self.by_position.get(heapq.heappop(self._ahead))
            if entry is not None and entry.ahead:
                entry.ahead = False
                self.line.offer(entry)

    def lease(self, entry: records.Entry, session: int, until_us: int) -> leases.Lease:
        """Gives an entry to a session; a lease that had run out can't be settled any more."""
        if entry.lease is not None:
            self.leases.end(entry.lease, None)
        entry.lease = self.leases.give(entry.position, session, until_us)
        self.line.hold(entry)
        return entry.lease

    def let_go(self, entry: records.Entry, verdict: policy.Verdict) -> None:
        """Ends the lease of an entry that stays."""
        self._end_lease(entry, verdict)
        self.line.offer_next(entry)

    def run_out(self, entry: records.Entry, lease: leases.Lease) -> None:
        """Ends a lease by time: the entry goes out again, and may be settled until it does."""
        self.leases.run_out(lease)
        self.line.release(entry)
        self.line.offer_next(entry)

    def remove(self, entry: records.Entry, verdict: policy.Verdict | None) -> None:
        """Takes an entry out, whatever became of it."""
        self._end_lease(entry, verdict)
        del self.by_position[entry.position]
        self.plain -= not entry.extra
        if entry.chunk is not None:
            self._kept_bytes -= len(entry.chunk)
        self.line.remove(entry)

    def forget_events(self) -> None:
        """Drops the bytes, and what members will say of the events that they have."""
        self._kept_bytes = 0
        self.leases.forget_events()
        for entry in self.by_position.values():
            entry.chunk = None

    def _end_lease(self, entry: records.Entry, verdict: policy.Verdict | None) -> None:
        if entry.lease is None:
            return
        if entry.lease.held:
            self.line.release(entry)
        self.leases.end(entry.lease, verdict)
        entry.lease = None
