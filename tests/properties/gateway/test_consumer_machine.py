"""The machine of a consumer: nothing lost, order per entity, whatever happens between."""

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from event_gateway.consumers import members, policy, records
from tests.unit.gateway import consumer_store

V = policy.Verdict


@given(st.randoms(use_true_random=False), st.sampled_from(list(policy.Ordering)))
def test_nothing_is_lost_or_overtakes_whatever_happens(  # noqa: C901
    chance: random.Random, ordering: policy.Ordering
) -> None:
    """Through rejections, lost leases, parking, redrives, failed writes and restarts each event
    is settled at least once, and no entity's event before an earlier one was.
    """
    log = [(at, f"k{chance.randrange(4)}") for at in sorted(chance.sample(range(1, 80), 30))]
    store, who = consumer_store.Store(log), members.Members()
    rules = dataclasses.replace(consumer_store.RULES, ordering=ordering)
    on = store.load(rules, who)
    now = 0
    held: dict[int, records.Handout] = {}
    durable: set[int] = set()
    settled: set[int] = set()
    sessions = [who.join(name, 50) for name in ("a", "b")]
    for _ in range(150):
        now += chance.randrange(4_000_000)
        step = chance.randrange(12)
        on.expire(now)
        if step < 2:
            store.feed(on, min(on.read_upto + chance.randrange(9), 80), now)
        elif step < 5:
            for handed in on.deliver(now, sessions, chance.randrange(1, 5)):
                at, key = handed.entry.position, handed.entry.key
                assert at not in durable
                if ordering is policy.Ordering.PER_ENTITY:
                    assert not [p for p, k in log if k == key and p < at and p not in settled]
                held[at] = handed
                handed.session.grant(1)
        elif step < 8 and held:
            at = chance.choice(sorted(held))
            verdict = chance.choice([V.ACK, V.ACK, V.ACK, V.REJECT, V.PARK, V.RELEASE])
            failed = on.settle(held.pop(at).lease.token, verdict, now, reason="r")
            if failed is None and verdict is V.ACK:
                settled.add(at)
        elif step == 8:
            store.flush(on)
            durable = {at for at in settled if at not in store.parked}
        elif step == 9:
            on.restore(on.changes())
        elif step == 10:
            roots = [at for at, park in store.parked.items() if not park.blocked]
            if roots:
                store.redrive(chance.choice(roots))
                on.refresh(rules, store.known(), now, rescan=False)
        elif chance.random() < 0.3:
            on, held, settled = store.load(rules, who), {}, set(durable)
    for _ in range(400):
        now += 40_000_000
        on.expire(now)
        store.feed(on, 80, now)
        for handed in on.deliver(now, sessions, 50):
            handed.session.grant(1)
            assert on.settle(handed.lease.token, V.ACK, now) is None
            settled.add(handed.entry.position)
        store.flush(on)
        for at in [at for at, park in store.parked.items() if not park.blocked]:
            store.redrive(at)
        on.refresh(rules, store.known(), now, rescan=False)
        if len(settled) == len(log):
            break
    assert settled == {at for at, _ in log}
    store.flush(on)
    assert (store.floor, store.retries, store.parked) == (80, {}, {})
