"""An address behind which several processes of a plugin answer, one connection each."""

import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from payhub.plugin.v1 import plugin_service_pb2 as pb

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


async def enable(admin: operator.Operator, front: balancer.Balancer) -> None:
    """Has operations sent to whoever answers at a balancer."""
    await admin.allow("other", static_endpoint=front.target)
    await admin.becomes("other", "REGISTERED")
    await admin.bind("other")
    await inside.connected(admin.service, "other")
    await admin.call("InitializePlugin", "other")
    await admin.call("EnablePlugin", "other")


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
