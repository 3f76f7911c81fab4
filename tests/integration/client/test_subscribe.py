"""Subscriptions against a gateway whose streams break in planned ways."""

import asyncio
import time

import grpc
import pytest

import payhub_client
from payhub_client import NoticeKind
from tests.integration.client import conftest, fake_log, fake_payments, reading

FakeLog = fake_log.FakeLog
Stream = fake_log.Stream
Closing = fake_log.Closing
Code = grpc.StatusCode


@pytest.mark.parametrize("responses", [1, 2, 3])
async def test_streams_that_drop_at_every_response_lose_and_repeat_nothing(
    hasty: payhub_client.Client, log: FakeLog, responses: int
) -> None:
    """Across streams that each die after a response or two, each event comes once, in order."""
    log.append(40)
    # A stream's first response only confirms it, so one that sends no more makes no progress.
    log.streams = [Stream(responses=max(responses, 1 + n % 2)) for n in range(60)]
    async with hasty.events.subscribe(start="oldest") as subscription:
        got = await reading.take(subscription, 40)
        log.append(10)
        got += await reading.take(subscription, 10)
    assert reading.numbers(got) == [*range(1, 51)]
    assert len(log.opened) > 50 / (log.batch * max(responses - 1, 1))


async def test_what_is_sent_again_is_dropped(hasty: payhub_client.Client, log: FakeLog) -> None:
    """Events at or below the last position handed over are dropped, even in a mixed batch."""
    log.append(12)
    log.overlap = 2
    log.default = Stream(responses=2)
    async with hasty.events.subscribe(start="oldest") as subscription:
        assert reading.numbers(await reading.take(subscription, 12)) == [*range(1, 13)]


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6, 7])
async def test_any_stored_cursor_resumes_without_loss(
    client: payhub_client.Client, log: FakeLog, stop: int
) -> None:
    """Stopping after any event and resuming from either cursor misses nothing."""
    log.append(7)
    async with client.events.subscribe(start="oldest") as subscription:
        got = await reading.take(subscription, stop)
        safe, stored = subscription.cursor, got[-1].cursor
    for cursor, done in ((stored, stop), (safe, stop - 1)):
        log.append(1)
        last = len(log.events)
        async with client.events.subscribe(after=cursor) as subscription:
            resumed = reading.numbers([await anext(subscription)])
            while resumed[-1] != last:
                resumed += reading.numbers([await anext(subscription)])
        assert resumed == [*range(resumed[0], last + 1)]
        assert resumed[0] <= done + 1


