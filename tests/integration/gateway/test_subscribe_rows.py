"""Subscribe, row by row: the cases that `test_subscribe` and its neighbours do not hold.

Each test is named after its row. Rows that have their test elsewhere: guarantee and cursor
rule (`test_cursor_rule`), gateway restart, reconnect storm, tenant filter outside the scope,
heartbeat (`test_subscribe`), crash and cursor of another epoch (`test_crashes`,
`test_lost_history`), malformed cursor (`test_queries`), cursor beyond the head (`test_tail`), the
warning before retention overtakes (`tests/unit/gateway/test_subscription`).
"""

import asyncio
import datetime
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

# One response is taken from the wire at a time, as slow as the reader is.
SLOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))


def kind(response: Any) -> Any:
    """Which notice a response carries."""
    return response.notice.WhichOneof("kind")


def place(response: Any) -> int:
    """The position of a response's cursor."""
    return cursor.decode(response.cursor).position


async def flood(client: harness.Client, tenant: str, count: int, size: int = 20_000) -> None:
    """Publishes *count* batches of fifty events of *size* bytes."""
    for _ in range(count):
        await client.publish(*(event(tenant, data=b"x" * size) for _ in range(50)))


async def test_row_start_at_a_time(gateway: harness.Gateway, tenant: str) -> None:
    """Reading begins with the first event accepted at or after the moment; a moment to come
    is refused.
    """
    client = gateway.tenant(tenant)
    await client.publish(event(tenant), event(tenant))
    made = event(tenant)
    accepted = (await client.publish(made)).results[0].append_time
    await client.publish(event(tenant))
    call = client.subscribe(start={"from_time": accepted}, stop_at_head=True)
    received = harness.events_of(await harness.take_all(call))
    assert received[0].id == made.id
    assert len(received) == 2
    epoch = timestamp_pb2.Timestamp(seconds=1)
    call = client.subscribe(start={"from_time": epoch}, stop_at_head=True)
    assert len(harness.events_of(await harness.take_all(call))) == 4
    far = timestamp_pb2.Timestamp()
    far.FromDatetime(datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(hours=1))
    for wrong in (far, timestamp_pb2.Timestamp(seconds=2**62)):
        with pytest.raises(grpc.RpcError) as refused:
            await client.subscribe(start={"from_time": wrong}).read()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_row_filtered_progress(gateway: harness.Gateway, tenant: str) -> None:
    """A filter that selects nothing hears of every stretch it passes, in history and live."""
    client = gateway.tenant(tenant)
    call = client.subscribe(
        start={"anchor": "ANCHOR_OLDEST"},
        filter={"types": ["no.such"]},
        checkpoint_every=1,
        heartbeat_interval={"seconds": 60},
    )
    await harness.until_phase(call, await call.read(), pb.SubscribeResponse.PHASE_LIVE)
    last = 0
    for _ in range(2):
        answer = await client.publish(*(event(tenant) for _ in range(1000)))
        async with asyncio.timeout(harness.TIMEOUT_S):
            response = await call.read()
        assert not response.events
        assert last < place(response) <= answer.head_position
        last = place(response)
    call.cancel()
    history = client.subscribe(
        start={"anchor": "ANCHOR_OLDEST"},
        filter={"types": ["no.such"]},
        checkpoint_every=1000,
        stop_at_head=True,
    )
    responses = await harness.take_all(history)
    assert len(responses) >= 3
    places = [place(one) for one in responses]
    assert places == sorted(places)


async def test_row_event_larger_than_max_batch_bytes(gateway: harness.Gateway, tenant: str) -> None:
    """Responses keep to the wished bytes, and what is larger comes alone; live as in history."""
    client = gateway.tenant(tenant)
    wished = {"max_batch_bytes": 3000, "max_batch_events": 1000}
    live = client.subscribe(**wished)
    await live.read()
    sizes = [1000, 1000, 1000, 5000, 100]
    await client.publish(*(event(tenant, data=b"x" * size) for size in sizes))
    history = client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, stop_at_head=True, **wished)
    for responses in (
        await harness.take_until(live, lambda so_far: len(harness.events_of(so_far)) == 5),
        await harness.take_all(history),
    ):
        shapes = [[len(one.data) for one in each.events] for each in responses if each.events]
        assert shapes == [[1000, 1000], [1000], [5000], [100]]
    live.cancel()


