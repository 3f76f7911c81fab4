"""The Stripe sidecar keeps every rule that applies to it, before the strict double."""

import asyncio
from collections.abc import Iterator

import pytest

from provider_sdk.conformance import catalog, checks, profile, results, runner
from tests.integration.conformance import rig

# 1 and 2 are about TLS, and here the sidecar is called in clear; 65 to 67 measure time and memory,
# which other tests on the same machine would spoil.
LEFT_OUT = frozenset({1, 2, 65, 66, 67})
APPLYING = [
    check
    for check in catalog.everything()
    if check.number not in LEFT_OUT and check.function is not None
]
STRIPE = rig.ROOT / "provider_stripe" / "conformance.yaml"


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[asyncio.Runner, runner.Session]]:
    """One session with the sidecar for all checks."""
    with asyncio.Runner() as loop:
        session = runner.Session(profile.load(STRIPE))
        loop.run(session.__aenter__())
        yield loop, session
        loop.run(session.__aexit__(None, None, None))


@pytest.mark.parametrize("check", APPLYING, ids=lambda check: check.check_id)
def test_rule_is_kept(opened: tuple[asyncio.Runner, runner.Session], check: checks.Check) -> None:
    """Each check passes, or is about what Stripe does not offer."""
    loop, session = opened
    result = loop.run(session.execute(check))
    if result.outcome is results.Outcome.NOT_PROVEN:
        assert "does not offer" in result.reason
        return
    assert result.outcome is results.Outcome.PASSED, f"{result.reason} ({result.fix})"
