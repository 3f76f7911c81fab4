"""One stream, step by step: the cursor rule over storage, window and back."""

from hypothesis import given
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, groups, matching, splice, subscription, window
from event_gateway.db import read
from servicekit import clock

EPOCH = 7
CATCHING_UP = subscription.CATCHING_UP
LIVE = subscription.LIVE
# Of every event that no reader selects; if it were sent, its place would give it away.
UNSELECTED = splice.chunk(event_pb2.Event(id="evt-0", position=2**40).SerializeToString())


class Log:
    """A log in memory with a small window, and one reader of it that keeps a record."""

    def __init__(self, *, window_bytes: int = 2**20, types: list[str] | None = None) -> None:
        self.entries: list[read.Entry] = []
        self.window = window.Window(bytes_max=window_bytes, head=0)
        self.matcher = matching.Matcher(["one"], event_pb2.Filter(types=types or []))
        self.pace = groups.Pace(self.window, 0.0)
        self.group = self.pace.group(self.matcher, thin=False)
        self.group.members = 2
        self.time = clock.FakeClock()

    @property
    def head(self) -> int:
        """Position of the newest entry."""
        return len(self.entries)

    def append(self, *tenants: str, type_name: str = "payment.created") -> None:
        """Appends one event for each of *tenants*."""
        before = self.head
        for tenant_id in tenants:
            position = self.head + 1
            chunk = UNSELECTED
            if self.matcher.matches(tenant_id, type_name, "payment", "pay_1"):
                event = event_pb2.Event(id=f"evt-{position}", position=position)
                chunk = splice.chunk(event.SerializeToString())
            self.entries.append(
                read.Entry(position, tenant_id, type_name, "payment", "pay_1", chunk)
            )
        self.window.extend(before, self.entries[before:], self.head)

    def tick(self) -> bool:
        """What the hub does when there is news; returns whether the reader is woken."""
        return self.group in self.pace.judge()

    def selected(self, after: int, upto: int) -> list[int]:
        """Positions the filter selects in (after, upto]."""
        return [one.position for one in self.entries[after:upto] if self.matcher.matches(*one[1:5])]

    def read(self, wanted: subscription.ReadStorage, limit: int) -> read.Stretch:
        """Reads at most *limit* events from storage."""
        found = [
            one
            for one in self.entries[wanted.after : wanted.upto]
            if self.matcher.matches(*one[1:5])
        ]
        upto = found[limit - 1].position if len(found) > limit else wanted.upto
        state = read.State(epoch=EPOCH, head=self.head, oldest=0, head_append_us=0)
        return read.Stretch(
            state=state,
            events=[(one.position, splice.stored_event(one.chunk)) for one in found[:limit]],
            upto=upto,
        )

    def subscribe(
        self, position: int, *, stop: int | None = None, **limits: int
    ) -> subscription.Subscription:
        """A reader that starts after *position*."""
        return subscription.Subscription(
            subscription_id="sub_1",
            group=self.group,
            epoch=EPOCH,
            position=position,
            stop_position=stop,
            limits=subscription.Limits(**limits),
            time=self.time,
        )


class Record:
    """What a client saw, checked against the cursor rule with every response."""

    def __init__(self, log: Log, start: int) -> None:
        self.log = log
        self.start = self.cursor = start
        self.seen: list[int] = []
        self.phases: list[int] = []
        self.notices: list[str | None] = []

    def take(self, data: bytes) -> None:
        """Notes one response and checks the rule."""
        response = pb.SubscribeResponse.FromString(data)
        place = cursor.decode(response.cursor)
        assert place.epoch == EPOCH
        assert self.cursor <= place.position <= self.log.head
        self.seen += [event.position for event in response.events]
        self.cursor = place.position
        self.phases.append(response.phase)
        self.notices.append(response.notice.WhichOneof("kind"))
        assert self.seen == self.log.selected(self.start, self.cursor)


def run(
    log: Log,
    reader: subscription.Subscription,
    record: Record,
    *,
    limit: int = 1000,
    told: bool = True,
) -> None:
    """Steps until there is nothing to do, once the reader was *told* of what there is."""
    if told:
        log.tick()
    while (action := reader.step()) is not None:
        if isinstance(action, bytes):
            record.take(action)
        else:
            for data in reader.take(reader.cut(log.read(action, limit))):
                record.take(data)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from(["one", "two"]), max_size=12)),
        st.tuples(st.just("step"), st.integers(1, 4)),
        st.tuples(st.just("tick"), st.none()),
        st.tuples(st.just("heartbeat"), st.none()),
        st.tuples(st.just("reset"), st.none()),
    ),
    max_size=40,
)


@given(OPERATIONS, st.integers(500, 6000), st.integers(1, 5), st.integers(1, 4), st.data())
def test_every_cursor_covers_exactly_what_was_sent(
    operations: list[tuple[str, object]],
    window_bytes: int,
    events_max: int,
    limit: int,
    data: st.DataObject,
) -> None:
    """Whatever mix of appending, reading, waking and falling behind: at each response all
    that matches up to its cursor has been sent, once and in order.
    """
    log = Log(window_bytes=window_bytes)
    log.append(*data.draw(st.lists(st.sampled_from(["one", "two"]), max_size=10)))
    log.tick()
    start = data.draw(st.integers(0, log.head))
    reader = log.subscribe(start, events_max=events_max)
    record = Record(log, start)
    record.take(reader.started(heartbeat_s=1, age_max_s=1))
    for name, argument in operations:
        if name == "append":
            log.append(*argument)  # type: ignore[misc]
        elif name == "tick":
            log.tick()
        elif name == "heartbeat":
            record.take(reader.heartbeat())
        elif name == "reset":
            log.window.reset(log.head)
        else:
            for _ in range(argument):  # type: ignore[call-overload]
                action = reader.step()
                if isinstance(action, bytes):
                    record.take(action)
                elif action is not None:
                    for response in reader.take(reader.cut(log.read(action, limit))):
                        record.take(response)
    run(log, reader, record, limit=limit)
    record.take(reader.heartbeat())
    assert record.cursor == log.head
    assert record.phases[-1] == LIVE


