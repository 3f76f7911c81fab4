"""The appender over a real file: joining, order, refusal and failures of storage."""

import asyncio
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from event_gateway import appender, gateway, window
from event_gateway.api import ingest
from event_gateway.db import append, rows
from servicekit import clock, errors, storage
from tests.integration.gateway.harness import event


class Flaky:
    """A database that counts transactions, and fails the next one when told how."""

    def __init__(self, inner: storage.Database) -> None:
        self.inner = inner
        self.writes = 0
        self.fail_before: Exception | None = None
        self.fail_after: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def write(self, fn: Callable[[storage.Connection], Any]) -> Any:
        """Runs *fn* unless told to fail; failing afterwards leaves its effect."""
        await self.go.wait()
        self.writes += 1
        if self.fail_before is not None:
            failure, self.fail_before = self.fail_before, None
            raise failure
        result = await self.inner.write(fn)
        if self.fail_after is not None:
            failure, self.fail_after = self.fail_after, None
            raise failure
        return result


class Bench:
    """An appender, its database and its window."""

    def __init__(self, database: Flaky) -> None:
        self.database = database
        self.window = window.Window(bytes_max=2**24, head=0)
        self.holes = 0
        self.appender = appender.Appender(
            database,  # type: ignore[arg-type]
            self.window,
            on_growth=lambda: None,
            on_hole=self.hole,
            time=clock.SystemClock(),
        )

    def hole(self) -> None:
        """Counts calls for the tail."""
        self.holes += 1


@pytest.fixture
async def bench(tmp_path: pathlib.Path) -> AsyncIterator[Bench]:
    """An appender on an empty SQLite log."""
    url = f"sqlite:///{tmp_path}/events.db"
    storage.migrate(url, gateway.MIGRATIONS)
    database = await storage.open_database(url)
    yield Bench(Flaky(database))
    await database.close()


def candidates(count: int, size: int = 10) -> list[rows.Candidate]:
    """New events of one tenant."""
    return [ingest.candidate(event("one", data=b"x" * size)) for _ in range(count)]


async def test_callers_that_wait_share_a_transaction(bench: Bench) -> None:
    """Batches that arrive while one is being written are appended together, in order."""
    bench.database.go.clear()
    calls = [asyncio.create_task(bench.appender.append(candidates(3))) for _ in range(10)]
    await asyncio.sleep(0)
    bench.database.go.set()
    answers = await asyncio.gather(*calls)
    assert bench.database.writes <= 2
    positions = [verdict.position for answer in answers for verdict in answer.verdicts]
    assert positions == list(range(1, 31))
    assert (bench.window.head, len(bench.window)) == (30, 30)


async def test_joined_batches_stay_bounded(bench: Bench) -> None:
    """No transaction takes more than about two thousand events, however many wait."""
    bench.database.go.clear()
    calls = [asyncio.create_task(bench.appender.append(candidates(900))) for _ in range(5)]
    await asyncio.sleep(0)
    bench.database.go.set()
    await asyncio.gather(*calls)
    assert bench.database.writes >= 3


async def test_a_caller_that_leaves_changes_nothing(bench: Bench) -> None:
    """A cancelled call's events are appended all the same, and others get their answers."""
    bench.database.go.clear()
    leaving = asyncio.create_task(bench.appender.append(candidates(1)))
    staying = asyncio.create_task(bench.appender.append(candidates(1)))
    await asyncio.sleep(0)
    leaving.cancel()
    bench.database.go.set()
    answer = await staying
    await bench.appender.drain()
    assert answer.verdicts[0].position == 2
    assert bench.window.head == 2


async def test_a_failed_transaction_fails_its_callers_only(bench: Bench) -> None:
    """Callers of a failed transaction hear of it; the next one goes on."""
    batch = candidates(2)
    bench.database.fail_before = storage.StorageUnavailable("disk full")
    with pytest.raises(storage.StorageUnavailable):
        await bench.appender.append(batch)
    answer = await bench.appender.append(batch)
    assert [verdict.outcome for verdict in answer.verdicts] == [append.Outcome.APPENDED] * 2


async def test_a_commit_of_unknown_outcome_is_looked_up(bench: Bench) -> None:
    """The tail is asked to look, the caller may repeat, and is told DUPLICATE if it was in."""
    batch = candidates(2)
    bench.database.fail_after = storage.CommitUnknown("connection lost")
    with pytest.raises(storage.CommitUnknown):
        await bench.appender.append(batch)
    assert bench.holes == 1
    answer = await bench.appender.append(batch)
    assert [verdict.outcome for verdict in answer.verdicts] == [append.Outcome.DUPLICATE] * 2
    await bench.appender.append(candidates(1))
    assert bench.holes == 2
    assert bench.window.head == 0


async def test_a_bug_fails_the_call_and_not_the_appender(bench: Bench) -> None:
    """An unexpected exception reaches the callers; later batches are appended."""
    bench.database.fail_before = RuntimeError("bug")
    with pytest.raises(RuntimeError):
        await bench.appender.append(candidates(1))
    assert (await bench.appender.append(candidates(1))).head == 1


async def test_what_waits_is_bounded(bench: Bench) -> None:
    """Beyond 64 MiB of waiting events a producer is told to come back."""
    bench.database.go.clear()
    large = candidates(13, size=250_000)
    calls = [asyncio.create_task(bench.appender.append(large)) for _ in range(25)]
    await asyncio.sleep(0)
    refused = [call for call in calls if call.done()]
    assert 3 <= len(refused) <= 6
    for call in refused:
        failure = call.exception()
        assert isinstance(failure, errors.RpcError)
        assert failure.reason == "OVERLOADED"
        assert failure.retry_after_s
    bench.database.go.set()
    answers = await asyncio.gather(*(call for call in calls if call not in refused))
    assert [verdict.position for verdict in answers[-1].verdicts] == list(range(1, 14))
