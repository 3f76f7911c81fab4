"""How subscriptions end: by what reconnecting can not mend, by giving up, by being closed."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from payhub.events.v1 import event_pb2

import payhub_client
from payhub_client import Delivery, errors, retries
from tests.integration.client import fake_log, fake_payments, reading

FakeLog = fake_log.FakeLog
Stream = fake_log.Stream
Closing = fake_log.Closing
Code = grpc.StatusCode


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
        await reading.take(subscription, 3)
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
    time = reading.Time()
    async with payhub_client.Client(
        log.target, key="k", events_target=log.target, timing=time.timing()
    ) as client:
        with pytest.raises(errors.Unavailable, match=r"nothing received for 0\.8 s"):
            await anext(client.events.subscribe(give_up_after_s=1.0))
    # After waits of 0.05, 0.1, 0.2 and 0.4 s: another one would take too long.
    assert len(log.opened) == 5


async def test_time_at_work_is_no_silence(log: FakeLog) -> None:
    """A reader that was busy for longer than `give_up_after_s` while its stream broke goes on."""
    log.append(2)
    log.batch, log.streams = 1, [Stream(responses=2)]
    time = reading.Time()
    async with payhub_client.Client(
        log.target, key="k", events_target=log.target, timing=time.timing()
    ) as client:
        subscription = client.events.subscribe(start="oldest", give_up_after_s=1.0)
        got = await reading.take(subscription, 1)
        time.now_s += 600.0
        got += await reading.take(subscription, 1)
    assert reading.numbers(got) == [1, 2]
    assert len(log.opened) == 2


async def test_time_between_reads_that_were_given_up_is_no_silence(log: FakeLog) -> None:
    """Nor is time at work after a read that timed out."""
    log.append(1)
    time = reading.Time()
    async with payhub_client.Client(
        log.target, key="k", events_target=log.target, timing=time.timing()
    ) as client:
        subscription = client.events.subscribe(start="oldest", give_up_after_s=1.0)
        got = await reading.take(subscription, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.1)
        time.now_s += 600.0
        log.streams = [Stream(refuse=fake_payments.status(Code.UNAVAILABLE))]
        log.append(1)
        got += await reading.take(subscription, 1)
    assert reading.numbers(got) == [1, 2]
    assert len(log.opened) == 3


async def test_a_gateway_may_take_longer_to_open_a_stream_than_to_beat(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """Who wishes quick heartbeats still learns why its cursor is of no use, which takes time; who
    gives up sooner does so.
    """
    refusal = fake_payments.status(Code.FAILED_PRECONDITION, "CURSOR_AHEAD")
    log.streams = [Stream(refuse=refusal, opens_after_s=0.5)]
    with pytest.raises(errors.CursorAhead):
        await anext(client.events.subscribe(after="e1:99", heartbeat_s=0.02))
    assert len(log.opened) == 1
    for heartbeat_s in (0.02, None):
        log.streams = [Stream(opens_after_s=60.0)]
        with pytest.raises(errors.Unavailable, match="nothing received"):
            await asyncio.wait_for(
                anext(client.events.subscribe(heartbeat_s=heartbeat_s, give_up_after_s=0.3)), 20
            )


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


async def test_closing_wakes_a_reader_that_waits(client: payhub_client.Client) -> None:
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


@pytest.mark.parametrize("whole", [False, True])
async def test_nothing_is_handed_over_after_closing(
    client: payhub_client.Client, log: FakeLog, whole: bool
) -> None:
    """What is left of a response then comes again to whoever resumes with the cursor."""
    log.append(3)
    closing = payhub_client.Client(log.target, key="k", events_target=log.target)
    subscription = closing.events.subscribe(start="oldest")
    got = []
    async for delivery in subscription:
        got.append(delivery)
        if whole:
            await closing.close()
        else:
            subscription.close()
    await closing.close()
    assert reading.numbers(got) == [1]
    async with client.events.subscribe(after=subscription.cursor) as resumed:
        assert reading.numbers(await reading.take(resumed, 3)) == [1, 2, 3]


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
        got = await reading.take(subscription, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.1)
        log.append(2)
        got += await reading.take(subscription, 2)
    assert reading.numbers(got) == [1, 2, 3, 4]


async def test_a_canceled_reader_sees_its_cancellation(client: payhub_client.Client) -> None:
    """Canceling the reading task raises CancelledError in it."""
    started = asyncio.Event()
    subscription = client.events.subscribe(on_notice=lambda _: started.set())
    reader = asyncio.create_task(anext(subscription))
    await started.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
