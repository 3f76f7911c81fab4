"""`python -m tests.mutants`: proves that every check catches what breaks its rule.

Owns the command line, the progress shown and the exit status: 0 all caught, 1
some not, 2 it could not run. Called by `make conformance-mutants`.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

from provider_sdk.conformance import catalog as checks_catalog
from tests.mutants import catalog, registry, runner

BAR_WIDTH = 30


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="Runs each conformance check against providers that break its rule.",
    )
    parser.add_argument("--only", default="", help="checks or mutants, joined by commas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--seen", action="store_true", help="show what each check saw")
    parser.add_argument("--list", action="store_true", help="list the mutants and end")
    arguments = parser.parse_args(argv)
    chosen = _chosen({part.strip() for part in arguments.only.split(",") if part.strip()})
    if arguments.list:
        for mutant in chosen:
            sys.stdout.write(f"{','.join(mutant.checks):<8} {mutant.name}: {mutant.text}\n")
        return 0
    if not chosen:
        sys.stderr.write("--only names no check or mutant that there is; --list shows them\n")
        return 2
    missing = without_mutant() if not arguments.only else []
    jobs = max(1, arguments.jobs)
    return asyncio.run(_run(chosen, jobs=jobs, missing=missing, seen=arguments.seen))


def without_mutant() -> list[str]:
    """Returns the ids of checks that no mutant proves."""
    proven = {check_id for mutant in catalog.everything().values() for check_id in mutant.checks}
    return [
        check.check_id
        for check in checks_catalog.everything()
        if check.function is not None and check.check_id not in proven
    ]


def _chosen(wanted: set[str]) -> list[registry.Mutant]:
    order = [check.check_id for check in checks_catalog.everything()]
    mutants = sorted(catalog.everything().values(), key=lambda one: order.index(one.checks[0]))
    return [one for one in mutants if not wanted or wanted & {one.name, *one.checks}]


async def _run(
    mutants: Sequence[registry.Mutant], *, jobs: int, missing: list[str], seen: bool
) -> int:
    begun_s = time.monotonic()
    check_ids = {check_id for mutant in mutants for check_id in mutant.checks}
    sys.stderr.write(f"{len(check_ids)} checks against the provider as it is ...\n")
    broken = await runner.original(check_ids)
    progress = _Progress(total=len(mutants))
    verdicts = await runner.judge_all(mutants, jobs=jobs, done=progress.show)
    progress.end()
    _table(verdicts, seen=seen)
    problems = [
        f"check {one.check_id} is not passed by the provider as it is: {one.reason}"
        for one in broken
    ]
    problems += [
        f"{verdict.mutant.name}: {problem}" for verdict in verdicts for problem in verdict.problems
    ]
    problems += [f"check {check_id} has no mutant; write one" for check_id in missing]
    caught = sum(not verdict.problems for verdict in verdicts)
    sys.stdout.write(
        f"\n{caught} of {len(verdicts)} mutants caught by {len(check_ids)} checks in "
        f"{time.monotonic() - begun_s:.0f} s\n"
    )
    for problem in problems:
        sys.stdout.write(f"wrong: {problem}\n")
    return 1 if problems else 0


class _Progress:
    """A bar on a terminal, a line per mutant elsewhere."""

    def __init__(self, *, total: int) -> None:
        self._total = total
        self._done = 0
        self._is_terminal = sys.stderr.isatty()

    def show(self, verdict: runner.Verdict) -> None:
        """Counts one more."""
        self._done += 1
        name = verdict.mutant.name
        said = f"{'NOT CAUGHT ' if verdict.problems else ''}{name}"
        if not self._is_terminal:
            sys.stderr.write(f"{self._done}/{self._total} {said} {verdict.seconds:.1f} s\n")
            return
        filled = BAR_WIDTH * self._done // self._total
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        sys.stderr.write(f"\r\033[K[{bar}] {self._done}/{self._total} {said}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leaves the bar behind."""
        if self._is_terminal:
            sys.stderr.write("\r\033[K")


def _table(verdicts: Sequence[runner.Verdict], *, seen: bool) -> None:
    width = max(len(verdict.mutant.name) for verdict in verdicts)
    sys.stdout.write(f"{'checks':<9} {'mutant':<{width}} {'caught':<6} {'s':>5}  what it breaks\n")
    for verdict in verdicts:
        mutant = verdict.mutant
        text = mutant.text.splitlines()[0]
        caught = "NO" if verdict.problems else "yes"
        sys.stdout.write(
            f"{','.join(mutant.checks):<9} {mutant.name:<{width}} {caught:<6} "
            f"{verdict.seconds:>5.1f}  {text}\n"
        )
        for line in verdict.seen if seen else ():
            sys.stdout.write(f"    {line}\n")


if __name__ == "__main__":
    sys.exit(main())
