"""Subscriptions against a gateway whose streams break in planned ways."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from payhub.events.v1 import event_pb2

import payhub_client
from payhub_client import Delivery, NoticeKind, errors, retries
from tests.integration.client import conftest, fake_log, fake_payments

FakeLog = fake_log.FakeLog
Stream = fake_log.Stream
Closing = fake_log.Closing
Code = grpc.StatusCode


class Sleeps:
    """Notes the waits that the client asks for, and takes none of them."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Note a wait and let others run."""
        self.asked_s.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def sleeps() -> Sleeps:
    """The waits of `hasty`."""
    return Sleeps()


@pytest.fixture
async def hasty(log: FakeLog, sleeps: Sleeps) -> AsyncIterator[payhub_client.Client]:
    """A client that notes its waits instead of taking them."""
    async with payhub_client.Client(
        log.target,
        key=conftest.KEY,
        events_target=log.target,
        timing=retries.Timing(sleep=sleeps, chance=lambda: 0.0),
    ) as made:
        yield made


async def take(subscription: payhub_client.Subscription, count: int) -> list[Delivery]:
    """The next `count` deliveries."""
    return [await anext(subscription) for _ in range(count)]


def numbers(deliveries: list[Delivery]) -> list[int]:
    """The events' numbers in the log, from 1."""
    return [delivery.event.position // 2 for delivery in deliveries]


@pytest.mark.parametrize("responses", [1, 2, 3])
async def test_streams_that_drop_at_every_response_lose_and_repeat_nothing(
    hasty: payhub_client.Client, log: FakeLog, responses: int
) -> None:
    """Across streams that each die after a response or two, each event comes once, in order."""
    log.append(40)
    # A stream's first response only confirms it, so one that sends no more makes no progress.
    log.streams = [Stream(responses=max(responses, 1 + n % 2)) for n in range(60)]
    async with hasty.events.subscribe(start="oldest") as subscription:
        got = await take(subscription, 40)
        log.append(10)
        got += await take(subscription, 10)
    assert numbers(got) == [*range(1, 51)]
    assert len(log.opened) > 50 / (log.batch * max(responses - 1, 1))


async def test_what_is_sent_again_is_dropped(hasty: payhub_client.Client, log: FakeLog) -> None:
    """Events at or below the last position handed over are dropped, even in a mixed batch."""
    log.append(12)
    log.overlap = 2
    log.default = Stream(responses=2)
    async with hasty.events.subscribe(start="oldest") as subscription:
        assert numbers(await take(subscription, 12)) == [*range(1, 13)]


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6, 7])
async def test_any_stored_cursor_resumes_without_loss(
    client: payhub_client.Client, log: FakeLog, stop: int
) -> None:
    """Stopping after any event and resuming from either cursor misses nothing."""
    log.append(7)
    async with client.events.subscribe(start="oldest") as subscription:
        got = await take(subscription, stop)
        safe, stored = subscription.cursor, got[-1].cursor
    for cursor, done in ((stored, stop), (safe, stop - 1)):
        log.append(1)
        last = len(log.events)
        async with client.events.subscribe(after=cursor) as subscription:
            resumed = numbers([await anext(subscription)])
            while resumed[-1] != last:
                resumed += numbers([await anext(subscription)])
        assert resumed == [*range(resumed[0], last + 1)]
        assert resumed[0] <= done + 1


