"""Fixtures of the provider's tests: one shared bank, and connections to it."""

import pathlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import pytest_asyncio

from tests.integration.provider import further, oddity, rig


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.MockProcess]:
    """One simulated provider for all tests that neither stop nor tune it."""
    # Pending operations settle only when a test moves the provider's clock.
    process = rig.MockProcess(
        tmp_path_factory.mktemp("bank"), {"PROVIDER_MOCK_SETTLE_AFTER_S": "1000"}
    )
    yield process
    assert process.stop() == 0


@pytest_asyncio.fixture
async def core(bank: rig.MockProcess) -> AsyncIterator[rig.Core]:
    """A connection to the shared provider with a binding of its own."""
    core = rig.Core(bank.target)
    await core.connect()
    yield core
    await core.close()


@pytest.fixture
def start_mock(tmp_path: pathlib.Path) -> Iterator[Callable[..., rig.MockProcess]]:
    """Starts providers of the test's own, all on one ledger, and ends them."""
    started: list[rig.MockProcess] = []

    def start(env: Mapping[str, str] | None = None) -> rig.MockProcess:
        process = rig.MockProcess(tmp_path, env)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


@pytest_asyncio.fixture
async def shop(start_mock: Callable[..., rig.MockProcess]) -> AsyncIterator[further.Shop]:
    """A merchant at a provider of the test's own, whose clock it may move."""
    process = start_mock({"PROVIDER_MOCK_SETTLE_AFTER_S": "60"})
    core = rig.Core(process.target)
    await core.connect()
    yield further.Shop(core, process.http)
    await core.close()
    # What the ledger holds adds up, whatever happened.
    process.books()
    assert process.stop() == 0


@pytest_asyncio.fixture
async def odd() -> AsyncIterator[tuple[oddity.Odd, rig.Core]]:
    """A provider that does as it is told, in this process, and a connection to it."""
    async with oddity.served() as both:
        yield both
