"""The command `payhub-conform`.

Owns its arguments, what a person sees and the exit status: 0 every MUST that
could be looked at is kept, 1 it is not, 2 it could not run. Called by `__main__`.
Never decides what is right.
"""

import argparse
import asyncio
import datetime
import pathlib
import sys
from collections.abc import Sequence

from provider_sdk.conformance import (
    catalog,
    display,
    profile,
    reports,
    results,
    run,
    runner,
    trust,
    waivers,
)

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2


class _Unusable(Exception):
    """The command was called in a way that can't work; the text says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        sys.stdout.write("".join(f"{text}\n" for text in listing()))
        return EXIT_PASSED
    try:
        return _run(arguments)
    except _Unusable as problem:
        sys.stderr.write(f"{problem}\n")
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        return EXIT_UNUSABLE


def listing() -> list[str]:
    """Returns one line for each check."""
    return [
        f"{check.check_id:>4}  {check.level.value:<6}  {check.title}"
        + (f" (later: {check.later})" if check.later else "")
        for check in catalog.everything()
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="payhub-conform",
        description="Checks from the outside whether a payment provider keeps Payhub's contract.",
        epilog="exit status: 0 passed, 1 a MUST is broken, 2 it could not run",
    )
    add = parser.add_argument
    add(
        "--endpoint",
        default="",
        metavar="HOST:PORT",
        help="a running provider; without it the profile's command starts one",
    )
    add("--profile", type=pathlib.Path, metavar="FILE", help="what to know of the provider (YAML)")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the report as JSON")
    add("--junit", type=pathlib.Path, metavar="FILE", help="write the report as JUnit XML")
    add("--only", default="", metavar="IDS", help="only these checks, e.g. 34,35 or 4b")
    add("--list", action="store_true", help="list all checks and end")
    add("--seed", type=int, help="repeat the random choices of another run")
    add(
        "--ca",
        type=pathlib.Path,
        metavar="FILE",
        help="PEM file of the authorities that certify the provider: connects with TLS",
    )
    add(
        "--cert",
        type=pathlib.Path,
        metavar="FILE",
        help="PEM file of a certificate to show, where the provider asks for one",
    )
    add("--cert-key", type=pathlib.Path, metavar="FILE", help="its key")
    add(
        "--expected-failures",
        type=pathlib.Path,
        metavar="FILE",
        help="YAML list of check, reason, expires: failures to tolerate until that day",
    )
    add(
        "--all-proven",
        action="store_true",
        help="fail if a rule that applies could not be looked at",
    )
    add(
        "--memory-seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="also watch the growth of memory under load for so long (default: not at all)",
    )
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.profile is None:
        raise _Unusable("--profile is missing; give the provider's profile, a YAML file")
    only = frozenset(part.strip() for part in arguments.only.split(",") if part.strip())
    if unknown := catalog.unknown(only):
        raise _Unusable(f"no check {', '.join(unknown)}; `--list` names them all")
    if not 0 <= arguments.memory_seconds <= 3_600:
        raise _Unusable("--memory-seconds: give seconds from 0 to 3600")
    _can_write(arguments.json, arguments.junit)
    try:
        tls_files = trust.files(ca=arguments.ca, cert=arguments.cert, key=arguments.cert_key)
    except ValueError as failure:
        raise _Unusable(str(failure)) from failure
    try:
        loaded = profile.load(arguments.profile)
        expected = {}
        if arguments.expected_failures is not None:
            expected = waivers.load(arguments.expected_failures, catalog.ids())
    except (profile.ProfileInvalid, waivers.WaiversInvalid) as failure:
        raise _Unusable("\n".join(failure.problems)) from failure
    with display.Display(total=len(catalog.select(only))) as shown:
        try:
            report = asyncio.run(
                runner.run(
                    loaded,
                    endpoint=arguments.endpoint,
                    only=only,
                    seed=arguments.seed,
                    options=run.Options(memory_s=arguments.memory_seconds, tls_files=tls_files),
                    expected=expected,
                    observer=shown,
                )
            )
        except runner.CannotRun as failure:
            raise _Unusable(str(failure)) from failure
    _write(report, arguments)
    problems = report.problems(
        today=datetime.datetime.now(datetime.UTC).date(), all_proven=arguments.all_proven
    )
    display.conclude(report, problems)
    return EXIT_FAILED if problems else EXIT_PASSED


def _can_write(*paths: pathlib.Path | None) -> None:
    """Fails before the run rather than after it."""
    for path in paths:
        if path is not None and not path.resolve().parent.is_dir():
            raise _Unusable(f"{path}: no such folder; make {path.resolve().parent}")


def _write(report: results.Report, arguments: argparse.Namespace) -> None:
    for path, text in (
        (arguments.json, reports.to_json),
        (arguments.junit, reports.to_junit),
    ):
        if path is None:
            continue
        try:
            path.write_text(text(report), encoding="utf-8")
        except OSError as failure:
            raise _Unusable(
                f"{path}: can't be written ({failure.strerror}); give another file"
            ) from failure
