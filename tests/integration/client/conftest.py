"""Fixtures of the client's tests: fake servers and a client with short waits."""

from collections.abc import AsyncIterator, Iterator

import pytest

import payhub_client
from payhub_client import retries
from tests import shells
from tests.integration.client import fake_log, fake_payments, reading

KEY = "phk_test_key"
BACKOFF = retries.Backoff(first_s=0.01, longest_s=0.05)


@pytest.fixture
def payments() -> Iterator[fake_payments.FakePayments]:
    """A running fake payment service."""
    with fake_payments.serving() as fake:
        yield fake


@pytest.fixture
def log() -> Iterator[fake_log.FakeLog]:
    """A running fake gateway."""
    with fake_log.serving() as fake:
        yield fake


@pytest.fixture
async def client(
    payments: fake_payments.FakePayments, log: fake_log.FakeLog
) -> AsyncIterator[payhub_client.Client]:
    """A client of both fakes."""
    async with payhub_client.Client(
        payments.target, key=KEY, events_target=log.target, backoff=BACKOFF
    ) as made:
        yield made


@pytest.fixture
def shell(payments: fake_payments.FakePayments, log: fake_log.FakeLog) -> shells.Shell:
    """payctl against both fakes."""
    return shells.Shell(
        PAYHUB_TARGET=payments.target, PAYHUB_EVENTS_TARGET=log.target, PAYHUB_KEY=KEY
    )


@pytest.fixture
def sleeps() -> reading.Sleeps:
    """The waits of `hasty`."""
    return reading.Sleeps()


@pytest.fixture
async def hasty(
    log: fake_log.FakeLog, sleeps: reading.Sleeps
) -> AsyncIterator[payhub_client.Client]:
    """A client that notes its waits instead of taking them."""
    async with payhub_client.Client(
        log.target,
        key=KEY,
        events_target=log.target,
        timing=retries.Timing(sleep=sleeps, chance=lambda: 0.0),
    ) as made:
        yield made
