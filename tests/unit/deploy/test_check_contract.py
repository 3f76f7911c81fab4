"""Rules of the contract check: what it counts as a finding."""

import subprocess

from deploy import check_contract


def test_only_findings_in_our_own_files_count() -> None:
    """Imported files are in the image too; what buf says of them is not ours to fix."""
    output = "buf/validate/validate.proto:1:1:x\npayhub/type/v1/money.proto:2:1:y\n"

    found = check_contract.findings(subprocess.CompletedProcess([], 100, output, ""))

    assert found == ["payhub/type/v1/money.proto:2:1:y"]


def test_a_tool_that_does_not_run_is_a_problem() -> None:
    """A failure without findings is reported, not taken for a clean result."""
    found = check_contract.findings(subprocess.CompletedProcess([], 1, "", "no such file"))

    assert found == ["no such file"]
