"""The window gives everything between its two ends, whatever its events and limits are."""

from hypothesis import given
from hypothesis import strategies as st

from event_gateway import window
from tests.unit.gateway import windows


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
        windows.entry(position, tenant_id, size)
        for position, (tenant_id, size) in enumerate(events, start=1)
    ]
    for one in entries:
        log.extend(one.position - 1, [one], one.position)
    assert log.size_bytes <= bytes_max or len(log) == 1
    for start in range(log.start, log.head + 1):
        seen: list[int] = []
        place = start
        while True:
            batch = windows.take(
                log, place, windows.ONE, events_max=events_max, bytes_max=batch_bytes_max
            )
            size = sum(len(chunk) for chunk in batch.chunks)
            assert len(batch.chunks) <= events_max
            assert size <= batch_bytes_max or len(batch.chunks) == 1
            seen += windows.positions(batch)
            if batch.position == place:
                break
            place = batch.position
        assert place == log.head
        assert seen == [
            one.position for one in entries if one.position > start and one.tenant_id == "one"
        ]
