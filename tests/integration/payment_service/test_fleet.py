"""Several instances of a plugin, and several plugins, as payments meet them."""

import asyncio
import pathlib
from collections import Counter
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from payhub.admin.v1 import health_pb2 as payhub_health_pb2
from payhub.admin.v1 import plugin_admin_pb2
from payhub.plugin.v1 import plugin_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from deploy import stack
from payment_service.db import operations
from payment_service.domain import outcomes
from provider_sdk import errors as plugin_errors
from tests import fake_clock
from tests.integration.payment_service import (
    binding_rig,
    conftest,
    inside,
    operator,
    registrant,
    rig,
    sidecars,
)

Sidecar = sidecars.Sidecar
Breaker = plugin_admin_pb2.PluginBreaker


class Silent(Sidecar):
    """Keeps whoever looks up an operation waiting."""

    def __init__(self, plugin_id: str) -> None:
        super().__init__(plugin_id)
        self.looked = asyncio.Event()

    async def GetOperation(
        self, request: provider_pb.GetOperationRequest, context: Any
    ) -> provider_pb.GetOperationResponse:
        """Never answers."""
        self.looked.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """A database of one dialect: what is tested here never touches it."""
    return f"sqlite:///{tmp_path}/payments.db"


async def pay(admin: operator.Operator, count: int, **fields: Any) -> Counter[str]:
    """Makes payments at once; returns how many ended in which state, or for which reason."""
    made = await asyncio.gather(
        *[admin.caller.create(provider="other", **fields) for _ in range(count)]
    )
    return Counter(each.failure.reason or rig.state(each) for each in made)


async def test_a_burst_waits_for_room(url: str) -> None:
    """More payments at once than an instance takes: they wait for each other, as long as for a
    connection, and none is refused that had its turn by then.
    """
    async with (
        Sidecar("other") as only,
        registrant.plugged(url, provider_timeout_s=20, provider_connect_s=10.0) as (admin, plug),
    ):
        only.handshake.max_concurrent_calls = 2
        await registrant.enable(admin, plug, only)
        await inside.connected(admin.service, "other")
        assert await pay(admin, 40) == {"SUCCEEDED": 40}


async def test_instances_share_the_work(url: str) -> None:
    """New operations go to the one with the fewest calls."""
    async with (
        Sidecar("other") as one,
        Sidecar("other") as two,
        registrant.plugged(url, provider_timeout_s=20) as (admin, plug),
    ):
        await registrant.enable(admin, plug, one)
        await plug.register(two)
        await inside.connected(admin.service, "other", instances=2)
        one.answers, two.answers = asyncio.Event(), asyncio.Event()
        paying = asyncio.create_task(pay(admin, 20))

        async def all_there() -> bool:
            return len(one.charged) + len(two.charged) == 20

        await rig.until(all_there)
        one.answers.set()
        two.answers.set()
        assert await paying == {"SUCCEEDED": 20}
        assert (len(one.charged), len(two.charged)) == (10, 10)


@pytest.mark.parametrize(
    "refusal",
    [plugin_errors.Draining("it stops"), plugin_errors.Busy("it is full")],
    ids=["draining", "busy"],
)
async def test_what_one_instance_refuses_with_nothing_done_another_one_takes(
    url: str, refusal: plugin_errors.ProviderError
) -> None:
    """With the same operation id; no caller notices."""
    async with (
        sidecars.Failing("other") as one,
        sidecars.Failing("other") as two,
        registrant.plugged(url) as (admin, plug),
    ):
        await registrant.enable(admin, plug, one)
        await plug.register(two)
        await inside.connected(admin.service, "other", instances=2)
        one.failure = refusal
        assert await pay(admin, 8) == {"SUCCEEDED": 8}
        assert (len(one.charged), len(two.charged)) == (0, 8)
        # Nobody is left who takes it: certain that nothing was sent.
        two.failure = refusal
        reason = type(refusal).__name__.upper().replace("BUSY", "PLUGIN_BUSY")
        assert set(await pay(admin, 1)) <= {reason, "PROVIDER_UNREACHABLE"}


async def test_a_look_up_ends_with_its_instance_and_not_whoever_looks(url: str) -> None:
    """It tells nothing, and the next one asks the instance that is there by then."""
    async with (
        Silent("other") as one,
        registrant.plugged(url) as (admin, plug),
    ):
        session_id = await registrant.enable(admin, plug, one)
        paid = await admin.caller.create(provider="other")
        ctx = admin.service.parts.ctx
        (operation,) = await ctx.db.read(lambda conn: operations.newest(conn, paid.id, 1))
        provider = ctx.providers.find("other")
        assert provider is not None
        looking = asyncio.create_task(provider.look_up(operation))
        await one.looked.wait()
        await plug.leave(session_id)
        report = await looking
        assert report.outcome is outcomes.Outcome.UNKNOWN


