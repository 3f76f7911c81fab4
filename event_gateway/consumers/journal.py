"""What a consumer decided and has not written down yet.

Owns its place, what is to be stored, removed and set aside, and how much is parked.
Called by the machine, which decides. Pure: what is to be written leaves through
`take`; nothing is forgotten before `saved` says that it is durable.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from event_gateway.consumers import place, records


class Journal:
    """The changes of one consumer since they were last written.

    Args:
        at: Its place.
        parked: Events set aside so far.
    """

    def __init__(self, at: place.Place, parked: int) -> None:
        self.place = at
        self.parked = parked
        self.count = 0
        self._saved_floor = at.floor
        self._retries: set[int] = set()
        self._settled: set[int] = set()
        self._parks: dict[int, records.Park] = {}

    @property
    def place_moved(self) -> bool:
        """Whether the floor lies above the stored one."""
        return self.place.floor > self._saved_floor

    def decides(self, position: int) -> bool:
        """Whether what storage says of *position* is out of date: it is settled or parked."""
        return position in self._settled or position in self._parks

    def retry(self, entry: records.Entry) -> None:
        """Notes what is known of an entry that stays."""
        self._retries.add(entry.position)

    def settle(self, entry: records.Entry) -> None:
        """Notes that an entry is over, and with it what lies between."""
        if entry.stored:
            self._settled.add(entry.position)
        self._retries.discard(entry.position)
        self.place.cover(entry.position - 1 if entry.extra else entry.after, entry.position)

    def park(self, park: records.Park) -> None:
        """Notes an event that is set aside, or a marker of lost ones."""
        if park.blocked and park.position in self._parks:
            # Set aside by itself already: what holds others up is not held up.
            return
        self._parks[park.position] = park
        self.parked += 1
        self.count += 1

    def unpark(self, park: records.Park) -> None:
        """Takes back a park that is not written yet; the place has passed it already."""
        del self._parks[park.position]
        self.parked -= 1
        self._settled.discard(park.position)
        self._retries.add(park.position)

    def parks(self) -> Iterator[records.Park]:
        """Yields the parks that are not written yet; they may be taken back meanwhile."""
        yield from list(self._parks.values())

    def stored(self, parked: int) -> None:
        """Takes over how many events storage holds apart."""
        self.parked = parked + len(self._parks)

    def pending(self, position: int) -> bool:
        """Whether what is known of an entry that stays is not written yet."""
        return position in self._retries

    def forget_reasons(self, entries: Mapping[int, records.Entry]) -> None:
        """Drops what members said and is not written yet."""
        for position in self._retries & entries.keys():
            entries[position].reason = ""
        for park in self._parks.values():
            if not park.skipped:
                self._parks[park.position] = dataclasses.replace(park, reason="")

    def take(self, entries: Mapping[int, records.Entry]) -> records.Changes:
        """Returns what is to be written; `saved` or `restore` must follow."""
        retries = []
        for position in self._retries:
            entry = entries.get(position)
            if entry is not None:
                entry.stored = True
                retries.append(records.retry(entry))
        made = records.Changes(
            floor=self.place.floor,
            runs=self.place.encode(),
            retries=retries,
            settled=sorted(self._settled),
            parks=[self._parks[position] for position in sorted(self._parks)],
        )
        self._retries.clear()
        self._settled.clear()
        self.count = 0
        return made

    def saved(self, made: records.Changes) -> None:
        """Says that *made* is durable."""
        self._saved_floor = made.floor
        for park in made.parks:
            if self._parks.get(park.position) is park:
                del self._parks[park.position]

    def restore(self, made: records.Changes) -> None:
        """Says that *made* was not written; it will be part of the next changes."""
        self._retries.update(retry.position for retry in made.retries)
        self._settled.update(made.settled)
        self.count += len(made.retries) + len(made.settled) + len(made.parks) + 1
