"""Fixtures of the conformance suite's tests: simulated providers that run already."""

import asyncio
import pathlib
from collections.abc import Iterator

import pytest

from provider_sdk.conformance import process, runner
from tests import starting
from tests.integration.conformance import rig
from tests.integration.provider import rig as provider_rig


@pytest.fixture(scope="session", autouse=True)
def quick_providers() -> None:
    """Lets the suite start providers as `tests.starting` does."""
    process.create_subprocess_exec = starting.create_subprocess_exec  # type: ignore[assignment]


@pytest.fixture(scope="session")
def running_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[provider_rig.MockProcess]:
    """One simulated provider that the suite did not start."""
    folder: pathlib.Path = tmp_path_factory.mktemp("conformance")
    process = provider_rig.MockProcess(folder)
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[asyncio.Runner, runner.Session]]:
    """One session with the simulated provider for all checks of a file."""
    with asyncio.Runner() as loop:
        session = runner.Session(rig.mock_profile())
        loop.run(session.__aenter__())
        yield loop, session
        loop.run(session.__aexit__(None, None, None))
