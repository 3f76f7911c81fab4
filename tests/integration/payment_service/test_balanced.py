"""An address behind which several processes of a plugin answer, one connection each."""

import contextlib
import pathlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from payhub.admin.v1 import binding_admin_service_pb2
from payhub.plugin.v1 import plugin_service_pb2 as pb

from payment_service.provider_client import sharing
from provider_sdk import errors as plugin_errors
from servicekit import tls
from tests.integration.payment_service import (
    balancer,
    inside,
    operator,
    registrant,
    rig,
    sidecars,
)

Sidecar = sidecars.Sidecar
VERSION = "1.0.0"
# That make a crash loop; more processes than that take turns.
CRASHES = 3
PODS = 5


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """A database of one dialect, for what does not depend on it."""
    return f"sqlite:///{tmp_path}/payments.db"


@contextlib.asynccontextmanager
async def pods(*versions: str) -> AsyncIterator[list[Sidecar]]:
    """Runs a process of each version; one that is named twice runs twice."""
    async with contextlib.AsyncExitStack() as closing:
        yield [await closing.enter_async_context(Sidecar("other", version)) for version in versions]


async def enable(admin: operator.Operator, front: balancer.Balancer) -> str:
    """Has operations sent to whoever answers at a balancer; returns the binding."""
    await admin.allow("other", static_endpoint=front.target)
    await admin.becomes("other", "REGISTERED")
    bound = await admin.bind("other")
    await inside.connected(admin.service, "other")
    await admin.call("InitializePlugin", "other")
    await admin.call("EnablePlugin", "other")
    return str(bound.binding.id)


async def quarantined(admin: operator.Operator) -> bool:
    """Whether the version is."""
    view = await admin.service.parts.ctx.catalog.refresh()
    return view.quarantined("other", VERSION)


async def test_processes_behind_one_address_are_no_crash_loop(database_url: str) -> None:
    """Whenever a connection breaks off another process answers, and none of them has crashed."""
    async with (
        pods(*[VERSION] * PODS) as behind,
        balancer.balancing([each.target for each in behind]) as front,
        registrant.plugged(database_url) as (admin, _),
    ):
        await enable(admin, front)

        async def paid_by_all() -> bool:
            front.sever()
            await inside.connected(admin.service, "other")
            # One that meets the end of a connection may be in doubt, or not sent.
            await admin.caller.create(provider="other")
            return all(each.charged for each in behind)

        await rig.until(paid_by_all)
        assert not await quarantined(admin)


async def test_an_advertised_address_that_leads_to_others_is_no_crash_loop(
    database_url: str,
) -> None:
    """Processes that all name the balancer before them, and are let in whenever it leads back
    to them, end each other's leases; none of them has crashed.
    """
    async with (
        pods(*[VERSION] * PODS) as behind,
        balancer.balancing([each.target for each in behind]) as front,
        registrant.plugged(database_url) as (admin, plug),
    ):
        await admin.allow("other", endpoint_pattern=registrant.ANYWHERE)
        for each in behind:

            async def let_in(sidecar: Sidecar = each) -> bool:
                with contextlib.suppress(rig.Refused):
                    await plug.register(sidecar, front.target)
                    return True
                return False

            await rig.until(let_in)
        assert not await quarantined(admin)


async def test_operators_are_told_of_processes_that_take_turns_at_an_address(url: str) -> None:
    """One that was there before another one has not started again; both answer there."""
    async with (
        pods(VERSION, VERSION) as behind,
        balancer.balancing([each.target for each in behind]) as front,
        registrant.plugged(url) as (admin, _),
    ):
        await enable(admin, front)

        async def told() -> str:
            (seen,) = (await admin.call("GetPluginHealth", "other")).instances
            return str(seen.detail) if seen.ready else ""

        assert not await told()

        async def told_after_the_next_one() -> bool:
            front.sever()
            await inside.connected(admin.service, "other")
            return "other processes answer at this address" in await told()

        await rig.until(told_after_the_next_one)


async def test_one_process_after_the_other_at_an_address_is_a_crash_loop(url: str) -> None:
    """Where only one answers at a time, each that is new tells the end of the one before."""
    async with balancer.balancing() as front, registrant.plugged(url) as (admin, _):
        for number in range(CRASHES + 1):
            async with Sidecar("other", VERSION) as each:
                front.targets = [each.target]
                if not number:
                    await enable(admin, front)

                async def is_met(sidecar: Sidecar = each) -> bool:
                    return "GetConfigSchema" in sidecar.asked

                await rig.until(is_met)
            front.sever()

        async def is_quarantined() -> bool:
            return await quarantined(admin)

        await rig.until(is_quarantined)


