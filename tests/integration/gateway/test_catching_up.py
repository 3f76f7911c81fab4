"""What the gateway holds for one who catches up: as long as it is needed, and as it is true."""

import asyncio
import dataclasses
import pathlib
import types
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import appender, gateway, hub, places, readahead, subscription, tail, window
from event_gateway.api import ingest, stream
from event_gateway.consumers import records
from event_gateway.db import read, retain
from servicekit import auth, clock, errors, ids, metrics, rpc, storage
from tests.integration.gateway import harness

EVENTS = 4_000
EVENT_BYTES = 1_000
# The newest fourth of the log.
WINDOW_BYTES = EVENTS * EVENT_BYTES // 4
Closing = pb.Notice.Closing
CONSUMER = auth.Principal(tenant_id="one", scopes=frozenset({"events:read"}), key_id="key")


class Taker:
    """The client's side of a stream that runs in this process: takes what it is allowed to."""

    def __init__(self) -> None:
        self.taken: list[pb.SubscribeResponse] = []
        self.allowed = asyncio.Semaphore(0)

    async def write(self, data: bytes) -> None:
        """Takes a response, once it may."""
        await self.allowed.acquire()
        self.taken.append(pb.SubscribeResponse.FromString(data))

    @property
    def events(self) -> list[event_pb2.Event]:
        """All it was sent."""
        return [event for response in self.taken for event in response.events]


