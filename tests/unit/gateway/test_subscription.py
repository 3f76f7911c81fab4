"""One stream, step by step: the cursor rule over storage, window and back."""

from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, splice, subscription
from event_gateway.db import read
from tests.unit.gateway import readers

CATCHING_UP = subscription.CATCHING_UP
LIVE = subscription.LIVE


def test_the_first_response_confirms_and_is_a_place_to_resume() -> None:
    """Started comes first, with settings in force, epoch and the start as cursor."""
    log = readers.Log()
    log.append("one", "one")
    reader = log.subscribe(2)
    first = pb.SubscribeResponse.FromString(reader.started(heartbeat_s=1.5, age_max_s=60))
    assert first.notice.started.subscription_id == "sub_1"
    assert first.notice.started.log_epoch == "00000007"
    assert first.notice.started.heartbeat_interval.ToMilliseconds() == 1500
    assert first.notice.started.max_stream_age.seconds == 60
    assert cursor.decode(first.cursor).position == 2
    assert first.phase == LIVE
    assert first.head_position == 2


def test_a_reader_goes_live_when_it_reaches_the_head() -> None:
    """CATCHING_UP until the head was reached once, LIVE from then on."""
    log = readers.Log()
    log.append("one", "two", "one")
    reader, record = log.subscribe(0, events_max=1), readers.Record(log, 0)
    readers.run(log, reader, record)
    assert record.phases == [CATCHING_UP, LIVE]
    log.append("one", "one")
    readers.run(log, reader, record)
    assert record.phases[2:] == [LIVE, LIVE]


def test_reaching_the_head_over_unmatched_events_is_said() -> None:
    """A reader whose filter selects nothing more is told that it is live."""
    log = readers.Log()
    log.append("two", "two")
    reader, record = log.subscribe(0), readers.Record(log, 0)
    readers.run(log, reader, record)
    assert (record.phases, record.cursor, record.seen) == ([LIVE], 2, [])


def test_a_slow_reader_is_told_and_fed_from_storage() -> None:
    """Out of the window: FellBehind, CATCHING_UP, then LIVE again, without a hole."""
    log = readers.Log(window_bytes=2000)
    reader, record = log.subscribe(0), readers.Record(log, 0)
    readers.run(log, reader, record)
    log.append(*["one"] * 50)
    readers.run(log, reader, record, limit=7)
    assert record.notices[0] == "fell_behind"
    assert record.phases[0] == CATCHING_UP
    assert record.phases[-1] == LIVE
    assert record.seen == list(range(1, 51))


def test_row_overtaken_by_retention_is_warned_of_before() -> None:
    """A reader is told once how long what it has not read is kept still, when less than a quarter
    of the retention is left; and again if it comes as near another time.
    """
    log = readers.Log(window_bytes=2000)
    log.append(*["one"] * 50)
    reader = log.subscribe(0, retention_s=100.0)
    told: list[float] = []

    def read(count: int) -> None:
        action = reader.step()
        assert isinstance(action, subscription.ReadStorage)
        for data in reader.take(reader.reading().cut(log.read(action, count))):
            behind = pb.SubscribeResponse.FromString(data).notice.fell_behind
            if behind.HasField("retention_headroom"):
                told.append(behind.retention_headroom.ToMicroseconds() / 1e6)

    log.time.advance(75)
    read(10)
    assert told == []
    log.time.advance(5)
    read(10)
    read(10)
    assert told == [20.0]
    log.append(*["one"] * 50)
    read(20)
    read(10)
    log.time.advance(99)
    read(10)
    assert told == [20.0, 1.0]


def test_a_quiet_filter_does_not_fall_behind() -> None:
    """A reader that sleeps because nothing matches stays live when the window moves on."""
    log = readers.Log(window_bytes=2000)
    reader, record = log.subscribe(0), readers.Record(log, 0)
    for _ in range(60):
        log.append("two", "two")
        assert not log.tick()
    readers.run(log, reader, record)
    record.take(reader.heartbeat())
    assert record.notices == [None]
    assert record.cursor == 120
    log.append("one")
    assert log.tick()
    readers.run(log, reader, record)
    assert record.seen == [121]


