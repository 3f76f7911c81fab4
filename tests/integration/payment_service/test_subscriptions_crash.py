"""A process killed while it subscribes a customer: one subscription or none, and it is known."""

import asyncio
import contextlib
import json
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy import stack
from tests.integration.payment_service import (
    billing,
    conftest,
    records,
    rig,
    test_retries_crash,
    upstream,
)

# Where it is killed, and what the subscription is found to be.
KILLS = {"after_intent_commit": "FAILED", "after_provider_call": "ACTIVE"}


@contextlib.asynccontextmanager
async def calling(
    processes: stack.Stack, bank: upstream.Upstream, stored: records.Records
) -> AsyncIterator[billing.Billing]:
    """Calls the service once its provider is connected."""
    target = processes.target(stack.PAYMENTS)
    async with rig.Caller(target, processes.dev_key()) as caller:

        async def ready() -> bool:
            answer = await caller.call(caller.status.GetStatus, rig.status_request())
            return bool(answer.providers and answer.providers[0].ready)

        await rig.until(ready)
        service: Any = test_retries_crash.Outside(caller=caller)
        yield billing.Billing(service=service, bank=bank, records=stored)


@pytest.mark.timeout(240)
async def test_a_subscription_survives_the_death_of_its_process(
    new_database_url: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """The intent is there before the provider hears of it, its outcome is looked up, and the
    caller's key finds the one that was made.
    """
    url = new_database_url()
    env = conftest.RESOLVER | {
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1.5",
        "PAYMENT_SERVICE_PLUGIN_CRASHES_MAX": "0",
    }
    async with upstream.Upstream() as bank:
        env["PAYMENT_SERVICE_PROVIDERS"] = json.dumps({"mock": bank.target})
        processes = stack.Stack(
            tmp_path / "svc", env=env, databases={stack.PAYMENTS: url}, names=(stack.PAYMENTS,)
        )
        stored = records.Records(url)
        try:
            await asyncio.to_thread(processes.start)
            async with calling(processes, bank, stored) as bill:
                customer, plan = await bill.customer(), await bill.plan(900)
            for point, state in KILLS.items():
                await asyncio.to_thread(processes.kill, stack.PAYMENTS)
                armed = {"PAYHUB_FAIL_POINTS": f"payment_service.{point}:1"}
                await asyncio.to_thread(processes.restart, stack.PAYMENTS, armed)
                key, effects = rig.new_key(), len(bank.effects)
                async with calling(processes, bank, stored) as bill:
                    await rig.refusal(bill.subscribe(customer.id, plan.id, key=key))
                gone = await asyncio.to_thread(processes.wait_exit, stack.PAYMENTS, timeout_s=40.0)
                assert gone == -9
                await asyncio.to_thread(processes.restart, stack.PAYMENTS)
                async with calling(processes, bank, stored) as bill:
                    made = (await bill.ask("ListSubscriptions")).subscriptions[0]
                    after = await bill.becomes(made.id, state)
                    assert len(bank.effects) - effects == (state == "ACTIVE"), point
                    stored.story(after)
                    again = await bill.subscribe(customer.id, plan.id, key=key)
                    assert again.id == made.id
                    assert len(bank.effects) - effects == (state == "ACTIVE"), point
        finally:
            stored.close()
            await asyncio.to_thread(processes.stop)
