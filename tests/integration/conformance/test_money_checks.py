"""The simulated provider keeps every rule of money, faults, look-ups, load and logs."""

import asyncio

import pytest

from provider_sdk.conformance import catalog, checks, results, runner

# 66 measures time, which other tests on the same machine would spoil.
LEFT_OUT = frozenset({66})
MONEY = [
    check
    for check in catalog.everything()
    if check.number in range(33, 69) and check.number not in LEFT_OUT and check.function is not None
]


@pytest.mark.parametrize("check", MONEY, ids=lambda check: check.check_id)
def test_rule_is_kept(opened: tuple[asyncio.Runner, runner.Session], check: checks.Check) -> None:
    """Each check of these families passes and is not merely skipped."""
    loop, session = opened
    result = loop.run(session.execute(check))
    assert result.outcome is results.Outcome.PASSED, f"{result.reason} ({result.fix})"
