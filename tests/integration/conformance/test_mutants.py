"""Checks catch what breaks their rule; `make conformance-mutants` proves it of all of them."""

import asyncio
import dataclasses

import pytest

from tests.mutants import catalog, runner

# One of each kind: the ledger, idempotency, a fault, a look-up.
CHOSEN = (
    "captures_too_much",
    "sends_fresh_keys",
    "trusts_a_closed_connection",
    "takes_silence_for_no",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_mutant_is_caught(name: str) -> None:
    """Every check named by the mutant fails on it, and nothing else that is looked at."""
    verdict = asyncio.run(runner.judge(catalog.everything()[name]))
    assert verdict.problems == ()


def test_a_check_that_catches_nothing_is_named() -> None:
    """A mutant that a check lets pass is reported with the check and what it saw."""
    harmless = dataclasses.replace(
        catalog.everything()["captures_too_much"], checks=("39",), control=()
    )
    verdict = asyncio.run(runner.judge(harmless))
    assert verdict.problems == ("check 39 does not catch it: passed",)


def test_a_mutant_that_does_not_start_is_not_caught() -> None:
    """A provider that fails every check because it is not there proves nothing."""
    absent = dataclasses.replace(catalog.everything()["captures_too_much"], name="no_such_mutant")
    verdict = asyncio.run(runner.judge(absent))
    assert len(verdict.problems) == 1
    assert "does not start" in verdict.problems[0]
