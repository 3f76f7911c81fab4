"""A log with many events in it, made without the gateway.

Owns the rows: the same that publishing makes, for events of `benchmarks.publisher`.
Called by the measurements of big logs and of blind writes. Never writes where a gateway
is running.
"""

import sqlite3
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from benchmarks import publisher
from event_gateway import splice
from event_gateway.api import ingest
from event_gateway.db import rows
from servicekit import storage

_CHUNK = 5000


class Blind(NamedTuple):
    """What `event_gateway.db.append` hands to its statements, decided by nobody."""

    accepted: list[tuple[int, rows.Candidate]]
    raised: dict[tuple[str, str, str], int]
    head: int


def batches(size: int, count: int) -> list[list[rows.Candidate]]:
    """Returns *count* batches of *size* candidates."""
    maker = publisher.Maker(50)
    return [[ingest.candidate(event) for event in maker.batch(size).events] for _ in range(count)]


def blind(head: int, candidates: list[rows.Candidate]) -> Blind:
    """Takes every candidate as new."""
    return Blind(
        accepted=[(head + n, one) for n, one in enumerate(candidates, start=1)],
        raised={
            (one.tenant_id, one.entity_type, one.entity_id): one.entity_version
            for one in candidates
        },
        head=head + len(candidates),
    )


def write(conn: storage.Connection, head: int, candidates: list[rows.Candidate]) -> int:
    """Writes *candidates* with the statements of publishing, asking nothing; returns the head."""
    wanted = blind(head, candidates)
    append_us = time.time_ns() // 1000
    append_time = splice.append_time_field(append_us)
    stored = [splice.stored(one.body, append_time, place) for place, one in wanted.accepted]
    rows.write(conn, wanted, stored, append_us, origin="bench")
    return wanted.head


def fill(url: str, count: int) -> None:
    """Adds *count* events of one tenant to the empty log at *url*."""
    if url.startswith("sqlite:///"):
        raw = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        raw.execute("pragma journal_mode=wal")
        raw.execute("pragma synchronous=off")
        raw.execute("begin")
        for events, keys in _rows(count):
            raw.executemany("insert into event_log values (?, ?, ?, ?, ?, ?, ?, ?)", events)
            raw.executemany("insert into event_key values (?, ?, ?, ?, ?)", keys)
        raw.execute(_HEAD.format(count))
        raw.execute("commit")
        raw.execute("pragma wal_checkpoint(truncate)")
        raw.close()
        return
    with psycopg.connect(url) as connection:
        for events, keys in _rows(count):
            for table, rows in (("event_log", events), ("event_key", keys)):
                with connection.cursor().copy(f"copy {table} from stdin".encode()) as copy:
                    for row in rows:
                        copy.write_row(row)
        connection.execute(_HEAD.format(count).encode())
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze")


_HEAD = (
    "update log_head set head = {0}, head_append_us = 1700000000000000, "
    "size_bytes = (select sum(length(event)) from event_log) where log = 'main'"
)


def _rows(count: int) -> Iterator[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """Yields rows of event_log and event_key; bytes differ in id and place only."""
    append_us = 1_700_000_000_000_000
    append_time = splice.append_time_field(append_us)
    event = publisher.Maker(1).batch(1).events[0]
    event.occur_time.FromMicroseconds(append_us)
    for first in range(1, count + 1, _CHUNK):
        events: list[tuple[Any, ...]] = []
        keys: list[tuple[Any, ...]] = []
        for place in range(first, min(first + _CHUNK, count + 1)):
            event_id, entity = f"evt_{place:029d}", f"old-{place % 100_000:06d}"
            kind = f"bench.t{place % 50}"
            event.id, event.entity_id, event.type = event_id, entity, kind
            event.entity_version = 0
            body = splice.stored(event.SerializeToString(), append_time, place)
            tenant = event.tenant_id
            events.append((place, event_id, tenant, kind, "order", entity, 0, body))
            keys.append((tenant, event_id, place, append_us, b"\\0" * 32))
        yield events, keys
