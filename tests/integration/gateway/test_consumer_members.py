"""A consumer and its members in one process: what waits for whom, and what is lost to none."""

import asyncio
import contextlib
import dataclasses
from typing import Any

import pytest
from payhub.events.v1 import consumer_pb2

from event_gateway import telling
from event_gateway.consumers import (
    changes,
    group,
    groups,
    machine,
    member,
    policy,
    records,
    saving,
    source,
    supplying,
    unsettled,
)
from event_gateway.consumers import definition as consumer_definition
from event_gateway.db import consumers, epoch, progress, read, retain, webhook_log
from servicekit import errors, logs, storage
from tests import fake_clock
from tests.integration.gateway import harness, one_group

_LOSE_TWO = (
    storage.Statement("delete from event_log where position > 1"),
    storage.Statement("update log_head set head = 1"),
)


async def test_erasure_reaches_what_waits_for_a_slow_member(on: one_group.Running) -> None:
    """What a member was handed and has not taken is handed out anew once it was erased; the
    delivery that came to nothing does not count.
    """
    await on.publish("p1")
    running = await on.start()
    joined = one_group.join(running)
    await harness.until(lambda: bool(joined.waiting_bytes))
    await on.erase("p1")
    running.forget_events()
    await harness.until(lambda: bool(joined.waiting_bytes))
    (delivery,) = one_group.taken(joined)
    assert (delivery.event.data, delivery.event.redacted, delivery.attempt) == (b"", True, 1)
    running.leave(joined)
    await running.close()


