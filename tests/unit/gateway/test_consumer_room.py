"""What the consumers of a process keep in memory, all together."""

import pytest

from event_gateway.consumers import machine, members, place, policy, records, unsettled
from tests.unit.gateway import consumer_store

NOTHING = records.Known(retries=(), blocked_keys=(), parked=0)


def started(everybody: unsettled.Everybody, events: int) -> machine.Machine:
    """A machine that knows so many events, of one entity, so that they wait for each other."""
    on = machine.Machine(
        consumer_store.RULES,
        place.Place(0),
        NOTHING,
        incarnation="d",
        who=members.Members(),
        everybody=everybody,
    )
    on.feed([(position, "a", b"x") for position in range(1, events + 1)], events, 0)
    return on


def test_one_consumer_makes_do_with_few_while_all_know_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is stopped: those that know little read on. What is settled, or belongs to a consumer
    that is gone, makes room.
    """
    monkeypatch.setattr(unsettled, "ALL_MAX", 3_000)
    everybody = unsettled.Everybody()
    many = started(everybody, 2_000)
    assert many.wants_more
    few, gone = started(everybody, 10), started(everybody, 990)
    assert everybody.count == 3_000
    assert not many.wants_more
    assert few.wants_more
    session = many.members.join("m", 1)
    (one,) = many.deliver(0, [session], 1)
    many.settle(one.lease.token, policy.Verdict.ACK, 0)
    assert many.wants_more
    few.feed([(11, "a", b"x")], 11, 0)
    assert not many.wants_more
    gone.close()
    gone.feed([(991, "a", b"x")], 991, 0)
    assert everybody.count == 2_010
    assert many.wants_more


def test_bytes_are_kept_of_so_many_events_of_all_consumers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others are read again when they are handed out; who leaves or forgets makes room."""
    monkeypatch.setattr(unsettled, "ALL_BYTES_MAX", 100)
    everybody = unsettled.Everybody()
    first, second = started(everybody, 60), started(everybody, 60)
    assert everybody.kept_bytes == 100
    first.forget_events()
    assert everybody.kept_bytes == 40
    second.close()
    assert everybody.kept_bytes == 0
    session = second.members.join("m", 1)
    (one,) = second.deliver(0, [session], 1)
    second.settle(one.lease.token, policy.Verdict.ACK, 0)
    assert everybody.kept_bytes == 0
