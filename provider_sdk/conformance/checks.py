"""What a check is, and how it tells what it found.

Owns the `check` decorator and the two ways in which a check ends other than
well. Used by every `checks_*` module; `catalog` collects what they define.
Never runs anything.
"""

import enum
import types
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from payhub.plugin.v1 import capability_pb2

if TYPE_CHECKING:
    from provider_sdk.conformance import run as runs

Function = Callable[["runs.Run"], Awaitable[None]]

TIMEOUT_S = 60.0


class Level(enum.StrEnum):
    """How much a broken check weighs."""

    MUST = "must"
    SHOULD = "should"


MUST = Level.MUST
SHOULD = Level.SHOULD


class Phase(enum.IntEnum):
    """When a check runs; within a phase the numbers decide."""

    ORDINARY = 0
    # After everything that load could disturb.
    LOAD = 1
    # After everything else, because it judges the whole run.
    LAST = 2


class Cause(enum.StrEnum):
    """Why a check proved nothing."""

    # The provider does not declare the capability: the rule does not apply to it.
    CAPABILITY = "capability"
    # This run could not do it: no upstream double, no process of its own.
    ABILITY = "ability"
    # The profile leaves out what every provider that the rule applies to can give.
    PROFILE = "profile"
    # The suite has no such check yet.
    LATER = "later"


class Failed(Exception):
    """The provider breaks the rule of the check.

    Args:
        seen: What the provider did, with values, never a secret.
        fix: What its author can do about it.
        rule: What the contract says, if it is not the title of the check.
    """

    def __init__(self, seen: str, *, fix: str, rule: str = "") -> None:
        super().__init__(seen)
        self.seen = seen
        self.fix = fix
        self.rule = rule


class NotProven(Exception):
    """The check can say nothing about this provider.

    Args:
        reason: Why, and what would make it possible.
        cause: Whose limit it is.
    """

    def __init__(self, reason: str, *, cause: Cause = Cause.ABILITY) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule of the contract and the function that tries to break it.

    Args:
        number: Number of the rule; stable for ever.
        part: A letter where one rule needs several checks, else empty.
        title: The sentence of the contract it enforces.
        level: Whether a provider must or should pass.
        function: Returns if the rule holds; None for a check left for later.
        needs: Capabilities without which the rule does not apply.
        needs_upstream: Whether it needs the upstream double.
        prefers_upstream: Whether it runs at the upstream double where there is one, and can do
            without: a provider that keeps its own books is held to it too.
        needs_process: Whether it needs to start, stop or kill the provider.
        phase: When it runs.
        timeout_s: Longest it may take; over it, it has failed.
        later: Why it is left for later, with `function` None.
    """

    number: int
    part: str = ""
    title: str
    level: Level
    function: Function | None
    needs: Sequence[capability_pb2.Capability] = ()
    needs_upstream: bool = False
    prefers_upstream: bool = False
    needs_process: bool = False
    phase: Phase = Phase.ORDINARY
    timeout_s: float = TIMEOUT_S
    later: str = ""

    @property
    def check_id(self) -> str:
        """Number and part, for example `4b`: what `--only` takes."""
        return f"{self.number}{self.part}"

    @property
    def order(self) -> tuple[int, int, str]:
        """Place in a run."""
        return self.phase, self.number, self.part


def check(
    *,
    number: int,
    title: str,
    level: Level = MUST,
    part: str = "",
    needs: Sequence[capability_pb2.Capability] = (),
    needs_upstream: bool = False,
    prefers_upstream: bool = False,
    needs_process: bool = False,
    phase: Phase = Phase.ORDINARY,
    timeout_s: float = TIMEOUT_S,
) -> Callable[[Function], Check]:
    """Makes a Check of an `async def(run: Run) -> None`; see Check for the arguments."""

    def make(function: Function) -> Check:
        return Check(
            number=number,
            part=part,
            title=title,
            level=level,
            function=function,
            needs=tuple(needs),
            needs_upstream=needs_upstream,
            prefers_upstream=prefers_upstream,
            needs_process=needs_process,
            phase=phase,
            timeout_s=timeout_s,
        )

    return make


def later(*, number: int, title: str, reason: str) -> Check:
    """Returns a check that the suite does not have yet; it is always "not proven"."""
    return Check(number=number, title=title, level=MUST, function=None, later=reason)


def of(module: types.ModuleType) -> list[Check]:
    """Returns the checks that *module* defines."""
    return [value for value in vars(module).values() if isinstance(value, Check)]