async def test_row_max_batch_delay(gateway: harness.Gateway, tenant: str) -> None:
    """Wished delays become one of the paces; what comes within one is sent together, and a
    stream without a wish does not wait for the others.
    """
    client = gateway.tenant(tenant)
    paced = client.subscribe(max_batch_delay={"nanos": 300_000_000})
    prompt = client.subscribe(max_batch_delay={"nanos": 3_000_000})
    started = [await paced.read(), await prompt.read()]
    delays = [one.notice.started.max_batch_delay.ToMilliseconds() for one in started]
    assert delays == [250, 0]
    began_s = asyncio.get_running_loop().time()
    for _ in range(8):
        await client.publish(event(tenant))
    took_s = asyncio.get_running_loop().time() - began_s
    one_by_one = await harness.take_until(
        prompt, lambda so_far: len(harness.events_of(so_far)) == 8
    )
    together = await harness.take_until(paced, lambda so_far: len(harness.events_of(so_far)) == 8)
    # One at once, then one for each pace begun.
    assert len(together) <= 2 + took_s / 0.25
    assert len(one_by_one) > len(together)
    paced.cancel()
    prompt.cancel()


async def test_row_thin(gateway: harness.Gateway, tenant: str) -> None:
    """A thin stream gets everything but the data, live as in history."""
    client = gateway.tenant(tenant)
    live = client.subscribe(thin=True)
    await live.read()
    made = [event(tenant, data=b"x" * 500, user_id="u-1") for _ in range(3)]
    await client.publish(*made)
    history = client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, thin=True, stop_at_head=True)
    whole = client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, stop_at_head=True)
    expected = harness.events_of(await harness.take_all(whole))
    assert all(one.data for one in expected)
    for one in expected:
        one.ClearField("data")
    assert await harness.take_events(live, 3) == expected
    assert harness.events_of(await harness.take_all(history)) == expected
    live.cancel()


async def test_row_lag_is_visible(gateway: harness.Gateway, tenant: str) -> None:
    """Every response says where the head is and when it came, so a reader knows its lag; and
    so do operators.
    """
    client = gateway.tenant(tenant)
    call = client.subscribe(client_name="ledger", filter={"types": ["payment.*"]})
    await call.read()
    accepted = (await client.publish(event(tenant))).results[0]
    response = await call.read()
    assert response.head_position >= accepted.position
    assert response.head_time.ToMicroseconds() >= accepted.append_time.ToMicroseconds()
    listed: list[Any] = []

    async def counted() -> bool:
        # A response is counted when it was sent, which its reader may learn sooner.
        listed[:] = (await client.list_streams(tenant_id=tenant)).streams
        return bool(listed[0].events_sent)

    await harness.until(counted)
    (shown,) = listed
    assert (shown.client_name, shown.tenant_id) == ("ledger", tenant)
    assert list(shown.filter.types) == ["payment.*"]
    assert list(shown.filter.tenant_ids) == [tenant]
    assert (shown.phase, shown.events_sent) == (pb.SubscribeResponse.PHASE_LIVE, 1)
    assert shown.events_per_second > 0
    assert cursor.decode(shown.cursor).position >= accepted.position
    call.cancel()

    async def gone() -> bool:
        return not (await client.list_streams(tenant_id=tenant)).streams

    await harness.until(gone)
    with pytest.raises(grpc.RpcError) as refused:
        await gateway.tenant(tenant, ["events:read"]).list_streams()
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_row_client_cancels(gateway: harness.Gateway, tenant: str) -> None:
    """Streams that clients break off leave nothing behind, in whatever state they are."""
    client = gateway.tenant(tenant)
    await client.publish(*(event(tenant, data=b"x" * 5000) for _ in range(200)))
    calls = [
        client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, max_batch_events=1) for _ in range(100)
    ]
    for index, call in enumerate(calls):
        for _ in range(index % 3):
            await call.read()
        call.cancel()

    async def gone() -> bool:
        return not (await client.list_streams(tenant_id=tenant)).open_streams

    await harness.until(gone)
    pages = []
    for number in range(5):
        pages.append(client.subscribe(client_name=f"n{number}"))
        await pages[-1].read()
    seen: list[str] = []
    token = ""
    while True:
        page = await client.list_streams(tenant_id=tenant, page_size=2, page_token=token)
        seen += [one.client_name for one in page.streams]
        assert page.open_streams == 5
        token = page.next_page_token
        if not token:
            break
    assert seen == ["n0", "n1", "n2", "n3", "n4"]
    token = (await client.list_streams(tenant_id=tenant, page_size=2)).next_page_token
    for other in ({"page_token": "page2"}, {"page_token": token}):
        with pytest.raises(grpc.RpcError) as refused:
            await client.list_streams(**other)
        assert harness.reason(refused.value) == "PAGE_TOKEN_INVALID"
    for call in pages:
        call.cancel()


