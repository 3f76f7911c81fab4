"""A provider that keeps its own books is held to what must outlive it, without any double."""

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
