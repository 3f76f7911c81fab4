"""A process killed while it subscribes a customer: one subscription or none, and it is known."""

import pathlib
from collections.abc import Callable

import pytest

from tests.integration.payment_service import billing, killable, rig, upstream

# Where it is killed, and what the subscription is found to be.
KILLS = {
    "payment_service.after_intent_commit": "FAILED",
    "payment_service.after_provider_call": "ACTIVE",
}


@pytest.mark.timeout(240)
async def test_a_subscription_survives_the_death_of_its_process(
    new_database_url: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """The intent is there before the provider hears of it, its outcome is looked up, and the
    caller's key finds the one that was made.
    """
    url = new_database_url()
    async with (
        upstream.Upstream() as bank,
        killable.Killable(tmp_path / "svc", url, bank, billing.Billing) as core,
    ):
        async with core.calling() as bill:
            customer, plan = await bill.customer(), await bill.plan(900)
        for point, state in KILLS.items():
            await core.arm(point)
            key, effects = rig.new_key(), len(bank.effects)
            async with core.calling() as bill:
                await rig.refusal(bill.subscribe(customer.id, plan.id, key=key))
            await core.is_killed()
            async with core.calling() as bill:
                made = (await bill.ask("ListSubscriptions")).subscriptions[0]
                after = await bill.becomes(made.id, state)
                assert len(bank.effects) - effects == (state == "ACTIVE"), point
                bill.records.story(after)
                again = await bill.subscribe(customer.id, plan.id, key=key)
                assert again.id == made.id
                assert len(bank.effects) - effects == (state == "ACTIVE"), point
