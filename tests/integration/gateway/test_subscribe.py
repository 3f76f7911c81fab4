"""Subscribe over real sockets: phases, heartbeats, notices, tenants and closing."""

import asyncio
import itertools
import signal
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

Closing = pb.Notice.Closing


def closing(response: Any) -> int:
    """Why the stream ends; it must be its last response."""
    assert response.notice.WhichOneof("kind") == "closing", response
    return int(response.notice.closing.reason)


async def test_history_then_live_without_a_hole(gateway: harness.Gateway, tenant: str) -> None:
    """From the oldest event on: all of history, then what is published, once, in order."""
    client = gateway.tenant(tenant)
    first = [event(tenant) for _ in range(300)]
    await client.publish(*first)
    call = client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, max_batch_events=50)
    responses = await harness.take_until(call, lambda so_far: len(harness.events_of(so_far)) >= 300)
    assert responses[0].notice.WhichOneof("kind") == "started"
    assert all(len(response.events) <= 50 for response in responses)
    later = [event(tenant) for _ in range(20)]
    for one in later:
        await client.publish(one)
    live = await harness.take_until(call, lambda so_far: len(harness.events_of(so_far)) >= 20)
    call.cancel()
    received = harness.events_of([*responses, *live])
    assert [one.id for one in received] == [one.id for one in [*first, *later]]
    assert live[-1].phase == pb.SubscribeResponse.PHASE_LIVE
    positions = [cursor.decode(one.cursor).position for one in [*responses, *live]]
    assert positions == sorted(positions)


async def test_newest_starts_at_the_first_response(gateway: harness.Gateway, tenant: str) -> None:
    """Without a start point only later events come, and Started is a place to resume."""
    client = gateway.tenant(tenant)
    await client.publish(event(tenant))
    call = client.subscribe()
    started = await call.read()
    assert started.notice.started.subscription_id.startswith("sub_")
    assert started.phase == pb.SubscribeResponse.PHASE_LIVE
    made = event(tenant)
    await client.publish(made)
    assert [one.id for one in await harness.take_events(call, 1)] == [made.id]
    call.cancel()
    again = client.subscribe(start={"after_cursor": started.cursor}, stop_at_head=True)
    resumed = harness.events_of(await harness.take_all(again))
    assert [one.id for one in resumed] == [made.id]


