"""The README's commands, run as they stand."""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy import stack

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(shell|python)\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """Every process, with its files where the README's commands look for them."""
    folder = tmp_path_factory.mktemp("readme")
    with stack.Stack(folder / "var") as processes:
        yield processes


def environment(processes: stack.Stack) -> dict[str, str]:
    """Returns an environment in which the README's addresses are the stack's."""
    return os.environ | {
        "PAYHUB_TARGET": processes.target(stack.PAYMENTS),
        "PAYHUB_EVENTS_TARGET": processes.target(stack.GATEWAY),
        "PAYHUB_KEY_FILE": str(processes.dev_key_file),
    }


def test_the_readme_names_the_two_commands() -> None:
    """The README starts with make demo and make test, and both are make targets."""
    assert ("shell", "make demo\nmake test\n") in BLOCKS
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command


def test_the_first_payment_from_the_shell(running: stack.Stack) -> None:
    """Every payctl command of the README succeeds against a fresh installation."""
    commands = [
        line
        for kind, text in BLOCKS
        if kind == "shell"
        for line in text.splitlines()
        if "payctl" in line
    ]
    assert commands
    for command in commands:
        words = command.replace(".venv/bin/payctl", f"{sys.executable} -m payctl")
        done = subprocess.run(
            words, shell=True, capture_output=True, text=True, timeout=30,
            env=environment(running), cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_first_payment_from_python(running: stack.Stack) -> None:
    """The README's program pays and prints the payment's state."""
    (program,) = [text for kind, text in BLOCKS if kind == "python"]
    program = program.replace("127.0.0.1:50051", running.target(stack.PAYMENTS))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30,
        cwd=running.var.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "STATE_SUCCEEDED" in done.stdout
