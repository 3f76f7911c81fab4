"""One consumer in this process, with its members and its log: what tests of them begin with.

Owns a group on a database of the test. Called by those tests. Never asserts.
"""

import asyncio
from typing import Any

from payhub.events.v1 import consumer_pb2
from payhub.events.v1 import consumer_service_pb2 as service_pb

from event_gateway import window
from event_gateway.api import ingest
from event_gateway.consumers import definition as consumer_definition
from event_gateway.consumers import (
    group,
    member,
    records,
    source,
)
from event_gateway.db import append, consumers, read, retain
from servicekit import auth, clock, storage
from tests.integration.gateway import harness

LEASE_US = 60_000_000


class Running:
    """A consumer of one tenant's events, in this process."""

    def __init__(self, database: storage.Database, epoch: int) -> None:
        self.database = database
        self.time = clock.SystemClock()
        self.log = window.Window(bytes_max=1 << 20, head=0)
        self.around = source.Surroundings(
            database=database,
            log=self.log,
            epoch=epoch,
            time=self.time,
            reads=asyncio.Semaphore(1),
        )

    async def publish(self, *entity_ids: str) -> list[str]:
        """Appends an event about each of these; returns their ids."""
        candidates = [
            ingest.candidate(harness.event("one", entity_id=each, data=b"private"))
            for each in entity_ids
        ]
        result = await self.database.write(lambda conn: append.append(conn, candidates, 1))
        self.log.extend(result.head_before, result.entries, result.head)
        return [each.event_id for each in candidates]

    async def start(self) -> group.Group:
        """Makes the consumer and runs it."""
        made = consumer_definition.complete(consumer_pb2.Consumer(name="a"))

        def begin(conn: storage.Connection) -> consumers.Stored:
            fields = {
                "definition": consumer_definition.encode(made),
                "idle_expiry_us": 0,
                "now_us": 1,
            }
            consumers.create(conn, "one", "a", kind="consumer", floor=0, **fields)  # type: ignore[arg-type]
            mine = consumers.acquire(conn, "one", "a", owner="x", endpoint="", lease_us=LEASE_US)
            assert mine is not None
            return mine

        return group.Group(
            self.around,
            await self.database.write(begin),
            records.Known(retries=(), blocked_keys=(), parked=0, epoch=self.around.epoch),
            lease_until_s=self.time.monotonic_s() + LEASE_US / 1e6,
        )

    async def erase(self, entity_id: str, events: int = 1) -> None:
        """Erases what the log says of an entity."""
        wanted = retain.Erasure(
            erasure_id=f"era_{entity_id}",
            entity_key=records.entity_key("one", "payment", entity_id),
            tenant_id="one",
            entity_type="payment",
            entity_id=entity_id,
            reason="asked",
            actor="test",
        )
        erased, _ = await self.database.write(lambda conn: retain.erase(conn, wanted, 1))
        assert erased == events
        self.log.reset(self.log.head)


async def on(database: storage.Database) -> Running:
    """Returns the surroundings of a consumer of the log in a database."""
    return Running(database, (await database.read(read.state)).epoch)


def join(running: group.Group, credit: int = 10) -> member.Member:
    """Joins a member that takes nothing yet."""
    principal = auth.Principal(tenant_id="one", scopes=frozenset(), key_id="k")
    return running.join("m", credit, principal=principal, key_digest=b"", tenants=("one",))


def taken(joined: member.Member) -> list[Any]:
    """Takes what the member was handed."""
    data = b"".join(joined.take(10))
    return list(service_pb.FetchResponse.FromString(data).deliveries)