async def test_row_slow_reader_stalled(tmp_path: Any) -> None:
    """A reader that takes nothing for the time allowed is ended and freed; the others are
    not, and it learns why when it comes back to life.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    with harness.running(url, EVENT_GATEWAY_STALL_TIMEOUT_S="1") as gateway:
        client = gateway.tenant("one")
        beat = {"seconds": 1}
        dead = gateway.client(client.key, *SLOW).subscribe(heartbeat_interval=beat)
        healthy = client.subscribe()
        await dead.read()
        await healthy.read()
        await flood(client, "one", 20)
        await harness.take_events(healthy, 1000)

        async def only_the_healthy_one() -> bool:
            return bool((await client.list_streams()).open_streams == 1)

        await harness.until(only_the_healthy_one)
        with pytest.raises(grpc.RpcError) as ended:
            await harness.take_all(dead)
        assert ended.value.code() == grpc.StatusCode.ABORTED
        assert harness.reason(ended.value) == "STREAM_STALLED"
        made = event("one")
        await client.publish(made)
        assert (await harness.take_events(healthy, 1))[0].id == made.id


RETENTION = {
    "EVENT_GATEWAY_RETENTION_BYTES": "1000000",
    "EVENT_GATEWAY_RETENTION_EVERY_S": "0.05",
    "EVENT_GATEWAY_RETENTION_LEAD_S": "0.8",
    "EVENT_GATEWAY_WINDOW_BYTES": "65536",
}


async def test_rows_about_events_that_are_no_longer_kept(database_url: str) -> None:
    """Filtered progress before a deletion; cursor too old at start, with each policy;
    overtaken by retention while connected: told, never silent.
    """
    with harness.running(database_url, **RETENTION) as gateway:
        client = gateway.tenant("one")
        quiet = client.subscribe(filter={"types": ["no.such"]}, heartbeat_interval={"seconds": 60})
        first = await quiet.read()
        overtaken = gateway.client(client.key, *SLOW).subscribe()
        await overtaken.read()
        await flood(client, "one", 30)

        async def deleted() -> bool:
            return bool((await client.info()).kept_bytes <= 1_000_000)

        # Before anything went, the quiet reader was given a place behind it.
        await harness.until(deleted)
        info = await client.info()
        oldest = cursor.decode(info.oldest_cursor).position
        assert info.kept_events == 1500 - oldest > 0
        assert info.oldest_append_time.ToMicroseconds() > 0
        async with asyncio.timeout(harness.TIMEOUT_S):
            while place(await quiet.read()) < oldest:
                pass
        await check_too_old(client, first.cursor, oldest)
        with pytest.raises(grpc.RpcError) as ended:
            await harness.take_all(overtaken)
        assert ended.value.code() == grpc.StatusCode.OUT_OF_RANGE
        assert harness.reason(ended.value) == "CURSOR_EXPIRED"
        quiet.cancel()


async def check_too_old(client: harness.Client, old: str, oldest: int) -> None:
    """Row "cursor too old at start", for cursors and for times."""
    past = timestamp_pb2.Timestamp(seconds=1)
    for start in ({"after_cursor": old}, {"from_time": past}):
        for policy in ("EXPIRED_POLICY_UNSPECIFIED", "EXPIRED_POLICY_FAIL"):
            with pytest.raises(grpc.RpcError) as refused:
                await client.subscribe(start={**start, "expired_policy": policy}).read()
            assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
            assert harness.reason(refused.value) == "CURSOR_EXPIRED"
            expired = event_pb2.CursorExpired()
            assert harness.detail(refused.value, expired)
            assert expired.requested_cursor == start.get("after_cursor", "")
            assert cursor.decode(expired.oldest_cursor).position >= oldest
            assert expired.oldest_append_time.ToMicroseconds() > 0
        again = client.subscribe(
            start={**start, "expired_policy": "EXPIRED_POLICY_OLDEST"}, stop_at_head=True
        )
        responses = await harness.take_all(again)
        assert [kind(one) for one in responses[:2]] == ["started", "skipped"]
        skipped = responses[1].notice.skipped
        assert skipped.requested_cursor == start.get("after_cursor", "")
        received = [one.position for one in harness.events_of(responses)]
        assert received == list(range(cursor.decode(skipped.resumed_cursor).position + 1, 1501))
        newest = client.subscribe(
            start={**start, "expired_policy": "EXPIRED_POLICY_NEWEST"}, stop_at_head=True
        )
        responses = await harness.take_all(newest)
        assert [kind(one) for one in responses] == ["started", "skipped", "closing"]
        assert place(responses[1]) == 1500


async def test_row_redacted_event(gateway: harness.Gateway, tenant: str) -> None:
    """After an erasure the entity's events come without data, user and labels, marked, all
    else unchanged; from memory, from storage, by query and by id; others stay whole.
    """
    client = gateway.tenant(tenant)
    said = {"data": b"secret", "user_id": "u-1", "labels": {"region": "secret"}}
    mine = [event(tenant, entity_id="pay_1", entity_version=n, **said) for n in (1, 2, 3)]
    other = event(tenant, entity_id="pay_2", data=b"kept", labels={"region": "eu"})
    await client.publish(*mine[:2], other, mine[2])
    live = client.subscribe(start={"anchor": "ANCHOR_OLDEST"})
    before = await harness.take_events(live, 4)
    erased = await client.erase(tenant, "payment", "pay_1")
    assert (erased.erased_events, erased.done) == (3, True)
    assert (await client.erase(tenant, "payment", "pay_1")).erased_events == 0
    expected = []
    for one in before:
        wanted = event_pb2.Event()
        wanted.CopyFrom(one)
        if one.entity_id == "pay_1":
            wanted.data, wanted.user_id, wanted.redacted = b"", "", True
            wanted.labels.clear()
        expected.append(wanted)
    call = client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, stop_at_head=True)
    assert harness.events_of(await harness.take_all(call)) == expected
    assert list((await client.query()).events) == expected
    assert (await client.get(mine[0].id)).event == expected[0]
    assert b"secret" not in (await client.query()).SerializeToString()
    # The producer may repeat what it once published, and the next version follows.
    again = await client.publish(mine[1])
    assert again.results[0].outcome == 2
    later = event(tenant, entity_id="pay_1", entity_version=4, data=b"new")
    await client.publish(later)
    assert (await harness.take_events(live, 1))[0].id == later.id
    live.cancel()
    with pytest.raises(grpc.RpcError) as refused:
        await gateway.tenant(tenant, ["events:read"]).erase(tenant, "payment", "pay_1")
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    forged = await client.publish(event(tenant, redacted=True))
    assert forged.results[0].reject_reason == 5
