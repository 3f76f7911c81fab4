"""A member of a durable consumer, as tests see one.

Owns making a consumer, one Consume stream and what came over it. Called by the tests of consumers.
Never settles anything by itself.
"""

import asyncio
import contextlib
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import consumer_pb2
from payhub.events.v1 import consumer_service_pb2 as pb

from event_gateway import cursor
from tests.integration.gateway import harness

Settlement = consumer_pb2.Settlement
OLDEST = {"anchor": "ANCHOR_OLDEST"}
# What tests publish: without it, a consumer gets the events about itself, too.
PUBLISHED = {"types": ["payment.*", "refund.*"]}


class Member:
    """A Consume stream."""

    def __init__(
        self, client: harness.Client, consumer: str, name: str = "one", **join: Any
    ) -> None:
        self.deliveries: list[Any] = []
        self.failures: list[Any] = []
        self.responses: list[Any] = []
        self.error: grpc.aio.AioRpcError | None = None
        self._number = 0
        self._call: Any = client.consumers.Consume(metadata=client.metadata)
        fields = {"credit": 100, **join}
        self._first = pb.ConsumeRequest(
            join=pb.ConsumeRequest.Join(consumer=consumer, member=name, **fields)
        )
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            await self._call.write(self._first)
            while (response := await self._call.read()) is not grpc.aio.EOF:
                self.responses.append(response)
                self.deliveries += response.deliveries
                self.failures += response.failures
        except grpc.aio.AioRpcError as failure:
            self.error = failure
        except asyncio.InvalidStateError:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._call

    async def got(self, count: int) -> list[Any]:
        """Waits for *count* deliveries in all; returns them."""
        await harness.until(lambda: len(self.deliveries) >= count or self._reading.done())
        assert len(self.deliveries) >= count, f"{self.deliveries} {self.error}"
        return self.deliveries

    @property
    def ids(self) -> list[str]:
        """Ids of the events delivered, in order."""
        return [one.event.id for one in self.deliveries]

    async def settle(self, verdict: str, *deliveries: Any, **fields: Any) -> int:
        """Sends a settlement; returns its number."""
        self._number += 1
        settlement = Settlement(
            number=self._number,
            leases=[getattr(one, "lease", one) for one in deliveries],
            verdict=f"VERDICT_{verdict}",
            **fields,
        )
        await self._call.write(pb.ConsumeRequest(settlement=settlement))
        return self._number

    async def ack(self, *deliveries: Any) -> None:
        """Acknowledges, and waits until that is durable."""
        await self.durable(await self.settle("ACK", *deliveries))

    async def grant(self, events: int) -> None:
        """Grants credit."""
        await self._call.write(pb.ConsumeRequest(credit=pb.ConsumeRequest.Credit(events=events)))

    async def durable(self, number: int) -> None:
        """Waits until settlements up to *number* are durable."""
        await harness.until(lambda: any(one.settled_through >= number for one in self.responses))

    async def leave(self) -> None:
        """Ends the member's side; waits for the server's."""
        await self._call.done_writing()
        await asyncio.wait_for(self._reading, harness.TIMEOUT_S)

    async def ended(self) -> Any:
        """Waits for the end of the stream; returns its status."""
        await asyncio.wait_for(self._reading, harness.TIMEOUT_S)
        return await self._call.code()

    @property
    def over(self) -> bool:
        """Whether the stream has ended, in whatever way."""
        return self._reading.done()

    def break_off(self) -> None:
        """Breaks the stream, as a crash would."""
        self._call.cancel()


async def make(client: harness.Client, **over: Any) -> str:
    """Makes a consumer of what tests publish, from the oldest event on; returns its name."""
    fields = {
        "name": "ledger",
        "filter": PUBLISHED,
        "start": OLDEST,
        "retry_backoff": [{}],
        **over,
    }
    answer = await client.ask("CreateConsumer", consumer=fields)
    return str(answer.consumer.name)


async def status(client: harness.Client, name: str = "ledger") -> Any:
    """Returns a consumer's status."""
    return (await client.ask("GetConsumer", name=name)).status


async def is_parked(client: harness.Client, count: int) -> bool:
    """Whether so many events are parked."""
    return bool((await status(client)).parked == count)


def place(text: str) -> int:
    """Returns the position of a cursor, whose text says nothing about order."""
    return cursor.decode(text).position
