"""A payment database restored from an older back-up: nothing is charged again, events go on."""

import asyncio
import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest
from payhub.payments.v1 import plan_service_pb2

import payhub_client
from deploy import stack
from payhub_client import errors
from tests import polling, starting, stored
from tests.e2e import databases, installation, workload

# What is waited for has limits of its own, one after the other.
pytestmark = pytest.mark.timeout(240)


def caller_of(
    installed: installation.Installation, client: payhub_client.Client
) -> workload.Caller:
    """Returns a caller nobody has heard of."""
    return workload.Caller(client, installation.new_name(), installed.secrets)


async def back_up(installed: installation.Installation) -> str:
    """Copies the payment database of an installation at rest; returns the copy's URL."""
    copy_url = databases.beside(installed.payments_url, "_copy")
    await installed.rest()
    await asyncio.to_thread(installed.stack.stop_one, stack.PAYMENTS)
    await asyncio.to_thread(databases.copy, installed.payments_url, copy_url)
    await installed.restart(stack.PAYMENTS)
    return copy_url


async def restore(installed: installation.Installation, copy_url: str) -> None:
    """Ends payment_service and puts the copy in the place of its database."""
    await installed.kill(stack.PAYMENTS)
    await asyncio.to_thread(databases.copy, copy_url, installed.payments_url)


async def recover(installed: installation.Installation) -> str:
    """Does what an operator does then; returns what was printed."""
    await asyncio.to_thread(installed.stack.stop_one, stack.PAYMENTS)

    def run() -> str:
        printed = installed.stack.var / "recovery.txt"
        with printed.open("wb") as out:
            process = starting.popen(
                [sys.executable, "-m", "payment_service", "recover"],
                cwd=stack.ROOT,
                env=installed.stack.environment(stack.PAYMENTS),
                stdout=out,
            )
            assert process.wait(60) == 0
        return printed.read_text()

    return await asyncio.to_thread(run)


@contextlib.asynccontextmanager
async def started_too_early(installed: installation.Installation) -> AsyncIterator[None]:
    """Serves a restored database that nobody has recovered; it does not become ready."""
    with installed.stack.log_file(stack.PAYMENTS).open("ab") as out:
        process = starting.popen(
            [sys.executable, "-m", "payment_service", "serve"],
            cwd=stack.ROOT,
            env=installed.stack.environment(stack.PAYMENTS),
            stdout=out,
            stderr=out,
        )
    try:
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


def failing(installed: installation.Installation) -> str:
    """Returns what is not ready, or nothing."""
    try:
        with urllib.request.urlopen(f"{installed.stack.http_url(stack.PAYMENTS)}/readyz"):
            return ""
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.read().decode()


async def booked(installed: installation.Installation) -> int:
    """Returns how many operations the provider has in its books."""
    return await asyncio.to_thread(stored.count, f"sqlite:///{installed.ledger}", "operations")


def alarms(installed: installation.Installation) -> int:
    """Returns how often the service has said at level ERROR what has to be run."""
    lines = installed.stack.log_file(stack.PAYMENTS).read_text().splitlines()
    return sum('"error"' in line and "payment_service recover`" in line for line in lines)


async def test_what_the_log_tells_is_taken_back(keeper: installation.Keeper) -> None:
    """Who serves a restored database by mistake is told so, and nothing is made twice. After the
    recovery payments, refunds and customers of the time since are there again, the provider's
    books agree with them, and every call repeated under its key gets what it had made.
    """
    with keeper.running() as installed:
        async with installed.client() as client, installation.reading(client) as reader:
            before, since = caller_of(installed, client), caller_of(installed, client)
            await before.a_little()
            old = await before.pay("old", 1000, "EUR")
            lost = installation.new_name()
            copy_url = await back_up(installed)
            await refund(client, old.id, 400, lost)
            subscription = await subscribe(client, lost)
            await asyncio.gather(
                since.a_little(),
                since.capture_in_doubt(),
                since.cancel_authorized(),
                since.pay_after_decline(),
                since.sell_to_customer(),
            )
            await installed.rest()
            await restore(installed, copy_url)

            books, said = await booked(installed), alarms(installed)
            async with started_too_early(installed):
                assert "payment_service recover`" in await turned_away(client, old.id, lost)
                assert (await client.payments.get(old.id)).amounts.refunded_minor == 0
                assert "knows_event_log" in await asyncio.to_thread(failing, installed)
                assert alarms(installed) == said + 1
            assert await booked(installed) == books

            await recover(installed)
            await installed.restart(stack.PAYMENTS)

            await installed.rest()
            await since.repeat_everything()
            await before.repeat_everything()
            await refund(client, old.id, 400, lost)
            await refund(client, old.id, 100, installation.new_name())
            assert await subscribe(client, lost) == subscription
            assert (await since.settled(old.id)).amounts.refunded_minor == 500
            await caller_of(installed, client).a_little()
            await installed.check(reader)


