"""What a member of a durable consumer makes of deliveries."""

import asyncio
from typing import Any

from payhub.events.v1 import consumer_pb2, consumer_service_pb2, event_pb2

from payhub_client import consumption, retries


class Stream:
    """What a member writes to its stream."""

    def __init__(self) -> None:
        self.written: list[consumer_service_pb2.ConsumeRequest] = []

    async def write(self, request: consumer_service_pb2.ConsumeRequest) -> None:
        """Keeps it."""
        self.written.append(request)


def consuming() -> consumption.Consumption:
    """A member without a connection."""
    link: Any = None
    return consumption.Consumption(
        link=link,
        backoff=retries.Backoff(),
        timing=retries.Timing(),
        consumer="all",
        member="one",
    )


async def test_a_repeated_delivery_costs_no_credit() -> None:
    """An event that comes again while it is at work is not handed over twice, and the credit that
    the second delivery took is given back: else every lost lease would cost one for good.
    """
    work, stream = consuming(), Stream()
    work._stream = stream  # type: ignore[assignment]
    event = event_pb2.Event(id="evt_1", tenant_id="t-1", position=1)
    for lease in ("a", "b"):
        delivery = consumer_pb2.Delivery(event=event, lease=lease, attempt=1)
        await work._accept(consumer_service_pb2.ConsumeResponse(deliveries=[delivery]))
    received = work._waiting.get_nowait()
    assert received is not None
    assert work._waiting.empty()
    await received.ack()
    assert [each.settlement.leases for each in stream.written if each.HasField("settlement")] == [
        ["b"]
    ]
    assert sum(each.credit.events for each in stream.written) == 2


def test_events_of_two_tenants_with_one_id_are_two_events() -> None:
    """Ids are unique per tenant: the second tenant's event is handed over too, and settling one
    does not settle the other.
    """
    work = consuming()
    for position, tenant_id in enumerate(("t-1", "t-2"), start=1):
        event = event_pb2.Event(id="evt_same", tenant_id=tenant_id, position=position)
        work._take(consumer_pb2.Delivery(event=event, lease=f"lease-{tenant_id}", attempt=1), 0)
    received = [work._waiting.get_nowait() for _ in range(work._waiting.qsize())]
    assert [(each.event.tenant_id, each.lease) for each in received if each] == [
        ("t-1", "lease-t-1"),
        ("t-2", "lease-t-2"),
    ]


class HeldUp(Stream):
    """A stream whose other side takes nothing until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def write(self, request: consumer_service_pb2.ConsumeRequest) -> None:
        """Keeps it once that is possible."""
        await self.go.wait()
        await super().write(request)


async def test_a_settlement_whose_caller_is_canceled_is_sent_all_the_same() -> None:
    """Settlements go out whole and in order, whichever of their callers gave up meanwhile: the
    confirmation of a later one counts for all before it.
    """
    work, stream = consuming(), HeldUp()
    work._stream = stream  # type: ignore[assignment]
    for number in range(3):
        event = event_pb2.Event(id=f"evt_{number}", tenant_id="t-1", position=number)
        work._take(consumer_pb2.Delivery(event=event, lease=f"lease-{number}", attempt=1), 0)
    settling = []
    for _ in range(3):
        received = work._waiting.get_nowait()
        assert received is not None
        settling.append(asyncio.create_task(received.ack()))
        await asyncio.sleep(0)
    for each in settling[:2]:
        each.cancel()
    ended = await asyncio.gather(*settling[:2], return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError] * 2
    stream.go.set()
    await settling[2]
    sent = [each.settlement.number for each in stream.written if each.HasField("settlement")]
    assert sent == [1, 2, 3]


class Clock:
    """A clock that is moved by hand, and a member by it that got `events`."""

    def __init__(self, events: int) -> None:
        self.now_s = 0.0
        self.work, self.stream = consuming(), Stream()
        self.work.timing = retries.Timing(monotonic_s=lambda: self.now_s)
        self.work._stream = self.stream  # type: ignore[assignment]
        self.work._task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
        self._events = events

    async def deliver(self, attempt: int) -> None:
        """All events come, each under a lease of its own, good for 30 s."""
        response = consumer_service_pb2.ConsumeResponse()
        for number in range(self._events):
            delivery = response.deliveries.add(lease=f"{number}-{attempt}", attempt=attempt)
            delivery.event.id, delivery.event.tenant_id = f"evt_{number}", "t-1"
            delivery.deadline.seconds = 30
        await self.work._accept(response)

    async def extended(self) -> list[str]:
        """The leases that are extended now."""
        before = len(self.stream.written)
        extending = asyncio.create_task(self.work._keep_extending())
        await asyncio.sleep(0.01)
        extending.cancel()
        await asyncio.gather(extending, return_exceptions=True)
        return [lease for each in self.stream.written[before:] for lease in each.settlement.leases]


async def test_what_waits_its_turn_keeps_its_lease() -> None:
    """A member that takes its events one by one, each in less than `extend_for_s`, loses none of
    those that wait, however long all of them take: else they would be parked untouched.
    """
    clock = Clock(events=3)
    await clock.deliver(1)
    first = await anext(clock.work)
    clock.now_s = 500.0
    await first.ack()
    await anext(clock.work)
    clock.now_s = 900.0
    assert await clock.extended() == ["1-1", "2-1"]
    clock.now_s = 1150.0
    assert await clock.extended() == []


async def test_what_was_not_settled_in_time_is_handed_over_again() -> None:
    """Who got an event and forgot it, or works on it for longer than `extend_for_s`, has lost it:
    it comes again, counts against the credit once, and only the newer one can be settled.
    """
    clock = Clock(events=1)
    await clock.deliver(1)
    forgotten = await anext(clock.work)
    clock.now_s = 599.0
    await clock.deliver(2)
    assert clock.work._waiting.empty()
    clock.now_s = 700.0
    await clock.deliver(3)
    again = await anext(clock.work)
    assert (again.attempt, again.lease) == (3, "0-3")
    await forgotten.ack()
    await again.ack()
    settled = [each.settlement.leases for each in clock.stream.written if each.settlement.number]
    assert settled == [["0-3"]]
    assert sum(each.credit.events for each in clock.stream.written) == 3
