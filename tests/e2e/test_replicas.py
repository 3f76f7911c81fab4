"""Two of each service on one PostgreSQL: whoever goes, and comes back, nothing is lost."""

import asyncio
import collections
import contextlib
import os
import pathlib
import random
import signal
from collections.abc import AsyncIterator

import psycopg
import pytest

import payhub_client
from deploy import stack
from payhub_client import errors
from tests import postgres
from tests.e2e import databases, installation, workload

# What is waited for has limits of its own, one after the other.
pytestmark = pytest.mark.timeout(240)

SEED = 20_261_130
TROUBLES = 10
CONSUMER = "books"


@contextlib.asynccontextmanager
async def replicated(
    server: str, folder: pathlib.Path
) -> AsyncIterator[tuple[installation.Installation, stack.Stack]]:
    """Runs an installation on *server* and a replica of its services, and stops both."""
    urls = {}
    for name in (stack.PAYMENTS, stack.GATEWAY):
        urls[name] = postgres.with_database(server, f"{name}_{installation.new_name()}")
        databases.remake(urls[name])
    installed = installation.Installation(folder / "one", urls)
    replica = installed.replica(folder / "two")
    try:
        await asyncio.to_thread(installed.start)
        await installed.enabled()
        await asyncio.to_thread(replica.start)
        yield installed, replica
    finally:
        await asyncio.to_thread(replica.stop, grace_s=5.0)
        await asyncio.to_thread(installed.stack.stop, grace_s=5.0)


def client(
    installed: installation.Installation, payments: stack.Stack, gateway: stack.Stack
) -> payhub_client.Client:
    """Returns a client of one of the services and one of the gateways."""
    return payhub_client.Client(
        payments.target(stack.PAYMENTS),
        key=installed.stack.dev_key(),
        events_target=gateway.target(stack.GATEWAY),
    )


async def consume(member: str, by: payhub_client.Client, taken: collections.Counter[str]) -> None:
    """Takes and acknowledges events until canceled, whatever becomes of the gateways."""
    while True:
        with contextlib.suppress(errors.Unavailable):
            async with by.consume(CONSUMER, member=member) as work:
                async for each in work:
                    taken[each.event.id] += 1
                    await each.ack()


async def trouble(
    chance: random.Random, installed: installation.Installation, replica: stack.Stack
) -> None:
    """Kills a process or stops it for a while, or cuts half the connections to the database."""
    where, process = chance.choice(
        [
            *((installed.stack, name) for name in stack.NAMES),
            (replica, stack.PAYMENTS),
            (replica, stack.GATEWAY),
        ]
    )
    what = chance.choice(("kill", "stop", "cut"))
    if what == "kill":
        await asyncio.to_thread(where.kill, process)
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        await asyncio.to_thread(where.restart, process, installation.NO_MIGRATION)
    elif what == "stop":
        pid = where.pid(process)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(chance.uniform(0.3, 2.5))
        finally:
            os.kill(pid, signal.SIGCONT)
    else:
        for url in (installed.payments_url, installed.log_url):
            await asyncio.to_thread(cut, url)


def cut(url: str) -> None:
    """Ends every second connection to a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid % 2 = 0 and pid <> pg_backend_pid()"
        )


async def test_replicas_that_come_and_go_break_no_invariant(
    postgres_url: str, tmp_path: pathlib.Path
) -> None:
    """Two of each service are killed and stopped at any moment, their connections to the
    database are cut, and callers, subscribers and a durable consumer's members use both: every
    invariant holds, every subscriber got every event once, and the consumer each at least once.
    """
    chance = random.Random(SEED)
    taken: collections.Counter[str] = collections.Counter()
    async with replicated(postgres_url, tmp_path) as (installed, replica):
        sides = (installed.stack, replica)
        async with contextlib.AsyncExitStack() as opened:
            clients = [
                await opened.enter_async_context(client(installed, payments, gateway))
                for payments, gateway in (sides, sides[::-1])
            ]
            readers = [
                await opened.enter_async_context(installation.reading(each)) for each in clients
            ]
            await clients[0].consumers.create(CONSUMER, start="oldest", ack_timeout_s=10.0)
            members = [
                asyncio.create_task(consume(f"member-{number}", each, taken))
                for number, each in enumerate(clients)
            ]
            callers: list[workload.Caller] = []
            stopped = asyncio.Event()

            async def load(by: payhub_client.Client) -> None:
                while not stopped.is_set():
                    caller = workload.Caller(by, installation.new_name(), installed.secrets)
                    callers.append(caller)
                    await asyncio.gather(caller.everything(), caller.lose_answers())

            async with asyncio.TaskGroup() as working:
                for each in clients:
                    working.create_task(load(each))
                for _ in range(TROUBLES):
                    await asyncio.sleep(chance.uniform(0.0, 0.4))
                    await trouble(chance, installed, replica)
                stopped.set()
            await installed.rest()
            await asyncio.gather(*(caller.repeat_everything() for caller in callers))
            await installed.rest()
            for reader in readers:
                await reader.caught_up(await installed.log(), timeout_s=45.0)
                await installed.check(reader, beside=replica)
            wanted = {event.id for event in readers[0].events}
            async with asyncio.timeout(45.0):
                while True:
                    if wanted <= taken.keys():
                        break
                    await asyncio.sleep(installation.POLL_S)
            for member in members:
                assert not member.done(), "a member must outlive every trouble"
                member.cancel()
            await asyncio.gather(*members, return_exceptions=True)
