"""The log as one gateway follows it, while others append to it, erase in it and delete from it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from google.protobuf import timestamp_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, gateway, places, problems, tail
from event_gateway.api import queries
from event_gateway.db import consumers, read
from servicekit import errors, storage
from tests.integration.gateway import harness, replicas

_LOSE = (
    storage.Statement("delete from event_log where position > :upto"),
    storage.Statement("delete from event_key where position > :upto"),
    storage.Statement("update log_head set head = :upto"),
)


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[replicas.Replica]:
    """A gateway's parts over an empty log, with nothing in the background."""
    storage.migrate(database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url)
    yield replicas.Replica(database, await database.read(read.state))
    await database.close()


async def test_row_cursor_beyond_the_head(replica: replicas.Replica) -> None:
    """A place that another gateway has told of and this one has not reached is waited for, and
    refused once it takes too long: a replica that is merely behind loses no reader.
    """
    await replica.append(1)
    ahead = pb.StartPoint(after_cursor=cursor.encode(replica.places.epoch, 3))
    with pytest.raises(errors.RpcError) as refused:
        await replica.places.start(ahead)
    assert refused.value.reason == "CURSOR_AHEAD"
    state = await replica.database.read(read.state)
    patient = replicas.Replica(replica.database, state, ahead_wait_s=harness.TIMEOUT_S)
    starting = asyncio.create_task(patient.places.start(ahead))
    await harness.until(lambda: patient.held.reads > 1)
    assert not starting.done()
    await replica.others_append(2)
    assert (await starting).position == 3


async def test_what_was_deleted_unseen_is_missed_aloud(replica: replicas.Replica) -> None:
    """A live reader whose gateway heard neither of events nor of their deletion, because it stood
    still, is not sent the later ones as if nothing lay between.
    """
    await replica.append(1)
    live, whole = replica.subscribe(), replica.subscribe(start={"anchor": "ANCHOR_OLDEST"})
    await harness.until(lambda: len(live.taken) == 1 and whole.positions == [1])
    await replica.others_append(9)
    await replica.others_delete(6)
    await replica.tail.refresh()
    for each in (live, whole):
        with pytest.raises(errors.RpcError) as ended:
            await each.ended()
        assert ended.value.reason == problems.EXPIRED
    assert (live.positions, whole.positions) == ([], [1])
    late = replica.subscribe(start={"after_cursor": live.taken[0].cursor})
    with pytest.raises(errors.RpcError) as refused:
        await late.ended()
    assert refused.value.reason == problems.EXPIRED


async def test_an_erasure_does_not_set_the_window_back(replica: replicas.Replica) -> None:
    """What this gateway appends while it learns of an erasure stays known: nobody who begins at
    the newest place then gets what came before.
    """
    await replica.append(2)
    await replica.database.write(
        lambda conn: conn.query("update log_head set erasures = erasures + 1")
    )
    replica.held.go.clear()
    refreshing = asyncio.create_task(replica.tail.refresh())
    await harness.until(lambda: replica.held.reads == 1)
    await replica.append(3)
    replica.held.go.set()
    await refreshing
    assert (replica.window.start, replica.window.head) == (5, 5)


async def test_a_deletion_does_not_set_the_window_back(replica: replicas.Replica) -> None:
    """Neither does what was deleted while this gateway hears of its own newest events."""
    await replica.append(1)
    committed = replicas.Held(replica.database)
    committed.go.clear()
    replica.appender._database = cast(Any, committed)
    appending = asyncio.create_task(replica.append(2))
    await harness.until(lambda: committed.writes == 1)
    await replica.others_delete(2)
    replica.held.go.clear()
    refreshing = asyncio.create_task(replica.tail.refresh())
    await harness.until(lambda: replica.held.reads == 1)
    replica.held.go.set()
    replica.held.go.clear()
    await harness.until(lambda: replica.held.reads == 2)
    committed.go.set()
    await appending
    await replica.append(1)
    assert replica.window.head == 4
    replica.held.go.set()
    await refreshing
    assert (replica.window.start, replica.window.head) == (4, 4)