async def test_a_provider_that_hangs_ties_up_its_own_share_alone(url: str) -> None:
    """Beyond its bound payments fail at once, with nothing sent; the others are paid."""
    async with (
        Sidecar("other") as other,
        Sidecar("good") as good,
        registrant.plugged(url, provider_calls_max=4, provider_timeout_s=20) as (admin, plug),
    ):
        await registrant.enable(admin, plug, other)
        await registrant.enable(admin, plug, good)
        other.answers = asyncio.Event()
        hanging = asyncio.create_task(pay(admin, 12))

        async def full() -> bool:
            return len(other.charged) == 4

        await rig.until(full)
        for _ in range(5):
            assert rig.state(await admin.caller.create(provider="good")) == "SUCCEEDED"
        assert not hanging.done()
        # Its time is not waited for: a call that is cut off is as unknown.
        await other.stop()
        assert await hanging == {"PROVIDER_BUSY": 8, "IN_DOUBT": 4}
        assert len(other.charged) == 4


async def test_a_breaker_opens_for_what_fails_and_closes_by_itself(url: str) -> None:
    """Nothing is sent while it is open, follow-ups pass, and one good trial closes it."""
    clock = fake_clock.Ahead()
    rule = {"breaker_calls_min": 4, "breaker_open_first_s": 60.0}
    async with (
        sidecars.Failing("other") as other,
        registrant.plugged(url, clock=clock, **rule) as (admin, plug),
    ):
        await registrant.enable(admin, plug, other)
        paid = await admin.caller.create(provider="other")
        other.failure = plugin_errors.Unreachable("the bank is away")
        assert await pay(admin, 4) == {"UPSTREAM_UNREACHABLE": 4}
        charged = len(other.charged)
        assert await pay(admin, 3) == {"BREAKER_OPEN": 3}
        assert rig.state(await admin.caller.refund(paid.id)) == "SUCCEEDED"
        health = await admin.call("GetPluginHealth", "other")
        (seen,) = health.breakers
        assert (seen.tenant_id, seen.rpc_class, seen.failures) == (
            admin.caller.tenant,
            Breaker.RPC_CLASS_AUTHORIZE,
            4,
        )
        assert seen.last_reason == "UPSTREAM_UNREACHABLE"
        assert seen.HasField("retry_time")
        assert health.health == payhub_health_pb2.HEALTH_DEGRADED

        other.failure = None
        clock.ahead_s += 60.0

        async def closed() -> bool:
            return await pay(admin, 1) == {"SUCCEEDED": 1}

        await rig.until(closed)
        assert len(other.charged) == charged + 1
        health = await admin.call("GetPluginHealth", "other")
        assert not health.breakers
        assert health.health == payhub_health_pb2.HEALTH_HEALTHY


async def test_a_breaker_goes_with_its_binding(url: str) -> None:
    """No call would ever close it, and the plugin would never be well again."""
    async with (
        sidecars.Failing("other") as other,
        registrant.plugged(url, breaker_calls_min=2, breaker_open_first_s=60.0) as (admin, plug),
    ):
        await registrant.enable(admin, plug, other)
        other.failure = plugin_errors.Unreachable("the bank is away")
        assert await pay(admin, 2) == {"UPSTREAM_UNREACHABLE": 2}
        health = await admin.call("GetPluginHealth", "other")
        assert health.health == payhub_health_pb2.HEALTH_DEGRADED
        bindings = binding_rig.Admin(admin.caller)
        (binding,) = (await bindings.list(plugin_id="other")).bindings
        await bindings.delete(binding)
        health = await admin.call("GetPluginHealth", "other")
        assert not health.breakers
        assert health.health == payhub_health_pb2.HEALTH_HEALTHY


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "given_others"])
async def test_refused_credentials_go_with_their_binding(url: str, deleted: bool) -> None:
    """A plugin is not called degraded for credentials that are not in force any more: those of a
    binding that was deleted, or has been given others since.
    """
    async with (
        sidecars.Failing("other") as only,
        registrant.plugged(url, plugin_probe_s=0.05) as (admin, plug),
    ):
        await registrant.enable(admin, plug, only)
        await inside.connected(admin.service, "other")
        only.failure = plugin_errors.CredentialsRejected("wrong key")
        assert await pay(admin, 1) == {"CREDENTIALS_REJECTED": 1}
        health = await admin.call("GetPluginHealth", "other")
        assert health.health == payhub_health_pb2.HEALTH_DEGRADED
        bindings = binding_rig.Admin(admin.caller)
        (binding,) = (await bindings.list(plugin_id="other")).bindings
        await (bindings.delete(binding) if deleted else bindings.update(binding, {"key": "new"}))

        async def healthy() -> bool:
            health = await admin.call("GetPluginHealth", "other")
            return bool(health.health == payhub_health_pb2.HEALTH_HEALTHY)

        await rig.until(healthy)


