"""The machine of a consumer: nothing lost, order per entity, whatever happens between."""

import dataclasses

from event_gateway.consumers import machine, members, place, policy, records
from tests.unit.gateway import consumer_store

NOTHING = records.Known(retries=(), blocked_keys=(), parked=0)
ACK, REJECT, PARK = policy.Verdict.ACK, policy.Verdict.REJECT, policy.Verdict.PARK
EXTEND, RELEASE = policy.Verdict.EXTEND, policy.Verdict.RELEASE


def test_an_entity_waits_for_its_unsettled_event_and_others_go_on() -> None:
    """At most one unsettled event per entity; a rejected one holds up its entity alone."""
    _, on, session = consumer_store.started([(1, "a"), (2, "a"), (3, "b")])
    first = on.deliver(0, [session], 10)
    assert consumer_store.positions(first) == [1, 3]
    assert on.settle(first[0].lease.token, REJECT, 0, delay_us=7_000_000) is None
    assert on.settle(first[1].lease.token, ACK, 0) is None
    assert on.deliver(6_999_999, [session], 10) == []
    assert on.next_us(6_999_999) == 7_000_000
    again = on.deliver(7_000_000, [session], 10)
    assert [(one.entry.position, one.attempt) for one in again] == [(1, 2)]
    on.settle(again[0].lease.token, ACK, 0)
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [2]


def test_the_later_of_delay_and_backoff_counts() -> None:
    """A member can lengthen the wait after a rejection, not shorten it."""
    assert consumer_store.RULES.wait_us(1, 0, 0.5) == 1_000_000
    assert consumer_store.RULES.wait_us(2, 0, 0.0) == 4_000_000
    assert consumer_store.RULES.wait_us(9, 0, 1.0) == 6_000_000
    assert consumer_store.RULES.wait_us(1, 9_000_000, 0.5) == 9_000_000


def test_a_late_settlement_counts_until_the_event_is_handed_out_again() -> None:
    """After its end a lease still settles; after the next delivery it is LEASE_EXPIRED."""
    _, on, session = consumer_store.started([(1, "a"), (2, "b")])
    one, two = on.deliver(0, [session], 10)
    assert on.expire(30_000_000) == 2
    assert on.settle(one.lease.token, ACK, 30_000_001) is None
    (again,) = on.deliver(30_000_001, [session], 10)
    assert (again.entry.position, again.attempt) == (2, 2)
    assert on.settle(two.lease.token, ACK, 0) is policy.Failure.LEASE_EXPIRED
    assert on.settle(again.lease.token, ACK, 0) is None


def test_a_lease_settled_twice_keeps_its_first_verdict() -> None:
    """The same verdict again is a success, another one a conflict, a strange token unknown."""
    _, on, session = consumer_store.started([(1, "a")])
    (one,) = on.deliver(0, [session], 10)
    assert on.settle(one.lease.token, ACK, 0) is None
    assert on.settle(one.lease.token, ACK, 0) is None
    assert on.settle(one.lease.token, REJECT, 0) is policy.Failure.CONFLICT
    assert on.settle("other-1", ACK, 0) is policy.Failure.UNKNOWN


def test_extend_starts_the_lease_anew_and_release_counts_nothing() -> None:
    """EXTEND moves the end of a lease; RELEASE gives back at once, without an attempt."""
    _, on, session = consumer_store.started([(1, "a")])
    (one,) = on.deliver(0, [session], 10)
    assert on.settle(one.lease.token, EXTEND, 20_000_000) is None
    assert on.expire(49_999_999) == 0
    assert on.settle(one.lease.token, RELEASE, 49_999_999) is None
    (again,) = on.deliver(49_999_999, [session], 10)
    assert again.attempt == 1


def test_a_lease_that_is_extended_for_ever_takes_no_more_memory() -> None:
    """However often and in whatever order its end is moved, it ends once, when it was moved to."""
    _, on, session = consumer_store.started([(1, "a"), (2, "b")], max_deliveries=9)
    one, two = on.deliver(0, [session], 10)
    for now_us in range(1_000):
        assert on.settle(one.lease.token, EXTEND, now_us) is None
    assert len(on._leases._deadlines) == 2
    assert on.next_us(0) == 30_000_000
    on.leave(session, 1_000, 5_000_000)
    assert on.next_us(0) == 5_001_000
    assert on.settle(one.lease.token, EXTEND, 2_000) is None
    assert on.expire(30_001_999) == 1
    assert not two.lease.held
    assert on._leases.next_us() == 30_002_000
    assert on.expire(30_002_000) == 1
    assert on.settle(one.lease.token, EXTEND, 30_002_001) is None
    assert on._leases.next_us() == 60_002_001
    assert (on.expire(99_000_000), on.outstanding) == (1, 0)
    assert not on._leases._deadlines


