"""Pages of a real log, however they are fetched and whoever joins their events."""

import pathlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2

from event_gateway import cutting, gateway, matching, splice
from event_gateway.db import narrowing, read
from servicekit import clock, storage
from servicekit.storage import postgresql_statements, sqlite

Fill = Callable[[list[bytes]], storage.Connection]
SELECTION = matching.Matcher(["acme"], event_pb2.Filter()).selection
# Any bytes at all, so that what is not a text is among them; few are too small or too large.
BYTES = st.binary(max_size=40)
SIZES = st.one_of(st.integers(128, 900), st.integers(0, 140), st.integers(4000, 5000))
EVENTS = st.lists(
    st.builds(lambda some, size: (some * size)[:size] or b"\0" * size, BYTES, SIZES), max_size=50
)
LIMITS = st.builds(cutting.Limits, events=st.integers(1, 12), bytes=st.integers(1, 9000))
SHARED = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_EMPTY = storage.Statement("delete from event_log")
_HEAD = storage.Statement("update log_head set head = :head")
_ADD = storage.Statement(
    "insert into event_log values (:position, 'evt', :tenant, 'a.b', 'a', 'a_1', :position, :event)"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def fill(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Fill]:
    """Returns a log that holds events of the given bytes, every second place another tenant's."""
    raw: Any
    if request.param == "sqlite":
        path = tmp_path / "events.db"
        storage.migrate(f"sqlite:///{path}", gateway.MIGRATIONS)
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("pragma synchronous = off")
        conn: storage.Connection = sqlite.SqliteConnection(raw)
    else:
        url = request.getfixturevalue("new_postgres_database")()
        storage.migrate(url, gateway.MIGRATIONS)
        raw = psycopg.connect(url, autocommit=True)
        raw.execute("set synchronous_commit = off")
        conn = postgresql_statements.PostgresConnection(raw)

    def filled(events: list[bytes]) -> storage.Connection:
        conn.run(_EMPTY)
        rows = [
            {"position": 2 * number + shift, "tenant": tenant, "event": event}
            for number, event in enumerate(events, 1)
            for shift, tenant in enumerate(("acme", "other"))
        ]
        if rows:
            conn.run_many(_ADD, rows)
        conn.run(_HEAD, {"head": 2 * len(events) + 1})
        return conn

    yield filled
    raw.close()


def elements(data: bytes) -> list[bytes]:
    """Returns the events in a response without a trailer."""
    found = []
    while data:
        found.append(splice.first(data))
        data = data[len(splice.chunk(found[-1])) :]
    return found


def reading_of(
    selection: read.Selection, whole: cutting.Limits, each: cutting.Limits
) -> cutting.Reading:
    """Returns how a reader of what *selection* selects takes the log."""
    return cutting.Reading(
        selection,
        whole=whole,
        each=each,
        thin=False,
        time=clock.SystemClock(),
        trailer=lambda position: b"",
    )


@SHARED
@given(EVENTS, LIMITS, LIMITS)
def test_pages_hold_the_bytes_of_every_event(
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    events: list[bytes],
    whole: cutting.Limits,
    each: cutting.Limits,
) -> None:
    """Page after page the log comes complete, in order and byte by byte; a page and a response
    exceed their limits only for one event that comes alone.
    """
    monkeypatch.setattr(cutting, "JOINED_MIN", 1)
    conn = fill(events)
    reading = reading_of(SELECTION, whole, each)
    upto = 2 * len(events) + 1
    seen: list[bytes] = []
    after = 0
    while after < upto:
        page = reading.page(conn, after, upto)
        assert after < page.upto
        for part in page.parts:
            own = elements(part.data)
            assert len(own) == part.count <= each.events
            assert len(own) == 1 or sum(map(len, own)) <= each.bytes
            assert after < part.position <= page.upto
            seen += own
        count = sum(part.count for part in page.parts)
        assert count <= whole.events
        size_bytes = sum(len(own) for part in page.parts for own in elements(part.data))
        assert count == 1 or size_bytes <= whole.bytes
        after = page.upto
    assert seen == events


@pytest.mark.parametrize("fill", ["sqlite"], indirect=True)
@SHARED
@given(st.lists(st.builds(lambda some: (some * 128)[:500] or b"\0" * 500, BYTES), min_size=1))
def test_sqlite_joins_what_is_of_ordinary_size(fill: Fill, events: list[bytes]) -> None:
    """One statement returns the first events as elements of a response, and up to where."""
    conn = fill(events)
    wanted = min(len(events), 10)
    upto = 2 * len(events) + 1
    found = read.joined(conn, SELECTION, after=0, upto=upto, rows=10)
    assert found is not None
    assert found.data == b"".join(map(splice.chunk, events[:wanted]))
    assert (found.count, found.upto) == (wanted, 20 if wanted == 10 else upto)


@pytest.mark.parametrize("fill", ["sqlite"], indirect=True)
def test_sizes_without_a_prefix_are_left_to_python(fill: Fill) -> None:
    """An event that is smaller or larger than those with equally long prefixes is not joined."""
    for size in (0, 127, 128, 4095, 4096):
        conn = fill([b"e" * 500, b"e" * size])
        found = read.joined(conn, SELECTION, after=0, upto=5, rows=10)
        assert (found is not None) == (128 <= size < 4096)


@pytest.mark.parametrize("fill", ["sqlite"], indirect=True)
def test_one_page_covers_no_more_than_one_read(fill: Fill) -> None:
    """Where a reader's tenants have no events for long, a page ends with what one read covers:
    else one snapshot would be held through the whole log, and the reader hear of no progress.
    """
    conn = fill([b"e" * 500] * 100)
    conn.run(_HEAD, {"head": 10 * narrowing.SPAN_MAX})
    selection = matching.Matcher(["acme", "else"], event_pb2.Filter()).selection
    each = cutting.Limits(events=50, bytes=100_000)
    reading = reading_of(selection, cutting.Limits(events=1000, bytes=100_000), each)
    first = reading.page(conn, 0, 10 * narrowing.SPAN_MAX)
    assert sum(part.count for part in first.parts) == 100
    second = reading.page(conn, first.upto, 10 * narrowing.SPAN_MAX)
    assert second.upto == first.upto + narrowing.SPAN_MAX


@pytest.mark.parametrize("fill", ["sqlite"], indirect=True)
def test_joined_pages_keep_their_limit_of_bytes(fill: Fill) -> None:
    """Responses may be larger than a page, by a client's wish: what waits in memory for a reader
    that takes nothing is bounded by pages all the same.
    """
    conn = fill([b"e" * 500] * 400)
    for each_bytes in (20_000, 40_000, 200_000):
        each = cutting.Limits(events=100, bytes=each_bytes)
        reading = reading_of(SELECTION, cutting.Limits(events=1000, bytes=30_000), each)
        after = 0
        while after < 800:
            page = reading.page(conn, after, 800)
            assert 15_000 < 500 * sum(part.count for part in page.parts) <= 30_000
            after = page.upto if page.upto < 700 else 800


@pytest.mark.parametrize("fill", ["sqlite"], indirect=True)
def test_responses_of_few_events_are_cut(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that wants its events one by one costs one statement for each page, not for each
    event.
    """
    joined: list[int] = []
    monkeypatch.setattr(read, "joined", lambda conn, selection, *, rows, **kw: joined.append(rows))
    conn = fill([b"e" * 500] * 100)
    whole = cutting.Limits(events=40, bytes=100_000)
    for events in (1, 40):
        reading = reading_of(SELECTION, whole, cutting.Limits(events=events, bytes=100_000))
        after = 0
        for _ in range(2):
            after = reading.page(conn, after, 200).upto
    assert joined == [40]
