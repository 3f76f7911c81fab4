"""Which event may go next: one per key, in log order, none before its time.

Owns the queue of each key, and the heaps of events that are ready or wait for a
time. Called by the machine. Never knows members or leases.
"""

import collections
import heapq
from collections.abc import Iterator, Mapping

from event_gateway.consumers import policy, records


class Line:
    """The unsettled events of one consumer, in line.

    Args:
        ordering: What a key is: an entity, an event, or everything.
        entries: The events by position; kept by the machine.
    """

    def __init__(self, ordering: policy.Ordering, entries: Mapping[int, records.Entry]) -> None:
        self._ordering = ordering
        self._entries = entries
        self._queues: dict[str | int, collections.deque[int]] = {}
        self._busy: set[str | int] = set()
        self._ready: list[int] = []
        self._delayed: list[tuple[int, int]] = []

    @property
    def ready_count(self) -> int:
        """About how many may go now."""
        return len(self._ready)

    def due_us(self, now_us: int) -> int | None:
        """Returns when the next event that still waits for a time may go."""
        self._ripen(now_us)
        return self._delayed[0][0] if self._delayed else None

    def add(self, entry: records.Entry) -> None:
        """Puts an entry in line: at its place among those of its key."""
        queue = self._queues.setdefault(self._key(entry), collections.deque())
        later: list[int] = []
        while queue and queue[-1] > entry.position:
            later.append(queue.pop())
        queue.append(entry.position)
        queue.extend(reversed(later))
        self.offer(entry)

    def remove(self, entry: records.Entry) -> None:
        """Takes an entry out; the next of its key may go."""
        key = self._key(entry)
        queue = self._queues[key]
        queue.remove(entry.position)
        if not queue:
            del self._queues[key]
        self.offer_next(entry)

    def hold(self, entry: records.Entry) -> bool:
        """Stops the entry's key; False if another one has stopped it already."""
        key = self._key(entry)
        if key in self._busy:
            return False
        self._busy.add(key)
        return True

    def release(self, entry: records.Entry) -> None:
        """Ends what `hold` began; `offer_next` or `remove` lets the next one go."""
        self._busy.discard(self._key(entry))

    def offer_next(self, entry: records.Entry) -> None:
        """Lets the first of the entry's key go."""
        queue = self._queues.get(self._key(entry))
        if queue:
            self.offer(self._entries[queue[0]])

    def offer(self, entry: records.Entry) -> None:
        """Puts an entry among those that go next, if it may."""
        if entry.queued or not self._is_next(entry):
            return
        entry.queued = True
        if entry.due_us:
            heapq.heappush(self._delayed, (entry.due_us, entry.position))
        else:
            heapq.heappush(self._ready, entry.position)

    def take(self, now_us: int) -> records.Entry | None:
        """Returns the first event that may go; put it back with `offer` if it does not."""
        self._ripen(now_us)
        while self._ready:
            entry = self._entries.get(heapq.heappop(self._ready))
            if entry is None:
                continue
            entry.queued = False
            if not self._is_next(entry):
                continue
            if entry.due_us <= now_us:
                return entry
            self.offer(entry)
        return None

    def behind(self, entry: records.Entry) -> Iterator[records.Entry]:
        """Yields what is in line under the entry's key."""
        for position in list(self._queues.get(self._key(entry), ())):
            yield self._entries[position]

    def _ripen(self, now_us: int) -> None:
        """Puts those whose time has come among the ready ones."""
        while self._delayed and self._delayed[0][0] <= now_us:
            heapq.heappush(self._ready, heapq.heappop(self._delayed)[1])

    def _is_next(self, entry: records.Entry) -> bool:
        key = self._key(entry)
        is_first = self._queues[key][0] == entry.position
        return is_first and key not in self._busy and not entry.ahead

    def _key(self, entry: records.Entry) -> str | int:
        if self._ordering is policy.Ordering.PER_ENTITY:
            return entry.key
        return entry.position if self._ordering is policy.Ordering.NONE else ""
