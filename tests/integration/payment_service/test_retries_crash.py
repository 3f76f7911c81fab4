"""A retry policy's process killed at the worst moments: never two tries for one slot."""

import asyncio
import pathlib
from collections.abc import Callable

import pytest

from tests.integration.payment_service import killable, paying

# (where it is killed, what the second attempt is found to be, effects at the provider).
KILLS = {
    "payment_service.after_intent_commit": ("NOT_SENT", "FAILED", 0),
    "payment_service.after_provider_call": ("SUCCEEDED", "SUCCEEDED", 1),
}


@pytest.mark.timeout(240)
async def test_a_killed_try_is_never_made_twice(
    new_database_url: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """Whatever the process had done, its slot is used up, and the payer charged once at most."""
    url = new_database_url()
    async with (
        paying.Payer() as bank,
        killable.Killable(tmp_path / "svc", url, bank, paying.Paying) as core,
    ):
        for point, (operation, state, effects) in KILLS.items():
            await _kill(core, bank, point)
            async with core.calling() as shop:
                (payment,) = (await shop.caller.list(page_size=1)).payments
                after = await shop.caller.becomes(payment.id, state)
                assert shop.outcomes(after) == ["DECLINED", operation], point
                assert not after.HasField("next_retry_time")
                ids = [one.id for one in after.operations]
                found = [one for _, one in bank.effects if one in ids]
                assert len(found) == effects, point


async def _kill(core: killable.Killable[paying.Paying], bank: paying.Payer, point: str) -> None:
    """Has a payment refused softly, and the process killed in the middle of its only try."""
    async with core.calling() as shop:
        method = await shop.attach((await shop.customer()).id)
        await shop.set_policy(3600)
        bank.script["AuthorizePayment"] = ["soft"]
        failed = await shop.pay(method)
        assert failed.HasField("next_retry_time")
    await core.arm(point)
    async with core.calling():
        await asyncio.to_thread(paying.make_retries_due, core.url)
    await core.is_killed()
