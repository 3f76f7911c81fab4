"""Whatever process is killed wherever: nothing is charged twice, lost or told wrong."""

import asyncio
import contextlib
import os
import random
import re
import signal

import pytest
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_events_pb2, payment_pb2
from payhub.provider.v1 import failure_pb2

from deploy import stack
from tests import stored
from tests.e2e import fail_points, installation, late, workload

# What is waited for has limits of its own, one after the other.
pytestmark = pytest.mark.timeout(180)

SEED = 20_260_101
KILLS_EACH = 2
LOADS = 2
TESTS = stack.ROOT / "tests"
_HIT = re.compile(r"failpoints\.hit\(\s*\"([^\"]+)\"\s*\)")


def test_every_fail_point_is_in_the_table() -> None:
    """The table names exactly the fail points of the source, each once, but for those that
    other tests kill at.
    """
    packages = [path.parent for path in stack.ROOT.glob("*/__init__.py") if path.parent != TESTS]
    texts = [file.read_text() for package in packages for file in package.rglob("*.py")]
    found = [name for text in texts for name in _HIT.findall(text)]
    calls = sum(text.count("failpoints.hit(") for text in texts)

    known = [*(point.name for point in fail_points.TABLE), *fail_points.ELSEWHERE]
    assert sorted(found) == sorted(known)
    for name, file in fail_points.ELSEWHERE.items():
        assert f'"{name}' in (TESTS / file).read_text()
    assert calls == len(found), "the name of a fail point is a plain text beside its call"


@pytest.mark.parametrize("point", fail_points.TABLE, ids=lambda point: point.name)
async def test_a_process_that_is_killed_at_a_boundary_breaks_no_invariant(
    keeper: installation.Keeper, point: fail_points.FailPoint
) -> None:
    """Killed there under load and started again, while callers repeat their calls with the
    same keys: every invariant holds, and an outcome nobody knew was IN_DOUBT until settled.
    """
    with keeper.running() as installed:
        await installed.count_days()
        before = await installed.book()
        await installed.arm(point.name, point.nth)
        async with installed.client() as client, installation.reading(client) as reader:
            caller = workload.Caller(client, installation.new_name(), installed.secrets)

            async def work() -> None:
                # All connections are made again, so that the kill falls in the middle of the
                # work; where that takes several payments, it may fall right here.
                await caller.connect()
                with contextlib.suppress(stack.StackError):
                    await installed.rest()
                await caller.everything()

            async with asyncio.TaskGroup() as working:
                working.create_task(work())
                await installed.killed_by(point.name)
                await installed.restart(point.name.partition(".")[0])
            await installed.rest()
            await caller.repeat_everything()
            await installed.rest()
            await reader.caught_up(await installed.log())

            await installed.check(reader)
        doubted = doubts(before, await installed.book())
        booked = {operation.state != payment_pb2.Operation.STATE_NOT_SENT for operation in doubted}
        if point.leaves != "no doubt":
            assert (point.leaves == "doubt, effect") in booked, doubted


async def test_processes_that_are_killed_at_random_break_no_invariant(
    keeper: installation.Keeper,
) -> None:
    """Each process is killed several times at any moment, under load that never pauses and
    with a provider that loses answers as well: every invariant holds.
    """
    chance = random.Random(SEED)
    victims = [*stack.NAMES] * KILLS_EACH
    chance.shuffle(victims)
    with keeper.running() as installed:
        await installed.count_days()
        async with installed.client() as client, installation.reading(client) as reader:
            callers: list[workload.Caller] = []
            stopped = asyncio.Event()

            async def load() -> None:
                while not stopped.is_set():
                    name = installation.new_name()
                    caller = workload.Caller(client, name, installed.secrets)
                    callers.append(caller)
                    await asyncio.gather(caller.everything(), caller.lose_answers())

            async with asyncio.TaskGroup() as working:
                for _ in range(LOADS):
                    working.create_task(load())
                for victim in victims:
                    await asyncio.sleep(chance.uniform(0.0, 0.4))
                    await installed.kill(victim)
                    await asyncio.sleep(chance.uniform(0.0, 0.2))
                    await installed.restart(victim)
                stopped.set()
            await installed.rest()
            for caller in callers:
                await caller.repeat_everything()
            await installed.rest()
            await reader.caught_up(await installed.log())

            await installed.check(reader)


async def test_a_request_that_was_stopped_beyond_its_time_is_refused(
    keeper: installation.Keeper,
) -> None:
    """The provider's process stands still until `not_after` is over: the payment is IN_DOUBT,
    then FAILED because it never arrived, and the same request is refused as TOO_LATE whenever
    it arrives after that.
    """
    with keeper.running() as installed:
        async with installed.client() as client:
            caller = workload.Caller(client, installation.new_name(), installed.secrets)
            await caller.connect()
            pid = installed.stack.pid(stack.MOCK)
            os.kill(pid, signal.SIGSTOP)
            try:
                stuck = await client.payments.create(
                    amount_minor=100, currency="EUR", payment_method="tok_approve"
                )
            finally:
                os.kill(pid, signal.SIGCONT)
            assert stuck.state == payment_pb2.Payment.STATE_IN_DOUBT
            settled = await caller.settled(stuck.id)

            assert settled.state == payment_pb2.Payment.STATE_FAILED
            assert settled.failure.reason == "NEVER_ARRIVED"
            failure = await late.send_again(installed, settled.operations[0].id)
            assert failure.reason == failure_pb2.FAILURE_REASON_TOO_LATE
            assert failure.effect == failure_pb2.Failure.EFFECT_NONE
        await installed.rest()
        await installed.check()


def doubts(before: stored.Payments, now: stored.Payments) -> list[stored.Operation]:
    """Returns the operations that were in doubt between two moments, by what events tell."""
    old = {row.id for row in before.outbox}
    doubted = set()
    for row in now.outbox:
        if row.id in old:
            continue
        event = event_pb2.Event.FromString(bytes(row.envelope))
        if event.type.endswith(".in_doubt") or is_doubtful_customer(event):
            doubted.add(event.cause.causation_id)
    return [operation for operation in now.operations if operation.id in doubted]


def is_doubtful_customer(event: event_pb2.Event) -> bool:
    """Whether an event tells that it is not known whether the provider has a customer."""
    if event.entity_type != "customer":
        return False
    payload = payment_events_pb2.CustomerEvent.FromString(event.data)
    return payload.customer.sync_state == customer_service_pb2.Customer.SYNC_STATE_IN_DOUBT
