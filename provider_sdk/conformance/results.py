"""What a run of the suite found.

Owns the outcome of each check and what follows from all of them. Made by
`runner`; written out by `reports`. Never runs anything.
"""

import datetime
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from provider_sdk.conformance import checks, waivers


class Outcome(enum.StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_PROVEN = "not_proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check ended.

    Args:
        check: The check.
        outcome: How it ended.
        reason: What was seen, or why nothing is proven; empty when passed.
        rule: What the contract says, if it is not the check's title.
        fix: What to do next; empty when passed.
        cause: Whose limit it is that nothing is proven; None otherwise.
        seconds: How long it took.
        notes: Measured values.
        waiver: Entry of the expected failures, if there is one.
        is_unusable: Whether it failed because the provider did not start or answer at
            all, which says nothing of the rule itself.
    """

    check: checks.Check
    outcome: Outcome
    reason: str = ""
    rule: str = ""
    fix: str = ""
    cause: checks.Cause | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    waiver: waivers.Waiver | None = None
    is_unusable: bool = False

    @property
    def check_id(self) -> str:
        """Id of the check."""
        return self.check.check_id

    @property
    def is_must(self) -> bool:
        """Whether the provider must pass it."""
        return self.check.level is checks.MUST


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How all of them ended.

    Args:
        plugin_id: Who the provider says it is.
        plugin_version: Its version.
        schema_digest: Digest of its configuration schema.
        target: What was checked: an address, or the command.
        seed: Of every random choice.
        started: When the run began, UTC.
        seconds: How long it took.
        is_partial: Whether checks were left out on purpose.
        results: In the order of the run.
    """

    plugin_id: str
    plugin_version: str
    schema_digest: str
    target: str
    seed: int
    started: datetime.datetime
    seconds: float
    is_partial: bool
    results: Sequence[Result]

    @property
    def failed(self) -> list[Result]:
        """Every check that failed."""
        return [one for one in self.results if one.outcome is Outcome.FAILED]

    @property
    def unproven(self) -> list[Result]:
        """Rules this run could not look at, though they may apply."""
        return [one for one in self.results if one.cause in _NOT_LOOKED_AT]

    @property
    def passed(self) -> bool:
        """Whether every MUST that this run was able to look at is kept.

        Never with a failed MUST, expected or not, nor with one that the profile leaves
        out, nor after a partial run.
        """
        kept = any(one.outcome is Outcome.PASSED for one in self.results)
        broken = any(one.is_must and _is_wrong(one) for one in self.results)
        return kept and not self.is_partial and not broken

    @property
    def is_complete(self) -> bool:
        """Whether it looked at every MUST that applies and that the suite has."""
        return not self.is_partial and not any(one.is_must for one in self.unproven)

    def count(self, outcome: Outcome) -> int:
        """Returns how many checks ended so."""
        return sum(one.outcome is outcome for one in self.results)

    def problems(self, *, today: datetime.date, all_proven: bool) -> list[str]:
        """Returns why the command has to fail, one line each with what to do next.

        Args:
            today: For waivers that expire.
            all_proven: Whether a MUST that this run could not look at counts.
        """
        found = []
        for one in self.results:
            waiver = one.waiver
            failed = one.outcome is Outcome.FAILED
            if waiver is not None and one.outcome is Outcome.PASSED:
                found.append(f"check {one.check_id} passes; remove it from the expected failures")
            elif failed and waiver is not None and waiver.has_expired(today):
                found.append(
                    f"check {one.check_id} was tolerated until {waiver.expires}; {one.fix}, or "
                    "agree on a later day"
                )
            elif failed and waiver is None and one.is_must:
                found.append(f"check {one.check_id} failed; {one.fix}")
            elif waiver is None and one.is_must and _counts(one, all_proven=all_proven):
                found.append(f"check {one.check_id} is not proven; {one.reason}")
        return found


_NOT_LOOKED_AT = (checks.Cause.ABILITY, checks.Cause.PROFILE)


def _is_wrong(one: Result) -> bool:
    return one.outcome is Outcome.FAILED or one.cause is checks.Cause.PROFILE


def _counts(one: Result, *, all_proven: bool) -> bool:
    """Whether nothing known of a rule is a reason to fail."""
    if one.cause is checks.Cause.PROFILE:
        return True
    return all_proven and one.cause is checks.Cause.ABILITY
