"""A provider whose clock is off: its operator is told, and doubts last as long as it is behind."""

import time
from typing import Any

import pytest
from payhub.plugin.v1 import plugin_service_pb2 as ps

from payment_service.usecases import doubts
from tests.integration.payment_service import desks, registrant, rig, sidecars
from tests.integration.payment_service.test_operator_doubts import NO_EFFECT, Forgetful

BEHIND_S = 300
TOLD = "its clock is more than 2 s {}: synchronize it"


class Slow(sidecars.Sidecar):
    """Tells a time that is past; none if `behind_s` is None."""

    behind_s: float | None = BEHIND_S

    async def Probe(self, request: ps.ProbeRequest, context: Any) -> ps.ProbeResponse:
        """Tells its time."""
        answer = await super().Probe(request, context)
        if self.behind_s is not None:
            answer.time.FromMicroseconds(time.time_ns() // 1000 - round(self.behind_s * 1e6))
        return answer


class Forgetting(Slow, Forgetful):
    """Takes the money and tells nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.handshake.ClearField("upstream_request_max")


async def test_nobody_ends_a_doubt_before_its_fence_has_passed_there(database_url: str) -> None:
    """Until then a request that stood still would be carried out."""
    async with Forgetting() as bank, desks.opened(database_url, bank.target) as desk:
        payment = await desk.caller.create("tok_any")
        assert rig.state(payment) == "IN_DOUBT"
        doubt = await desk.one(payment)
        lasts_s = doubt.settleable_time.seconds - payment.create_time.seconds
        least_s = doubts.SETTLEABLE_AFTER_S + BEHIND_S
        assert least_s <= lasts_s <= least_s + 5
        desk.clock.advance(BEHIND_S)
        assert (await rig.refusal(desk.settle(doubt, NO_EFFECT))).reason == "STATE_CONFLICT"
        desk.clock.advance(doubts.SETTLEABLE_AFTER_S + 5)
        assert rig.state(await desk.settle(doubt, NO_EFFECT)) == "FAILED"


async def test_a_clock_that_was_set_right_keeps_nothing_waiting(database_url: str) -> None:
    """What an instance tells replaces what it told before, from the first probe on."""
    async with Forgetting() as bank, desks.opened(database_url, bank.target) as desk:
        await desk.caller.create("tok_any")
        provider = desk.service.parts.ctx.providers.find("mock")
        assert provider is not None
        assert provider.lags.longest_s(desk.clock.now_us()) == pytest.approx(BEHIND_S, abs=5.0)
        bank.behind_s = 0.0
        for each in provider.links.values():
            each.look()

        async def is_right() -> bool:
            return provider.lags.longest_s(desk.clock.now_us()) < 1.0

        await rig.until(is_right)


@pytest.mark.parametrize("behind_s", [None, 0.5, -0.5])
async def test_a_clock_that_is_hardly_off_is_nothing_to_tell(
    database_url: str, behind_s: float | None
) -> None:
    """Nor one that is not told."""
    assert "its clock" not in await _told(database_url, behind_s)


@pytest.mark.parametrize(("behind_s", "side"), [(BEHIND_S, "behind"), (-BEHIND_S, "ahead")])
async def test_a_clock_that_is_off_is_told(database_url: str, behind_s: float, side: str) -> None:
    """It is degraded for that; one that is ahead may refuse everything as too late."""
    assert TOLD.format(side) in await _told(database_url, behind_s)


async def test_a_clock_near_the_limit_is_not_told_to_and_fro(database_url: str) -> None:
    """Who is degraded for it is well again once it is clearly within the limit."""
    async with (
        Slow("slow") as slow,
        registrant.plugged(database_url, provider_skew_s=2.0) as (admin, plug),
    ):
        slow.behind_s = 2.5
        await registrant.enable(admin, plug, slow)

        async def told() -> bool:
            before = slow.asked.count("Probe")
            provider = admin.service.parts.ctx.providers.find("slow")
            assert provider is not None
            for each in provider.links.values():
                each.look()

            async def probed() -> bool:
                return slow.asked.count("Probe") > before + 1

            await rig.until(probed)
            return "its clock" in str(await admin.call("GetPluginHealth", "slow"))

        assert await told()
        slow.behind_s = 1.9
        assert await told()
        slow.behind_s = 1.0
        assert not await told()


async def _told(database_url: str, behind_s: float | None) -> str:
    async with (
        Slow("slow") as slow,
        registrant.plugged(database_url, provider_skew_s=2.0) as (admin, plug),
    ):
        slow.behind_s = behind_s
        await registrant.enable(admin, plug, slow)
        paid = await admin.caller.create(provider="slow")
        assert rig.state(paid) == "SUCCEEDED"
        return str(await admin.call("GetPluginHealth", "slow"))
