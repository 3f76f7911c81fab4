"""How long plugins take to load, as a scrape of the process that loads them tells it."""

import pathlib
import uuid
from typing import Any

import grpc
import pytest
from payhub.plugin.v1 import plugin_service_pb2 as ps

from servicekit import logs
from tests import fake_clock
from tests.integration.payment_service import inside, operator, registrant, rig, sidecars

STARTS_S = 20.0
_P = ps.ProbeResponse


class Mute(sidecars.Sidecar):
    """Answers no handshake for as long as it is mute."""

    mute = False

    async def Handshake(self, request: ps.HandshakeRequest, context: Any) -> ps.HandshakeResponse:
        """Fails, or says who it is."""
        answer = await super().Handshake(request, context)
        if self.mute:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return answer


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """A database of one dialect: what is tested here never touches it."""
    return f"sqlite:///{tmp_path}/payments.db"


def told(admin: operator.Operator) -> dict[tuple[str, str], tuple[float, float]]:
    """Count and sum of the loads of plugins, by plugin and outcome."""
    providers: Any = admin.service.parts.ctx.providers
    found: dict[tuple[str, str], list[float]] = {}
    for family in providers._tools.metrics._loads.collect():
        for sample in family.samples:
            if sample.name.endswith(("_count", "_sum")):
                key = (sample.labels["plugin"], sample.labels["outcome"])
                found.setdefault(key, []).append(sample.value)
    return {key: (count, sum_s) for key, (count, sum_s) in found.items()}


def counts(admin: operator.Operator) -> dict[str, float]:
    """How many loads of `other` came to what."""
    return {what: count for (name, what), (count, _) in told(admin).items() if name == "other"}


async def counted(admin: operator.Operator, **wanted: int) -> None:
    """Returns once so many loads came to what is named."""

    async def seen() -> bool:
        return wanted.items() <= counts(admin).items()

    await rig.until(seen)


async def replaced(sidecar: sidecars.Sidecar, *, instance_id: str = "") -> None:
    """Ends a process and starts one where it was: another one, unless it is named."""
    await sidecar.stop()
    sidecar.handshake.identity.instance_id = instance_id or str(uuid.uuid4())
    await sidecar.start(int(sidecar.target.rpartition(":")[2]))


async def met(admin: operator.Operator, sidecar: sidecars.Sidecar) -> None:
    """Returns once core has a connection to a sidecar and knows it."""

    async def is_known() -> bool:
        provider = admin.service.parts.ctx.providers.find("other")
        links = list(provider.links.values()) if provider else []
        return any(each.endpoint == sidecar.target and each.client.known for each in links)

    await rig.until(is_known)


async def test_a_load_lasts_until_the_process_takes_operations(url: str) -> None:
    """From the connection, over what it says of itself, to the probe that says it is ready; once
    a process, and no longer told once its plugin is uninstalled.
    """
    time = fake_clock.Ahead()
    async with Mute("other") as other, registrant.plugged(url, clock=time) as (admin, _):
        other.readiness = _P.READINESS_INITIALIZING
        await admin.allow("other", static_endpoint=other.target)
        await admin.becomes("other", "REGISTERED")
        assert "ready" not in counts(admin)
        time.ahead_s += STARTS_S
        other.readiness = _P.READINESS_READY
        await counted(admin, ready=1)
        count, seconds = told(admin)["other", "ready"]
        assert (count, seconds >= STARTS_S) == (1, True)

        # The connection is made again to the process that is known.
        provider = admin.service.parts.ctx.providers.find("other")
        assert provider is not None
        (link,) = provider.links.values()
        shaken = other.asked.count("Handshake")
        await replaced(other, instance_id=link.instance_id)

        async def again() -> bool:
            return other.asked.count("Handshake") > shaken and link.ready

        await rig.until(again)
        assert counts(admin)["ready"] == 1
        await replaced(other)
        await counted(admin, ready=2)

        await other.stop()
        await admin.call("UninstallPlugin", "other")
        assert counts(admin) == {}


async def test_what_fails_is_told_once_and_by_cause(url: str) -> None:
    """However often it is tried again; who registers counts like who is found."""
    async with Mute("other") as other, registrant.plugged(url) as (admin, plug):

        async def tried_again() -> bool:
            return other.asked.count("Handshake") > 2

        other.mute = True
        await admin.allow(
            "other", static_endpoint=other.target, endpoint_pattern=registrant.ANYWHERE
        )
        await rig.until(tried_again)
        await counted(admin, failed=1)
        other.mute = False
        await counted(admin, failed=1, ready=1)

        other.handshake.identity.plugin_id = "another"
        await replaced(other)
        await counted(admin, refused=1)

        async with sidecars.Sidecar("other") as second:
            second.readiness = _P.READINESS_INITIALIZING
            session_id = (await plug.register(second)).session_id
            await met(admin, second)
            await plug.leave(session_id)
            await counted(admin, lost=1)
            second.readiness = _P.READINESS_READY
            await plug.register(second)
            await inside.connected(admin.service, "other")
            await counted(admin, ready=2)


async def test_what_a_connection_logs_is_no_part_of_the_call_that_it_was_made_in(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who looks for a call's request id does not find what became of a plugin days after it."""
    async with Mute("other") as other, registrant.plugged(url) as (admin, _):
        await admin.allow("other", static_endpoint=other.target)
        await counted(admin, ready=1)
        other.handshake.identity.plugin_id = "another"
        await replaced(other)
        await counted(admin, refused=1)
    logs.flush()
    lines = [line for line in capfd.readouterr().err.splitlines() if "instance refused" in line]
    assert lines
    assert [line for line in lines if "request_id" in line] == []
