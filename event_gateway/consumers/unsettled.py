"""The events of one consumer that are known and not settled, and their leases.

Owns which of them are in memory with their bytes, in line or under a lease, and keeps the
three in step. Called by the machine, which decides. Never judges a delivery.
"""

import heapq
from collections.abc import Iterator

from event_gateway.consumers import leases, ordering, policy, records

# Bytes of events kept for the next delivery; the others are read again.
KEPT_BYTES_MAX = 8 * 1024 * 1024
# Of all consumers of a process together: an event takes 1.5 KB beside its bytes, if it is leased.
ALL_MAX = 500_000
ALL_BYTES_MAX = 256 * 1024 * 1024


class Everybody:
    """How many events the consumers of a process know and have not settled, all together, and how
    many bytes of them they keep.
    """

    __slots__ = ("count", "kept_bytes")

    def __init__(self) -> None:
        self.count = self.kept_bytes = 0


class Unsettled:
    """Entries by position.

    Args:
        order: Which of them wait for each other.
        incarnation: Starts lease tokens.
        everybody: Counts those of other consumers, too.
    """

    def __init__(
        self, order: policy.Ordering, incarnation: str, everybody: Everybody | None = None
    ) -> None:
        self._everybody = everybody or Everybody()
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
    def are_too_many(self) -> bool:
        """Whether all consumers together know so many that each is to make do with few."""
        return self._everybody.count >= ALL_MAX

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
        if chunk is not None and self._has_room(len(chunk)):
            entry.chunk = chunk
            self._keep(len(chunk))
        self.by_position[entry.position] = entry
        self._everybody.count += 1
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
        self._everybody.count -= 1
        self.plain -= not entry.extra
        if entry.chunk is not None:
            self._keep(-len(entry.chunk))
        self.line.remove(entry)

    def forget_events(self) -> None:
        """Drops the bytes, and what members will say of the events that they have."""
        self._keep(-self._kept_bytes)
        self.leases.forget_events()
        for entry in self.by_position.values():
            entry.chunk = None

    def leave(self) -> None:
        """Counts for others no more: nobody uses it from now on."""
        self._everybody.count -= len(self.by_position)
        self._everybody.kept_bytes -= self._kept_bytes
        self._everybody = Everybody()

    def _has_room(self, size: int) -> bool:
        own, everybody = self._kept_bytes + size, self._everybody.kept_bytes + size
        return own <= KEPT_BYTES_MAX and everybody <= ALL_BYTES_MAX

    def _keep(self, size: int) -> None:
        self._kept_bytes += size
        self._everybody.kept_bytes += size

    def _end_lease(self, entry: records.Entry, verdict: policy.Verdict | None) -> None:
        if entry.lease is None:
            return
        if entry.lease.held:
            self.line.release(entry)
        self.leases.end(entry.lease, verdict)
        entry.lease = None
