"""What a consumer sets aside, what that holds up, and what is put back."""

import dataclasses

from event_gateway.consumers import machine, members, place, policy, records
from tests.unit.gateway import consumer_store

ACK, REJECT, PARK = policy.Verdict.ACK, policy.Verdict.REJECT, policy.Verdict.PARK


def test_what_is_used_up_is_parked_with_its_entity() -> None:
    """After max_deliveries an event is parked; later ones of its entity follow as blocked, and
    redriving it puts all back in order, ahead of newer ones.
    """
    store, on, session = consumer_store.started(
        [(1, "a"), (2, "a"), (3, "b"), (4, "a")], max_deliveries=1
    )
    first = on.deliver(0, [session], 10)
    assert on.settle(first[0].lease.token, REJECT, 0, reason="broken") is None
    on.settle(first[1].lease.token, ACK, 0)
    store.flush(on)
    assert [(at, park.blocked) for at, park in sorted(store.parked.items())] == [
        (1, False),
        (2, True),
        (4, True),
    ]
    assert store.parked[1].reason == "broken (after 1 delivery)"
    assert store.floor == 4
    store.log.append((5, "a"))
    store.feed(on, 5)
    store.flush(on)
    assert store.parked[5].blocked
    store.redrive(1)
    store.log.append((6, "a"))
    on.refresh(on.rules, store.known(), rescan=False)
    store.feed(on, 6)
    got: list[int] = []
    while handed := on.deliver(0, [session], 10):
        got += consumer_store.positions(handed)
        assert len(handed) == 1
        on.settle(handed[0].lease.token, ACK, 0)
    assert got == [1, 2, 4, 5, 6]
    store.flush(on)
    assert (store.floor, store.retries, store.parked) == (6, {}, {})


def test_a_block_that_ended_meanwhile_parks_nothing() -> None:
    """An event held back for an entity that was resolved before it was written comes out."""
    store, on, session = consumer_store.started([(1, "a")])
    (one,) = on.deliver(0, [session], 10)
    on.settle(one.lease.token, PARK, 0, reason="no")
    store.flush(on)
    store.log.append((2, "a"))
    store.feed(on, 2)
    del store.parked[1]
    on.refresh(on.rules, store.known(), rescan=False)
    store.flush(on)
    assert store.parked == {}
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [2]
    assert consumer_store.positions(consumer_store.reloaded(store).deliver(0, [session], 10)) == [2]


def test_parking_that_fails_to_write_drops_nothing() -> None:
    """Until a parked event is written it is neither settled nor lost: the next write holds it,
    and a process that dies before delivers it again.
    """
    store, on, session = consumer_store.started([(1, "a"), (2, "a"), (3, "b")])
    one, three = on.deliver(0, [session], 10)
    on.settle(one.lease.token, PARK, 0, reason="no")
    on.settle(three.lease.token, ACK, 0)
    failed = on.changes()
    on.restore(failed)
    assert on.unsaved > 0
    assert consumer_store.positions(
        consumer_store.reloaded(store).deliver(0, [consumer_store.member()], 10)
    ) == [1, 3]
    store.flush(on)
    assert [(at, park.blocked) for at, park in sorted(store.parked.items())] == [
        (1, False),
        (2, True),
    ]
    assert consumer_store.reloaded(store).deliver(0, [consumer_store.member()], 10) == []


def test_scopes_of_parking() -> None:
    """EVENT parks the event alone; CONSUMER stops everything until it is resolved."""
    store, on, session = consumer_store.started(
        [(1, "a"), (2, "a")], park_scope=policy.ParkScope.EVENT, max_deliveries=1
    )
    (one,) = on.deliver(0, [session], 10)
    on.settle(one.lease.token, PARK, 0)
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [2]
    store, on, session = consumer_store.started(
        [(1, "a"), (2, "b")], park_scope=policy.ParkScope.CONSUMER
    )
    one, _ = on.deliver(0, [session], 10)
    on.settle(one.lease.token, PARK, 0)
    store.log.append((3, "c"))
    store.feed(on, 3)
    assert on.deliver(0, [session], 10) == []
    store.flush(on)
    store.parked.clear()
    on.refresh(on.rules, store.known(), rescan=False)
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [3]


