"""Who waits for a consumer's decisions to be on disk."""

import asyncio
import types
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from event_gateway.consumers import machine, member, members, place, policy, records, saving
from event_gateway.db import progress
from servicekit import auth, errors, storage
from tests import fake_clock

RULES = policy.Policy(
    ordering=policy.Ordering.NONE,
    park_scope=policy.ParkScope.EVENT,
    ack_timeout_us=1,
    max_deliveries=1,
    backoff_us=(),
    max_outstanding=1,
    paused=False,
)


def nothing_decided() -> machine.Machine:
    """Returns a machine that has nothing to write."""
    known = records.Known(retries=(), blocked_keys=(), parked=0)
    return machine.Machine(RULES, place.Place(0), known, incarnation="d", who=members.Members())


def saving_by(write: Callable[[object], Awaitable[object]]) -> saving.Saver:
    """Returns a saver whose database writes so."""
    database = types.SimpleNamespace(write=write)
    around: Any = types.SimpleNamespace(database=database, time=fake_clock.FakeClock())
    return saving.Saver(around)


async def test_who_waits_hears_of_the_end_whatever_a_write_comes_to() -> None:
    """A consumer that ends during a write that then fails leaves nobody waiting."""
    began, failed = asyncio.Event(), asyncio.Event()

    async def write(_: object) -> None:
        began.set()
        await failed.wait()
        raise storage.StorageUnavailable("gone")

    saver = saving_by(write)
    mine: Any = None
    waiter = saver.wait()
    writing = asyncio.create_task(saver.write(nothing_decided(), mine, (), erasures=0))
    await began.wait()
    saver.fail(errors.unavailable("the gateway is stopping", retry_after_s=1.0))
    failed.set()
    with pytest.raises(storage.StorageError):
        await writing
    with pytest.raises(errors.RpcError):
        await asyncio.wait_for(waiter, 10.0)


async def test_who_comes_during_a_write_is_told_too() -> None:
    """A member that joins during a write, and settles again what was settled before, adds nothing
    that a further write would confirm.
    """
    decided = nothing_decided()
    who: set[member.Member] = set()

    async def write(_: object) -> progress.Written:
        joined = member.Member(
            alone=True,
            on_room=lambda: None,
            session=decided.members.join("m", 1),
            principal=auth.Principal(tenant_id="one", scopes=frozenset(), key_id="k"),
            key_digest=b"",
            tenants=("one",),
        )
        joined.applied = 7
        who.add(joined)
        return progress.Written.DONE

    mine: Any = None
    assert await saving_by(write).write(decided, mine, who, erasures=0)
    assert [each.durable for each in who] == [7]