def test_skipped_stretches_are_checkpointed() -> None:
    """A filter that selects nothing still gets a cursor every 10,000 places."""
    log = readers.Log(window_bytes=2**30)
    log.append(*["two"] * 25_000)
    reader, record = log.subscribe(0), readers.Record(log, 0)
    readers.run(log, reader, record, told=False)
    assert record.cursor == 25_000
    assert len(record.phases) == 3


def test_storage_reads_are_checkpointed_too() -> None:
    """Catching up over events that do not match yields cursors, not silence."""
    log = readers.Log(window_bytes=1000)
    log.append(*["two"] * 12_000)
    reader, record = log.subscribe(0), readers.Record(log, 0)
    action = reader.step()
    assert isinstance(action, subscription.ReadStorage)
    for data in reader.take(reader.reading().cut(log.read(action, 10))):
        record.take(data)
    assert record.cursor == 12_000


def test_a_stream_that_stops_ends_at_the_head_it_found() -> None:
    """Events after the place to stop at are not sent, even if they are there already."""
    log = readers.Log()
    log.append("one", "one", "two")
    reader, record = log.subscribe(0, stop=3), readers.Record(log, 0)
    log.append("one", "one")
    readers.run(log, reader, record)
    assert reader.ended
    assert (record.seen, record.cursor) == ([1, 2], 3)


def test_readers_at_one_place_share_their_bytes() -> None:
    """The same filter at the same place is spliced once and sent twice."""
    log = readers.Log()
    first, second = log.subscribe(0), log.subscribe(0)
    log.append("one", "one")
    log.tick()
    one, two = first.step(), second.step()
    assert isinstance(one, bytes)
    assert one is two
    assert first.position == second.position == 2


def test_large_events_are_sent_alone_and_no_response_is_huge() -> None:
    """A response stays below its bytes; what is larger comes alone."""
    log = readers.Log(window_bytes=2**30)
    for _ in range(4):
        position = log.head + 1
        event = event_pb2.Event(id="evt", position=position, data=b"x" * 200_000)
        chunk = splice.chunk(event.SerializeToString())
        log.entries.append(read.Entry(position, "one", "a.b", "payment", "pay_1", chunk))
    log.window.extend(0, log.entries, log.head)
    reader = log.subscribe(0)
    sizes = []
    while isinstance(action := reader.step(), bytes):
        sizes.append(len(action))
    assert len(sizes) == 4
    assert max(sizes) < subscription.RESPONSE_BYTES_MAX


def test_the_last_response_says_why_and_when_to_come_back() -> None:
    """Closing carries the reason, a delay and a cursor to resume from."""
    log = readers.Log()
    reader = log.subscribe(0)
    data = reader.closing(pb.Notice.Closing.REASON_DRAINING, reconnect_after_s=2.5)
    last = pb.SubscribeResponse.FromString(data)
    assert last.notice.closing.reason == pb.Notice.Closing.REASON_DRAINING
    assert last.notice.closing.reconnect_after.ToMilliseconds() == 2500
    assert cursor.decode(last.cursor).position == 0


def test_a_page_that_is_sent_late_tells_what_holds_when_it_is_sent() -> None:
    """A reader learns from each response how far behind it is, however long the page waited."""
    log = readers.Log(window_bytes=1)
    log.append("one", "one")
    reader = log.subscribe(0)
    action = reader.step()
    assert isinstance(action, subscription.ReadStorage)
    page = reader.reading().cut(log.read(action, 10))
    log.append("one")
    log.time.advance(60)
    (response,) = map(pb.SubscribeResponse.FromString, reader.take(page))
    assert response.server_time.ToMicroseconds() == log.time.now_us()
    assert response.head_position == 3
    assert cursor.decode(response.cursor).position == action.upto
