"""The simulated provider keeps every rule of handshake, configuration, health and lease."""

import asyncio

import pytest

from provider_sdk.conformance import catalog, checks, results, runner

# Money, faults, look-ups and load have a test of their own.
RANGES = (range(3, 33), range(69, 71), range(79, 81))
BASE = [
    check
    for check in catalog.everything()
    if any(check.number in numbers for numbers in RANGES) and check.function is not None
]


@pytest.mark.parametrize("check", BASE, ids=lambda check: check.check_id)
def test_rule_is_kept(opened: tuple[asyncio.Runner, runner.Session], check: checks.Check) -> None:
    """Each check of these families passes and is not merely skipped."""
    loop, session = opened
    result = loop.run(session.execute(check))
    assert result.outcome is results.Outcome.PASSED, f"{result.reason} ({result.fix})"
