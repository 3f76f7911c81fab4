"""Fixtures of the conformance suite's tests: one simulated provider that runs already."""

import pathlib
from collections.abc import Iterator

import pytest

from provider_sdk.conformance import process
from tests import starting
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
