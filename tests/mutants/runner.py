"""Runs checks against mutants and says which were caught.

Owns starting each mutant in place of the provider and judging what its checks
found. Called by the command and by a test. A mutant that does not even start,
or that breaks more than its rule, counts as not caught.
"""

import asyncio
import pathlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from provider_sdk.conformance import catalog as checks_catalog
from provider_sdk.conformance import profile as profiles
from provider_sdk.conformance import results, runner
from tests.mutants import registry

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILE = ROOT / "provider_mock" / "conformance.yaml"
SEED = 1
# What shows that money still moves, and what to take if that is the broken rule.
CONTROLS = ("33", "39")
UPSTREAM_CONTROLS = ("34b", "54")

_BY_ID = {check.check_id: check for check in checks_catalog.everything()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mutant.

    Args:
        mutant: The mutant.
        problems: Why it does not count as caught; empty if it does.
        seen: What the checks saw, one line each.
        seconds: How long it took.
    """

    mutant: registry.Mutant
    problems: tuple[str, ...]
    seen: tuple[str, ...]
    seconds: float


def control_of(mutant: registry.Mutant) -> tuple[str, ...]:
    """Returns the checks that *mutant* must still pass."""
    if mutant.control is not None:
        return mutant.control
    above = all(_runs_above(check_id) for check_id in mutant.checks)
    candidates = UPSTREAM_CONTROLS if above else CONTROLS
    return next((one,) for one in candidates if one not in mutant.checks)


def profile_of(mutant: registry.Mutant) -> profiles.Profile:
    """Returns the simulated provider's profile with the mutant in its place."""
    profile = profiles.load(PROFILE)
    command = ["{python}", "-m", "tests.mutants.serve", mutant.name]
    wanted = (*mutant.checks, *control_of(mutant))
    above = all(_runs_above(check_id) for check_id in wanted)
    assert profile.upstream is not None
    # Without a command of its own no process is started that nobody looks at.
    return profile.model_copy(
        update={
            "command": None if above else command,
            "upstream": profile.upstream.model_copy(update={"command": command}),
        }
    )


def _runs_above(check_id: str) -> bool:
    """Whether a check of the simulated provider runs at the upstream double."""
    return _BY_ID[check_id].needs_upstream or _BY_ID[check_id].prefers_upstream


async def judge(mutant: registry.Mutant) -> Verdict:
    """Runs the checks of one mutant, and its control."""
    begun_s = time.monotonic()
    control = control_of(mutant)
    only = frozenset((*mutant.checks, *control))
    try:
        report = await runner.run(profile_of(mutant), only=only, seed=SEED)
    except runner.CannotRun as failure:
        found: Sequence[results.Result] = ()
        problems = [f"it does not start: {failure}"]
    else:
        found = report.results
        problems = _problems(mutant, control, found)
    return Verdict(
        mutant=mutant,
        problems=tuple(problems),
        seen=tuple(
            f"{result.check_id}: {result.reason or result.outcome.value}" for result in found
        ),
        seconds=time.monotonic() - begun_s,
    )


def _problems(
    mutant: registry.Mutant, control: Collection[str], found: Sequence[results.Result]
) -> list[str]:
    problems = []
    for result in found:
        failed = result.outcome is results.Outcome.FAILED
        said = result.reason or result.outcome.value
        if result.check_id in mutant.checks:
            if not failed:
                problems.append(f"check {result.check_id} does not catch it: {said}")
            elif result.is_unusable:
                problems.append(f"check {result.check_id} could not look at it: {said}")
        elif result.check_id in control and result.outcome is not results.Outcome.PASSED:
            problems.append(f"it breaks check {result.check_id} too: {said}")
    return problems


async def judge_all(
    mutants: Sequence[registry.Mutant], *, jobs: int, done: Callable[[Verdict], None]
) -> list[Verdict]:
    """Judges mutants, *jobs* at a time; *done* sees each as it ends."""
    turn = asyncio.Semaphore(jobs)

    async def one(mutant: registry.Mutant) -> Verdict:
        async with turn:
            verdict = await judge(mutant)
        done(verdict)
        return verdict

    return list(await asyncio.gather(*(one(mutant) for mutant in mutants)))


async def original(check_ids: Collection[str]) -> list[results.Result]:
    """Runs checks against the provider as it is; returns those it does not pass."""
    report = await runner.run(profiles.load(PROFILE), only=frozenset(check_ids), seed=SEED)
    return [one for one in report.results if one.outcome is not results.Outcome.PASSED]