async def test_declines_open_no_breaker(url: str, bank: stack.Stack) -> None:
    """A wave of stolen cards is no outage."""
    async with inside.running(url, bank.target(stack.MOCK), breaker_calls_min=2) as service:
        await inside.connected(service)
        for _ in range(6):
            declined = await service.caller.create("tok_decline_suspected_fraud")
            assert declined.failure.reason == "SUSPECTED_FRAUD"


async def test_look_ups_pass_an_open_breaker(url: str, bank: stack.Stack) -> None:
    """They are how uncertainty ends."""
    async with inside.running(
        url,
        bank.target(stack.MOCK),
        breaker_calls_min=2,
        breaker_open_first_s=60.0,
        # No doubt is looked at before the breaker is open: who asks for one makes that due.
        resolver_doubt_first_s=3600.0,
        resolver_longest_s=3600.0,
    ) as service:
        await inside.connected(service)
        caller = service.caller
        doubts = await asyncio.gather(*[caller.create("tok_drop_after_commit") for _ in range(2)])
        assert [rig.state(each) for each in doubts] == ["IN_DOUBT"] * 2
        refused = await caller.create()
        assert refused.failure.reason == "BREAKER_OPEN"
        for each in doubts:
            await caller.becomes(each.id, "SUCCEEDED")


async def test_a_configuration_reaches_every_instance_and_one_that_forgot_it(
    url: str,
) -> None:
    """A restarted process is configured again before it gets an operation."""
    async with (
        Sidecar("other") as one,
        Sidecar("other") as two,
        registrant.plugged(url) as (admin, plug),
    ):
        await registrant.enable(admin, plug, one)
        await plug.register(two)
        await inside.connected(admin.service, "other", instances=2)
        await pay(admin, 8)
        assert two.applied.items() <= one.applied.items()

        async def current() -> bool:
            told = await admin.call("GetPluginHealth", "other")
            current = plugin_pb2.PluginCondition.TYPE_CONFIG_CURRENT
            return any(c.type == current and c.status == 1 for c in told.conditions)

        await rig.until(current)
        (binding_id,) = two.applied
        generation = two.applied.pop(binding_id)

        async def configured_again() -> bool:
            await pay(admin, 2)
            return two.applied.get(binding_id) == generation

        await rig.until(configured_again)


async def test_a_draining_instance_gets_nothing_new_and_answers_look_ups(
    url: str,
) -> None:
    """Seen by its probes, before any operation is refused."""
    async with (
        Sidecar("other") as one,
        Sidecar("other") as two,
        registrant.plugged(url) as (admin, plug),
    ):
        await registrant.enable(admin, plug, one)
        await plug.register(two)
        one.draining = True

        async def seen() -> bool:
            told = await admin.call("GetPluginHealth", "other")
            probes = [each.probe.readiness for each in told.instances]
            return sorted(probes) == [
                ps.ProbeResponse.READINESS_READY,
                ps.ProbeResponse.READINESS_DRAINING,
            ]

        await rig.until(seen)
        charged = len(one.charged)
        assert await pay(admin, 6) == {"SUCCEEDED": 6}
        assert len(one.charged) == charged


async def test_health_tells_each_provider_and_the_whole(fragile: conftest.Service) -> None:
    """In `grpc.health.v1` and in the status; a provider that is gone degrades it."""
    async with grpc.aio.insecure_channel(fragile.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def serving(name: str) -> bool:
            request = health_pb2.HealthCheckRequest(service=name)
            try:
                answer = await stub.Check(request, timeout=5)
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        async def are(**wanted: bool) -> None:
            async def so() -> bool:
                names = {"mock": "provider/mock", "whole": "payhub", "process": ""}
                return wanted == {name: await serving(names[name]) for name in wanted}

            await rig.until(so)

        await fragile.provider_up()
        await are(mock=True, whole=True, process=True)
        async with fragile.admin() as admin:
            status = await admin.call(admin.status.GetStatus, rig.status_request())
            assert status.health == payhub_health_pb2.HEALTH_HEALTHY
            (plugin,) = status.plugins
            assert (plugin.plugin_id, plugin.instances, plugin.ready_instances) == ("mock", 1, 1)

            await fragile.provider_down()
            # The process itself is well: restarting it would help nobody.
            await are(mock=False, whole=False, process=True)
            status = await admin.call(admin.status.GetStatus, rig.status_request())
            assert status.health == payhub_health_pb2.HEALTH_DEGRADED
            assert any(reason.startswith("mock: ") for reason in status.health_reasons)
        await fragile.provider_up()
        await are(mock=True, whole=True)
