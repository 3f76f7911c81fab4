"""Client.consume against a gateway whose streams break at planned moments."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc.aio import _call
from grpc_status import rpc_status
from payhub.events.v1 import consumer_pb2, consumer_service_pb2, consumer_service_pb2_grpc

import payhub_client
from payhub_client import consumption, errors, retries
from servicekit import ports
from tests.integration.client import conftest, fake_payments
from tests.integration.gateway import harness

Response = consumer_service_pb2.ConsumeResponse


@dataclass(slots=True, kw_only=True)
class Gateway(consumer_service_pb2_grpc.ConsumerServiceServicer):
    """Hands `events` to its first stream and confirms settlements on later ones.

    The next `breaks` end early: each even one before its first response, the others after it.
    """

    events: int
    times: int = 1
    breaks: int = 0
    refusal: grpc.StatusCode | None = None
    why: str = "refused"
    reason: str = ""
    refusals: int = 99
    confirms: bool = True
    streams: int = 0
    sent: int = 0
    credit: int = 0
    numbers: list[int] = field(default_factory=list)
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def Consume(self, requests: Any, context: Any) -> Any:  # noqa: D102
        self.streams += 1
        number = self.streams
        if 1 < number <= 1 + self.refusals and self.refusal is not None:
            status = fake_payments.status(
                self.refusal, self.reason, text=self.why, retry="same_key"
            )
            await context.abort_with_status(rpc_status.to_status(status))
        self.credit = (await anext(aiter(requests))).join.credit
        breaks = 1 < number <= 1 + self.breaks
        if breaks and number % 2 == 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
        yield self._first(deliveries=self.events if number == 1 else 0)
        if number == 1:
            for _ in range(self.times - 1):
                yield self._first(deliveries=self.events)
            listening = asyncio.create_task(self._listen(requests))
            await self.broken.wait()
            listening.cancel()
            return
        if breaks:
            for _ in range(number):
                await anext(aiter(requests))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
        async for request in requests:
            self._take(request)
            if request.HasField("settlement") and self.confirms:
                yield Response(settled_through=request.settlement.number)

    def _first(self, *, deliveries: int) -> Response:
        response = Response()
        response.heartbeat_interval.seconds = 5
        for number in range(deliveries):
            delivery = response.deliveries.add(lease=f"lease-{number}", attempt=1)
            delivery.event.id = f"evt_{number}"
            delivery.deadline.seconds = 60
        self.sent, self.credit = self.sent + 1, self.credit - deliveries
        return response

    async def _listen(self, requests: Any) -> None:
        async for request in requests:
            self._take(request)

    def _take(self, request: Any) -> None:
        if request.HasField("credit"):
            self.credit += request.credit.events
        elif request.settlement.number:
            self.numbers.append(request.settlement.number)


@contextlib.asynccontextmanager
async def consuming(
    gateway: consumer_service_pb2_grpc.ConsumerServiceServicer,
    *,
    max_in_flight: int = 100,
    on_notice: Callable[[payhub_client.Notice], None] | None = None,
) -> AsyncIterator[consumption.Consumption]:
    """A member at `gateway`."""
    server = grpc.aio.server()
    consumer_service_pb2_grpc.add_ConsumerServiceServicer_to_server(gateway, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with payhub_client.Client(
            target, key=conftest.KEY, events_target=target, backoff=conftest.BACKOFF
        ) as client:
            yield client.consume(
                "work", heartbeat_s=5, max_in_flight=max_in_flight, on_notice=on_notice
            )
    finally:
        await server.stop(None)


async def test_settlements_outlive_streams_that_break_under_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streams that end while settlements are sent again are followed by another one, on which
    each is sent once and as much may be delivered as is wished.
    """
    gateway = Gateway(events=50, breaks=3)
    write = _call.StreamStreamCall.write

    async def slowly(call: Any, request: Any) -> None:
        await write(call, request)
        if 1 < gateway.streams <= 1 + gateway.breaks:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(_call.StreamStreamCall, "write", slowly)
    async with consuming(gateway) as work, work:
        received = [await anext(work) for _ in range(50)]
        gateway.broken.set()
        for each in received:
            await each.ack()
        await asyncio.wait_for(work.flush(), 20)
        assert gateway.streams == 5
        assert gateway.numbers[-50:] == list(range(1, 51))
        await harness.until(lambda: gateway.credit == 100)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.NOT_FOUND])