def test_a_delivery_that_ended_with_its_process_does_not_count() -> None:
    """What a process that ended had handed out again goes out under the same number, never beyond
    what the consumer allows; what its members had given back or let run out stays counted.
    """
    store, on, session = consumer_store.started([(1, "a"), (2, "b")], max_deliveries=2)
    for one in on.deliver(0, [session], 10):
        assert on.settle(one.lease.token, REJECT, 0) is None
    assert [one.attempt for one in on.deliver(9_000_000, [session], 10)] == [2, 2]
    store.flush(on)
    after = store.load(on.rules, members.Members())
    store.feed(after, 2)
    member = after.members.join("two", 10)
    assert [one.attempt for one in after.deliver(9_000_000, [member], 10)] == [2, 2]
    assert after.expire(99_000_000) == 2
    store.flush(after)
    assert [park.attempts for park in store.parked.values()] == [2, 2]


def test_the_total_order_is_one_at_a_time_to_one_member() -> None:
    """TOTAL: the first member gets one event at a time; the next takes over when it leaves."""
    _, on, session = consumer_store.started([(1, "a"), (2, "b")], ordering=policy.Ordering.TOTAL)
    second = on.members.join("two", 10)
    both = [second, session]
    (one,) = on.deliver(0, both, 10)
    assert one.session is session
    assert on.deliver(0, both, 10) == []
    on.settle(one.lease.token, ACK, 0)
    on.leave(session, 0, 5_000_000)
    (two,) = on.deliver(0, [second], 10)
    assert (two.entry.position, two.session) == (2, second)


def test_keys_stay_with_members_and_few_move() -> None:
    """A key goes to the same member while members stay; a new one takes about its share."""
    who = members.Members()
    three = [who.join(name, 10) for name in ("a", "b", "c")]
    keys = [f"k{n}" for n in range(600)]
    before = {key: who.choose(key, three) for key in keys}
    assert all(who.choose(key, list(reversed(three))) is before[key] for key in keys)
    fourth = who.join("d", 10)
    after = {key: who.choose(key, [*three, fourth]) for key in keys}
    moved = [key for key in keys if after[key] is not before[key]]
    assert all(after[key] is fourth for key in moved)
    assert 90 < len(moved) < 220
    again = who.join("b", 10)
    assert {key for key in keys if who.choose(key, [three[0], again, three[2]]) is again} == {
        key for key in keys if before[key] is three[1]
    }


def test_a_broken_stream_ends_leases_after_the_grace() -> None:
    """What a gone member holds comes back after the grace, not after the whole ack timeout."""
    _, on, session = consumer_store.started([(1, "a")])
    on.deliver(0, [session], 10)
    on.leave(session, 1_000_000, 5_000_000)
    other = on.members.join("two", 10)
    assert on.next_us(1_000_000) == 6_000_000
    on.expire(6_000_000)
    (again,) = on.deliver(6_000_000, [other], 10)
    assert (again.session, again.attempt, again.reason) == (other, 2, machine.NOT_IN_TIME)


def test_what_is_due_and_has_no_taker_asks_for_no_time() -> None:
    """An event that may go again but meets no credit, or no member, wakes nobody: only time that
    is still to come does.
    """
    _, on, session = consumer_store.started([(1, "a"), (2, "b")], credit=1)
    (one,) = on.deliver(0, [session], 10)
    on.settle(one.lease.token, REJECT, 0)
    due_us = on.next_us(0)
    assert due_us is not None
    assert on.next_us(due_us) is None
    assert on.deliver(due_us, [], 10) == []
    session.grant(2)
    assert consumer_store.positions(on.deliver(due_us, [session], 10)) == [1, 2]


def test_the_floor_passes_what_was_settled_before_it_was_read_again() -> None:
    """After a change of the filter the floor does not stay where it was for as long as something
    is unsettled, although all before that is settled.
    """
    store, on, session = consumer_store.started([(5, "a"), (10, "b"), (20, "c"), (30, "d")])
    handed = on.deliver(0, [session], 10)
    on.settle(handed[0].lease.token, ACK, 0)
    on.refresh(consumer_store.RULES, NOTHING, rescan=True)
    on.settle(handed[1].lease.token, ACK, 0)
    store.feed(on, 30)
    on.settle(handed[2].lease.token, ACK, 0)
    assert on.changes().floor == 20


def test_a_row_that_storage_tells_of_what_is_in_hand_goes_when_it_is_settled() -> None:
    """It would stay for ever otherwise: the machine had not written it."""
    _, on, session = consumer_store.started([(1, "a"), (2, "b")])
    handed = on.deliver(0, [session], 10)
    row = records.Retry(position=1, key="a", attempts=1, due_us=0, reason="", extra=False)
    known = dataclasses.replace(NOTHING, retries=(row,))
    on.refresh(consumer_store.RULES, known, rescan=False)
    for one in handed:
        on.settle(one.lease.token, ACK, 0)
    assert on.changes().settled == [1]


