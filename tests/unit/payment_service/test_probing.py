"""What probes, starts and faults make of an instance and its version."""

import pytest
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.domain import plugins
from payment_service.provider_client import probing

P = plugin_service_pb2.ProbeResponse
C = plugins.Condition
RULE = probing.Rule()
S = 1_000_000


@pytest.mark.parametrize(
    ("readiness", "takes", "draining"),
    [
        (P.READINESS_READY, True, False),
        (P.READINESS_DEGRADED, True, False),
        (P.READINESS_DRAINING, True, True),
        (P.READINESS_INITIALIZING, False, False),
        (P.READINESS_UNSPECIFIED, False, False),
        (17, False, False),
    ],
)
def test_an_instance_is_used_once_it_says_that_it_is_ready(
    readiness: int, takes: bool, draining: bool
) -> None:
    """Impaired upstream is ready, draining answers look-ups, and what is unknown is not."""
    watch = probing.Watch(RULE.misses_max)
    assert watch.problem
    watch.answered(readiness)
    assert (not watch.problem, watch.draining) == (takes, draining)


def test_three_missed_probes_in_a_row_make_it_unready_and_one_answer_ready() -> None:
    """A busy instance is not called dead for one late answer."""
    watch = probing.Watch(3)
    watch.answered(P.READINESS_READY)
    for _ in range(2):
        watch.missed()
    watch.answered(P.READINESS_READY)
    for _ in range(2):
        watch.missed()
        assert not watch.problem
    watch.missed()
    assert watch.problem == "3 probes in a row had no answer"
    watch.answered(P.READINESS_READY)
    assert not watch.problem


def starts(*at_s: int, gone: bool = True) -> list[probing.Start]:
    """Returns starts at these seconds, all but the last gone without saying so."""
    last = len(at_s) - 1
    return [
        probing.Start(started_us=at * S, gone=gone and number < last)
        for number, at in enumerate(at_s)
    ]


@pytest.mark.parametrize(
    ("seen", "crashes"),
    [
        (starts(0), 0),
        (starts(0, 5, 30, 59), 3),
        (starts(0, 60, 120, 180), 3),
        (starts(0, 61, 122, 183), 0),
        (starts(100, 105, gone=False), 0),
        (starts(0, 10, 20, 700), 0),
        (list(reversed(starts(0, 5, 30, 59))), 3),
    ],
    ids=["first", "loop", "just", "apart", "side by side", "long ago", "any order"],
)
def test_a_start_soon_after_one_that_vanished_is_a_crash(
    seen: list[probing.Start], crashes: int
) -> None:
    """Within 60 s, counted over 10 minutes; replicas side by side and slow restarts are none."""
    now_us = max(start.started_us for start in seen) + S
    assert probing.crashes(seen, RULE, now_us) == crashes


def test_three_contract_faults_of_a_version_are_too_many() -> None:
    """Each version has a count of its own, which begins anew afterwards."""
    faults = probing.Faults(RULE)
    assert not faults.add("1.0.0", 0.0)
    assert not faults.add("1.0.0", 1.0)
    assert not faults.add("2.0.0", 1.0)
    assert faults.add("1.0.0", 2.0)
    assert not faults.add("1.0.0", 3.0)


def test_faults_that_are_far_apart_or_not_to_be_counted_do_no_harm() -> None:
    """An hour is the window; 0 turns the rule off."""
    faults = probing.Faults(RULE)
    assert not any(faults.add("1.0.0", hour * 3601.0) for hour in range(9))
    off = probing.Faults(probing.Rule(faults_max=0))
    assert not any(off.add("1.0.0", 0.0) for _ in range(9))


def test_faults_of_ever_new_versions_are_not_remembered_for_ever() -> None:
    """Versions are what a plugin says that they are; the newest are counted."""
    faults = probing.Faults(RULE)
    faults.add("1.0.0", 0.0)
    faults.add("1.0.0", 0.0)
    for number in range(probing.VERSIONS_MAX):
        faults.add(f"2.0.{number}", 1.0)
    assert not faults.add("1.0.0", 2.0)
    assert not faults.add(f"2.0.{number}", 2.0)
    assert faults.add(f"2.0.{number}", 2.0)


def conditions(*seen: probing.Seen, barred: tuple[str, ...] = ()) -> dict[C, tuple[bool, str]]:
    """Returns whether each condition holds, and why."""
    found = probing.conditions(seen, barred)
    return {name: (bool(status.holds), status.reason) for name, status in found.items()}


READY = probing.Seen(version="1.0.0", readiness=P.READINESS_READY)


def test_a_plugin_is_available_and_ready_with_one_good_instance() -> None:
    """Whatever the others are."""
    lost = probing.Seen(version="1.0.0", connected=False, problem="no connection: IDLE")
    assert conditions(READY, lost) == {
        C.AVAILABLE: (True, ""),
        C.READY: (True, ""),
        C.CONFIG_CURRENT: (True, ""),
        C.CREDENTIALS_ACCEPTED: (True, ""),
    }


def test_what_nobody_can_tell_is_not_told() -> None:
    """Without an instance that answers there is no word on configurations and credentials."""
    lost = probing.Seen(version="1.0.0", connected=False, problem="no connection: IDLE")
    expected = {C.AVAILABLE: (False, "NOT_CONNECTED"), C.READY: (False, "NO_INSTANCE_READY")}
    assert conditions(lost) == expected
    assert conditions() == expected | {C.AVAILABLE: (False, "NO_LEASE")}
    assert conditions(READY, barred=("1.0.0",))[C.READY] == (False, "NO_INSTANCE_READY")


def test_impaired_upstream_stale_configurations_and_refused_credentials_are_named() -> None:
    """The plugin stays ready; operators see what is wrong."""
    seen = probing.Seen(
        version="1.0.0",
        readiness=P.READINESS_DEGRADED,
        degraded=frozenset({"the bank is slow"}),
        stale=frozenset({"b1"}),
        rejected=frozenset({"b2"}),
    )
    found = probing.conditions([seen])
    assert found[C.READY].detail == "the bank is slow"
    assert conditions(seen) == {
        C.AVAILABLE: (True, ""),
        C.READY: (True, "DEGRADED"),
        C.CONFIG_CURRENT: (False, "CONFIG_PENDING"),
        C.CREDENTIALS_ACCEPTED: (False, "CREDENTIALS_REJECTED"),
    }
