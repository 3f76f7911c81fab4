"""A retry policy's process killed at the worst moments: never two tries for one slot."""

import asyncio
import contextlib
import json
import pathlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from deploy import stack
from tests.integration.payment_service import (
    conftest,
    paying,
    records,
    rig,
)

# (where it is killed, what the second attempt is found to be, effects at the provider).
KILLS = {
    "after_intent_commit": ("NOT_SENT", "FAILED", 0),
    "after_provider_call": ("SUCCEEDED", "SUCCEEDED", 1),
}


def set_due(url: str) -> None:
    """Makes every waiting try due now: no policy is that fast."""
    due_us = time.time_ns() // 1000
    sql = f"update payments set next_retry_us = {due_us} where next_retry_us > 0"
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute(sql)
            file.commit()
        return
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(sql.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A service in a process of its own, as far as callers go."""

    caller: rig.Caller


@contextlib.asynccontextmanager
async def calling(
    processes: stack.Stack, bank: paying.Payer, stored: records.Records
) -> AsyncIterator[paying.Paying]:
    """Calls the service once its provider is connected."""
    target = processes.target(stack.PAYMENTS)
    async with rig.Caller(target, processes.dev_key()) as caller:

        async def ready() -> bool:
            answer = await caller.call(caller.status.GetStatus, rig.status_request())
            return bool(answer.providers and answer.providers[0].ready)

        await rig.until(ready)
        service: Any = Outside(caller=caller)
        yield paying.Paying(service=service, bank=bank, records=stored)


@pytest.mark.timeout(240)
async def test_a_killed_try_is_never_made_twice(
    new_database_url: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """Whatever the process had done, its slot is used up, and the payer charged once at most."""
    url = new_database_url()
    env = conftest.RESOLVER | {
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1.5",
        "PAYMENT_SERVICE_PLUGIN_CRASHES_MAX": "0",
    }
    async with paying.Payer() as bank:
        env["PAYMENT_SERVICE_PROVIDERS"] = json.dumps({"mock": bank.target})
        processes = stack.Stack(
            tmp_path / "svc", env=env, databases={stack.PAYMENTS: url}, names=(stack.PAYMENTS,)
        )
        stored = records.Records(url)
        try:
            await asyncio.to_thread(processes.start)
            for point, (operation, state, effects) in KILLS.items():
                await _kill(processes, bank, stored, url, point)
                async with calling(processes, bank, stored) as shop:
                    (payment,) = (await shop.caller.list(page_size=1)).payments
                    after = await shop.caller.becomes(payment.id, state)
                    assert shop.outcomes(after) == ["DECLINED", operation], point
                    assert not after.HasField("next_retry_time")
                    ids = [one.id for one in after.operations]
                    found = [one for _, one in bank.effects if one in ids]
                    assert len(found) == effects, point
        finally:
            stored.close()
            await asyncio.to_thread(processes.stop)


async def _kill(
    processes: stack.Stack,
    bank: paying.Payer,
    stored: records.Records,
    url: str,
    point: str,
) -> None:
    """Has a payment refused softly, and the process killed in the middle of its only try."""
    async with calling(processes, bank, stored) as shop:
        method = await shop.attach((await shop.customer()).id)
        await shop.set_policy(3600)
        bank.script["AuthorizePayment"] = ["soft"]
        failed = await shop.pay(method)
        assert failed.HasField("next_retry_time")
    await asyncio.to_thread(processes.kill, stack.PAYMENTS)
    armed = {"PAYHUB_FAIL_POINTS": f"payment_service.{point}:1"}
    await asyncio.to_thread(processes.restart, stack.PAYMENTS, armed)
    async with calling(processes, bank, stored):
        await asyncio.to_thread(set_due, url)
    assert await asyncio.to_thread(processes.wait_exit, stack.PAYMENTS, timeout_s=40.0) == -9
    await asyncio.to_thread(processes.restart, stack.PAYMENTS)