class Bench:
    """Subscribe over a log of which the window holds the newest fourth."""

    def __init__(self, database: storage.Database) -> None:
        self.database = database
        self.window = window.Window(bytes_max=WINDOW_BYTES, head=0)
        self.hub = hub.Hub(self.window, tick_s=0.0, streams_per_tenant_max=10)
        self.tail = tail.Tail(
            database,
            self.window,
            epoch=0,
            on_growth=self.hub.news,
            on_change=self.hub.changed,
        )
        self.streams: stream.Streams
        self._serving: list[asyncio.Task[None]] = []

    async def fill(self) -> None:
        """Publishes the events."""
        state = await self.database.read(read.state)
        self.tail._epoch = state.epoch
        time = clock.SystemClock()
        appending = appender.Appender(
            self.database, self.window, on_growth=self.hub.news, on_hole=self.tail.kick, time=time
        )
        for _ in range(EVENTS // 1_000):
            await appending.append(
                [
                    ingest.candidate(harness.event("one", data=b"x" * EVENT_BYTES))
                    for _ in range(1_000)
                ]
            )
        checked = places.Places(
            self.database, self.window, self.tail, epoch=state.epoch, ahead_wait_s=0.1, time=time
        )
        self.streams = stream.Streams(
            checked,
            self.hub,
            stream.Settings(age_max_s=600.0, reads_max=2, reconnect_spread_s=1.0),
            time=time,
            registry=metrics.Metrics(),
        )

    def subscribe(self, taker: Taker) -> None:
        """Begins a stream from the oldest event."""
        _, key = auth.new_key()
        call = types.SimpleNamespace(
            principal=CONSUMER, metadata=(("authorization", f"Bearer {key}"),)
        )
        request = pb.SubscribeRequest(
            start=pb.StartPoint(anchor=pb.StartPoint.ANCHOR_OLDEST), max_batch_events=50
        )

        async def serve() -> None:
            rpc._current.set(cast(Any, call))
            await self.streams.subscribe(request, cast(Any, taker))

        self._serving.append(asyncio.create_task(serve()))

    async def erase(self) -> None:
        """Erases the one entity of all events."""
        wanted = retain.Erasure(
            erasure_id="",
            entity_key=records.entity_key("one", "payment", "pay_1"),
            tenant_id="one",
            entity_type="payment",
            entity_id="pay_1",
            reason="asked",
            actor="test",
        )
        place, ended = 0, False
        while not ended:
            after, step = place, dataclasses.replace(wanted, erasure_id=ids.new_id("era"))
            _, place = await self.database.write(
                lambda conn: retain.erase(conn, step, 1, after)  # noqa: B023
            )
            ended = not place
        await self.tail.refresh_anew()

    @property
    def opened(self) -> Any:
        """The stream."""
        (only,) = self.streams.opened.values()
        return only

    async def end(self) -> None:
        """Ends all streams."""
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def take_everything(taker: Taker) -> None:
    """Lets *taker* take all there is, which is every event once and in order."""
    for _ in range(EVENTS):
        taker.allowed.release()
    await harness.until(lambda: len(taker.events) >= EVENTS)
    assert [event.position for event in taker.events] == list(range(1, EVENTS + 1))


@pytest.fixture
async def bench(tmp_path: pathlib.Path) -> AsyncIterator[Bench]:
    """Subscribe over a filled SQLite log."""
    url = f"sqlite:///{tmp_path}/events.db"
    storage.migrate(url, gateway.MIGRATIONS)
    database = await storage.open_database(url)
    made = Bench(database)
    await made.fill()
    yield made
    await made.end()
    await database.close()


async def test_a_live_stream_holds_no_pages(bench: Bench) -> None:
    """What was read ahead goes once the window serves the stream."""
    taker = Taker()
    bench.subscribe(taker)
    for _ in range(EVENTS):
        taker.allowed.release()
    await harness.until(lambda: len(taker.events) == EVENTS)
    assert bench.window.start > EVENTS // 2
    assert [event.position for event in taker.events] == list(range(1, EVENTS + 1))
    await harness.until(lambda: bench.opened.reader.phase == subscription.LIVE)
    assert bench.opened.ahead is None


async def test_what_was_erased_is_not_sent_from_pages_read_before(bench: Bench) -> None:
    """A slow stream gets only the response that is on its way as it was before the erasure."""
    taker = Taker()
    bench.subscribe(taker)
    for _ in range(2):
        taker.allowed.release()
    await harness.until(lambda: len(taker.events) > 0)
    await harness.until(lambda: bench.opened.stream.blocked_s > 0)
    await harness.until(lambda: bench.opened.ahead.waiting > 1)
    await bench.erase()
    await take_everything(taker)
    late = [event for response in taker.taken[3:] for event in response.events]
    assert late
    assert all(event.redacted for event in late)


async def test_who_takes_no_last_word_is_told_why_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed stream whose client is not taking what it was sent ends as closed, not stalled."""
    monkeypatch.setattr(hub, "_LAST_WORD_S", 0.0)
    ends = {Closing.REASON_DRAINING: "UNAVAILABLE", Closing.REASON_AUTH_EXPIRED: "KEY_INVALID"}
    for reason, told in ends.items():
        bench.subscribe(Taker())
        await harness.until(lambda: any(each.blocked_s for each in bench.hub.streams))
        bench.hub.close(bench.opened.stream, reason)
        with pytest.raises(errors.RpcError) as ended:
            await asyncio.wait_for(bench._serving[-1], harness.TIMEOUT_S)
        assert ended.value.reason == told
    assert not bench.streams._stalled._value.get()


async def test_a_page_that_was_read_before_an_erasure_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent as it was before an erasure that was known before it was sent."""
    waits = readahead.ReadAhead.wait
    erased = False

    async def wait_until_erased(ahead: readahead.ReadAhead, timeout_s: float) -> None:
        nonlocal erased
        await waits(ahead, timeout_s)
        if not erased and ahead.waiting:
            erased = True
            await bench.erase()

    monkeypatch.setattr(readahead.ReadAhead, "wait", wait_until_erased)
    taker = Taker()
    bench.subscribe(taker)
    await take_everything(taker)
    assert all(event.redacted for event in taker.events)


async def test_erasures_without_end_do_not_hold_a_stream_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was read after an erasure is sent, though its stream had waited since before."""
    read_on = readahead.ReadAhead._read_on

    async def erase_and_read_on(ahead: readahead.ReadAhead, run: Any) -> None:
        await bench.database.write(
            lambda conn: conn.query("update log_head set erasures = erasures + 1")
        )
        await bench.tail.refresh_anew()
        await read_on(ahead, run)

    monkeypatch.setattr(readahead.ReadAhead, "_read_on", erase_and_read_on)
    taker = Taker()
    bench.subscribe(taker)
    await take_everything(taker)
