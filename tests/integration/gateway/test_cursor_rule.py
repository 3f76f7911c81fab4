"""The cursor rule on the running service: resuming anywhere loses nothing."""

import asyncio
import random
from typing import Any

import grpc

from event_gateway import cursor
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

TYPES = ("payment.created", "payment.captured", "refund.created")
TENANTS = ("one", "two")
BATCHES = 25


async def publish(client: harness.Client, entity_id: str, chance: random.Random) -> None:
    """Publishes batches of one tenant's numbered events of mixed types and sizes."""
    version = 0
    for _ in range(BATCHES):
        batch = []
        for _ in range(chance.randint(1, 20)):
            version += 1
            batch.append(
                event(
                    entity_id.split("-")[0],
                    entity_id=entity_id,
                    entity_version=version,
                    type=chance.choice(TYPES),
                    data=b"x" * chance.randint(0, 3000),
                )
            )
        await client.publish(*batch)


class Reader:
    """Follows the log with one filter, breaking off and resuming wherever it likes."""

    def __init__(self, client: harness.Client, spec: dict[str, Any], seed: int) -> None:
        self.client = client
        self.spec = spec
        self.chance = random.Random(seed)
        self.received: list[int] = []
        self.notices: set[str] = set()
        # Each cursor ever given, with how many events had come before it.
        self.places: list[tuple[str, int]] = []

    def start(self) -> Any:
        """Subscribes after a cursor it was given, any of the newer ones."""
        point: dict[str, Any] = {"anchor": "ANCHOR_OLDEST"}
        if self.places:
            text, count = self.chance.choice(self.places[-6:])
            self.received = self.received[:count]
            self.places = [place for place in self.places if place[1] <= count]
            point = {"after_cursor": text}
        return self.client.subscribe(
            start=point,
            filter=self.spec,
            max_batch_events=self.chance.choice([1, 5, 50]),
            heartbeat_interval={"seconds": 1},
        )

    async def follow(self, done: asyncio.Event, head: "asyncio.Future[int]") -> None:
        """Reads until it has a cursor at the final head."""
        while True:
            call = self.start()
            last = 0
            for _ in range(self.chance.randint(1, 30) if not done.is_set() else 1_000_000):
                response = await call.read()
                assert response is not grpc.aio.EOF
                place = cursor.decode(response.cursor).position
                assert place >= last, "cursors never go back on a stream"
                last = place
                self.received += [one.position for one in response.events]
                self.places.append((response.cursor, len(self.received)))
                self.notices.add(response.notice.WhichOneof("kind"))
                if head.done() and place >= head.result():
                    call.cancel()
                    return
            call.cancel()


async def test_resuming_with_any_cursor_loses_nothing(database_url: str) -> None:
    """With publishers at work, a window that is too small, and readers that break off and
    resume with cursors of any response: each ends with exactly what its filter selects.
    """
    seed = 1
    with harness.running(database_url, EVENT_GATEWAY_WINDOW_BYTES="65536") as gateway:
        admin = gateway.tenant("system")
        specs: list[dict[str, Any]] = [
            {"tenant_ids": ["one"]},
            {"tenant_ids": ["one", "two"]},
            {"tenant_ids": ["two"], "types": ["refund.*"]},
            {"tenant_ids": ["one", "two"], "entity_ids": ["one-a", "two-b"]},
            {"tenant_ids": ["one"], "types": ["no.such"]},
        ]
        readers = [Reader(admin, spec, seed * 100 + n) for n, spec in enumerate(specs)]
        done = asyncio.Event()
        head: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        following = [asyncio.create_task(reader.follow(done, head)) for reader in readers]
        await asyncio.gather(
            *(
                publish(gateway.tenant(tenant), f"{tenant}-{name}", random.Random(seed + n))
                for n, (tenant, name) in enumerate(
                    (tenant, name) for tenant in TENANTS for name in "ab"
                )
            )
        )
        done.set()
        head.set_result((await admin.info()).head_position)
        async with asyncio.timeout(30):
            await asyncio.gather(*following)
        for reader in readers:
            assert reader.received == await queried(admin, reader.spec), reader.spec
        assert any("fell_behind" in reader.notices for reader in readers)


async def queried(client: harness.Client, spec: dict[str, Any]) -> list[int]:
    """Positions of all that a filter selects, by query."""
    found: list[int] = []
    page = await client.query(filter=spec, page_size=1000)
    found += [one.position for one in page.events]
    while page.next_page_token:
        page = await client.query(filter=spec, page_size=1000, page_token=page.next_page_token)
        found += [one.position for one in page.events]
    return found
