"""Runs checks against mutants and says which were caught.

Owns starting each mutant in place of the provider and judging what its checks
found. Called by the command and by a test. A mutant that does not even start,
or that breaks more than its rule, counts as not caught.
"""

import asyncio
import pathlib
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from provider_sdk.conformance import catalog as checks_catalog
from provider_sdk.conformance import profile as profiles
from provider_sdk.conformance import results, run, runner
from servicekit import tls
from tests import certificates
from tests.mutants import registry

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILE = ROOT / "provider_mock" / "conformance.yaml"
SEED = 1
# What shows that money still moves, and what to take if that is the broken rule.
CONTROLS = ("33", "39")
UPSTREAM_CONTROLS = ("34b", "54")
# What is looked at only where the provider serves TLS.
OF_TLS = frozenset({"1", "2"})

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
        report = await _ran(profile_of(mutant), only)
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
    found: list[results.Result] = []
    for chosen in (frozenset(check_ids) - OF_TLS, OF_TLS & frozenset(check_ids)):
        if chosen:
            found += (await _ran(profiles.load(PROFILE), chosen)).results
    return [one for one in found if one.outcome is not results.Outcome.PASSED]


async def _ran(profile: profiles.Profile, only: frozenset[str]) -> results.Report:
    if not only & OF_TLS:
        return await runner.run(profile, only=only, seed=SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        certificates.certify(folder)
        own, key = folder / "ca.pem", folder / "key.pem"
        held = {"CERT": own, "KEY": key, "CA": own, "CLIENT_CA": own}
        served = {f"PROVIDER_MOCK_TLS_{what}_PATH": str(path) for what, path in held.items()}
        environment = {**profile.environment, **served}
        return await runner.run(
            profile.model_copy(update={"environment": environment}),
            only=only,
            seed=SEED,
            options=run.Options(tls_files=tls.Files(ca=own, cert=own, key=key)),
        )
