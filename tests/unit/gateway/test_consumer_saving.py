"""Who waits for a consumer's decisions to be on disk."""

import asyncio
import types
from typing import Any

import pytest

from event_gateway.consumers import machine, members, place, policy, records, saving
from servicekit import clock, errors, storage


async def test_who_waits_hears_of_the_end_whatever_a_write_comes_to() -> None:
    """A consumer that ends during a write that then fails leaves nobody waiting."""
    began, failed = asyncio.Event(), asyncio.Event()

    async def write(_: object) -> None:
        began.set()
        await failed.wait()
        raise storage.StorageUnavailable("gone")

    around: Any = types.SimpleNamespace(
        database=types.SimpleNamespace(write=write), time=clock.FakeClock()
    )
    rules = policy.Policy(
        ordering=policy.Ordering.NONE,
        park_scope=policy.ParkScope.EVENT,
        ack_timeout_us=1,
        max_deliveries=1,
        backoff_us=(),
        max_outstanding=1,
        paused=False,
    )
    known = records.Known(retries=(), blocked_keys=(), parked=0)
    decided = machine.Machine(rules, place.Place(0), known, incarnation="d", who=members.Members())
    saver = saving.Saver(around)
    mine: Any = None
    waiter = saver.wait()
    writing = asyncio.create_task(saver.write(decided, mine, (), erasures=0))
    await began.wait()
    saver.fail(errors.unavailable("the gateway is stopping", retry_after_s=1.0))
    failed.set()
    with pytest.raises(storage.StorageError):
        await writing
    with pytest.raises(errors.RpcError):
        await asyncio.wait_for(waiter, 5.0)
