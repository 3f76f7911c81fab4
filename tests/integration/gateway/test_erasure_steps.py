"""Erasing an entity with more events than one call takes."""

import asyncio
import dataclasses
import functools
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from payhub.events.v1 import consumer_pb2, webhook_pb2

from event_gateway import gateway, telling
from event_gateway.api import ingest
from event_gateway.consumers import changes, definition, records
from event_gateway.db import append, consumers, parking, progress, read, retain, webhooks
from event_gateway.webhooks_out import changes as endpoint_changes
from servicekit import storage
from tests.integration.gateway import harness

WANTED = retain.Erasure(
    erasure_id="era_1",
    entity_key=records.entity_key("one", "payment", "p1"),
    tenant_id="one",
    entity_type="payment",
    entity_id="p1",
    reason="asked",
    actor="test",
)


async def test_calls_that_start_anew_come_to_an_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call goes on behind what the calls before it erased, others' events between them, also
    after new events and after the oldest ones were deleted; one with nothing to do is done at once.
    What was erased is known of when its events are gone, too; what never was there is not, nor
    what had no versions and was not erased before it went.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    monkeypatch.setattr(retain, "ERASED_MAX", 2)

    async def publish(*entity_ids: str) -> None:
        made = [
            ingest.candidate(harness.event("one", entity_id=each, data=b"private"))
            for each in entity_ids
        ]
        await database.write(lambda conn: append.append(conn, made, 1))

    async def erase() -> list[int]:
        counts = []
        for number in range(10):
            step = dataclasses.replace(WANTED, erasure_id=f"era_{len(done)}_{number}")
            count, after = await database.write(
                functools.partial(retain.erase, wanted=step, now_us=1)
            )
            counts.append(count)
            if not after:
                break
        done.append(len(counts))
        return counts

    done: list[int] = []
    try:
        await publish("p2", "p1", "p1", "p2", "p1", "p1", "p1", "p2")
        assert await erase() == [2, 2, 1]
        assert await erase() == [0]
        await publish("p1", "p2", "p1")
        await database.write(lambda conn: retain.delete(conn, 3))
        assert await erase() == [2, 0]
        page = await database.read(
            functools.partial(
                read.page, selection=None, after=3, upto=99, events_max=99, bytes_max=1 << 20
            )
        )
        assert [(each.entity_id, b"private" in each.chunk) for each in page.entries] == [
            ("p2", True),
            *[("p1", False)] * 3,
            ("p2", True),
            ("p1", False),
            ("p2", True),
            ("p1", False),
        ]
        while (await database.read(read.state)).oldest < len(page.entries) + 3:
            await database.write(lambda conn: retain.delete(conn, len(page.entries) + 3))
        heard_of = [
            await database.read(
                functools.partial(
                    retain.heard_of, wanted=dataclasses.replace(WANTED, entity_id=each)
                )
            )
            for each in ("p1", "p2", "p3")
        ]
        assert heard_of == [True, False, False]
    finally:
        await database.close()


async def test_each_step_reaches_what_was_parked_before_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that a consumer parks between two steps is of an event that the second one erases, and
    is erased with it.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    monkeypatch.setattr(retain, "ERASED_MAX", 1)
    made = [
        ingest.candidate(harness.event("one", entity_id="p1", data=b"private")) for _ in range(2)
    ]
    park = storage.Statement(
        "insert into consumer_parked (tenant_id, name, position, entity_key, event, attempts, "
        "reason, parked_us, blocked, skipped) select 'one', 'a', position, :key, event, 1, "
        "'private', 1, 0, 0 from event_log where position = 2"
    )
    try:
        await database.write(lambda conn: append.append(conn, made, 1))
        _, after = await database.write(lambda conn: retain.erase(conn, WANTED, 1))
        assert after == 1
        await database.write(lambda conn: conn.run(park, {"key": WANTED.entity_key}))
        step = dataclasses.replace(WANTED, erasure_id="era_2")
        await database.write(lambda conn: retain.erase(conn, step, 1, after))
        (parked,) = await database.read(
            lambda conn: parking.page(conn, "one", "a", after=0, rows=9)
        )
        assert parked.event is not None
        assert (b"private" in parked.event, parked.reason) == (False, "")
    finally:
        await database.close()


