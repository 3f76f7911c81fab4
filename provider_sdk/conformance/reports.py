"""A report in the forms in which people and programs read it.

Owns JSON, JUnit XML and the lines of the table. Called by the command and the
pytest plugin. Never shows a secret: what it is given holds none.
"""

import json
import re
from typing import Any
from xml.etree import ElementTree

from provider_sdk.conformance import checks, results

FORMAT = "payhub.conformance/1"
# XML 1.0 can't hold these at all.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(report: results.Report) -> str:
    """Returns the report that core can ask for before it enables a plugin."""
    return json.dumps(as_object(report), indent=2) + "\n"


def as_object(report: results.Report) -> dict[str, Any]:
    """Returns the report as what JSON can hold."""
    musts = [one for one in report.failed if one.is_must]
    causes = [one.cause for one in report.results if one.cause is not None]
    return {
        "format": FORMAT,
        "passed": report.passed,
        "partial": report.is_partial,
        "complete": report.is_complete,
        "plugin_id": report.plugin_id,
        "plugin_version": report.plugin_version,
        "schema_digest": report.schema_digest,
        "target": report.target,
        "seed": report.seed,
        "started": report.started.isoformat(),
        "seconds": round(report.seconds, 3),
        "summary": {
            **{outcome.value: report.count(outcome) for outcome in results.Outcome},
            "must_failed": len(musts),
            "should_failed": len(report.failed) - len(musts),
            "not_proven_because": {cause.value: causes.count(cause) for cause in checks.Cause},
        },
        "checks": [_check(one) for one in report.results],
    }


def _check(one: results.Result) -> dict[str, Any]:
    waiver = one.waiver
    return {
        "check": one.check_id,
        "level": one.check.level.value,
        "title": one.check.title,
        "outcome": one.outcome.value,
        "reason": one.reason,
        "cause": one.cause.value if one.cause is not None else "",
        "rule": one.rule,
        "fix": one.fix,
        "seconds": round(one.seconds, 3),
        "notes": list(one.notes),
        "expected_failure": None
        if waiver is None
        else {"reason": waiver.reason, "expires": waiver.expires.isoformat()},
    }


def to_junit(report: results.Report) -> str:
    """Returns the report as JUnit XML; what is not proven is skipped there."""
    suite = ElementTree.Element(
        "testsuite",
        name="payhub-conform",
        tests=str(len(report.results)),
        failures=str(len(report.failed)),
        skipped=str(report.count(results.Outcome.NOT_PROVEN)),
        errors="0",
        time=f"{report.seconds:.3f}",
        timestamp=report.started.replace(tzinfo=None).isoformat(timespec="seconds"),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("plugin_id", "plugin_version", "schema_digest", "target", "seed"):
        value = _printable(str(getattr(report, name)))
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for one in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"payhub.conformance.{one.check.level.value}",
            name=f"{one.check_id} {one.check.title}",
            time=f"{one.seconds:.3f}",
        )
        if one.outcome is results.Outcome.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_printable(one.reason))
            failure.text = _printable(explain(one))
        elif one.outcome is results.Outcome.NOT_PROVEN:
            text = _printable(f"not proven: {one.reason}")
            ElementTree.SubElement(case, "skipped", message=text)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def explain(one: results.Result) -> str:
    """Returns what was seen, what the contract says and what to do, in three lines."""
    return "\n".join(
        (
            f"seen: {one.reason}",
            f"contract: {one.rule or one.check.title}",
            f"do: {one.fix}",
        )
    )


def line(one: results.Result) -> str:
    """Returns one check in one line."""
    if one.outcome is results.Outcome.FAILED:
        word = "FAILED" if one.is_must else "failed (should)"
        if one.waiver is not None:
            word = "failed as expected"
        return f"{one.check_id:>4}  {word}: {one.check.title}"
    if one.outcome is results.Outcome.NOT_PROVEN:
        return f"{one.check_id:>4}  not proven: {one.check.title} ({one.reason})"
    notes = f" [{'; '.join(one.notes)}]" if one.notes else ""
    return f"{one.check_id:>4}  passed: {one.check.title}{notes}"


def summary(report: results.Report) -> str:
    """Returns the whole in one line."""
    musts = sum(one.is_must for one in report.failed)
    shoulds = len(report.failed) - musts
    name = f"{report.plugin_id or '(no plugin id)'} {report.plugin_version}".strip()
    failed = f"{musts} failed" + (f" and {shoulds} that should pass" if shoulds else "")
    return (
        f"{name}: {report.count(results.Outcome.PASSED)} passed, {failed}, "
        f"{report.count(results.Outcome.NOT_PROVEN)} not proven "
        f"in {report.seconds:.1f} s (seed {report.seed})"
    )


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