async def test_a_refusal_is_seen_whatever_is_still_to_be_settled(code: grpc.StatusCode) -> None:
    """A stream that is refused for good ends the consumption with the reason."""
    gateway = Gateway(events=200, refusal=code)
    async with consuming(gateway) as work, work:
        for _ in range(200):
            await (await anext(work)).ack()
        gateway.broken.set()
        with pytest.raises(errors.PayhubError) as caught:
            await asyncio.wait_for(work.flush(), 20)
    assert caught.value.code is code


async def test_what_every_stream_meets_again_is_not_hidden_for_ever() -> None:
    """INTERNAL, a bug, ends the consumption after a few streams, as it does a subscription; a
    message that is too large to be received does at once.
    """
    bug = Gateway(events=1, refusal=grpc.StatusCode.INTERNAL, reason="INTERNAL")
    oversize = Gateway(
        events=1,
        refusal=grpc.StatusCode.RESOURCE_EXHAUSTED,
        why="Received message larger than max (5 vs. 4)",
    )
    for gateway in (bug, oversize):
        async with consuming(gateway) as work, work:
            await anext(work)
            gateway.broken.set()
            with pytest.raises(errors.PayhubError) as caught:
                await asyncio.wait_for(anext(work), 20)
        assert caught.value.code is gateway.refusal
    assert 3 < bug.streams < 10
    assert oversize.streams == 2


@pytest.mark.parametrize("code", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL])
async def test_connections_that_break_are_no_bug_of_the_gateway(code: grpc.StatusCode) -> None:
    """What gRPC itself says of a stream that broke, however often in a row, ends nothing: the
    settlements reach the first stream that lives.
    """
    gateway = Gateway(events=1, refusal=code, why="Stream removed", refusals=8)
    async with consuming(gateway) as work, work:
        received = await anext(work)
        gateway.broken.set()
        await received.ack()
        await asyncio.wait_for(work.flush(), 20)
    assert gateway.streams == 10
    assert gateway.numbers[-1:] == [1]


async def test_a_gateway_that_is_away_is_asked_less_and_less_often() -> None:
    """The time that a connection is waited for is no sign of a stream that was healthy."""
    waits: list[float] = []
    enough = asyncio.Event()

    def note(notice: payhub_client.Notice) -> None:
        waits.append(notice.wait_s)
        if len(waits) == 4:
            enough.set()

    async with (
        payhub_client.Client(
            target := f"127.0.0.1:{ports.choose(1)[0]}",
            key=conftest.KEY,
            events_target=target,
            connect_timeout_s=0.01,
            timing=retries.Timing(
                monotonic_s=lambda: 1000 * time.monotonic(),
                sleep=lambda _: asyncio.sleep(0),
                chance=lambda: 0.0,
            ),
        ) as client,
        client.consume("work", on_notice=note),
    ):
        await asyncio.wait_for(enough.wait(), 20)
    assert waits[:4] == sorted(set(waits[:4]))


async def test_what_comes_again_while_it_is_at_work_uses_up_no_credit() -> None:
    """An event that is delivered again to its own member leaves as much credit as before."""
    gateway = Gateway(events=3, times=4)
    async with consuming(gateway, max_in_flight=20) as work, work:
        received = [await anext(work) for _ in range(3)]
        await harness.until(lambda: gateway.sent == 4 and gateway.credit == 17)
        for each in received:
            await each.ack()
        await harness.until(lambda: gateway.credit == 20)
        gateway.broken.set()
        await asyncio.wait_for(work.flush(), 20)


