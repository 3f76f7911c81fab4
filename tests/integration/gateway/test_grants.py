"""What the keys of plugins may publish and read, over real sockets and databases."""

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from payhub.events.v1 import event_ingest_service_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import composition, grants
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

APPENDED = event_ingest_service_pb2.PublishResult.OUTCOME_APPENDED
REJECTED = event_ingest_service_pb2.PublishResult.OUTCOME_REJECTED
INVALID = event_ingest_service_pb2.PublishResult.REJECT_REASON_INVALID
FORBIDDEN = event_ingest_service_pb2.PublishResult.REJECT_REASON_TYPE_FORBIDDEN

PLUGIN = {
    "plugin_id": "balances",
    "publish_types": ["balance.*", "user.created"],
    "read_types": ["payment.*", "user.created"],
}


async def refused(call: Any) -> Any:
    """Returns the ErrorInfo of a call that must be refused for lack of permission."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED
    info = harness.error_info(failure.value)
    assert info.reason == "PERMISSION_NOT_GRANTED"
    assert info.metadata["plugin_id"] == "balances"
    return info


async def test_every_method_asks_for_a_key(gateway: harness.Gateway) -> None:
    """Whatever the process serves goes through the authentication, streams too."""
    channel: Any = gateway.client("").channel
    for name in composition.SERVICES:
        for method in descriptor_pool.Default().FindServiceByName(name).methods:
            path = f"/{name}/{method.name}"
            if method.client_streaming:
                call = channel.stream_stream(path)(timeout=harness.TIMEOUT_S)
            elif method.server_streaming:
                call = channel.unary_stream(path)(b"", timeout=harness.TIMEOUT_S)
            else:
                call = channel.unary_unary(path)(b"", timeout=harness.TIMEOUT_S)
            assert await call.code() is grpc.StatusCode.UNAUTHENTICATED, path


async def test_a_key_publishes_only_what_it_was_granted(
    gateway: harness.Gateway, tenant: str
) -> None:
    """A plugin whatever its scopes say, a service what its key names: of a batch only the
    foreign events fall, each with its reason; administrators publish what they like.
    """
    granted = {"publish_types": PLUGIN["publish_types"]}
    plugin = gateway.client(gateway.keys.add(tenant, **PLUGIN))
    service = gateway.client(gateway.keys.add(tenant, ["events:publish"], **granted))
    nothing = gateway.client(gateway.keys.add(tenant, ["events:publish"]))
    foreign = ("payment.succeeded", "user.deleted", "balances.changed", "balance")
    kept = []
    for client in (plugin, service):
        good = [
            event(tenant, type="balance.changed", entity_type="balance"),
            event(tenant, type="user.created", entity_type="user"),
        ]
        kept += [each.id for each in good]
        bad = [event(tenant, type=each) for each in foreign[:3]]
        results = (await client.publish(good[0], *bad, good[1])).results
        assert [each.outcome for each in results] == [APPENDED, *[REJECTED] * 3, APPENDED]
        assert {each.reject_reason for each in results[1:4]} == {FORBIDDEN}
        assert "may not publish payment.succeeded" in results[1].message
        assert "balance.*, user.created" in results[1].message
    (refused_all,) = (await nothing.publish(event(tenant, type="user.created"))).results
    assert refused_all.reject_reason == FORBIDDEN
    stored = await gateway.tenant(tenant).query()
    assert [each.id for each in stored.events] == kept
    (admitted,) = (await gateway.tenant(tenant).publish(event(tenant))).results
    assert admitted.outcome == APPENDED


async def test_versions_of_what_payhub_counts_are_its_own(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Under a number that another key has taken, the relay's event would be refused for ever, and
    all that follow it; without a number, anybody may tell something about a payment.
    """
    plugin = gateway.client(gateway.keys.add(tenant, **PLUGIN))
    service = gateway.client(
        gateway.keys.add(tenant, ["events:publish"], publish_types=PLUGIN["publish_types"])
    )
    relay = gateway.tenant("system", ["events:publish"])
    counted = sorted(grants.COUNTED)
    taken = [
        event(tenant, type="balance.changed", entity_type=each, entity_version=1)
        for each in counted
    ]
    for client in (plugin, service):
        for result in (await client.publish(*taken)).results:
            assert (result.outcome, result.reject_reason) == (REJECTED, INVALID)
            assert result.message.startswith("entity_version: must be 0")
    counts = [event(tenant, entity_type=each, entity_version=1) for each in counted]
    assert {each.outcome for each in (await relay.publish(*counts)).results} == {APPENDED}
    about = event(tenant, type="balance.changed", entity_type="payment")
    own = event(tenant, type="balance.changed", entity_type="balance", entity_version=1)
    assert [each.outcome for each in (await service.publish(about, own)).results] == [APPENDED] * 2


async def test_a_plugin_reads_only_what_it_was_granted(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Without a filter all of that; a filter for more is refused; so is an event by its id."""
    owner = gateway.tenant(tenant)
    types = ["payment.created", "refund.created", "user.created", "user.deleted"]
    made = [event(tenant, type=each, entity_id=each) for each in types]
    await owner.publish(*made)
    plugin = gateway.client(gateway.keys.add(tenant, **PLUGIN))
    page = await plugin.query()
    assert [each.type for each in page.events] == ["payment.created", "user.created"]
    narrow = await plugin.query(filter={"types": ["user.created"]})
    assert [each.type for each in narrow.events] == ["user.created"]
    for wanted in ("refund.created", "user.*"):
        spec = {"types": ["payment.created", wanted]}
        info = await refused(plugin.query(filter=spec))
        assert info.metadata["permission"] == f"events:read:{wanted}"
    assert (await plugin.get(made[0].id)).event.type == "payment.created"
    with pytest.raises(grpc.aio.AioRpcError) as hidden:
        await plugin.get(made[1].id)
    assert harness.reason(hidden.value) == "RESOURCE_NOT_FOUND"
    stream = plugin.subscribe(start={"anchor": pb.StartPoint.ANCHOR_OLDEST}, stop_at_head=True)
    seen = [each.type async for response in stream for each in response.events]
    assert seen == ["payment.created", "user.created"]
    nothing = gateway.client(gateway.keys.add(tenant, plugin_id="balances"))
    info = await refused(nothing.query())
    assert info.metadata["granted"] == "none"


async def test_a_stream_ends_when_its_plugin_loses_the_permission(
    tenant: str, tmp_path: Any
) -> None:
    """As soon as its key is asked about again, like the stream of a revoked key."""
    with harness.running(
        f"sqlite:///{tmp_path}/events.db",
        EVENT_GATEWAY_KEY_RECHECK_S="0.1",
        EVENT_GATEWAY_KEY_CACHE_TTL_S="0",
    ) as gateway:
        key = gateway.keys.add(tenant, **PLUGIN)
        reasons = []
        async for response in gateway.client(key).subscribe():
            if response.notice.HasField("started"):
                gateway.keys.grant(key, "payment.*")
            reasons.append(response.notice.closing.reason)
        assert reasons[-1] == pb.Notice.Closing.REASON_AUTH_EXPIRED
