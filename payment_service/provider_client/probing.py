"""What is observed of instances, and what follows from it.

Owns how many missed probes make an instance unready, which starts are crashes, how many
contract faults are too many, and the conditions of a plugin. Called by `fleet` and by the
use case of leases. Pure: what was seen is passed in.
"""

import itertools
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.domain import plugins

_P = plugin_service_pb2.ProbeResponse
DETAIL_CHARS_MAX = 256
# Of a plugin, whose faults are counted at a time; those with the newest.
VERSIONS_MAX = 100
_TAKES_CALLS = frozenset({_P.READINESS_READY, _P.READINESS_DEGRADED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How often instances are probed and what counts against them; seconds.

    After *misses_max* probes in a row without an answer an instance gets no operations; one
    answer brings it back. A start within *crash_gap_s* of the one before, which left without
    saying so, is a crash; *crashes_max* of them within *crash_window_s* quarantine the
    version, and so do *faults_max* contract faults within *fault_window_s*. 0 for either
    maximum turns that rule off.
    """

    every_s: float = 5.0
    timeout_s: float = 2.0
    misses_max: int = 3
    crash_gap_s: float = 60.0
    crash_window_s: float = 600.0
    crashes_max: int = 3
    faults_max: int = 3
    fault_window_s: float = 3600.0


class Watch:
    """What the probes of one instance have told.

    Args:
        misses_max: See `Rule`.
    """

    __slots__ = ("_misses", "_misses_max", "draining", "problem", "readiness")

    def __init__(self, misses_max: int) -> None:
        self._misses_max = misses_max
        self._misses = 0
        self.readiness: int = _P.READINESS_UNSPECIFIED
        # Whether it finishes its calls and refuses new ones.
        self.draining = False
        # Why it gets no operations, for people; '' if it does.
        self.problem = "it has not said that it is ready"

    def answered(self, readiness: int) -> None:
        """A probe was answered."""
        self._misses = 0
        self.readiness = readiness
        self.draining = readiness == _P.READINESS_DRAINING
        if readiness in _TAKES_CALLS or self.draining:
            self.problem = ""
        elif readiness == _P.READINESS_INITIALIZING:
            self.problem = "it is still initializing"
        else:
            self.problem = "it has not said that it is ready"

    @property
    def is_silent(self) -> bool:
        """Whether too many probes in a row had no answer."""
        return self._misses >= self._misses_max

    def missed(self) -> None:
        """A probe was not answered in time, or with an error."""
        self._misses += 1
        if self.is_silent:
            self.problem = f"{self._misses} probes in a row had no answer"

    def drains(self) -> None:
        """It refused a call because it is draining."""
        self.answered(_P.READINESS_DRAINING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of an instance of a version; `gone` if it left without saying so."""

    started_us: int
    gone: bool


def crashes(starts: Sequence[Start], rule: Rule, now_us: int) -> int:
    """Returns how many of the starts of one version, in any order, followed a crash."""
    from_us = now_us - round(rule.crash_window_s * 1_000_000)
    gap_us = round(rule.crash_gap_s * 1_000_000)
    ordered = sorted(starts, key=lambda start: start.started_us)
    return sum(
        before.gone and start.started_us - before.started_us <= gap_us
        for before, start in itertools.pairwise(ordered)
        if start.started_us >= from_us
    )


class Faults:
    """Counts the contract faults of each version, in this process.

    Args:
        rule: How many are too many.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._seen_s: OrderedDict[str, list[float]] = OrderedDict()

    def add(self, version: str, now_s: float) -> bool:
        """Counts a fault; returns whether the version must be quarantined for it."""
        seen = self._seen_s.setdefault(version, [])
        self._seen_s.move_to_end(version)
        if len(self._seen_s) > VERSIONS_MAX:
            self._seen_s.popitem(last=False)
        seen.append(now_s)
        del seen[: -max(self._rule.faults_max, 1)]
        if not self._rule.faults_max or len(seen) < self._rule.faults_max:
            return False
        if now_s - seen[0] > self._rule.fault_window_s:
            return False
        del self._seen_s[version]
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one process sees of one instance.

    `problem` says why it gets no operations, `degraded` what is impaired; `stale` holds the
    bindings it has an older configuration of, `rejected` those whose credentials its
    provider refused.
    """

    version: str
    connected: bool = True
    problem: str = ""
    readiness: int = _P.READINESS_UNSPECIFIED
    degraded: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()


Conditions = Mapping[plugins.Condition, plugins.ConditionStatus]


def conditions(instances: Sequence[Seen], barred: Collection[str] = ()) -> Conditions:
    """Returns the conditions of a plugin that its instances tell.

    Args:
        instances: Those that have a lease or a static endpoint.
        barred: Versions that take no operations.
    """
    usable = [each for each in instances if not each.problem and each.version not in barred]
    found = {
        plugins.Condition.AVAILABLE: _available(instances),
        plugins.Condition.READY: _ready(instances, usable),
    }
    # Nobody knows as long as no instance answers.
    if usable:
        stale = sorted(frozenset().union(*(each.stale for each in usable)))
        rejected = sorted(frozenset().union(*(each.rejected for each in usable)))
        found[plugins.Condition.CONFIG_CURRENT] = _status(
            not stale, "CONFIG_PENDING" if stale else "", _named("not configured yet", stale)
        )
        found[plugins.Condition.CREDENTIALS_ACCEPTED] = _status(
            not rejected,
            "CREDENTIALS_REJECTED" if rejected else "",
            _named("refused upstream", rejected),
        )
    return found


def _available(instances: Sequence[Seen]) -> plugins.ConditionStatus:
    if not instances:
        return _status(False, "NO_LEASE", "no instance has a lease or a static endpoint")
    connected = [each for each in instances if each.connected]
    if not connected:
        return _status(False, "NOT_CONNECTED", _problems(instances))
    return _status(True, "", _count(len(connected), "instance"))


def _ready(instances: Sequence[Seen], usable: Sequence[Seen]) -> plugins.ConditionStatus:
    if not usable:
        return _status(False, "NO_INSTANCE_READY", _problems(instances))
    if any(each.readiness == _P.READINESS_DEGRADED for each in usable):
        reasons = sorted(frozenset().union(*(each.degraded for each in usable)))
        return _status(True, "DEGRADED", "; ".join(reasons) or "something upstream is impaired")
    return _status(True, "", "")


def _status(holds: bool, reason: str, detail: str) -> plugins.ConditionStatus:
    return plugins.ConditionStatus(holds=holds, reason=reason, detail=detail[:DETAIL_CHARS_MAX])


def _problems(instances: Sequence[Seen]) -> str:
    problems = sorted({each.problem for each in instances if each.problem})
    return "; ".join(problems) or "no instance is ready"


def _named(what: str, bindings: Sequence[str]) -> str:
    return f"{_count(len(bindings), 'binding')} {what}: {bindings[0]} …" if bindings else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