def test_credit_limits_deliveries_and_pausing_stops_them() -> None:
    """No credit or a pause: nothing is handed out, and settling still works."""
    _, on, session = consumer_store.started([(1, "a"), (2, "b")], credit=1)
    (one,) = on.deliver(0, [session], 10)
    assert on.deliver(0, [session], 10) == []
    session.grant(5)
    on.refresh(dataclasses.replace(consumer_store.RULES, paused=True), NOTHING, rescan=False)
    assert on.deliver(0, [session], 10) == []
    assert on.settle(one.lease.token, ACK, 0) is None
    on.refresh(consumer_store.RULES, NOTHING, rescan=False)
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [2]


def test_history_that_was_deleted_unread_leaves_a_marker() -> None:
    """A floor that retention overtook jumps, and a parked marker says how far."""
    store, on, session = consumer_store.started([(9, "a")])
    store, on, session = consumer_store.started([])
    on.skip_lost(7, 5)
    store.log.append((9, "a"))
    store.feed(on, 9)
    store.flush(on)
    assert (store.parked[7].skipped, store.floor) == (7, 7)
    assert consumer_store.positions(on.deliver(0, [session], 10)) == [9]


def test_what_was_settled_is_not_counted_as_lost() -> None:
    """Of the places up to some position, those below the floor and in runs are left out."""
    at = place.Place(3)
    at.cover(5, 8)
    at.cover(10, 20)
    assert [at.unsettled(upto) for upto in (2, 3, 5, 7, 9, 12, 30)] == [0, 0, 2, 2, 3, 4, 14]


def test_an_event_deleted_before_its_delivery_blocks_nothing() -> None:
    """What was known and is gone leaves a marker; later events of its entity go on."""
    store, on, session = consumer_store.started([(1, "a"), (2, "a")])
    (one,) = on.deliver(0, [session], 10)
    on.lose(1, 5)
    assert on.settle(one.lease.token, ACK, 6) is policy.Failure.LEASE_EXPIRED
    assert consumer_store.positions(on.deliver(6, [session], 10)) == [2]
    store.flush(on)
    assert [(at, park.skipped, park.blocked) for at, park in store.parked.items()] == [
        (1, 1, False)
    ]


def test_an_event_deleted_after_a_try_is_not_tried_again() -> None:
    """What was stored of its tries goes with it, while an earlier event is still under way."""
    store, on, session = consumer_store.started([(1, "a"), (2, "b")])
    _, two = on.deliver(0, [session], 10)
    on.settle(two.lease.token, REJECT, 0)
    store.flush(on)
    assert list(store.retries) == [2]
    on.deliver(9_000_000, [session], 10)
    on.lose(2, 9_000_000)
    store.flush(on)
    assert (store.floor, store.retries) == (0, {})


def test_a_paused_consumer_waits_for_no_time() -> None:
    """What is due again once it is paused is handed out to nobody, so nothing need wake for it."""
    store, on, session = consumer_store.started([(1, "a")])
    (one,) = on.deliver(0, [session], 10)
    on.settle(one.lease.token, REJECT, 0, delay_us=7_000_000)
    assert on.next_us(0) == 7_000_000
    on.refresh(dataclasses.replace(on.rules, paused=True), store.known(), rescan=False)
    assert on.next_us(0) is None


def test_a_member_that_leaves_takes_nothing_from_others() -> None:
    """Its own leases are given back or end sooner; those of others stand."""
    _, on, first = consumer_store.started([(1, "a"), (2, "b"), (3, "c")], credit=1)
    second, third = on.members.join("two", 1), on.members.join("three", 1)
    handed = on.deliver(0, [first, second, third], 10)
    mine, others, last = (
        next(one for one in handed if one.session is whose) for whose in (first, second, third)
    )
    on.give_back(first, 0)
    assert on.settle(mine.lease.token, ACK, 0) is not None
    on.leave(third, 0, 5_000_000)
    assert on.expire(29_999_999) == 1
    assert not last.lease.held
    assert on.settle(others.lease.token, ACK, 0) is None


def test_a_new_filter_applies_behind_the_floor_and_leaves_leases() -> None:
    """Rescanning drops what waits, keeps what is in flight, and passes no new match by."""
    store, on, session = consumer_store.started([(1, "a"), (3, "a"), (5, "b")], credit=2)
    one, five = on.deliver(0, [session], 10)
    store.log[:] = [(2, "c"), (4, "c"), (5, "b")]
    on.refresh(on.rules, NOTHING, rescan=True)
    store.feed(on, 5)
    assert on.settle(one.lease.token, ACK, 0) is None
    assert on.settle(five.lease.token, ACK, 0) is None
    store.flush(on)
    assert consumer_store.positions(
        consumer_store.reloaded(store).deliver(0, [consumer_store.member()], 10)
    ) == [2]
    session.grant(9)
    (two,) = on.deliver(0, [session], 10)
    assert two.entry.position == 2