async def test_more_is_handed_out_as_soon_as_there_is_room(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that took what filled its stream gets the next without having settled anything."""
    monkeypatch.setattr(member, "WAITING_BYTES_MAX", 1)
    monkeypatch.setattr(supplying, "HANDED_OUT_MAX", 1)
    await on.publish("p1", "p2")
    running = await on.start()
    joined = one_group.join(running)
    for expected in ("p1", "p2"):
        await harness.until(lambda: bool(joined.waiting_bytes))
        assert [each.event.entity_id for each in one_group.taken(joined)] == [expected]
    running.leave(joined)
    await running.close()


async def test_what_is_lost_takes_no_credit(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is gone when it is to be handed out is set aside, and the member, who hears
    nothing of it, gets another one instead.
    """
    monkeypatch.setattr(unsettled, "KEPT_BYTES_MAX", 0)
    feed, read_upto = machine.Machine.feed, list[int]()

    def feed_and_tell(self: machine.Machine, events: Any, upto: int, now_us: int) -> None:
        feed(self, events, upto, now_us)
        read_upto.append(upto)

    monkeypatch.setattr(machine.Machine, "feed", feed_and_tell)
    await on.publish("p1", "p2")
    running = await on.start()
    joined = one_group.join(running, credit=0)
    await harness.until(lambda: read_upto == [2])
    await on.database.write(lambda conn: retain.delete(conn, 1))
    running.grant(joined, 1)
    await harness.until(lambda: bool(joined.waiting_bytes))
    assert [each.event.entity_id for each in one_group.taken(joined)] == ["p2"]
    assert running.parked == 1
    running.leave(joined)
    await running.close()


async def test_erasure_during_a_hand_out_loses_nothing(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies that are dropped while others are fetched are fetched too: none of the events counts
    as lost, and what was fetched before the erasure is not sent.
    """
    # The first one stays in memory, the second is fetched.
    monkeypatch.setattr(unsettled, "KEPT_BYTES_MAX", 200)
    fetch = source.fetch
    erased: list[Any] = []

    async def fetch_slowly(*args: Any) -> Any:
        found = await fetch(*args)
        if not erased:
            erased.append(args[3])
            await on.erase("p2")
            running.forget_events()
        return found

    monkeypatch.setattr(source, "fetch", fetch_slowly)
    await on.publish("p1", "p2")
    running = await on.start()
    joined = one_group.join(running)
    await harness.until(lambda: bool(joined.waiting_bytes))
    assert erased == [[2]]
    shown = [(each.event.entity_id, each.event.data) for each in one_group.taken(joined)]
    assert shown == [("p1", b"private"), ("p2", b"")]
    assert running.parked == 0
    running.leave(joined)
    await running.close()


async def test_who_asks_during_a_write_gets_what_there_is(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Fetch that does not wait, and comes while decisions of others are written, is not told
    that there is nothing before anybody has looked.
    """
    monkeypatch.setattr(unsettled, "KEPT_BYTES_MAX", 0)
    write, asking = saving.Saver.write, list[member.Member]()

    async def ask_and_write(self: saving.Saver, *args: Any, **more: Any) -> bool:
        if not asking:
            asking.append(one_group.join(running))
            asking[0].asked = True
        return await write(self, *args, **more)

    monkeypatch.setattr(saving.Saver, "write", ask_and_write)
    await on.publish("p1", "p2")
    running = await on.start()
    joined = one_group.join(running, credit=1)
    await harness.until(lambda: bool(joined.waiting_bytes))
    (delivery,) = one_group.taken(joined)
    running.settle(delivery.lease, policy.Verdict.ACK)
    await running.durable()
    await asking[0].wait(harness.TIMEOUT_S)
    assert [each.event.entity_id for each in one_group.taken(asking[0])] == ["p2"]
    for each in (joined, *asking):
        running.leave(each)
    await running.close()


async def test_giving_back_holds_up_no_lease(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases of consumers in use are renewed while those that nobody uses are given back, however
    many these are and however long that takes.
    """
    monkeypatch.setattr(group, "IDLE_S", 0.0)
    running = groups.Groups(on.around, owner="x", lease_s=6.0, on_event=lambda: None)
    # The lease of the busy one is the youngest.
    names = [*(f"idle_{number}" for number in range(groups.LEAVING_MAX + 5)), "busy"]
    made = consumer_definition.encode(consumer_definition.complete(consumer_pb2.Consumer(name="a")))
    answered, closing = asyncio.Event(), 0
    close = group.Group.close

    async def close_slowly(self: group.Group) -> None:
        nonlocal closing
        closing += 1
        await answered.wait()
        await close(self)

    monkeypatch.setattr(group.Group, "close", close_slowly)

    def begin(conn: storage.Connection) -> None:
        fields = {"kind": "consumer", "definition": made, "idle_expiry_us": 0, "now_us": 1}
        for name in names:
            consumers.create(conn, "one", name, floor=0, **fields)  # type: ignore[arg-type]

    stop = asyncio.Event()
    await on.database.write(begin)
    found = [await running.find("one", name) for name in names]
    busy = found[-1]
    assert isinstance(busy, group.Group)
    joined = one_group.join(busy)
    until_s = busy.lease_until_s
    task = asyncio.create_task(running.run(stop))
    await harness.until(lambda: closing > 0 and busy.lease_until_s > until_s + 1)
    assert busy.error is None
    answered.set()
    await harness.until(lambda: running.count == 1)
    busy.leave(joined)
    stop.set()
    await task
    await running.drain()
    assert running.count == 0


async def test_what_idles_is_deleted_a_few_at_a_time(on: one_group.Running) -> None:
    """Who publishes waits for a few of them, as each is told; one look deletes them all."""
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    running = groups.Groups(on.around, owner="x", lease_s=6.0, on_event=count)
    made = consumer_definition.encode(consumer_definition.complete(consumer_pb2.Consumer(name="a")))

    def begin(conn: storage.Connection) -> None:
        fields = {"kind": "consumer", "definition": made, "idle_expiry_us": 1, "now_us": 1}
        for number in range(25):
            consumers.create(conn, "one", f"c{number}", floor=0, **fields)  # type: ignore[arg-type]

    await on.database.write(begin)
    by = telling.By(actor="test", now_us=1)
    gone = await on.database.write(lambda conn: changes.delete_idle(conn, aged_us=2, by=by))
    assert len(gone) == 10
    await running._tidy()
    assert await on.database.read(lambda conn: consumers.count(conn, "one")) == 0
    assert told == 2


async def test_what_nobody_could_come_for_is_not_idle(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away no member can come; once it is back they have as long to come
    as after a start, before a consumer is deleted because none did.
    """
    time = fake_clock.FakeClock()
    around = dataclasses.replace(on.around, time=time)
    running = groups.Groups(around, owner="x", lease_s=0.05, on_event=lambda: None)
    made = consumer_definition.encode(consumer_definition.complete(consumer_pb2.Consumer(name="a")))
    fields = {"kind": "consumer", "definition": made, "idle_expiry_us": 1, "now_us": 1}
    await on.database.write(
        lambda conn: consumers.create(conn, "one", "idle", floor=0, **fields)  # type: ignore[arg-type]
    )
    renew, away, renewals = running._renew, True, 0

    async def renew_if_it_can() -> None:
        nonlocal renewals
        renewals += 1
        if away:
            raise storage.StorageUnavailable("away")
        await renew()

    async def renewed() -> None:
        before = renewals
        # The one under way, and one more after it.
        await harness.until(lambda: renewals > before + 2)

    async def left() -> int:
        return await on.database.read(lambda conn: consumers.count(conn, "one"))

    monkeypatch.setattr(running, "_renew", renew_if_it_can)
    stop = asyncio.Event()
    working = asyncio.create_task(running.run(stop))
    try:
        await renewed()
        time.advance(10 * groups.TIDY_EVERY_S)
        await renewed()
        away = False
        await renewed()
        assert await left() == 1
        time.advance(groups.TIDY_EVERY_S + 1)

        async def gone() -> bool:
            return await left() == 0

        await harness.until(gone)
    finally:
        stop.set()
        await working


async def test_what_a_consumer_logs_is_no_part_of_the_call_that_began_it(
    on: one_group.Running, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Others' calls use it for days after."""

    async def fail(_: group.Group) -> bool:
        raise RuntimeError("no")

    monkeypatch.setattr(group.Group, "_step", fail)
    logs.bind(request_id="req_of_the_first")
    running = await on.start()
    await harness.until(lambda: running.error is not None)
    logs.flush()
    told = capfd.readouterr().err
    assert "a consumer failed" in told
    assert "req_of_the_first" not in told


async def test_an_old_window_moves_no_consumer_of_a_new_log(on: one_group.Running) -> None:
    """A gateway that has not seen yet that the log went back hands out none of the lost events
    once another has begun a new epoch: the place would pass what takes their positions.
    """
    await on.publish("p1", "p2", "p3")
    running = await on.start()
    joined = one_group.join(running, credit=100)

    def lose(conn: storage.Connection) -> bool:
        for statement in _LOSE_TWO:
            conn.run(statement)
        return epoch.begin_if_lost(conn, 7, epoch=read.state(conn).epoch, head=1)

    async def floor() -> int:
        stored = await on.database.read(lambda conn: consumers.get(conn, "one", "a"))
        assert stored is not None
        return stored.floor

    await harness.until(lambda: running.outstanding == 3)
    assert await on.database.write(lose)

    def settled() -> bool:
        for each in one_group.taken(joined):
            running.settle(each.lease, policy.Verdict.ACK)
        return running.error is not None or not running.outstanding

    for _ in range(3):
        await harness.until(settled)
        with contextlib.suppress(errors.RpcError):
            await running.durable()
    assert await floor() <= 1
    running.leave(joined)
    await running.close()


async def test_a_lost_parked_event_hides_no_new_one(on: one_group.Running) -> None:
    """What was parked of events that the log has lost is forgotten with them: an event that takes
    the position of one is parked itself, and the new log's entity is not held up by the old one.
    """
    await on.publish("p1", "p2", "p3")
    running = await on.start()
    joined = one_group.join(running)

    def park(wanted: str) -> bool:
        for each in one_group.taken(joined):
            verdict = policy.Verdict.PARK if each.event.entity_id == wanted else policy.Verdict.ACK
            running.settle(each.lease, verdict, reason=each.event.entity_id)
        return not running.outstanding

    await harness.until(lambda: running.outstanding == 3)
    await harness.until(lambda: park("p2"))
    await running.durable()
    running.leave(joined)
    await running.close()

    def lose(conn: storage.Connection) -> records.Known:
        for statement in _LOSE_TWO:
            conn.run(statement)
        assert epoch.begin_if_lost(conn, 7, epoch=read.state(conn).epoch, head=1)
        return progress.known(conn, "one", "a")

    known = await on.database.write(lose)
    assert (known.parked, known.blocked_keys) == (0, set())


async def test_a_lost_delivery_names_no_new_event(on: one_group.Running) -> None:
    """What was sent to a webhook endpoint of an event that the log has lost is not told of the
    event that takes its position.
    """
    attempt = webhook_log.Attempt(
        number=0, sent_us=1, elapsed_us=1, status=500, problem="", excerpt=""
    )

    def record(conn: storage.Connection, event_id: str) -> None:
        sent = webhook_log.Delivery(
            position=2, event_id=event_id, event_type="a.b", state=1, next_us=0
        )
        webhook_log.record(conn, "whe_1", sent, attempt, redacted=False, now_us=1)

    def lose(conn: storage.Connection) -> list[webhook_log.Delivery]:
        record(conn, "lost")
        for statement in _LOSE_TWO:
            conn.run(statement)
        assert epoch.begin_if_lost(conn, 7, epoch=read.state(conn).epoch, head=1)
        record(conn, "new")
        return webhook_log.deliveries(conn, "whe_1", state=0, event_id="", before=9, rows=9)

    (found,) = await on.database.write(lose)
    assert (found.event_id, len(found.attempts)) == ("new", 1)