@pytest.mark.parametrize("keeper", ["postgresql"], indirect=True)
async def test_a_service_whose_database_lost_commits_stops(keeper: installation.Keeper) -> None:
    """A standby that lagged takes over: who knows of a payment that is gone ends, nothing starts
    before the recovery, and who repeats calls all the while gets what they had made.
    """
    with keeper.running() as installed:
        async with installed.client() as client:
            since = caller_of(installed, client)
            copy_url = await back_up(installed)
            await since.a_little()
            await installed.rest()

            await asyncio.to_thread(databases.copy, copy_url, installed.payments_url)

            ended = await asyncio.to_thread(installed.stack.wait_exit, stack.PAYMENTS)
            assert ended == 1
            with pytest.raises(stack.StackError, match="python -m payment_service recover"):
                await installed.restart(stack.PAYMENTS)
            repeating = asyncio.create_task(since.repeat_everything())
            await recover(installed)
            await installed.restart(stack.PAYMENTS)
            await repeating
            await installed.check()


async def test_events_made_before_the_recovery_go_behind(keeper: installation.Keeper) -> None:
    """Who serves a restored database while the gateway is away makes a refund twice, and stops as
    soon as the gateway answers: the recovery adds both sides up, says which key was used twice,
    and nothing is refused by the log.
    """
    with keeper.running() as installed:
        async with installed.client() as client:
            caller = caller_of(installed, client)
            key = installation.new_name()
            old = await caller.pay("old", 1000, "EUR")
            copy_url = await back_up(installed)

            first = await refund(client, old.id, 400, key)
            await installed.rest()
            await restore(installed, copy_url)
            await asyncio.to_thread(installed.stack.stop_one, stack.GATEWAY)
            await installed.restart(stack.PAYMENTS, PAYMENT_SERVICE_GATEWAY_WAIT_S="0")
            second = await refund(client, old.id, 400, key)
            assert second != first
            said = alarms(installed)
            await installed.restart(stack.GATEWAY)
            await polling.until(lambda: alarms(installed) > said)
            await turned_away(client, old.id, installation.new_name())

            printed = await recover(installed)
            await installed.restart(stack.PAYMENTS)

            assert f"CreateRefund {key}: {first} and {second}" in printed
            payment = await caller.settled(old.id)
            assert payment.amounts.refunded_minor == 800
            await installed.rest()
            told = [each for each in (await installed.log()).entries if each.entity_id == old.id]
            assert [each.entity_version for each in told] == list(range(1, payment.version + 1))
            assert told[-1].type == "reconciliation.discrepancy"
    # Its books show the refund that was made twice.
    keeper.stop()


async def refund(client: payhub_client.Client, payment_id: str, amount_minor: int, key: str) -> str:
    """Returns a part of a payment; returns the refund's id."""
    made = await workload.insist(
        lambda: client.refunds.create(
            payment_id, amount_minor=amount_minor, currency="EUR", idempotency_key=key
        )
    )
    return made.id


async def subscribe(client: payhub_client.Client, key: str) -> str:
    """Makes a customer, a plan and a subscription under one key each; returns the last one's id."""
    customer = await client.customers.create(name="Ada", idempotency_key=key)
    plan = await client.plans.create(
        name="Gold",
        amount_minor=999,
        currency="EUR",
        interval=plan_service_pb2.Plan.INTERVAL_MONTH,
        trial_days=14,
        idempotency_key=key,
    )
    made = await client.subscriptions.create(customer.id, plan.id, idempotency_key=key)
    return made.id


async def turned_away(client: payhub_client.Client, payment_id: str, key: str) -> str:
    """Fails if a refund is made; returns the reason once one is given."""

    async def reason() -> str:
        try:
            await client.refunds.create(
                payment_id, amount_minor=400, currency="EUR", idempotency_key=key, timeout_s=4
            )
        except (errors.Unavailable, errors.OutcomeUnknown) as refused:
            return refused.message if refused.reason == "DATABASE_BEHIND" else ""
        raise AssertionError("a refund was made")

    told: str = await polling.until(reason)
    return told