def test_the_first_response_confirms_and_is_a_place_to_resume() -> None:
    """Started comes first, with settings in force, epoch and the start as cursor."""
    log = Log()
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
    log = Log()
    log.append("one", "two", "one")
    reader, record = log.subscribe(0, events_max=1), Record(log, 0)
    run(log, reader, record)
    assert record.phases == [CATCHING_UP, LIVE]
    log.append("one", "one")
    run(log, reader, record)
    assert record.phases[2:] == [LIVE, LIVE]


def test_reaching_the_head_over_unmatched_events_is_said() -> None:
    """A reader whose filter selects nothing more is told that it is live."""
    log = Log()
    log.append("two", "two")
    reader, record = log.subscribe(0), Record(log, 0)
    run(log, reader, record)
    assert (record.phases, record.cursor, record.seen) == ([LIVE], 2, [])


def test_a_slow_reader_is_told_and_fed_from_storage() -> None:
    """Out of the window: FellBehind, CATCHING_UP, then LIVE again, without a hole."""
    log = Log(window_bytes=2000)
    reader, record = log.subscribe(0), Record(log, 0)
    run(log, reader, record)
    log.append(*["one"] * 50)
    run(log, reader, record, limit=7)
    assert record.notices[0] == "fell_behind"
    assert record.phases[0] == CATCHING_UP
    assert record.phases[-1] == LIVE
    assert record.seen == list(range(1, 51))


def test_a_quiet_filter_does_not_fall_behind() -> None:
    """A reader that sleeps because nothing matches stays live when the window moves on."""
    log = Log(window_bytes=2000)
    reader, record = log.subscribe(0), Record(log, 0)
    for _ in range(60):
        log.append("two", "two")
        assert not log.tick()
    run(log, reader, record)
    record.take(reader.heartbeat())
    assert record.notices == [None]
    assert record.cursor == 120
    log.append("one")
    assert log.tick()
    run(log, reader, record)
    assert record.seen == [121]


def test_skipped_stretches_are_checkpointed() -> None:
    """A filter that selects nothing still gets a cursor every 10,000 places."""
    log = Log(window_bytes=2**30)
    log.append(*["two"] * 25_000)
    reader, record = log.subscribe(0), Record(log, 0)
    run(log, reader, record, told=False)
    assert record.cursor == 25_000
    assert len(record.phases) == 3


def test_storage_reads_are_checkpointed_too() -> None:
    """Catching up over events that do not match yields cursors, not silence."""
    log = Log(window_bytes=1000)
    log.append(*["two"] * 12_000)
    reader, record = log.subscribe(0), Record(log, 0)
    action = reader.step()
    assert isinstance(action, subscription.ReadStorage)
    for data in reader.take(reader.cut(log.read(action, 10))):
        record.take(data)
    assert record.cursor == 12_000


def test_a_stream_that_stops_ends_at_the_head_it_found() -> None:
    """Events after the place to stop at are not sent, even if they are there already."""
    log = Log()
    log.append("one", "one", "two")
    reader, record = log.subscribe(0, stop=3), Record(log, 0)
    log.append("one", "one")
    run(log, reader, record)
    assert reader.ended
    assert (record.seen, record.cursor) == ([1, 2], 3)


def test_readers_at_one_place_share_their_bytes() -> None:
    """The same filter at the same place is spliced once and sent twice."""
    log = Log()
    first, second = log.subscribe(0), log.subscribe(0)
    log.append("one", "one")
    log.tick()
    one, two = first.step(), second.step()
    assert isinstance(one, bytes)
    assert one is two
    assert first.position == second.position == 2


def test_large_events_are_sent_alone_and_no_response_is_huge() -> None:
    """A response stays below its bytes; what is larger comes alone."""
    log = Log(window_bytes=2**30)
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
    log = Log()
    reader = log.subscribe(0)
    data = reader.closing(pb.Notice.Closing.REASON_DRAINING, reconnect_after_s=2.5)
    last = pb.SubscribeResponse.FromString(data)
    assert last.notice.closing.reason == pb.Notice.Closing.REASON_DRAINING
    assert last.notice.closing.reconnect_after.ToMilliseconds() == 2500
    assert cursor.decode(last.cursor).position == 0


def test_a_page_that_is_sent_late_tells_what_holds_when_it_is_sent() -> None:
    """A reader learns from each response how far behind it is, however long the page waited."""
    log = Log(window_bytes=1)
    log.append("one", "one")
    reader = log.subscribe(0)
    action = reader.step()
    assert isinstance(action, subscription.ReadStorage)
    page = reader.cut(log.read(action, 10))
    log.append("one")
    log.time.advance(60)
    (response,) = map(pb.SubscribeResponse.FromString, reader.take(page))
    assert response.server_time.ToMicroseconds() == log.time.now_us()
    assert response.head_position == 3
    assert cursor.decode(response.cursor).position == action.upto
