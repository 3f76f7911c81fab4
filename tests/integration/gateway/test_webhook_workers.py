"""A worker of one endpoint in this process, whose requests are made by the test."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography import fernet
from payhub.events.v1 import webhook_pb2

from event_gateway import gateway, telling
from event_gateway.consumers import group, records
from event_gateway.db import consumers, webhook_log, webhooks
from event_gateway.webhooks_out import changes, definition, secrets, sender, signing, worker
from servicekit import clock, metrics, storage
from tests import fake_clock
from tests.integration.gateway import harness, one_group

State = webhook_pb2.WebhookDelivery


@dataclasses.dataclass(slots=True, kw_only=True)
class Running:
    """An endpoint whose worker is at work on one event."""

    database: storage.Database
    group: group.Group
    working: asyncio.Task[None]

    async def logged(self) -> list[webhook_log.Delivery]:
        """Returns its delivery log."""

        def read(conn: storage.Connection) -> list[webhook_log.Delivery]:
            return webhook_log.deliveries(conn, "whe_1", state=0, event_id="", before=9, rows=9)

        return await self.database.read(read)


@contextlib.asynccontextmanager
async def at_work(
    database_url: str,
    endpoint: webhook_pb2.WebhookEndpoint,
    send: Any,
    *,
    through: Any = None,
    time: clock.Clock | None = None,
    disable_after_s: float = 1e9,
) -> AsyncIterator[Running]:
    """Has a worker send by `send`; it uses the database through `through`, if that is given, and
    `time` instead of the machine's.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    on = await one_group.on(database)
    vault = secrets.Vault([fernet.Fernet.generate_key().decode()])
    made = definition.complete(endpoint, plain_http=False, private=False)
    sealed = vault.seal("whe_1", [secrets.Secret(value=signing.new_secret())])

    def begin(conn: storage.Connection) -> consumers.Stored:
        by = telling.By(actor="test", now_us=1)
        changes.make(conn, "one", "whe_1", made, secrets=sealed, floor=0, by=by)
        mine = consumers.acquire(conn, "one", "whe_1", owner="x", endpoint="", lease_us=60_000_000)
        assert mine is not None
        return mine

    try:
        await on.publish("p1")
        running = group.Group(
            on.around,
            await database.write(begin),
            records.Known(retries=(), blocked_keys=(), parked=0, epoch=on.around.epoch),
            lease_until_s=on.time.monotonic_s() + 60.0,
        )
        ageing = storage.Ageing(database, time or on.time, "webhook_log")
        await ageing.now_us()
        around = worker.Surroundings(
            database=through(database) if through else database,
            send=send,
            vault=vault,
            time=time or on.time,
            ageing=ageing,
            disable_after_s=disable_after_s,
            on_event=lambda: None,
            counter=metrics.Metrics().counter("attempts", "Attempts.", ("outcome",)),
        )
        task = asyncio.create_task(worker.Worker(around, running).run())
        send.running = Running(database=database, group=running, working=task)
        yield send.running
        running.lease_until_s = 0.0
        running.wake()
        await asyncio.wait_for(task, harness.TIMEOUT_S)
        await running.close()
    finally:
        await database.close()


class Request:
    """How a request goes; `running` is whose worker makes it."""

    running: Running


def _delivered_elsewhere(conn: storage.Connection) -> None:
    sent = webhook_log.Delivery(
        position=1, event_id="evt_1", event_type="a.b", state=State.STATE_DELIVERED, next_us=0
    )
    attempt = webhook_log.Attempt(
        number=0, sent_us=1, elapsed_us=1, status=200, problem="", excerpt=""
    )
    webhook_log.record(conn, "whe_1", sent, attempt, redacted=False, now_us=1)


