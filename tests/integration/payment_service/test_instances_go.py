"""Instances that go while others stay: whoever pays meanwhile does not notice."""

import asyncio
import contextlib
import pathlib

from provider_sdk import errors as plugin_errors
from tests.integration.payment_service import inside, registrant, rig, sidecars

OLD, NEW = "1.0.0", "1.1.0"
# More than open a breaker.
UNDER_WAY = 16


async def test_however_many_drain_at_once_the_next_one_is_asked(tmp_path: pathlib.Path) -> None:
    """All instances of a version are told to stop, and core has not seen it of any yet."""
    async with contextlib.AsyncExitStack() as closing:
        admin, plug = await closing.enter_async_context(
            registrant.plugged(f"sqlite:///{tmp_path}/payments.db", plugin_probe_s=600.0)
        )
        old = [await closing.enter_async_context(sidecars.Failing("other", OLD)) for _ in range(5)]
        new = await closing.enter_async_context(sidecars.Sidecar("other", NEW))
        await registrant.enable(admin, plug, old[0])
        for each in (*old[1:], new):
            await plug.register(each)
        await inside.connected(admin.service, "other", instances=6)
        for each in old:
            each.failure = plugin_errors.Draining("stopping")
        payment = await admin.caller.create(provider="other")
        assert rig.state(payment) == "SUCCEEDED"
        assert new.charged == [payment.operations[0].id]


async def test_the_end_of_an_instance_opens_no_breaker(tmp_path: pathlib.Path) -> None:
    """What was under way there is in doubt; nothing says that the provider behind it is down."""
    url = f"sqlite:///{tmp_path}/payments.db"
    async with (
        sidecars.Sidecar("other") as one,
        sidecars.Sidecar("other") as two,
        registrant.plugged(url, provider_timeout_s=30) as (admin, plug),
    ):
        await registrant.enable(admin, plug, one)
        await plug.register(two)
        await inside.connected(admin.service, "other", instances=2)
        one.answers = two.answers = asyncio.Event()
        paying = [
            asyncio.create_task(admin.caller.create(provider="other")) for _ in range(2 * UNDER_WAY)
        ]

        async def under_way() -> bool:
            return len(one.charged) == len(two.charged) == UNDER_WAY

        await rig.until(under_way)
        await one.stop()

        async def in_doubt() -> bool:
            return sum(each.done() for each in paying) == UNDER_WAY

        await rig.until(in_doubt)
        later = asyncio.create_task(admin.caller.create(provider="other"))

        async def begun() -> bool:
            return later.done() or len(two.charged) > UNDER_WAY

        await rig.until(begun)
        two.answers.set()
        assert rig.state(await later) == "SUCCEEDED"
        states = [rig.state(each) for each in await asyncio.gather(*paying)]
        assert sorted(states) == ["IN_DOUBT"] * UNDER_WAY + ["SUCCEEDED"] * UNDER_WAY
