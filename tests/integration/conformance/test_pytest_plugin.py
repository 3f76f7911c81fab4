"""The checks as pytest items, and that they cost an ordinary pytest nothing."""

import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from tests.integration.conformance import rig
from tests.integration.provider import rig as provider_rig


def _pytest(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-q", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": f"{rig.ROOT}:{rig.ROOT / 'gen'}"},
        check=False,
    )


def test_pytest_has_one_item_per_check(
    tmp_path: pathlib.Path, running_mock: provider_rig.MockProcess
) -> None:
    """A rule kept passes; what is not proven is skipped with the reason."""
    ended = _pytest(
        tmp_path,
        f"--payhub-profile={rig.MOCK}",
        f"--payhub-endpoint={running_mock.target}",
        "--payhub-only=5,9,60",
        "-vv",
        "-rs",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "payhub-conformance::5 PASSED" in ended.stdout
    assert "payhub-conformance::9 PASSED" in ended.stdout
    assert "not proven: transaction listing is not part of the contract yet" in ended.stdout


def test_pytest_shows_what_is_broken(
    tmp_path: pathlib.Path, running_mock: provider_rig.MockProcess
) -> None:
    """A broken MUST fails its item with what was seen and what to do, without a traceback."""
    path = tmp_path / "provider.yaml"
    path.write_text(yaml.safe_dump(rig.mock_document(plugin_id="someone-else")))
    arguments = ("--payhub-only=5", f"--payhub-endpoint={running_mock.target}")
    ended = _pytest(tmp_path, f"--payhub-profile={path}", *arguments)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "seen: plugin_id is mock, the profile's someone-else" in ended.stdout
    assert "seed: " in ended.stdout
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--payhub-endpoint=127.0.0.1:1"], "--payhub-endpoint needs --payhub-profile"),
        (["--payhub-profile=/nowhere.yaml"], "/nowhere.yaml: can't be read"),
        ([f"--payhub-profile={rig.MOCK}", "--payhub-only=4711"], "no check 4711"),
        (
            [f"--payhub-profile={rig.MOCK}", "--payhub-endpoint=127.0.0.1:1", "--payhub-only=5"],
            "nothing answers at 127.0.0.1:1",
        ),
    ],
)
def test_pytest_says_what_is_wrong_with_its_options(
    tmp_path: pathlib.Path, arguments: list[str], text: str
) -> None:
    """One sentence that says what to do instead of a traceback."""
    ended = _pytest(tmp_path, *arguments)
    assert ended.returncode != 0
    assert text in ended.stdout + ended.stderr
    assert "INTERNALERROR" not in ended.stdout + ended.stderr


def test_the_plugin_costs_an_ordinary_pytest_nothing() -> None:
    """Without its option it imports neither gRPC nor the suite."""
    code = (
        "import sys, provider_sdk.conformance.pytest_plugin; "
        "print([name for name in sys.modules if name.split('.')[0] in ('grpc', 'google', 'yaml') "
        "or name == 'provider_sdk.conformance.checks'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=rig.ROOT
    )
    assert ended.stdout.strip() == "[]"
