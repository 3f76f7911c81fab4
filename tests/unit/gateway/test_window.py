"""The window: everything between its two ends, within its bytes."""

from hypothesis import given
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2

from event_gateway import matching, window
from event_gateway.db import read

EVERYTHING = matching.Matcher(["one", "two"], event_pb2.Filter())
ONE = matching.Matcher(["one"], event_pb2.Filter())


def entry(position: int, tenant_id: str = "one", size: int = 10) -> read.Entry:
    """An entry whose chunk names its position."""
    chunk = str(position).encode().ljust(size, b".")
    return read.Entry(position, tenant_id, "payment.created", "payment", "pay_1", chunk)


def positions(batch: window.Batch) -> list[int]:
    """Returns the positions that the chunks of a batch name."""
    return [int(chunk.rstrip(b".")) for chunk in batch.chunks]


def take(log: window.Window, after: int, matcher: matching.Matcher, **over: int) -> window.Batch:
    """A batch with wide limits unless *over* says otherwise."""
    limits = {"upto": 2**63, "events_max": 1000, "bytes_max": 2**30, **over}
    return log.batch(after, matcher, **limits)


def test_a_hole_is_refused_and_nothing_taken() -> None:
    """Events after a gap stay out until what lies between has come."""
    log = window.Window(bytes_max=2**20, head=5)
    assert not log.extend(7, [entry(8)], 8)
    assert (log.head, len(log)) == (5, 0)
    assert log.extend(5, [entry(6), entry(7)], 7)
    assert log.extend(7, [entry(8)], 8)
    assert positions(take(log, 5, EVERYTHING)) == [6, 7, 8]


def test_what_came_twice_is_kept_once() -> None:
    """A read from storage that overlaps an append adds only what is new."""
    log = window.Window(bytes_max=2**20, head=0)
    log.extend(0, [entry(1), entry(2)], 2)
    log.extend(0, [entry(1), entry(2), entry(3)], 3)
    log.extend(1, [entry(2)], 2)
    assert positions(take(log, 0, EVERYTHING)) == [1, 2, 3]
    assert log.head == 3


@given(
    st.lists(st.tuples(st.sampled_from(["one", "two"]), st.integers(10, 4000)), max_size=60),
    st.integers(1000, 20_000),
    st.integers(1, 7),
    st.integers(1, 9000),
)
def test_batches_cover_the_window_without_loss(
    events: list[tuple[str, int]], bytes_max: int, events_max: int, batch_bytes_max: int
) -> None:
    """From any place inside, batches give all that matches once and in order, within limits."""
    log = window.Window(bytes_max=bytes_max, head=0)
    entries = [
        entry(position, tenant_id, size)
        for position, (tenant_id, size) in enumerate(events, start=1)
    ]
    for one in entries:
        log.extend(one.position - 1, [one], one.position)
    assert log.size_bytes <= bytes_max or len(log) == 1
    for start in range(log.start, log.head + 1):
        seen: list[int] = []
        place = start
        while True:
            batch = take(log, place, ONE, events_max=events_max, bytes_max=batch_bytes_max)
            size = sum(len(chunk) for chunk in batch.chunks)
            assert len(batch.chunks) <= events_max
            assert size <= batch_bytes_max or len(batch.chunks) == 1
            seen += positions(batch)
            if batch.position == place:
                break
            place = batch.position
        assert place == log.head
        assert seen == [
            one.position for one in entries if one.position > start and one.tenant_id == "one"
        ]


def test_a_batch_stops_where_it_is_told_to() -> None:
    """Nothing after `upto` is given, and the place does not pass it."""
    log = window.Window(bytes_max=2**20, head=0)
    log.extend(0, [entry(position) for position in range(1, 6)], 5)
    batch = take(log, 1, EVERYTHING, upto=3)
    assert (positions(batch), batch.position) == ([2, 3], 3)
    batch = take(log, 3, EVERYTHING, upto=3)
    assert (batch.chunks, batch.position) == ([], 3)


def test_a_scan_that_finds_nothing_is_bounded_and_resumes() -> None:
    """A filter that selects nothing passes at most SCAN_MAX entries per step."""
    count = window.SCAN_MAX + 50
    log = window.Window(bytes_max=2**30, head=0)
    log.extend(0, [entry(position, "two") for position in range(1, count + 1)], count)
    assert take(log, 0, ONE).position == window.SCAN_MAX
    assert take(log, window.SCAN_MAX, ONE).position == count


def test_old_entries_go_and_the_start_says_so() -> None:
    """What no longer fits is dropped from the old end; `start` moves with it."""
    log = window.Window(bytes_max=50_000, head=0)
    for position in range(1, 4001):
        log.extend(position - 1, [entry(position, size=100)], position)
    assert log.start > 3800
    assert positions(take(log, log.start, EVERYTHING)) == list(range(log.start + 1, 4001))
    log.reset(9000)
    assert (log.start, log.head, len(log), log.size_bytes) == (9000, 9000, 0, 0)
