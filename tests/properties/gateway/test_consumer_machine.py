"""The machine of a consumer: nothing lost, order per entity, whatever happens between."""

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from event_gateway.consumers import members, policy, records
from tests.unit.gateway import consumer_store

V = policy.Verdict

END = 80
VERDICTS = (V.ACK, V.ACK, V.ACK, V.REJECT, V.PARK, V.RELEASE, V.EXTEND)


class Consumer:
    """A consumer with two members on a log of some entities, and what was seen of it.

    Args:
        chance: Chooses the log, and what happens.
        ordering: Of the consumer.
    """

    def __init__(self, chance: random.Random, ordering: policy.Ordering) -> None:
        self.chance, self.ordering = chance, ordering
        places = sorted(chance.sample(range(1, END), 30))
        self.log = [(at, f"k{chance.randrange(4)}") for at in places]
        self.store, self.members = consumer_store.Store(self.log), members.Members()
        self.rules = dataclasses.replace(consumer_store.RULES, ordering=ordering)
        self.machine = self.store.load(self.rules, self.members)
        self.sessions = [self.members.join(name, 50) for name in ("a", "b")]
        self.now_us = 0
        self.held: dict[int, records.Handout] = {}
        self.durable: set[int] = set()
        self.settled: set[int] = set()
        self.most = self.rules.max_deliveries
        # Keys that the filter did not want once: for them nothing is promised.
        self.unwanted: set[str] = set()
        # What the last seek passed over.
        self.passed: set[int] = set()

    def passes(self, longest_us: int) -> None:
        """Lets time pass, and with it leases."""
        self.now_us += self.chance.randrange(longest_us)
        self.machine.expire(self.now_us)

    def read(self) -> None:
        """Reads on in the log."""
        upto = min(self.machine.read_upto + self.chance.randrange(9), END)
        self.store.feed(self.machine, upto, self.now_us)

    def deliver(self) -> None:
        """Hands some events out, none before an earlier one of its entity was settled, and none
        more often than the consumer allows.
        """
        most = self.chance.randrange(1, 5)
        for handed in self.machine.deliver(self.now_us, self.sessions, most):
            at, key = handed.entry.position, handed.entry.key
            assert at not in self.durable
            assert handed.attempt <= self.most
            assert at not in self.held or self.held[at].lease.until_us <= self.now_us
            if self.ordering is policy.Ordering.PER_ENTITY and key not in self.unwanted:
                earlier = {p for p, k in self.log if k == key and p < at}
                assert earlier <= self.settled
            self.held[at] = handed
            handed.session.grant(1)

    def settle(self) -> None:
        """Settles one of the events that were handed out, if there is one."""
        if not self.held:
            return
        at = self.chance.choice(sorted(self.held))
        verdict = self.chance.choice(VERDICTS)
        lease = self.held[at].lease
        if verdict is not V.EXTEND:
            del self.held[at]
        failed = self.machine.settle(lease.token, verdict, self.now_us, reason="r")
        if failed is None and verdict is V.ACK:
            self.settled.add(at)

    def save(self) -> None:
        """Writes down what was decided."""
        self.store.flush(self.machine)
        self.durable = self.settled - self.passed - self.store.parked.keys()

    def fail_to_save(self) -> None:
        """Takes what could not be written back."""
        self.machine.restore(self.machine.changes())

    def redrive(self) -> None:
        """Has an operator send one of the parked events again, if there is one."""
        if roots := self.parked():
            back = self.store.redrive(self.chance.choice(roots))
            self.settled.difference_update(back)
            self.durable.difference_update(back)
            self.machine.refresh(self.rules, self.store.known(), rescan=False)

    def restart(self) -> None:
        """Begins anew from what is on disk, in three of ten cases."""
        if self.chance.random() < 0.3:
            self.machine = self.store.load(self.rules, self.members)
            self.held, self.settled = {}, self.durable | self.passed

    def seek(self) -> None:
        """Moves the place, in two of ten cases; what was parked stays so."""
        if self.chance.random() < 0.2:
            target = self.chance.randrange(END)
            self.store.seek(target)
            self.machine = self.store.load(self.rules, self.members)
            self.held, self.durable = {}, set()
            self.passed = {at for at, _ in self.log if at <= target} - self.store.retries.keys()
            self.settled = set(self.passed)

    def filter(self) -> None:
        """Changes which entities are wanted, in two of ten cases."""
        if self.chance.random() < 0.2:
            self.store.unwanted = {key for key in ("k1", "k2") if self.chance.random() < 0.4}
            self.unwanted |= self.store.unwanted
            self.machine.refresh(self.rules, self.store.known(), rescan=True)

    def limit(self) -> None:
        """Changes how often an event is delivered, in two of ten cases."""
        if self.chance.random() < 0.2:
            allowed = self.chance.randrange(1, 5)
            self.most = max(self.most, allowed)
            self.rules = dataclasses.replace(self.rules, max_deliveries=allowed)
            self.machine.refresh(self.rules, self.store.known(), rescan=False)

    @property
    def wanted(self) -> set[int]:
        """The places of events that were wanted all the time."""
        return {at for at, key in self.log if key not in self.unwanted}

    def parked(self) -> list[int]:
        """Returns the places of the parked events that hold others up."""
        return [at for at, park in self.store.parked.items() if not park.blocked]

    def finish(self) -> None:
        """Reads, acknowledges and redrives until everything is settled, or long enough."""
        for _ in range(400):
            self.now_us += 40_000_000
            self.machine.expire(self.now_us)
            self.store.feed(self.machine, END, self.now_us)
            for handed in self.machine.deliver(self.now_us, self.sessions, 50):
                handed.session.grant(1)
                assert self.machine.settle(handed.lease.token, V.ACK, self.now_us) is None
                self.settled.add(handed.entry.position)
            self.store.flush(self.machine)
            for at in self.parked():
                self.store.redrive(at)
            self.machine.refresh(self.rules, self.store.known(), rescan=False)
            left = self.wanted - self.settled or self.store.retries or self.store.parked
            if self.store.floor == END and not left:
                break
        self.store.flush(self.machine)


@given(st.randoms(use_true_random=False), st.sampled_from(list(policy.Ordering)))
def test_nothing_is_lost_or_overtakes_whatever_happens(
    chance: random.Random, ordering: policy.Ordering
) -> None:
    """Through rejections, lost leases, parking, redrives, seeks, new filters and limits, failed
    writes and restarts each event is settled at least once, none again, no entity's event before an
    earlier one was, and none is under two leases.
    """
    one = Consumer(chance, ordering)
    steps = [one.save, one.fail_to_save, one.redrive, one.restart, one.seek, one.filter, one.limit]
    steps += 2 * [one.read] + 3 * [one.deliver] + 3 * [one.settle]
    for _ in range(150):
        one.passes(chance.choice((4_000_000, 40_000_000)))
        chance.choice(steps)()
    one.finish()
    assert one.wanted <= one.settled
    assert (one.store.floor, one.store.retries, one.store.parked) == (END, {}, {})