async def test_a_notice_during_a_read_is_not_lost(
    replica: replicas.Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others append while the log is being read for somebody else is read right after."""
    monkeypatch.setattr(tail, "POLL_S", 60.0)
    stop = asyncio.Event()
    replica.held.go.clear()
    reading = asyncio.create_task(replica.tail.refresh())
    await harness.until(lambda: replica.held.reads == 1)
    await replica.others_append(1)
    following = asyncio.create_task(replica.tail.run(stop))
    await asyncio.sleep(0)
    replica.held.go.set()
    await harness.until(lambda: replica.window.head == 1)
    stop.set()
    await asyncio.gather(reading, following)


async def test_what_is_known_to_be_missing_can_be_waited_for(replica: replicas.Replica) -> None:
    """Who wants what this gateway was told of waits for a read that began after that, and for none
    if there is nothing.
    """
    await replica.append(1)
    await replica.tail.catch_up()
    assert replica.held.reads == 0
    replica.held.go.clear()
    too_early = asyncio.create_task(replica.tail.refresh())
    await harness.until(lambda: replica.held.reads == 1)
    await replica.others_append(1)
    await replica.append(1)
    assert replica.window.head == 1
    waiting = [asyncio.create_task(replica.tail.catch_up()) for _ in range(2)]
    replica.held.go.set()
    await asyncio.gather(too_early, *waiting)
    assert replica.window.head == 3
    assert replica.held.reads == 3
    await replica.tail.catch_up()
    assert replica.held.reads == 3


async def test_a_stream_that_stops_has_all_that_was_there(replica: replicas.Replica) -> None:
    """Its end is the log's head at its beginning, also of what this gateway had not heard of."""
    await replica.append(1)
    await replica.others_append(2)
    whole = replica.subscribe(start={"anchor": "ANCHOR_OLDEST"}, stop_at_head=True)
    await whole.ended()
    assert whole.positions == [1, 2, 3]


async def test_a_time_before_what_was_deleted_is_too_old(replica: replicas.Replica) -> None:
    """Also where nothing at all is kept any more; a time after it is not."""
    await replica.append(3)
    (last,) = (await replica.query(page_size=3)).events[-1:]
    await replica.others_delete(3)
    start = {"from_time": last.append_time}
    with pytest.raises(errors.RpcError) as refused:
        await replica.subscribe(start=start, stop_at_head=True).ended()
    assert refused.value.reason == problems.EXPIRED
    told = replica.subscribe(
        start={**start, "expired_policy": "EXPIRED_POLICY_OLDEST"}, stop_at_head=True
    )
    await told.ended()
    assert [each.notice.WhichOneof("kind") for each in told.taken] == [
        "started",
        "skipped",
        "closing",
    ]
    after = timestamp_pb2.Timestamp()
    after.FromMicroseconds(last.append_time.ToMicroseconds() + 1)
    await harness.until(lambda: replica.time.now_us() > after.ToMicroseconds())
    later = replica.subscribe(start={"from_time": after}, stop_at_head=True)
    await later.ended()
    assert [each.notice.WhichOneof("kind") for each in later.taken] == ["started", "closing"]


async def test_who_begins_with_the_oldest_event_never_comes_too_late(
    replica: replicas.Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is deleted while a query or a stream begins there is left out, which streams say; one
    that named a place is refused.
    """
    await replica.append(6)
    begin = queries.Queries._start
    first = await replica.query(page_size=1)
    start = places.Places.start

    async def start_and_delete(of: places.Places, *arguments: Any) -> Any:
        started = await start(of, *arguments)
        await replica.others_delete(2)
        return started

    replica.window.reset(6)
    monkeypatch.setattr(places.Places, "start", start_and_delete)
    whole = replica.subscribe(start={"anchor": "ANCHOR_OLDEST"}, stop_at_head=True)
    await whole.ended()
    assert whole.positions == [3, 4, 5, 6]
    kinds = [each.notice.WhichOneof("kind") for each in whole.taken]
    assert kinds[:2] == ["started", "skipped"]
    assert cursor.decode(whole.taken[1].notice.skipped.resumed_cursor).position == 2

    async def begin_and_delete(of: queries.Queries, *arguments: Any) -> Any:
        began = await begin(of, *arguments)
        await replica.others_delete(3)
        return began

    monkeypatch.setattr(queries.Queries, "_start", begin_and_delete)
    assert [each.position for each in (await replica.query()).events] == [4, 5, 6]
    with pytest.raises(errors.RpcError) as refused:
        await replica.query(after_cursor=first.cursor)
    assert refused.value.reason == problems.EXPIRED


async def lose(replica: replicas.Replica, upto: int) -> None:
    """Takes what lies behind *upto* from the log, as a failover does."""

    def cut(conn: storage.Connection) -> None:
        for statement in _LOSE:
            conn.run(statement, {"upto": upto})

    await replica.database.write(cut)


async def test_lost_places_that_were_taken_already_begin_an_epoch_too(
    replica: replicas.Replica,
) -> None:
    """A gateway that saw the log go back begins a new epoch also if another one has filled the
    lost places before it could, and consumers go back to where the log was.
    """
    await replica.append(3)

    def begin(conn: storage.Connection) -> None:
        made = {"kind": "consumer", "definition": b"", "floor": 3, "idle_expiry_us": 0}
        consumers.create(conn, "one", "a", now_us=1, **made)  # type: ignore[arg-type]

    await replica.database.write(begin)
    before = await replica.database.read(read.state)
    await lose(replica, 1)
    replica.held.go.clear()
    refreshing = asyncio.create_task(replica.tail.refresh())
    await harness.until(lambda: replica.held.reads == 1)
    await replica.others_append(4)
    replica.held.go.set()
    with pytest.raises(tail.LogReplaced):
        await refreshing
    after = await replica.database.read(read.state)
    assert after.epoch != before.epoch
    stored = await replica.database.read(lambda conn: consumers.get(conn, "one", "a"))
    assert stored is not None
    assert stored.floor == 1


async def test_an_epoch_that_can_not_begin_yet_is_tried_again(
    replica: replicas.Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database can't be written to right after a failover the gateway does not end, as
    it would go on in the same epoch then: it tries again.
    """
    await replica.append(3)
    before = await replica.database.read(read.state)
    await lose(replica, 1)

    async def write(_: Any) -> None:
        raise storage.StorageUnavailable("read-only")

    with monkeypatch.context() as failing:
        failing.setattr(replica.held, "write", write)
        with pytest.raises(storage.StorageUnavailable):
            await replica.tail.refresh()
    with pytest.raises(tail.LogReplaced):
        await replica.tail.refresh()
    assert (await replica.database.read(read.state)).epoch != before.epoch


async def test_a_log_that_goes_back_while_it_is_read(replica: replicas.Replica) -> None:
    """What was there when a gateway began to read on, and is lost before it has read it, is
    noticed: it does not wait for it for ever.
    """
    await replica.append(1)
    await replica.others_append(3)
    replica.held.go.clear()
    refreshing = asyncio.create_task(replica.tail.refresh())
    await harness.until(lambda: replica.held.reads == 1)
    await lose(replica, 2)
    replica.held.go.set()
    with pytest.raises(tail.LogReplaced):
        async with asyncio.timeout(harness.TIMEOUT_S):
            await refreshing