def test_what_is_put_back_overtakes_nothing_that_is_not_read_yet() -> None:
    """After a seek a parked event that is put back waits until what lies before it was read, goes
    in its place, and once.
    """
    log = [(1, "a"), (2, "b"), (3, "a"), (9, "c")]
    for ordering in policy.Ordering:
        store, on, session = _put_back(log, 3, ordering=ordering)
        assert on.deliver(0, [session], 10) == []
        seen = []
        for upto in (1, 2, 3, 9):
            store.feed(on, upto)
            while handed := on.deliver(0, [session], 10):
                seen += consumer_store.positions(handed)
                for one in handed:
                    assert on.settle(one.lease.token, ACK, 0) is None
        assert seen == [1, 2, 3, 9]
        store.flush(on)
        assert (store.floor, store.retries) == (9, {})


def test_what_is_put_back_is_not_forgotten_with_the_log() -> None:
    """It goes out also if its place is passed without it, because it was deleted there or does not
    match any more.
    """
    for lost in (True, False):
        _, on, session = _put_back([(3, "a")], 3)
        if lost:
            on.skip_lost(5, 0)
        else:
            on.feed([], 5, 0)
        assert consumer_store.positions(on.deliver(0, [session], 10)) == [3]


def test_what_is_put_back_without_an_order_waits_for_nothing() -> None:
    """Where there is no order, it goes before what is still to be read, unless that is to come to
    it again.
    """
    log = [(1, "a"), (3, "a")]
    _, on, session = _put_back(log, 3, ordering=policy.Ordering.NONE, runs=[(2, 3)])
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [3]


def test_what_is_parked_and_read_again_stays_what_holds_up_others() -> None:
    """A new filter that finds it again before that is written does not make it wait for itself."""
    store, on, session = _put_back([(3, "a")], 3)
    on.feed([], 5, 0)
    (one,) = on.deliver(0, [session], 10)
    assert on.settle(one.lease.token, PARK, 0, reason="no") is None
    on.refresh(on.rules, store.known(), rescan=True)
    store.feed(on, 5)
    store.flush(on)
    assert [(at, park.blocked) for at, park in store.parked.items()] == [(3, False)]


def test_what_is_put_back_overtakes_nothing_that_a_new_filter_reads_again() -> None:
    """It stays behind earlier events of its entity, which a new filter lets be read once more."""
    store, on, session = _put_back([(1, "a"), (3, "a")], 3)
    store.feed(on, 3)
    on.refresh(on.rules, store.known(), rescan=True)
    assert on.deliver(0, [session], 10) == []
    store.feed(on, 3)
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [1]


def test_what_is_put_back_and_settled_is_not_found_by_a_new_filter() -> None:
    """It is settled like all others, whether reading on has come to it again or not."""
    store, on, session = _put_back([(3, "a")], 3)
    on.feed([], 5, 0)
    (one,) = on.deliver(0, [session], 10)
    on.refresh(on.rules, store.known(), rescan=True)
    assert on.settle(one.lease.token, ACK, 0) is None
    store.flush(on)
    for again in (on, store.load(on.rules, members.Members())):
        store.feed(again, 5)
        assert again.deliver(0, [again.members.join("two", 9)], 10) == []


def test_what_is_put_back_while_it_is_parked_again_is_settled_for_good() -> None:
    """After a seek an event is parked behind itself; if it was put back before that is written, its
    settlement ends what is stored of it.
    """
    store = consumer_store.Store([(3, "a")])
    store.parked[3] = records.Park(
        position=3, key="a", attempts=1, reason="", parked_us=0, blocked=False
    )
    who = members.Members()
    on, session = store.load(consumer_store.RULES, who), who.join("one", 100)
    store.feed(on, 3)
    store.redrive(3)
    on.refresh(on.rules, store.known(), rescan=False)
    (one,) = on.deliver(0, [session], 10)
    assert on.settle(one.lease.token, ACK, 0) is None
    store.flush(on)
    assert (store.floor, store.retries, store.parked) == (3, {}, {})


def _put_back(
    log: list[tuple[int, str]],
    position: int,
    runs: list[tuple[int, int]] | None = None,
    **over: object,
) -> tuple[consumer_store.Store, machine.Machine, members.Session]:
    """A machine at the log's beginning that has read nothing, with one member and one event that
    was parked and put back.
    """
    store, who = consumer_store.Store(log), members.Members()
    store.runs = place.Place(0, runs).encode()
    store.parked[position] = records.Park(
        position=position,
        key=dict(log)[position],
        attempts=1,
        reason="",
        parked_us=0,
        blocked=False,
    )
    store.redrive(position)
    rules = dataclasses.replace(consumer_store.RULES, **over)  # type: ignore[arg-type]
    on, session = store.load(rules, who), who.join("one", 100)
    on.refresh(rules, store.known(), rescan=False)
    return store, on, session