@dataclass(slots=True, kw_only=True)
class Forgetful(consumer_service_pb2_grpc.ConsumerServiceServicer):
    """Hands out three events, breaks, and knows none of the leases any more on the next stream,
    where it hands out the third again.
    """

    streams: int = 0
    credit: int = 0
    acked: list[str] = field(default_factory=list)
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def Consume(self, requests: Any, context: Any) -> Any:  # noqa: D102
        self.streams += 1
        self.credit = (await anext(aiter(requests))).join.credit
        if self.streams == 1:
            yield self._handing("old", 0, 1, 2)
            await self.broken.wait()
            return
        yield self._handing("new")
        async for request in requests:
            self.credit += request.credit.events
            settlement = request.settlement
            if settlement.verdict == consumer_pb2.Settlement.VERDICT_EXTEND:
                answer = self._handing("new", 2)
                for lease in settlement.leases:
                    if lease.startswith("old"):
                        answer.failures.add(lease=lease, reason="REASON_UNKNOWN")
                yield answer
            elif settlement.number:
                self.acked += settlement.leases
                yield Response(settled_through=settlement.number)

    def _handing(self, leases: str, *numbers: int) -> Response:
        response = Response()
        response.heartbeat_interval.seconds = 5
        for number in numbers:
            delivery = response.deliveries.add(lease=f"{leases}-{number}", attempt=1)
            delivery.event.id = f"evt_{number}"
            delivery.deadline.seconds = 60
        self.credit -= len(numbers)
        return response


async def test_what_waits_and_may_be_with_another_member_is_not_handed_over() -> None:
    """Events whose leases a gateway does not know after a restart come again to whoever: of those
    that wait none is handed over, and their credit comes back; what is at work goes on.
    """
    gateway = Forgetful()
    async with consuming(gateway, max_in_flight=10) as work, work:
        first = await anext(work)
        gateway.broken.set()
        await harness.until(lambda: gateway.streams == 2 and gateway.credit == 8)
        await first.ack()
        third = await asyncio.wait_for(anext(work), 20)
        await third.ack()
        await asyncio.wait_for(work.flush(), 20)
    assert (first.event.id, third.event.id) == ("evt_0", "evt_2")
    assert gateway.acked == ["old-0", "new-2"]


async def test_waiting_for_what_can_not_become_durable_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`flush` raises once the member has left with settlements that were not confirmed."""
    monkeypatch.setattr(consumption, "CLOSE_WITHIN_S", 0.2)
    gateway = Gateway(events=1, confirms=False)
    async with consuming(gateway) as work:
        async with work:
            await (await anext(work)).ack()
            flushing = asyncio.create_task(work.flush())
            await asyncio.sleep(0)
        with pytest.raises(errors.OutcomeUnknown):
            await asyncio.wait_for(flushing, 10)
        with pytest.raises(errors.OutcomeUnknown):
            await asyncio.wait_for(work.flush(), 10)


async def test_what_a_callback_raises_reaches_who_iterates() -> None:
    """An exception of `on_notice` is raised from the iteration rather than ending it quietly."""

    def fails(notice: payhub_client.Notice) -> None:
        raise LookupError(notice.text)

    async with consuming(Gateway(events=1), on_notice=fails) as work, work:
        with pytest.raises(LookupError):
            await asyncio.wait_for(anext(work), 10)


async def test_a_settlement_that_is_canceled_ends_nothing_else() -> None:
    """Whoever gives up in the middle of `ack` neither ends the stream nor the consumption."""
    gateway = Gateway(events=2)
    async with consuming(gateway) as work, work:
        first, second = [await anext(work) for _ in range(2)]
        settling = asyncio.create_task(first.ack())
        await asyncio.sleep(0)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        await second.ack()
        await harness.until(lambda: gateway.numbers == [1, 2])
        assert gateway.streams == 1
        gateway.broken.set()
        await asyncio.wait_for(work.flush(), 20)


async def test_a_close_that_is_canceled_leaves_no_member_behind() -> None:
    """The stream ends, and with it the hold on events, also if nobody waits for `close`."""
    gateway = Gateway(events=2, confirms=False)
    async with consuming(gateway) as work, work:
        gateway.broken.set()
        await (await anext(work)).ack()
        await harness.until(lambda: gateway.streams == 2 and bool(gateway.numbers))
        closing = asyncio.create_task(work.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        assert work._task is not None
        assert work._task.done()
