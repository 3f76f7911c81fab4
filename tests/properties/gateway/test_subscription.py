"""The cursor rule, whatever a log and its reader do."""

from hypothesis import given
from hypothesis import strategies as st

from event_gateway import subscription
from tests.unit.gateway import readers

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
    log = readers.Log(window_bytes=window_bytes)
    log.append(*data.draw(st.lists(st.sampled_from(["one", "two"]), max_size=10)))
    log.tick()
    start = data.draw(st.integers(0, log.head))
    reader = log.subscribe(start, events_max=events_max)
    record = readers.Record(log, start)
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
                    for response in reader.take(reader.reading().cut(log.read(action, limit))):
                        record.take(response)
    readers.run(log, reader, record, limit=limit)
    record.take(reader.heartbeat())
    assert record.cursor == log.head
    assert record.phases[-1] == subscription.LIVE
