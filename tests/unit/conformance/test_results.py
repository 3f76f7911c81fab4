"""When a report passes, is complete, or fails the command."""

import datetime
import json
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from provider_sdk.conformance import checks, reports, results, waivers

TODAY = datetime.date(2026, 3, 31)
PASSED = results.Outcome.PASSED
FAILED = results.Outcome.FAILED
Cause = checks.Cause


async def _never(_: object) -> None:
    raise AssertionError("not run here")


def _result(
    outcome: results.Outcome | checks.Cause,
    *,
    level: checks.Level = checks.MUST,
    expires: datetime.date | None = None,
    reason: str = "seen",
) -> results.Result:
    check = checks.check(number=7, title="A rule.", level=level)(_never)
    waiver = None
    if expires is not None:
        waiver = waivers.Waiver(check="7", reason="known since the start", expires=expires)
    if isinstance(outcome, checks.Cause):
        return results.Result(
            check=check,
            outcome=results.Outcome.NOT_PROVEN,
            cause=outcome,
            reason=reason,
            waiver=waiver,
        )
    return results.Result(check=check, outcome=outcome, reason=reason, fix="mend", waiver=waiver)


def _report(*listed: results.Result, is_partial: bool = False) -> results.Report:
    return results.Report(
        plugin_id="acme",
        plugin_version="1.2.3",
        schema_digest=f"sha256:{'0' * 64}",
        target="127.0.0.1:1",
        seed=7,
        started=datetime.datetime(2026, 3, 31, 12, tzinfo=datetime.UTC),
        seconds=1.5,
        is_partial=is_partial,
        results=listed,
    )


@pytest.mark.parametrize(
    ("others", "passed", "complete"),
    [
        ((), True, True),
        ((_result(Cause.CAPABILITY), _result(Cause.LATER)), True, True),
        ((_result(Cause.ABILITY),), True, False),
        ((_result(Cause.PROFILE),), False, False),
        ((_result(FAILED),), False, True),
        ((_result(FAILED, level=checks.SHOULD),), True, True),
        ((_result(Cause.ABILITY, level=checks.SHOULD),), True, True),
        ((_result(FAILED, expires=TODAY),), False, True),
    ],
)
def test_a_report_passes_if_no_must_is_broken(
    others: Sequence[results.Result], passed: bool, complete: bool
) -> None:
    """A tolerated failure and what the profile leaves out never pass; other gaps are told."""
    report = _report(_result(PASSED), *others)
    assert (report.passed, report.is_complete) == (passed, complete)
    shown = json.loads(reports.to_json(report))
    assert (shown["passed"], shown["complete"]) == (passed, complete)


def test_a_partial_or_empty_run_passes_nothing() -> None:
    """What was left out on purpose, or never looked at, may be broken."""
    assert not _report(_result(PASSED), is_partial=True).passed
    assert not _report(_result(Cause.LATER)).passed


@pytest.mark.parametrize(
    ("result", "all_proven", "text"),
    [
        (_result(FAILED), False, "check 7 failed; mend"),
        (_result(FAILED, level=checks.SHOULD), False, ""),
        (_result(FAILED, expires=TODAY), False, ""),
        (_result(FAILED, expires=TODAY - datetime.timedelta(days=1)), False, "tolerated until"),
        (_result(PASSED, expires=TODAY), False, "remove it from the expected failures"),
        (_result(Cause.ABILITY), False, ""),
        (_result(Cause.ABILITY), True, "check 7 is not proven; seen"),
        (_result(Cause.PROFILE), False, "check 7 is not proven; seen"),
        (_result(Cause.PROFILE, expires=TODAY), False, ""),
        (_result(Cause.CAPABILITY), True, ""),
        (_result(Cause.LATER), True, ""),
    ],
)
def test_what_fails_the_command(result: results.Result, all_proven: bool, text: str) -> None:
    """Each reason is one line that says what to do."""
    problems = _report(result).problems(today=TODAY, all_proven=all_proven)
    assert len(problems) == bool(text)
    assert text in "".join(problems)


def test_junit_holds_whatever_a_provider_says() -> None:
    """Control characters and markup in a reason don't break the XML."""
    report = _report(_result(FAILED, reason="\x00<b>\ud800 & so on"))
    suite = ElementTree.fromstring(reports.to_junit(report))
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "?<b>? & so on"