async def test_who_lost_its_endpoint_does_not_say_where_a_delivery_stands(
    database_url: str,
) -> None:
    """A process that stood still during a request, while another one delivered the event, logs its
    attempt; the event stays delivered, and the endpoint does well.
    """

    class Slow(Request):
        """A request during which this process stands still for longer than its lease."""

        async def send(self, *_: Any, **__: Any) -> sender.Answer:
            """Answers when another process has delivered the event."""
            await self.running.database.write(_delivered_elsewhere)
            self.running.group.lease_until_s = 0.0
            return sender.Answer(sent_us=2, elapsed_us=1, problem="TIMEOUT")

    given = webhook_pb2.WebhookEndpoint(url="https://example.com/")
    async with at_work(database_url, given, Slow()) as running:

        async def both() -> bool:
            found = await running.logged()
            return bool(found and len(found[0].attempts) == 2)

        await harness.until(both)
        (found,) = await running.logged()
        assert (found.state, found.next_us) == (State.STATE_DELIVERED, 0)
        stored = await running.database.read(lambda conn: webhooks.get(conn, "one", "whe_1"))
        assert stored is not None
        assert stored.failing_since_us == 0


class Failing:
    """A database whose first read fails."""

    def __init__(self, database: storage.Database) -> None:
        self._database = database
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def read(self, fn: Any) -> Any:
        """Reads, but for the first time."""
        if not self._failed:
            self._failed = True
            raise storage.StorageUnavailable("connection lost")
        return await self._database.read(fn)


async def test_what_was_not_sent_is_no_attempt(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway whose database is away before it sends uses up no try of the event, so that it is
    neither given up nor put off for that.
    """
    monkeypatch.setattr(worker, "_LOOK_EVERY_S", 0.1)

    class Swift(Request):
        """A request that is answered at once."""

        async def send(self, *_: Any, **__: Any) -> sender.Answer:
            """Answers with success."""
            return sender.Answer(sent_us=2, elapsed_us=1, status=200)

    given = webhook_pb2.WebhookEndpoint(
        url="https://example.com/", retry_schedule=[{"seconds": 86_400}]
    )
    async with at_work(database_url, given, Swift(), through=Failing) as running:

        async def delivered() -> bool:
            found = await running.logged()
            return bool(found and found[0].state == State.STATE_DELIVERED)

        await harness.until(delivered)
        (found,) = await running.logged()
        assert len(found.attempts) == 1


async def test_a_clock_that_is_set_ahead_disables_no_endpoint(database_url: str) -> None:
    """A receiver that fails is disabled when it has failed for as long as was said, and not by one
    look at a clock that is a year ahead; what failed first while it was ahead is no later failure.
    """
    time = fake_clock.FakeClock()
    began_us = time.now_us()
    seen: list[tuple[bool, int]] = []

    class Down(Request):
        """A receiver that fails."""

        async def send(self, *_: Any, **__: Any) -> sender.Answer:
            """Notes how the endpoint stands, and what the clock does meanwhile."""
            db = self.running.database
            stored = await db.read(lambda conn: webhooks.get(conn, "one", "whe_1"))
            assert stored is not None
            found = definition.read(stored)
            seen.append((found.state == found.STATE_ENABLED, stored.failing_since_us))
            step_s, passed_s = moves.pop(0)
            time.step(step_s)
            time.advance(passed_s)
            return sender.Answer(sent_us=1, elapsed_us=1, status=500)

    year_s, day_s = 365 * 86_400.0, 86_400.0
    moves = [(year_s, 0.0), (0.0, 60.0), (-year_s, 60.0), (year_s, day_s), (-year_s, 5 * day_s)]
    given = webhook_pb2.WebhookEndpoint(url="https://example.com/", retry_schedule=[{}] * 9)
    async with at_work(
        database_url, given, Down(), time=time, disable_after_s=5 * day_s
    ) as running:

        async def is_disabled() -> bool:
            stored = await running.database.read(lambda conn: webhooks.get(conn, "one", "whe_1"))
            assert stored is not None
            found = definition.read(stored)
            return found.state == found.STATE_DISABLED

        await harness.until(is_disabled)
    ahead_us = began_us + round(year_s * 1e6)
    right_us = began_us + 120_000_000
    assert seen == [
        (True, 0),
        (True, ahead_us),
        (True, ahead_us),
        (True, right_us),
        (True, right_us),
    ]
