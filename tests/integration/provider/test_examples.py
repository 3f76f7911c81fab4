"""The example providers keep the contract that the guide tells authors to prove."""

import pathlib

import pytest

from provider_sdk.conformance import catalog, profile, results, runner

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
# What is the SDK's doing and takes seconds: restarts, leases, thousands of messages.
# tests/integration/conformance runs it with the simulated provider.
SLOW = {"6b", "11", "14c", "22", "28b", "64", "65", "66", "67"}
SLOW |= {"69a", "69b", "70a", "70b", "70c", "70d"}
# What an upstream system shows of the other one.
TELLING = {"10a", "21", "25a", "26a", "26b", "33", "36", "38", "40", "41a", "43", "44", "45a"}
TELLING |= {"34c", "41d", "48", "51", "54", "55", "57", "59a", "59b", "59c", "79", "80"}


async def _failures(name: str, only: set[str]) -> list[str]:
    loaded = profile.load(EXAMPLES / name / "conformance.yaml")
    report = await runner.run(loaded, only=frozenset(only))
    assert any(one.outcome is results.Outcome.PASSED for one in report.results)
    return [
        f"{one.check.check_id}: {one.reason}"
        for one in report.results
        if one.outcome is results.Outcome.FAILED
    ]


async def test_the_simple_provider_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than 150 lines, its profile and README included, are enough for every MUST."""
    monkeypatch.chdir(ROOT)
    files = [path for path in (EXAMPLES / "simple_provider").iterdir() if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in files) < 150
    everything = {check.check_id for check in catalog.everything()}
    assert await _failures("simple_provider", everything - SLOW) == []


async def test_the_advanced_provider_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an upstream system that is down, refuses, limits and forgets to answer, too."""
    monkeypatch.chdir(ROOT)
    assert await _failures("advanced_provider", TELLING) == []
