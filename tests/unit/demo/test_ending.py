"""How the demo ends where it can't go on."""

import pathlib
import sys

import pytest

from examples.demo import __main__ as demo
from payhub_client import errors


def test_a_demo_that_payhub_fails_could_not_run(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of Payhub's that no order is about is one line and exit status 2, not 1, which
    says that something is not as expected.
    """

    def fails(*_: object) -> int:
        raise errors.Unavailable("nobody answers")

    monkeypatch.setattr(demo, "demo", fails)
    monkeypatch.setattr(sys, "argv", ["demo", f"--var={tmp_path}"])
    assert demo.main() == 2
    assert capsys.readouterr().err == "demo: nobody answers\n"
