"""A provider that keeps its own books is held to what must outlive it, without any double; and
what processes answer that a check starts for itself counts too."""

import pathlib

import pytest

from tests.integration.conformance import rig

# Other books at every start: what a process has answered is gone with it.
FORGETFUL = [
    "sh",
    "-c",
    'PROVIDER_MOCK_LEDGER="$0/$$.db" exec "$1" -m provider_mock',
    "{state_dir}",
    "{python}",
]
LATE = ["{python}", "-m", "tests.mutants.serve", "never_finds_it_too_late"]


@pytest.mark.parametrize(
    ("command", "broken"),
    [
        (FORGETFUL, {"34c": "sent again after a SIGKILL", "59a": "not found after a restart"}),
        (LATE, {"58": "got OK (STATE_SUCCEEDED"}),
    ],
    ids=["forgets", "late"],
)
def test_books_are_looked_into_without_a_double(
    tmp_path: pathlib.Path, command: list[str], broken: dict[str, str]
) -> None:
    """Repeats and look-ups after a kill, and calls after not_after, need no upstream system."""
    profile = rig.mock_document(command=command, upstream=None)
    ended = rig.run_command(tmp_path, "--only", ",".join(broken), profile=profile)
    checks = {one["check"]: one for one in ended.report["checks"]}
    assert checks.keys() == broken.keys()
    for check_id, seen in broken.items():
        assert checks[check_id]["outcome"] == "failed", ended.out
        assert seen in checks[check_id]["reason"], ended.out


# The first process, which most checks ask, keeps the rules; those that are started beside do not.
BESIDE = [
    "sh",
    "-c",
    'case "$0" in */001) exec "$1" -m provider_mock ;; esac; exec "$1" -m tests.mutants.serve "$2"',
    "{state_dir}",
    "{python}",
    "names_payments_with_nul",
]


def test_answers_of_every_process_are_looked_at(tmp_path: pathlib.Path) -> None:
    """Check 79 is about the whole run, what is killed and started again included."""
    profile = rig.mock_document(command=BESIDE, upstream=None)
    ended = rig.run_command(tmp_path, "--only", "31a,79", profile=profile)
    checks = {one["check"]: one for one in ended.report["checks"]}
    assert checks["31a"]["outcome"] == "passed", ended.out
    assert checks["79"]["outcome"] == "failed", ended.out
    assert "provider_operation_id holds NUL" in checks["79"]["reason"]
