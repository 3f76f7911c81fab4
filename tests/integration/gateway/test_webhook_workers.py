"""A worker of one endpoint in this process, whose requests are made by the test."""

import asyncio
from typing import Any

from cryptography import fernet
from payhub.events.v1 import webhook_pb2

from event_gateway import gateway, telling
from event_gateway.consumers import group, records
from event_gateway.db import consumers, webhook_log, webhooks
from event_gateway.webhooks_out import changes, definition, secrets, sender, signing, worker
from servicekit import metrics, storage
from tests.integration.gateway import harness, one_group

State = webhook_pb2.WebhookDelivery


async def test_who_lost_its_endpoint_does_not_say_where_a_delivery_stands(
    database_url: str,
) -> None:
    """A process that stood still during a request, while another one delivered the event, logs its
    attempt; the event stays delivered, and the endpoint does well.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    on = await one_group.on(database)
    vault = secrets.Vault([fernet.Fernet.generate_key().decode()])
    given = webhook_pb2.WebhookEndpoint(url="https://example.com/")
    endpoint = definition.complete(given, plain_http=False, private=False)
    sealed = vault.seal("whe_1", [secrets.Secret(value=signing.new_secret())])

    def begin(conn: storage.Connection) -> consumers.Stored:
        by = telling.By(actor="test", now_us=1)
        changes.make(conn, "one", "whe_1", endpoint, secrets=sealed, floor=0, by=by)
        mine = consumers.acquire(conn, "one", "whe_1", owner="x", endpoint="", lease_us=60_000_000)
        assert mine is not None
        return mine

    def delivered_elsewhere(conn: storage.Connection) -> None:
        sent = webhook_log.Delivery(
            position=1, event_id="evt_1", event_type="a.b", state=State.STATE_DELIVERED, next_us=0
        )
        attempt = webhook_log.Attempt(
            number=0, sent_us=1, elapsed_us=1, status=200, problem="", excerpt=""
        )
        webhook_log.record(conn, "whe_1", sent, attempt, redacted=False, now_us=1)

    def logged(conn: storage.Connection) -> list[webhook_log.Delivery]:
        return webhook_log.deliveries(conn, "whe_1", state=0, event_id="", before=9, rows=9)

    class Slow:
        """A request during which this process stands still for longer than its lease."""

        async def send(self, *_: Any, **__: Any) -> sender.Answer:
            """Answers when another process has delivered the event."""
            await database.write(delivered_elsewhere)
            running.lease_until_s = 0.0
            return sender.Answer(sent_us=2, elapsed_us=1, problem="TIMEOUT")

    try:
        await on.publish("p1")
        running = group.Group(
            on.around,
            await database.write(begin),
            records.Known(retries=(), blocked_keys=(), parked=0, epoch=on.around.epoch),
            lease_until_s=on.time.monotonic_s() + 60.0,
        )
        slow: Any = Slow()
        around = worker.Surroundings(
            database=database,
            send=slow,
            vault=vault,
            time=on.time,
            disable_after_s=1e9,
            on_event=lambda: None,
            counter=metrics.Metrics().counter("attempts", "Attempts.", ("outcome",)),
        )
        working = asyncio.create_task(worker.Worker(around, running).run())

        async def both() -> bool:
            found = await database.read(logged)
            return bool(found and len(found[0].attempts) == 2)

        await harness.until(both)
        (found,) = await database.read(logged)
        assert (found.state, found.next_us) == (State.STATE_DELIVERED, 0)
        stored = await database.read(lambda conn: webhooks.get(conn, "one", "whe_1"))
        assert stored is not None
        assert stored.failing_since_us == 0
        running.wake()
        await asyncio.wait_for(working, harness.TIMEOUT_S)
        await running.close()
    finally:
        await database.close()