async def test_the_last_cursor_of_a_batch_repeats_nothing(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """The cursor stored after the last event of a response resumes right behind it."""
    log.append(6)
    async with client.events.subscribe(start="oldest") as subscription:
        cursor = (await reading.take(subscription, 3))[-1].cursor
    async with client.events.subscribe(after=cursor) as subscription:
        assert reading.numbers(await reading.take(subscription, 1)) == [4]


async def test_batches_carry_cursors_without_events_too(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """`batches` yields what a response held; the cursor becomes safe on asking for the next."""
    log.append(4)
    async with client.events.subscribe(start="oldest") as subscription:
        batches = subscription.batches()
        first = await anext(batches)
        while not first.events:
            first = await anext(batches)
        assert [event.position for event in first.events] == [2, 4, 6]
        assert subscription.cursor != first.cursor
        second = await anext(batches)
        assert subscription.cursor in (first.cursor, second.cursor)
        assert [event.position for event in second.events] == [8]
        assert second.live
        await batches.aclose()


async def test_newest_starts_behind_what_is_there(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """Without a cursor only later events come, and the first response is a place to resume."""
    log.append(5)
    started = asyncio.Event()
    async with client.events.subscribe(on_notice=lambda _: started.set()) as subscription:
        first = asyncio.create_task(anext(subscription))
        await started.wait()
        log.append(1)
        assert reading.numbers([await first]) == [6]


async def test_a_silent_stream_is_replaced(client: payhub_client.Client, log: FakeLog) -> None:
    """After 2.5 heartbeats without a response the stream is given up and reopened."""
    log.append(2)
    log.heartbeat_s = 0.05
    log.streams = [Stream(responses=1, then="silence"), Stream(responses=2, then="silence")]
    notices: list[payhub_client.Notice] = []
    began_s = time.monotonic()
    async with client.events.subscribe(start="oldest", on_notice=notices.append) as subscription:
        got = await reading.take(subscription, 2)
        log.append(1)
        got += await reading.take(subscription, 1)
    assert reading.numbers(got) == [1, 2, 3]
    assert 2 * 2.5 * log.heartbeat_s <= time.monotonic() - began_s < 20
    reconnecting = [each for each in notices if each.kind is NoticeKind.RECONNECTING]
    assert "no sign of life" in reconnecting[0].text


async def test_a_closing_notice_says_when_to_come_back(
    hasty: payhub_client.Client, log: FakeLog, sleeps: reading.Sleeps
) -> None:
    """After a closing notice the client waits as long as the server asks, then resumes."""
    log.append(4)
    closing = Stream(
        responses=2, then="end", closing=Closing.REASON_DRAINING, reconnect_after_s=3.5
    )
    log.streams = [closing, closing]
    notices: list[payhub_client.Notice] = []
    async with hasty.events.subscribe(start="oldest", on_notice=notices.append) as subscription:
        assert reading.numbers(await reading.take(subscription, 4)) == [1, 2, 3, 4]
    assert sleeps.asked_s[0] == 3.5
    assert [each.kind for each in notices[:4]] == [
        NoticeKind.STARTED,
        NoticeKind.CLOSING,
        NoticeKind.RECONNECTING,
        NoticeKind.STARTED,
    ]


async def test_a_gateway_that_keeps_failing_is_left_alone_longer_each_time(
    hasty: payhub_client.Client, log: FakeLog, sleeps: reading.Sleeps
) -> None:
    """Waits double while nothing is received, honour RetryInfo, and start anew after progress."""
    unavailable = Stream(refuse=fake_payments.status(Code.UNAVAILABLE))
    overloaded = Stream(
        refuse=fake_payments.status(
            Code.RESOURCE_EXHAUSTED, "OVERLOADED", retry="same_key", retry_after_s=9
        )
    )
    log.append(3)
    log.streams = [unavailable, unavailable, unavailable, overloaded, Stream(responses=2)]
    async with hasty.events.subscribe(start="oldest") as subscription:
        await reading.take(subscription, 3)
        log.append(1)
        await reading.take(subscription, 1)
    assert sleeps.asked_s == pytest.approx([0.05, 0.1, 0.2, 9, 0.05])


async def test_stop_at_head_ends_the_iteration(client: payhub_client.Client, log: FakeLog) -> None:
    """END_REACHED ends the iteration, after everything up to the head, drops included."""
    log.append(8)
    log.streams = [Stream(responses=2), Stream(responses=2)]
    subscription = client.events.subscribe(start="oldest", stop_at_head=True)
    assert reading.numbers([each async for each in subscription]) == [*range(1, 9)]
    assert subscription.cursor == "e1:16"


async def test_requests_say_what_was_asked_for(client: payhub_client.Client, log: FakeLog) -> None:
    """Filter, start, sizes and credentials reach the gateway, again at each reconnect."""
    log.append(3)
    log.streams = [Stream(responses=2)]
    where = payhub_client.EventFilter(types=iter(["payment.*"]), entity_ids=["pay_1"])
    async with client.events.subscribe(
        where, start="oldest", heartbeat_s=1.5, max_batch_events=7, client_name="t"
    ) as subscription:
        await reading.take(subscription, 3)
        log.append(1)
        await reading.take(subscription, 1)
    first, second = log.opened
    assert list(first.filter.types) == list(second.filter.types) == ["payment.*"]
    assert first.heartbeat_interval.ToMilliseconds() == 1500
    assert (first.max_batch_events, first.client_name) == (7, "t")
    assert second.start.after_cursor == "e1:6"
    assert log.metadata[1]["authorization"] == f"Bearer {conftest.KEY}"
