"""The cursor rule on the running service: resuming anywhere loses nothing."""

import asyncio
import dataclasses
import signal
import uuid
from typing import Any

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_gateway import cursor
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

TYPES = ("payment.created", "payment.captured", "refund.created")
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"types": ["refund.*"]},
    {"types": ["payment.created", "refund.created"], "entity_ids": ["a-1"]},
    {"entity_ids": ["a-1", "b-1"]},
    {"types": ["no.such"]},
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a reader goes: its filter, the shape of its streams, when it breaks them off."""

    spec: int
    both: bool
    delay_ms: int
    thin: bool
    events_max: int
    breaks: tuple[int, ...]
    # How many cursors back it resumes.
    back: int


PLANS = st.builds(
    Plan,
    spec=st.integers(0, len(FILTERS) - 1),
    both=st.booleans(),
    delay_ms=st.sampled_from([0, 10, 100]),
    thin=st.booleans(),
    events_max=st.sampled_from([1, 5, 200]),
    breaks=st.lists(st.integers(1, 12), max_size=6).map(tuple),
    back=st.integers(1, 6),
)
# What a publisher sends, batch by batch: kind of event and size of its data.
BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([10, 3000])), min_size=1, max_size=15),
    min_size=1,
    max_size=25,
)
RESTARTS = st.lists(st.sampled_from([signal.SIGKILL, signal.SIGTERM]), max_size=2)


class Reader:
    """Follows the log with one filter, breaking off and resuming as planned."""

    def __init__(self, gateway: harness.Gateway, key: str, tenants: list[str], plan: Plan) -> None:
        self.gateway = gateway
        self.key = key
        self.plan = plan
        self.spec = {**FILTERS[plan.spec], "tenant_ids": tenants[: 1 + plan.both]}
        self.received: list[int] = []
        self.notices: set[str] = set()
        # Each cursor ever given, with how many events had come before it.
        self.places: list[tuple[str, int]] = []

    def start(self, client: harness.Client) -> Any:
        """Subscribes after a cursor it was given, one of the newer ones."""
        point: dict[str, Any] = {"anchor": "ANCHOR_OLDEST"}
        if self.places:
            text, count = self.places[-min(self.plan.back, len(self.places))]
            self.received = self.received[:count]
            self.places = [place for place in self.places if place[1] <= count]
            point = {"after_cursor": text}
        return client.subscribe(
            start=point,
            filter=self.spec,
            thin=self.plan.thin,
            max_batch_events=self.plan.events_max,
            max_batch_delay={"nanos": self.plan.delay_ms * 1_000_000},
            heartbeat_interval={"seconds": 1},
        )

    async def follow(self, head: "asyncio.Future[int]") -> None:
        """Reads until it has a cursor at the final head."""
        breaks = iter(self.plan.breaks)
        while True:
            client = self.gateway.client(self.key)
            call = self.start(client)
            last = 0
            left = next(breaks, 1_000_000)
            try:
                while left and (response := await call.read()) is not grpc.aio.EOF:
                    left -= 1
                    place = cursor.decode(response.cursor).position
                    assert place >= last, "cursors never go back on a stream"
                    last = place
                    self.received += [one.position for one in response.events]
                    self.places.append((response.cursor, len(self.received)))
                    self.notices.add(response.notice.WhichOneof("kind"))
                    if head.done() and place >= head.result():
                        return
            except grpc.RpcError:
                await asyncio.sleep(0.02)
            finally:
                call.cancel()
                await client.channel.close()


async def publish(
    gateway: harness.Gateway, key: str, tenant: str, entity: str, batches: list[Any]
) -> None:
    """Publishes numbered events, each batch until the gateway has it."""
    version = 0
    for batch in batches:
        events = [
            event(
                tenant,
                entity_id=entity,
                entity_version=version + number,
                type=TYPES[kind],
                data=b"x" * size,
            )
            for number, (kind, size) in enumerate(batch, start=1)
        ]
        version += len(events)
        while True:
            client = gateway.client(key)
            try:
                await client.publish(*events)
                break
            except grpc.RpcError:
                await asyncio.sleep(0.02)
            finally:
                await client.channel.close()


async def scenario(
    gateway: harness.Gateway, plans: list[Plan], batches: list[Any], restarts: list[signal.Signals]
) -> set[str]:
    """Runs readers beside publishers and restarts; returns the notices that were seen."""
    tenants = [f"t-{uuid.uuid4().hex[:12]}" for _ in range(2)]
    admin = gateway.keys.add("system")
    readers = [Reader(gateway, admin, tenants, plan) for plan in plans]
    head: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    following = [asyncio.create_task(reader.follow(head)) for reader in readers]
    publishing = asyncio.gather(
        *(
            publish(gateway, gateway.keys.add(tenant), tenant, f"{name}-{number}", batches)
            for tenant in tenants
            for number, name in enumerate("ab")
        )
    )
    for how in restarts:
        gateway.signal(how)
        await asyncio.to_thread(gateway.ended)
        await asyncio.to_thread(gateway.start)
    await publishing
    client = gateway.client(admin)
    head.set_result((await client.info()).head_position)
    async with asyncio.timeout(40):
        await asyncio.gather(*following)
    for reader in readers:
        assert reader.received == await queried(client, reader.spec), reader.plan
    await client.channel.close()
    return set().union(*(reader.notices for reader in readers))


def test_resuming_with_any_cursor_loses_nothing(database_url: str) -> None:
    """With publishers at work, a window that is too small, a gateway that dies and readers
    that break off and resume with cursors of any response: each ends with exactly what its
    filter selects, whatever it went through.
    """
    with harness.running(database_url, EVENT_GATEWAY_WINDOW_BYTES="65536") as gateway:

        @settings(
            max_examples=4, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )  # fmt: skip
        @given(st.lists(PLANS, min_size=3, max_size=5), BATCHES, RESTARTS)
        def check(plans: list[Plan], batches: list[Any], restarts: list[signal.Signals]) -> None:
            asyncio.run(scenario(gateway, plans, batches, restarts))

        check()
        # One that surely went through every phase: more than the window holds, and slow readers.
        plans = [
            Plan(spec=spec, both=True, delay_ms=10, thin=False, events_max=1, breaks=(3, 9), back=2)
            for spec in range(len(FILTERS))
        ]
        batches = [[(number % 3, 3000)] * 15 for number in range(25)]
        notices = asyncio.run(scenario(gateway, plans, batches, []))
        assert "fell_behind" in notices


async def queried(client: harness.Client, spec: dict[str, Any]) -> list[int]:
    """Positions of all that a filter selects, by query."""
    found: list[int] = []
    page = await client.query(filter=spec, page_size=1000)
    found += [one.position for one in page.events]
    while page.next_page_token:
        page = await client.query(filter=spec, page_size=1000, page_token=page.next_page_token)
        found += [one.position for one in page.events]
    return found