class Dutiful(Sidecar):
    """Refuses what it lacks the configuration for, as the contract says."""

    def __init__(self, plugin_id: str, version: str) -> None:
        super().__init__(plugin_id, version)
        # The generation that each charge was made under.
        self.under: list[int] = []

    async def AuthorizePayment(self, request: Any, context: Any) -> Any:
        """Takes the money for who has configured it for that."""
        told = request.context
        has = self.applied.get(told.binding_id, 0)
        if has < max(told.config_generation, 1):
            problem = plugin_errors.BindingNotConfigured("older")
            await sidecars.fail(context, plugin_errors.to_rpc(problem, domain="other"))
        self.under.append(has)
        return await super().AuthorizePayment(request, context)


async def test_a_process_that_is_met_again_gets_what_was_configured_meanwhile(url: str) -> None:
    """Nothing is done there under what it was given the time before, not even what was under way
    to the process whose place it takes.
    """
    async with (
        Dutiful("other", VERSION) as one,
        Dutiful("other", VERSION) as other,
        balancer.balancing([one.target]) as front,
        registrant.plugged(url) as (admin, _),
    ):
        binding_id = await enable(admin, front)

        async def paid_by(sidecar: Dutiful) -> set[int]:
            front.targets = [sidecar.target]
            front.sever()
            before = len(sidecar.under)

            async def is_paid() -> bool:
                await admin.caller.create(provider="other")
                return len(sidecar.under) > before

            await rig.until(is_paid)
            return set(sidecar.under[before:])

        (first,) = await paid_by(one)
        assert await paid_by(other) == {first}
        request = binding_admin_service_pb2.UpdateBindingRequest(
            binding_id=binding_id, expected_generation=1, config_json='{"a": 1}', reason="new"
        )
        await admin.caller.call(admin.caller.bindings.UpdateBinding, request)
        (second,) = await paid_by(one)
        assert second > first


async def test_all_addresses_of_a_name_are_asked_who_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What gRPC prefers among them may be the same one each time."""
    async with pods(VERSION, VERSION) as (one, other):
        host, _, port = one.target.rpartition(":")
        identity = one.handshake.identity
        async with balancer.balancing([other.target], "127.0.0.2", int(port)):
            found = [host, "127.0.0.2"]
            monkeypatch.setattr(
                socket,
                "getaddrinfo",
                lambda *_, **__: [(socket.AF_INET, 1, 6, "", (each, int(port))) for each in found],
            )
            for is_elsewhere in (True, False):
                assert is_elsewhere == await sharing.leads_elsewhere(
                    tls.IN_CLEAR, f"pods.test:{port}", identity.plugin_id, identity.instance_id
                )
                found.pop()


class Mute(Sidecar):
    """Answers nobody any more, once it is told so, and keeps its connections."""

    is_mute = False

    async def Handshake(self, request: pb.HandshakeRequest, context: Any) -> pb.HandshakeResponse:
        """Says who it is, or nothing."""
        answer = await super().Handshake(request, context)
        if self.is_mute:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED)
        return answer

    async def Probe(self, request: pb.ProbeRequest, context: Any) -> pb.ProbeResponse:
        """Says whether it is ready, or nothing."""
        if self.is_mute:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED)
        return await super().Probe(request, context)


async def test_a_process_that_hangs_gives_way_to_the_next_one(url: str) -> None:
    """It keeps its connection: core makes another one, as often as nobody answers there."""
    async with (
        Mute("other", VERSION) as hanging,
        Sidecar("other", VERSION) as well,
        balancer.balancing([hanging.target]) as front,
        registrant.plugged(url) as (admin, _),
    ):
        await enable(admin, front)
        hanging.asked.clear()
        hanging.is_mute = True
        # Once over the connection that comes after the one that was given up.
        await rig.until(lambda: "Handshake" in hanging.asked)
        front.targets = [well.target]
        await rig.until(lambda: "Handshake" in well.asked)
        await inside.connected(admin.service, "other")
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        assert len(well.charged) == 1


async def test_an_operation_does_not_follow_versions_that_come_and_go_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it is stored who gets it, that one has just gone: it is given up, and not sent."""
    async with (
        pods(VERSION, "1.1.0") as both,
        registrant.plugged(url, plugin_probe_s=600.0) as (admin, plug),
    ):
        await registrant.enable(admin, plug, both[0])
        await plug.register(both[1])
        await inside.connected(admin.service, "other", instances=2)
        provider = admin.service.parts.ctx.providers.find("other")
        assert provider is not None
        noted: list[str] = []

        async def leaves(_: Any, version: str) -> bool:
            noted.append(version)
            for each in provider.links.values():
                each.watch.draining = each.version == version
            return True

        monkeypatch.setattr(admin.service.parts.plugins.takers, "note", leaves)
        monkeypatch.setattr(provider, "version_for", lambda *_: "")
        payment = await admin.caller.create(provider="other")
        assert (rig.state(payment), payment.failure.reason) == ("FAILED", "NOT_STORED")
        assert len(noted) == 3
        assert not both[0].charged + both[1].charged