async def test_the_last_cursor_of_a_batch_repeats_nothing(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """The cursor stored after the last event of a response resumes right behind it."""
    log.append(6)
    async with client.events.subscribe(start="oldest") as subscription:
        cursor = (await take(subscription, 3))[-1].cursor
    async with client.events.subscribe(after=cursor) as subscription:
        assert numbers(await take(subscription, 1)) == [4]


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
        assert numbers([await first]) == [6]


async def test_a_silent_stream_is_replaced(client: payhub_client.Client, log: FakeLog) -> None:
    """After 2.5 heartbeats without a response the stream is given up and reopened."""
    log.append(2)
    log.heartbeat_s = 0.05
    log.streams = [Stream(responses=1, then="silence"), Stream(responses=2, then="silence")]
    notices: list[payhub_client.Notice] = []
    began_s = time.monotonic()
    async with client.events.subscribe(start="oldest", on_notice=notices.append) as subscription:
        got = await take(subscription, 2)
        log.append(1)
        got += await take(subscription, 1)
    assert numbers(got) == [1, 2, 3]
    assert 2 * 2.5 * log.heartbeat_s <= time.monotonic() - began_s < 20
    reconnecting = [each for each in notices if each.kind is NoticeKind.RECONNECTING]
    assert "no sign of life" in reconnecting[0].text


async def test_a_closing_notice_says_when_to_come_back(
    hasty: payhub_client.Client, log: FakeLog, sleeps: Sleeps
) -> None:
    """After a closing notice the client waits as long as the server asks, then resumes."""
    log.append(4)
    closing = Stream(
        responses=2, then="end", closing=Closing.REASON_DRAINING, reconnect_after_s=3.5
    )
    log.streams = [closing, closing]
    notices: list[payhub_client.Notice] = []
    async with hasty.events.subscribe(start="oldest", on_notice=notices.append) as subscription:
        assert numbers(await take(subscription, 4)) == [1, 2, 3, 4]
    assert sleeps.asked_s[0] == 3.5
    assert [each.kind for each in notices[:4]] == [
        NoticeKind.STARTED,
        NoticeKind.CLOSING,
        NoticeKind.RECONNECTING,
        NoticeKind.STARTED,
    ]


async def test_a_gateway_that_keeps_failing_is_left_alone_longer_each_time(
    hasty: payhub_client.Client, log: FakeLog, sleeps: Sleeps
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
        await take(subscription, 3)
        log.append(1)
        await take(subscription, 1)
    assert sleeps.asked_s == pytest.approx([0.05, 0.1, 0.2, 9, 0.05])


async def test_stop_at_head_ends_the_iteration(client: payhub_client.Client, log: FakeLog) -> None:
    """END_REACHED ends the iteration, after everything up to the head, drops included."""
    log.append(8)
    log.streams = [Stream(responses=2), Stream(responses=2)]
    subscription = client.events.subscribe(start="oldest", stop_at_head=True)
    assert numbers([each async for each in subscription]) == [*range(1, 9)]
    assert subscription.cursor == "e1:16"


async def test_a_revoked_key_ends_the_subscription(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """AUTH_EXPIRED raises Unauthenticated instead of reconnecting."""
    log.streams = [Stream(responses=1, then="end", closing=Closing.REASON_AUTH_EXPIRED)]
    with pytest.raises(errors.Unauthenticated):
        await anext(client.events.subscribe())
    assert len(log.opened) == 1


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (Code.OUT_OF_RANGE, "CURSOR_EXPIRED", errors.CursorExpired),
        (Code.FAILED_PRECONDITION, "LOG_EPOCH_MISMATCH", errors.LogEpochMismatch),
        (Code.FAILED_PRECONDITION, "CURSOR_AHEAD", errors.CursorAhead),
        (Code.INVALID_ARGUMENT, "CURSOR_INVALID", errors.CursorInvalid),
        (Code.UNAUTHENTICATED, "KEY_INVALID", errors.Unauthenticated),
        (Code.PERMISSION_DENIED, "SCOPE_MISSING", errors.PermissionDenied),
    ],
)
async def test_errors_that_reconnecting_can_not_mend_are_raised(
    client: payhub_client.Client,
    log: FakeLog,
    code: Code,
    reason: str,
    expected: type[errors.PayhubError],
) -> None:
    """A cursor or a key that is of no use is reported once, also in the middle of the log."""
    log.append(3)
    detail = event_pb2.CursorExpired(requested_cursor="e1:6", oldest_cursor="e1:9")
    refusal = fake_payments.status(code, reason, details=[detail])
    log.streams = [Stream(responses=2), Stream(refuse=refusal)]
    async with client.events.subscribe(start="oldest") as subscription:
        await take(subscription, 3)
        with pytest.raises(expected) as caught:
            await anext(subscription)
    assert len(log.opened) == 2
    if isinstance(caught.value, errors.CursorExpired):
        assert caught.value.oldest_cursor == "e1:9"


async def test_another_epoch_is_never_mixed_in(client: payhub_client.Client, log: FakeLog) -> None:
    """A stream that tells of another log epoch ends the subscription, before any of its events."""
    log.append(3)
    log.streams = [Stream(responses=1)]
    log.lenient = True

    def rebuild(_: payhub_client.Notice) -> None:
        log.epoch = "e2"

    subscription = client.events.subscribe(start="oldest", on_notice=rebuild)
    with pytest.raises(errors.LogEpochMismatch):
        await anext(subscription)


async def test_giving_up_is_a_choice(log: FakeLog) -> None:
    """With `give_up_after_s`, nothing received for so long raises Unavailable."""
    log.default = Stream(refuse=fake_payments.status(Code.UNAVAILABLE))
    now_s = 0.0

    async def pass_by(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    timing = retries.Timing(monotonic_s=lambda: now_s, sleep=pass_by, chance=lambda: 0.0)
    async with payhub_client.Client(
        log.target, key="k", events_target=log.target, timing=timing
    ) as client:
        with pytest.raises(errors.Unavailable, match=r"nothing received for 0\.8 s"):
            await anext(client.events.subscribe(give_up_after_s=1.0))
    # After waits of 0.05, 0.1, 0.2 and 0.4 s: another one would take too long.
    assert len(log.opened) == 5


async def test_time_at_work_is_no_silence(log: FakeLog) -> None:
    """A reader that was busy for longer than `give_up_after_s` while its stream broke goes on."""
    log.append(2)
    log.batch, log.streams = 1, [Stream(responses=2)]
    now_s = 0.0

    async def pass_by(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    timing = retries.Timing(monotonic_s=lambda: now_s, sleep=pass_by, chance=lambda: 0.0)
    async with payhub_client.Client(
        log.target, key="k", events_target=log.target, timing=timing
    ) as client:
        subscription = client.events.subscribe(start="oldest", give_up_after_s=1.0)
        got = await take(subscription, 1)
        now_s += 600.0
        got += await take(subscription, 1)
    assert numbers(got) == [1, 2]
    assert len(log.opened) == 2


async def test_a_bug_in_the_gateway_is_not_hidden_for_ever(
    hasty: payhub_client.Client, log: FakeLog
) -> None:
    """INTERNAL is retried a few times, then raised with its request id."""
    log.default = Stream(
        refuse=fake_payments.status(
            Code.INTERNAL, "INTERNAL", retry="same_key", metadata={"request_id": "req_9"}
        )
    )
    with pytest.raises(errors.Internal) as caught:
        await anext(hasty.events.subscribe())
    assert caught.value.request_id == "req_9"
    assert 2 < len(log.opened) < 10


async def test_closing_wakes_a_reader_that_waits(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """`close` from another task ends the iteration without an error."""
    started = asyncio.Event()
    subscription = client.events.subscribe(on_notice=lambda _: started.set())

    async def read() -> list[Delivery]:
        return [each async for each in subscription]

    reader = asyncio.create_task(read())
    await started.wait()
    subscription.close()
    assert await reader == []
    assert not reader.cancelled()


async def test_closing_the_client_ends_its_subscriptions(log: FakeLog) -> None:
    """A reader whose client is closed stops without an error."""
    started = asyncio.Event()
    client = payhub_client.Client(log.target, key="k", events_target=log.target)
    subscription = client.events.subscribe(on_notice=lambda _: started.set())

    async def read() -> list[Delivery]:
        return [each async for each in subscription]

    reader = asyncio.create_task(read())
    await started.wait()
    await client.close()
    assert await reader == []


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("connect_timeout_s", [0.05, 60.0])
async def test_closing_ends_readers_that_wait_for_a_stream(
    whole: bool, connect_timeout_s: float
) -> None:
    """Who closes a subscription, a member or the client waits for no connection and no pause."""

    async def pause(_: float) -> None:
        await asyncio.Event().wait()

    client = payhub_client.Client(
        "127.0.0.1:9",
        key="k",
        events_target="127.0.0.1:9",
        connect_timeout_s=connect_timeout_s,
        timing=retries.Timing(sleep=pause),
    )
    subscription = client.events.subscribe()

    async def read(of: AsyncIterator[object]) -> list[object]:
        return [each async for each in of]

    async with client.consume("work") as work:
        readers = [asyncio.create_task(read(each)) for each in (subscription, work)]
        await asyncio.sleep(0.2)
        if whole:
            await client.close()
        else:
            subscription.close()
            await work.close()
        assert await asyncio.wait_for(asyncio.gather(*readers), 10) == [[], []]
    await client.close()


async def test_a_read_that_was_given_up_loses_nothing(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """A reader may time out while waiting and go on later: nothing is lost or repeated."""
    log.append(2)
    async with client.events.subscribe(start="oldest") as subscription:
        got = await take(subscription, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.1)
        log.append(2)
        got += await take(subscription, 2)
    assert numbers(got) == [1, 2, 3, 4]


async def test_a_canceled_reader_sees_its_cancellation(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """Canceling the reading task raises CancelledError in it."""
    started = asyncio.Event()
    subscription = client.events.subscribe(on_notice=lambda _: started.set())
    reader = asyncio.create_task(anext(subscription))
    await started.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_requests_say_what_was_asked_for(client: payhub_client.Client, log: FakeLog) -> None:
    """Filter, start, sizes and credentials reach the gateway, again at each reconnect."""
    log.append(3)
    log.streams = [Stream(responses=2)]
    where = payhub_client.EventFilter(types=iter(["payment.*"]), entity_ids=["pay_1"])
    async with client.events.subscribe(
        where, start="oldest", heartbeat_s=1.5, max_batch_events=7, client_name="t"
    ) as subscription:
        await take(subscription, 3)
        log.append(1)
        await take(subscription, 1)
    first, second = log.opened
    assert list(first.filter.types) == list(second.filter.types) == ["payment.*"]
    assert first.heartbeat_interval.ToMilliseconds() == 1500
    assert (first.max_batch_events, first.client_name) == (7, "t")
    assert second.start.after_cursor == "e1:6"
    assert log.metadata[1]["authorization"] == f"Bearer {conftest.KEY}"
