"""One gateway's parts over a log that others append to, erase in and delete from.

Owns the parts and what its streams took. Called by the tests of such a log. Nothing runs in the
background, so that a test decides when the gateway hears of what.
"""

import asyncio
import types
from collections.abc import Callable
from typing import Any, cast

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import appender, hub, places, tail, window
from event_gateway.api import ingest, queries, stream
from event_gateway.db import append, read, retain
from servicekit import auth, clock, metrics, rpc, storage
from tests.integration.gateway import harness

READER = auth.Principal(tenant_id="one", scopes=frozenset({"events:read"}), key_id="key")


class Held:
    """A database whose answers are held back until they may go on."""

    def __init__(self, inner: storage.Database) -> None:
        self.inner = inner
        self.reads = self.writes = 0
        self.go = asyncio.Event()
        self.go.set()

    async def read(self, fn: Callable[[storage.Connection], Any]) -> Any:
        """Reads, and answers once it may."""
        found = await self.inner.read(fn)
        self.reads += 1
        await self.go.wait()
        return found

    async def write(self, fn: Callable[[storage.Connection], Any]) -> Any:
        """Writes, and answers once it may."""
        found = await self.inner.write(fn)
        self.writes += 1
        await self.go.wait()
        return found


class Replica:
    """What a gateway knows of a log that others write to."""

    def __init__(
        self, database: storage.Database, state: read.State, *, ahead_wait_s: float = 0.1
    ) -> None:
        self.database = database
        self.time = clock.SystemClock()
        self.held = Held(database)
        self.window = window.Window(bytes_max=2**20, head=state.head)
        self.hub = hub.Hub(self.window, tick_s=0.0, streams_per_tenant_max=10)
        self.tail = tail.Tail(
            cast(Any, self.held),
            self.window,
            epoch=state.epoch,
            on_growth=self.hub.news,
            on_change=self.hub.changed,
        )
        self.appender = appender.Appender(
            database,
            self.window,
            on_growth=self.hub.news,
            on_hole=self.tail.kick,
            time=self.time,
        )
        self.places = places.Places(
            database,
            self.window,
            self.tail,
            epoch=state.epoch,
            ahead_wait_s=ahead_wait_s,
            time=self.time,
        )
        self.streams = stream.Streams(
            self.places,
            self.hub,
            stream.Settings(age_max_s=600.0, reads_max=2, reconnect_spread_s=1.0),
            time=self.time,
            registry=metrics.Metrics(),
        )
        self.queries = queries.Queries(self.places, queries.Keeping())

    async def append(self, count: int) -> None:
        """Appends through this gateway."""
        await self.appender.append([ingest.candidate(harness.event("one")) for _ in range(count)])

    async def others_append(self, count: int) -> None:
        """Appends through another gateway, of which this one has not heard yet."""
        made = [ingest.candidate(harness.event("one")) for _ in range(count)]
        now_us = self.time.now_us()
        await self.database.write(lambda conn: append.append(conn, made, now_us))

    async def others_delete(self, upto: int) -> None:
        """Deletes what lies at or before *upto*, as the retention of another gateway does."""
        await self.database.write(lambda conn: retain.delete(conn, upto))

    def subscribe(self, **fields: Any) -> "Stream":
        """A stream that takes all it is sent."""
        return Stream(self, pb.SubscribeRequest(**fields))

    async def query(self, **fields: Any) -> pb.QueryEventsResponse:
        """One page."""
        rpc._current.set(cast(Any, types.SimpleNamespace(principal=READER)))
        request = pb.QueryEventsRequest(**fields)
        data = await self.queries.query_events(request, cast(Any, None))
        return pb.QueryEventsResponse.FromString(data)


class Stream:
    """One stream of a replica, and what came of it."""

    def __init__(self, of: Replica, request: pb.SubscribeRequest) -> None:
        self.taken: list[pb.SubscribeResponse] = []
        self._of = of
        self._request = request
        self.serving = asyncio.create_task(self._serve())

    async def write(self, data: bytes) -> None:
        """Takes a response."""
        self.taken.append(pb.SubscribeResponse.FromString(data))

    @property
    def positions(self) -> list[int]:
        """Places of all events that came."""
        return [each.position for each in harness.events_of(self.taken)]

    async def ended(self) -> None:
        """Waits for its end, and raises what it ended with."""
        async with asyncio.timeout(harness.TIMEOUT_S):
            await self.serving

    async def _serve(self) -> None:
        _, key = auth.new_key()
        metadata = (("authorization", f"Bearer {key}"),)
        call = types.SimpleNamespace(principal=READER, metadata=metadata)
        rpc._current.set(cast(Any, call))
        await self._of.streams.subscribe(self._request, cast(Any, self))