async def test_erasure_reaches_what_is_being_parked(database_url: str) -> None:
    """What an erasure does not see yet, since the transaction that parks it has not ended, is
    erased all the same: copy and reason.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    # Another process, where there can be one.
    other = database
    if database_url.startswith("postgresql"):
        other = await storage.open_database(database_url, pool_size=2)
    made = [ingest.candidate(harness.event("one", entity_id="p1", data=b"private"))]
    park = records.Park(
        position=1,
        key=WANTED.entity_key,
        attempts=1,
        reason="private",
        parked_us=1,
        blocked=False,
    )
    decided = records.Changes(floor=1, runs=b"", retries=(), settled=(), parks=(park,))
    parked, goes_on = threading.Event(), threading.Event()

    def begin(conn: storage.Connection) -> consumers.Stored:
        fields = {"definition": b"", "idle_expiry_us": 0, "now_us": 1}
        consumers.create(conn, "one", "a", kind="consumer", floor=0, **fields)  # type: ignore[arg-type]
        mine = consumers.acquire(conn, "one", "a", owner="x", endpoint="", lease_us=60_000_000)
        assert mine is not None
        return mine

    def write(conn: storage.Connection) -> progress.Written:
        written = progress.write(conn, mine, decided, erasures=0)
        parked.set()
        assert goes_on.wait(30.0)
        return written

    try:
        await database.write(lambda conn: append.append(conn, made, 1))
        mine = await database.write(begin)
        writing = asyncio.create_task(database.write(write))
        await asyncio.to_thread(parked.wait, 30.0)
        erasing = asyncio.create_task(other.write(lambda conn: retain.erase(conn, WANTED, 1)))
        await asyncio.wait({erasing}, timeout=0.5)
        goes_on.set()
        assert await writing is progress.Written.DONE
        await erasing
        (row,) = await database.read(lambda conn: parking.page(conn, "one", "a", after=0, rows=9))
        assert row.event is not None
        assert (b"private" in row.event, row.reason) == (False, "")
    finally:
        goes_on.set()
        await database.close()
        if other is not database:
            await other.close()


BY = telling.By(actor="test", now_us=1)
PARK = storage.Statement(
    "insert into consumer_parked (tenant_id, name, position, entity_key, event, attempts, reason, "
    "parked_us, blocked, skipped) select 'one', :name, position, :key, event, 1, 'private', 1, 0, "
    "0 from event_log where position = 1"
)
PUT_BACK = storage.Statement("select event, reason from consumer_retry")


class Pausing:
    """A transaction that stands still after a statement, until it may go on.

    Args:
        conn: The transaction.
        after: How the statement begins.
        stands: Set while it stands.
        goes_on: Waited for.
    """

    def __init__(
        self, conn: Any, *, after: str, stands: threading.Event, goes_on: threading.Event
    ) -> None:
        self._conn, self._after = conn, after
        self._stands, self._goes_on = stands, goes_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def run(self, sql: storage.Statement, params: Any = ()) -> int:
        """Runs a statement."""
        done: int = self._conn.run(sql, params)
        self._pause(sql)
        return done

    def run_many(self, sql: storage.Statement, params: Any) -> None:
        """Runs a statement for each."""
        self._conn.run_many(sql, params)
        self._pause(sql)

    def _pause(self, sql: storage.Statement) -> None:
        if sql.sqlite.startswith(self._after):
            self._stands.set()
            assert self._goes_on.wait(60.0)


def put_back(conn: Any) -> None:
    """Sends what an endpoint had given up once more."""
    behind = consumers.lock(conn, "one", "a")
    assert behind is not None
    parking.resolve(conn, behind, parking.at(conn, "one", "a", [1]), again=True)


def delete(conn: Any) -> None:
    """Deletes a consumer."""
    stored = consumers.lock(conn, "one", "a")
    assert stored is not None
    changes.delete(conn, stored, by=BY)


def delete_endpoint(conn: Any) -> None:
    """Deletes an endpoint."""
    stored = webhooks.lock(conn, "one", "whe_1")
    assert stored is not None
    endpoint_changes.delete(conn, stored, by=BY)


@pytest.mark.parametrize(
    ("name", "do", "after"),
    [
        ("a", put_back, "insert into consumer_retry"),
        ("a", delete, "delete from consumer_parked"),
        ("whe_1", delete_endpoint, "delete from consumer_parked"),
    ],
)
async def test_erasure_and_who_moves_copies_wait_for_each_other(
    new_postgres_database: Callable[[], str], name: str, do: Callable[[Any], None], after: str
) -> None:
    """Nothing of a copy is left that is being moved, and neither has to begin anew because each
    has what the other waits for; who publishes waits for nobody that drops what was parked.
    """
    url = new_postgres_database()
    await asyncio.to_thread(storage.migrate, url, gateway.MIGRATIONS)
    database = await storage.open_database(url, pool_size=6)
    made = [ingest.candidate(harness.event("one", entity_id="p1", data=b"private"))]
    plain = definition.complete(consumer_pb2.Consumer(name="a"))
    endpoint = webhook_pb2.WebhookEndpoint(url="https://shop.example/")
    stands, goes_on = threading.Event(), threading.Event()
    begun: list[str] = []

    def begin(conn: storage.Connection) -> None:
        append.append(conn, made, 1)
        changes.make(conn, "one", plain, floor=1, by=BY)
        endpoint_changes.make(conn, "one", "whe_1", endpoint, secrets=b"", floor=1, by=BY)
        conn.run(PARK, {"name": name, "key": WANTED.entity_key})
        retain.delete(conn, 1)

    def work(conn: storage.Connection) -> None:
        begun.append("work")
        do(Pausing(conn, after=after, stands=stands, goes_on=goes_on))

    def erase(conn: storage.Connection) -> None:
        begun.append("erase")
        retain.erase(conn, WANTED, 1)

    try:
        await database.write(begin)
        working = asyncio.create_task(database.write(work))
        assert await asyncio.to_thread(stands.wait, 30.0)
        another = [ingest.candidate(harness.event("one", entity_id="p2"))]
        await database.write(lambda conn: append.append(conn, another, 1))
        erasing = asyncio.create_task(database.write(erase))
        await asyncio.wait({erasing}, timeout=0.5)
        goes_on.set()
        await working
        await erasing
        left = await database.read(lambda conn: conn.all(PUT_BACK))
        assert begun == ["work", "erase"]
        assert [(b"private" in bytes(row[0]), row[1]) for row in left] == (
            [(False, "")] if do is put_back else []
        )
    finally:
        goes_on.set()
        await database.close()


@pytest.mark.parametrize("size_bytes", [200, 20_000])
async def test_no_file_of_sqlite_holds_what_was_erased(
    tmp_path: pathlib.Path, size_bytes: int
) -> None:
    """Once an erasure is answered, what it erased is in no file beside the database either."""
    canary = b"canary" * (size_bytes // 6)

    def holding() -> list[str]:
        files = tmp_path.iterdir()
        return sorted(each.name for each in files if canary[:60] in each.read_bytes())

    with harness.running(f"sqlite:///{tmp_path}/log.db") as gateway_:
        client = gateway_.tenant("one")
        await client.publish(
            harness.event("one", entity_id="p1", data=canary),
            *(harness.event("one", data=b"other" * 100) for _ in range(50)),
        )
        assert holding()
        erased = await client.erase("one", "payment", "p1")
        assert (erased.erased_events, erased.done) == (1, True)
        assert holding() == []