async def test_filters_select_and_cursors_pass_the_rest(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Types, prefixes and entities select; a stream that stops ends past all the others."""
    client = gateway.tenant(tenant)
    await client.publish(
        event(tenant, type="payment.created", entity_id="p1"),
        event(tenant, type="refund.created", entity_id="p1"),
        event(tenant, type="customer.created", entity_type="customer", entity_id="c1"),
        event(tenant, type="payment.captured", entity_id="p2"),
    )
    wanted = {
        ("payment.created", "payment.captured"): {"types": ["payment.*"]},
        ("refund.created",): {"types": ["refund.created"]},
        ("customer.created",): {"entity_types": ["customer"]},
        ("payment.created", "refund.created"): {"entity_ids": ["p1"]},
        ("payment.captured",): {"types": ["payment.*"], "entity_ids": ["p2"]},
        (): {"types": ["payment.*"], "entity_types": ["customer"]},
    }
    for types, spec in wanted.items():
        call = client.subscribe(start={"anchor": "ANCHOR_OLDEST"}, filter=spec, stop_at_head=True)
        responses = await harness.take_all(call)
        assert tuple(one.type for one in harness.events_of(responses)) == types
        assert closing(responses[-1]) == Closing.REASON_END_REACHED
        assert await call.code() == grpc.StatusCode.OK
        place = cursor.decode(responses[-1].cursor).position
        assert place >= responses[0].head_position


async def test_heartbeats_come_in_silence_with_a_newer_cursor(
    gateway: harness.Gateway, tenant: str
) -> None:
    """A filter that selects nothing still hears where the log is, at the interval in force."""
    client = gateway.tenant(tenant)
    call = client.subscribe(filter={"types": ["no.such"]}, heartbeat_interval={"nanos": 1000})
    started = await call.read()
    assert started.notice.started.heartbeat_interval.ToMilliseconds() == 1000
    result = (await client.publish(event(tenant))).results[0]
    # On a slow host the first ones may come before the event.
    beats = await harness.take_until(
        call,
        lambda so_far: (
            bool(so_far) and cursor.decode(so_far[-1].cursor).position >= result.position
        ),
    )
    call.cancel()
    assert not any(beat.events or beat.HasField("notice") for beat in beats)
    sent_s = [each.server_time.ToMicroseconds() / 1e6 for each in (started, *beats)]
    # Without a wish it would be 15 s.
    assert all(0.9 < b - a < 10 for a, b in itertools.pairwise(sent_s))


async def test_tenants_see_their_own_events_only(gateway: harness.Gateway, tenant: str) -> None:
    """Naming another tenant needs the admin scope; without a name nobody sees others."""
    other = f"{tenant}-2"
    reader = gateway.tenant(tenant, ["events:read"])
    admin = gateway.tenant("system")
    await gateway.tenant(tenant).publish(event(tenant, entity_id="mine"))
    await gateway.tenant(other).publish(event(other, entity_id="theirs"))

    async def entities(client: harness.Client, *tenants: str) -> list[str]:
        call = client.subscribe(
            start={"anchor": "ANCHOR_OLDEST"}, filter={"tenant_ids": tenants}, stop_at_head=True
        )
        return [one.entity_id for one in harness.events_of(await harness.take_all(call))]

    assert await entities(reader) == ["mine"]
    assert await entities(reader, tenant) == ["mine"]
    assert await entities(admin, tenant, other) == ["mine", "theirs"]
    for asked in ([other], [tenant, other]):
        with pytest.raises(grpc.RpcError) as refused:
            await entities(reader, *asked)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.RpcError) as refused_query:
            await reader.query(filter={"tenant_ids": asked})
        assert harness.error_info(refused_query.value).metadata["scope"] == "admin"


async def test_calls_without_a_valid_key_or_scope_are_refused(
    gateway: harness.Gateway, tenant: str
) -> None:
    """No key and unknown keys are UNAUTHENTICATED, missing scopes PERMISSION_DENIED."""
    known = gateway.keys.add(tenant, ["payments:read"])
    unknown = known[:-4] + "AAAA"
    for key, code in (
        ("", grpc.StatusCode.UNAUTHENTICATED),
        (unknown, grpc.StatusCode.UNAUTHENTICATED),
        (known, grpc.StatusCode.PERMISSION_DENIED),
    ):
        client = gateway.client(key)
        for call in (client.publish(event(tenant)), client.info(), client.subscribe().read()):
            with pytest.raises(grpc.RpcError) as refused:
                await call
            assert refused.value.code() == code
    assert known not in gateway.log()


async def test_a_stream_ends_at_its_greatest_age(tmp_path: Any) -> None:
    """Old streams are closed by the gateway with a reason and a delay."""
    url = f"sqlite:///{tmp_path}/events.db"
    with harness.running(url, EVENT_GATEWAY_STREAM_AGE_MAX_S="0.5") as gateway:
        call = gateway.tenant("one").subscribe()
        responses = await harness.take_all(call)
        assert responses[0].notice.started.max_stream_age.ToMilliseconds() <= 500
        assert closing(responses[-1]) == Closing.REASON_MAX_AGE
        assert 0 <= responses[-1].notice.closing.reconnect_after.ToMilliseconds() <= 1000


async def test_draining_closes_streams_in_good_order(database_url: str) -> None:
    """SIGTERM: every stream gets DRAINING and status OK, at once, and the process ends with 0."""
    with harness.running(database_url) as gateway:
        clients = [gateway.tenant("one") for _ in range(3)]
        calls = [client.subscribe() for client in clients]
        for call in calls:
            await call.read()
        gateway.signal(signal.SIGTERM)
        for call in calls:
            responses = await harness.take_all(call)
            assert closing(responses[-1]) == Closing.REASON_DRAINING
            assert await call.code() == grpc.StatusCode.OK
        assert await asyncio.to_thread(gateway.ended) == 0


async def test_a_revoked_keys_streams_are_closed(tmp_path: Any) -> None:
    """The streams of a revoked key end with AUTH_EXPIRED; others go on, and an outage of the
    key service ends none.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    fast = {"EVENT_GATEWAY_KEY_RECHECK_S": "0.2", "EVENT_GATEWAY_KEY_CACHE_TTL_S": "0.2"}
    with harness.running(url, **fast) as gateway:
        revoked, kept = gateway.tenant("one"), gateway.tenant("one")
        ending, staying = revoked.subscribe(), kept.subscribe()
        await ending.read()
        await staying.read()
        gateway.keys.interrupt()
        await harness.until(lambda: "they go on" in gateway.log())
        failures: list[Any] = []

        async def uncached() -> bool:
            try:
                await revoked.info()
            except grpc.RpcError as failure:
                failures.append(failure)
            return bool(failures)

        await harness.until(uncached)
        assert failures[0].code() == grpc.StatusCode.UNAVAILABLE
        assert harness.error_info(failures[0]).metadata["retry"] == "same_key"
        gateway.keys.revoke(revoked.key)
        gateway.keys.start()
        responses = await harness.take_all(ending)
        assert closing(responses[-1]) == Closing.REASON_AUTH_EXPIRED
        with pytest.raises(grpc.RpcError) as refused:
            await revoked.info()
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        made = event("one")
        await kept.publish(made)
        assert [one.id for one in await harness.take_events(staying, 1)] == [made.id]


async def test_a_tenant_has_a_limit_of_streams(tmp_path: Any) -> None:
    """One stream too many is RESOURCE_EXHAUSTED with a delay; ending one makes room."""
    url = f"sqlite:///{tmp_path}/events.db"
    with harness.running(url, EVENT_GATEWAY_STREAMS_PER_TENANT_MAX="2") as gateway:
        client = gateway.tenant("one")
        calls = [client.subscribe(), client.subscribe()]
        for call in calls:
            await call.read()
        with pytest.raises(grpc.RpcError) as refused:
            await client.subscribe().read()
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert harness.detail(refused.value, error_details_pb2.RetryInfo())
        assert (await gateway.tenant("two").subscribe().read()).notice.HasField("started")
        calls[0].cancel()

        async def admitted() -> bool:
            try:
                await client.subscribe().read()
            except grpc.RpcError:
                return False
            return True

        await harness.until(admitted)


async def test_a_reader_that_stops_reading_loses_nothing(tmp_path: Any) -> None:
    """A slow reader neither blocks publishing nor others; it is told, and fed from storage."""
    url = f"sqlite:///{tmp_path}/events.db"
    with harness.running(url, EVENT_GATEWAY_WINDOW_BYTES="200000") as gateway:
        publisher, reader = gateway.tenant("one"), gateway.tenant("one")
        small = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
        slow = gateway.client(reader.key, *small).subscribe()
        healthy = reader.subscribe()
        await slow.read()
        await healthy.read()
        sent = 0
        for _ in range(20):
            batch = [
                event("one", entity_version=sent + n, data=b"x" * 20_000) for n in range(1, 51)
            ]
            await publisher.publish(*batch)
            sent += len(batch)
            got = await harness.take_events(healthy, 50)
            assert got[-1].entity_version == sent
        healthy.cancel()
        responses = await harness.take_until(
            slow,
            lambda so_far: (
                bool(so_far)
                and so_far[-1].events[-1:] != []
                and so_far[-1].events[-1].entity_version == sent
            ),
        )
        versions = [one.entity_version for one in harness.events_of(responses)]
        assert versions == list(range(1, sent + 1))
        kinds = [response.notice.WhichOneof("kind") for response in responses]
        assert "fell_behind" in kinds
        await harness.until_phase(slow, responses[-1], pb.SubscribeResponse.PHASE_LIVE)
        slow.cancel()


async def test_two_processes_share_one_log(new_postgres_database: Any) -> None:
    """On PostgreSQL a second gateway's appends reach the first one's streams, in log order."""
    url = new_postgres_database()
    with harness.running(url) as one, harness.running(url) as two:
        reader, other = one.tenant("t"), two.tenant("t")
        call = reader.subscribe()
        await call.read()
        made = [event("t", entity_version=n) for n in range(1, 9)]
        for index, each in enumerate(made):
            await (other if index % 2 else reader).publish(each)
        received = await harness.take_events(call, len(made))
        call.cancel()
        assert [each.id for each in received] == [each.id for each in made]
        await other.publish(event("t", entity_version=9))
        head = (await other.info()).head_cursor
        again = reader.subscribe(start={"after_cursor": head}, stop_at_head=True)
        assert closing((await harness.take_all(again))[-1]) == Closing.REASON_END_REACHED
