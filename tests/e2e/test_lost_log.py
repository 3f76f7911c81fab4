"""However the gateway loses events: payments go on, and the log is whole again."""

import asyncio
import os
import sys

import pytest

import payhub_client
from deploy import stack
from payhub_client import errors
from tests import starting, stored
from tests.e2e import databases, installation, workload

# What is waited for has limits of its own, one after the other.
pytestmark = pytest.mark.timeout(180)

TIMEOUT_S = 20.0


def caller_of(
    installed: installation.Installation, client: payhub_client.Client
) -> workload.Caller:
    """Returns a caller nobody has heard of."""
    return workload.Caller(client, installation.new_name(), installed.secrets)


async def cursor_of_all(client: payhub_client.Client, log: stored.Log) -> str:
    """Reads everything; returns the cursor after it."""
    async with installation.reading(client) as reader:
        await reader.caught_up(log)
        return reader.cursor


async def refusal_of(client: payhub_client.Client, cursor: str) -> errors.CursorError:
    """Returns how the gateway refuses a cursor."""
    async with asyncio.timeout(TIMEOUT_S), client.events.subscribe(after=cursor) as events:
        with pytest.raises(errors.CursorError) as refused:
            await anext(events)
        return refused.value


async def check(installed: installation.Installation, client: payhub_client.Client) -> None:
    """Waits for rest; fails unless everything holds and a new subscriber gets it all."""
    await installed.rest()
    async with installation.reading(client) as reader:
        await reader.caught_up(await installed.log())
        await installed.check(reader)


async def test_a_log_that_was_deleted_is_filled_again(keeper: installation.Keeper) -> None:
    """The gateway starts with an empty database: the whole log comes back, entity by entity
    in order, and a cursor of the log that is gone is refused as LOG_EPOCH_MISMATCH.
    """
    with keeper.running() as installed:
        async with installed.client() as client:
            await caller_of(installed, client).a_little()
            await installed.rest()
            log = await installed.log()
            cursor = await cursor_of_all(client, log)
            await installed.kill(stack.GATEWAY)
            await asyncio.to_thread(databases.remake, installed.log_url)
            await caller_of(installed, client).a_little()

            await installed.restart(stack.GATEWAY, EVENT_GATEWAY_AUTO_MIGRATE="true")

            await check(installed, client)
            assert (await installed.log()).head.epoch != log.head.epoch
            assert isinstance(await refusal_of(client, cursor), errors.LogEpochMismatch)


@pytest.mark.parametrize("new_epoch", [False, True], ids=["same epoch", "new epoch"])
async def test_a_log_restored_from_an_older_copy_gets_back_what_it_lacks(
    keeper: installation.Keeper, *, new_epoch: bool
) -> None:
    """Positions are behind what the outbox has marked: the missing events are published again.
    An operator who begins a new epoch makes old cursors useless, and loses nothing either.
    """
    with keeper.running() as installed:
        copy_url = databases.beside(installed.log_url, "_copy")
        async with installed.client() as client:
            await caller_of(installed, client).a_little()
            await installed.rest()
            await asyncio.to_thread(installed.stack.stop_one, stack.GATEWAY)
            await asyncio.to_thread(databases.copy, installed.log_url, copy_url)
            await installed.restart(stack.GATEWAY)
            await caller_of(installed, client).a_little()
            await installed.rest()
            log = await installed.log()
            cursor = await cursor_of_all(client, log)
            await asyncio.to_thread(installed.stack.stop_one, stack.GATEWAY)
            await asyncio.to_thread(databases.copy, copy_url, installed.log_url)
            assert len((await installed.log()).entries) < len(log.entries)
            if new_epoch:
                await asyncio.to_thread(begin_epoch, installed)

            await installed.restart(stack.GATEWAY)

            await check(installed, client)
            epochs = {log.head.epoch, (await installed.log()).head.epoch}
            assert len(epochs) == (2 if new_epoch else 1)
            if new_epoch:
                assert isinstance(await refusal_of(client, cursor), errors.LogEpochMismatch)


def begin_epoch(installed: installation.Installation) -> None:
    """Does what an operator does after restoring a log."""
    command = [sys.executable, "-m", "event_gateway", "new-epoch"]
    env = {**os.environ, "EVENT_GATEWAY_DATABASE_URL": installed.log_url}
    assert starting.popen(command, cwd=stack.ROOT, env=env).wait(30) == 0


async def test_payments_go_on_without_gateway_and_without_relay(
    keeper: installation.Keeper,
) -> None:
    """With the gateway down, then with the relay off, calls are answered as ever; events wait
    in the outbox, and all of them are in the log once both are back.
    """
    with keeper.running() as installed:
        async with installed.client() as client, installation.reading(client) as reader:
            await installed.kill(stack.GATEWAY)
            await caller_of(installed, client).a_little()
            assert "events not in the log" in await left(installed)
            await installed.restart(stack.GATEWAY)
            await installed.rest()

            await installed.restart(stack.PAYMENTS, PAYMENT_SERVICE_RELAY_ENABLED="false")
            before = await installed.log()
            await caller_of(installed, client).a_little()
            assert await installed.log() == before
            assert "events not in the log" in await left(installed)
            await installed.restart(stack.PAYMENTS)

            await installed.rest()
            await reader.caught_up(await installed.log())
            await installed.check(reader)


async def left(installed: installation.Installation) -> dict[str, int]:
    """Returns what payment_service still has to do."""
    return await asyncio.to_thread(stored.unfinished, installed.payments_url)
