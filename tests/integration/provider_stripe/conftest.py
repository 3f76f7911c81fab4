"""A strict double of Stripe, the sidecar that speaks to it, and core's side of the wire.

Owns starting them: one sidecar for all tests, because it keeps nothing; a binding and, where
a test tunes it, faults of its own.
"""

import asyncio
import contextlib
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests import starting
from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig


@pytest.fixture(scope="session")
def double_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One double for all tests of this folder, as a process."""
    folder = tmp_path_factory.mktemp("stripe-double")
    with (folder / "log.txt").open("w") as log:
        process = starting.popen(
            [sys.executable, "-m", "tests.stripe_double"],
            cwd=rig.ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout, contextlib.ExitStack() as cleanup:
        cleanup.callback(process.wait)
        cleanup.callback(process.terminate)
        yield process.stdout.readline().strip()


@pytest.fixture(scope="session")
def sidecar(tmp_path_factory: pytest.TempPathFactory, double_address: str) -> Iterator[rig.Sidecar]:
    """One sidecar for all tests that don't stop it."""
    folder: pathlib.Path = tmp_path_factory.mktemp("stripe-sidecar")
    process = rig.Sidecar("provider_stripe", folder, {"PROVIDER_STRIPE_API_BASE": double_address})
    yield process
    assert process.stop() == 0


@pytest_asyncio.fixture
async def core(sidecar: rig.Sidecar, double_address: str) -> AsyncIterator[stripe_rig.Core]:
    """A connection to the sidecar with a binding of its own; faults don't outlive the test."""
    connected = stripe_rig.Core(sidecar.target, double_address)
    await connected.connect(customer_action=True)
    try:
        yield connected
    finally:
        await connected.order("faults", "DELETE")
        await asyncio.shield(connected.close())
