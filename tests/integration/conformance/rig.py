"""The suite in the hands of a test: profiles, sessions and the command.

Owns building them. Called by the tests of this folder.
"""

import contextlib
import io
import json
import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import yaml

from provider_sdk.conformance import checks, command, runner
from provider_sdk.conformance import profile as profiles

ROOT = pathlib.Path(__file__).resolve().parents[3]
MOCK = ROOT / "provider_mock" / "conformance.yaml"


def mock_document(**changes: Any) -> dict[str, Any]:
    """Returns the simulated provider's profile as a value; a change to None removes."""
    document: dict[str, Any] = yaml.safe_load(MOCK.read_text())
    document |= changes
    return {name: value for name, value in document.items() if value is not None}


def mock_profile(**changes: Any) -> profiles.Profile:
    """Returns the simulated provider's profile."""
    return profiles.Profile.model_validate(mock_document(**changes))


@contextlib.asynccontextmanager
async def session(endpoint: str = "", **changes: Any) -> AsyncIterator[runner.Session]:
    """Yields a session with the simulated provider."""
    async with runner.Session(mock_profile(**changes), endpoint=endpoint) as opened:
        yield opened


def check(function: checks.Function, **changes: Any) -> checks.Check:
    """Returns a check made for one test."""
    values: dict[str, Any] = {"number": 900, "title": "A rule made for a test holds."}
    return checks.check(**values | changes)(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the command ended."""

    status: int
    out: str
    err: str
    report: dict[str, Any]
    junit: str


def run_command(folder: pathlib.Path, *arguments: str, profile: Any = None) -> Ended:
    """Runs the command in this process.

    Args:
        folder: Where the profile and the reports go.
        arguments: Further arguments.
        profile: Document of the profile; the simulated provider's by default.
    """
    path = folder / "provider.yaml"
    path.write_text(yaml.safe_dump(mock_document() if profile is None else profile))
    report, junit = folder / "report.json", folder / "report.xml"
    for old in (report, junit):
        old.unlink(missing_ok=True)
    out, err = io.StringIO(), io.StringIO()
    files = ("--json", str(report), "--junit", str(junit))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = command.main(["--profile", str(path), *files, *arguments])
    return Ended(
        status=status,
        out=out.getvalue(),
        err=err.getvalue(),
        report=json.loads(report.read_text()) if report.exists() else {},
        junit=junit.read_text() if junit.exists() else "",
    )
