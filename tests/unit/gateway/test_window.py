"""The window: everything between its two ends, within its bytes."""

from event_gateway import window
from tests.unit.gateway import windows


def test_a_hole_is_refused_and_nothing_taken() -> None:
    """Events after a gap stay out until what lies between has come."""
    log = window.Window(bytes_max=2**20, head=5)
    assert not log.extend(7, [windows.entry(8)], 8)
    assert (log.head, len(log)) == (5, 0)
    assert log.extend(5, [windows.entry(6), windows.entry(7)], 7)
    assert log.extend(7, [windows.entry(8)], 8)
    assert windows.positions(windows.take(log, 5, windows.EVERYTHING)) == [6, 7, 8]


def test_what_came_twice_is_kept_once() -> None:
    """A read from storage that overlaps an append adds only what is new."""
    log = window.Window(bytes_max=2**20, head=0)
    log.extend(0, [windows.entry(1), windows.entry(2)], 2)
    log.extend(0, [windows.entry(1), windows.entry(2), windows.entry(3)], 3)
    log.extend(1, [windows.entry(2)], 2)
    assert windows.positions(windows.take(log, 0, windows.EVERYTHING)) == [1, 2, 3]
    assert log.head == 3


def test_a_batch_stops_where_it_is_told_to() -> None:
    """Nothing after `upto` is given, and the place does not pass it."""
    log = window.Window(bytes_max=2**20, head=0)
    log.extend(0, [windows.entry(position) for position in range(1, 6)], 5)
    batch = windows.take(log, 1, windows.EVERYTHING, upto=3)
    assert (windows.positions(batch), batch.position) == ([2, 3], 3)
    batch = windows.take(log, 3, windows.EVERYTHING, upto=3)
    assert (batch.chunks, batch.position) == ([], 3)


def test_a_scan_that_finds_nothing_is_bounded_and_resumes() -> None:
    """A filter that selects nothing passes at most SCAN_MAX entries per step."""
    count = window.SCAN_MAX + 50
    log = window.Window(bytes_max=2**30, head=0)
    log.extend(0, [windows.entry(position, "two") for position in range(1, count + 1)], count)
    assert windows.take(log, 0, windows.ONE).position == window.SCAN_MAX
    assert windows.take(log, window.SCAN_MAX, windows.ONE).position == count


def test_old_entries_go_and_the_start_says_so() -> None:
    """What no longer fits is dropped from the old end; `start` moves with it."""
    log = window.Window(bytes_max=50_000, head=0)
    for position in range(1, 4001):
        log.extend(position - 1, [windows.entry(position, size=100)], position)
    assert log.start > 3800
    assert windows.positions(windows.take(log, log.start, windows.EVERYTHING)) == list(
        range(log.start + 1, 4001)
    )
    for place in (0, log.start, 3999, 4000):
        rest = log.since(place)
        assert log.next(place) == (rest[0] if rest else None)
    log.reset(9000)
    assert (log.start, log.head, len(log), log.size_bytes) == (9000, 9000, 0, 0)
