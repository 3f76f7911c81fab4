"""Rules of the stack runner, shown on real processes."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from deploy import stack

WAIT_S = 20.0
# What nothing of ours ends with.
OWN_STATUS = 7

# Starts a stack as a program would, says which process it started, and hangs.
STARTER = """
import pathlib, sys, time
from deploy import stack

with stack.Stack(pathlib.Path(sys.argv[1]), names=[stack.MOCK]) as running:
    print(running.pid(stack.MOCK), flush=True)
    time.sleep(50)
"""


def until(condition: Callable[[], bool]) -> bool:
    """Polls until a condition holds; False if it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(stack.POLL_S)
    return False


def test_a_process_that_cannot_start_is_reported_with_its_log(tmp_path: pathlib.Path) -> None:
    """A start that fails says which process failed and shows its last lines."""
    running = stack.Stack(
        tmp_path, names=[stack.MOCK], env={"PROVIDER_MOCK_SETTLE_AFTER_S": "soon"}
    )

    with pytest.raises(
        stack.StackError,
        match=r"provider_mock ended with exit code 2 while starting\n.*SETTLE_AFTER_S",
    ):
        running.__enter__()

    assert not running.running(stack.MOCK)


def test_a_killed_process_comes_back_on_its_ports(tmp_path: pathlib.Path) -> None:
    """A restart keeps ports and data, so that others find the process again."""
    with stack.Stack(tmp_path, names=[stack.MOCK]) as running:
        before, ports = running.pid(stack.MOCK), running.ports

        running.kill(stack.MOCK)
        assert not running.running(stack.MOCK)
        running.restart(stack.MOCK)

        assert running.running(stack.MOCK)
        assert running.pid(stack.MOCK) != before
        assert running.ports == ports


def test_a_process_that_ended_by_itself_is_noticed(tmp_path: pathlib.Path) -> None:
    """An end that nobody asked for is an error, with its exit code."""
    with stack.Stack(tmp_path, names=[stack.MOCK]) as running:
        psutil.Process(running.pid(stack.MOCK)).kill()
        assert until(lambda: not running.running(stack.MOCK))

        with pytest.raises(stack.StackError, match="provider_mock ended with exit code -9"):
            running.check_alive()
        assert running.wait_exit(stack.MOCK) == -signal.SIGKILL


def test_nothing_is_left_when_the_starter_is_killed(tmp_path: pathlib.Path) -> None:
    """Processes end even if their starter had no chance to stop them."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], cwd=stack.ROOT, stdout=subprocess.PIPE
    )
    try:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
    finally:
        starter.kill()
        starter.communicate()

    assert until(lambda: not psutil.pid_exists(pid))


def test_up_runs_the_tests_of_a_service_and_ends_with_them(tmp_path: pathlib.Path) -> None:
    """What docs/client.md prints for it runs as it stands, from a folder of one's own."""
    page = (stack.ROOT / "docs" / "client.md").read_text().partition("## Testing your service")[2]
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [command] = re.findall(r"^\$ \$PAYHUB/.venv/bin/python (.*test_shop.py)$", page, re.MULTILINE)
    (tmp_path / "test_shop.py").write_text(example)
    passed = f'sh -c "{sys.executable} -m pytest -q test_shop.py && exit {OWN_STATUS}"'
    words = command.replace("$(mktemp -d)", "data").replace("pytest test_shop.py", passed)
    done = subprocess.run(
        [sys.executable, *shlex.split(words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{stack.ROOT}:{stack.ROOT / 'gen'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == OWN_STATUS, done.stdout + done.stderr
    assert (tmp_path / "data" / "payments.db").exists()


def test_up_prints_commands_that_work_and_stops_at_ctrl_c(tmp_path: pathlib.Path) -> None:
    """What `make up` prints can be pasted into a shell; Ctrl-C ends it with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.up", "--free-ports", f"--var={tmp_path}"],
        cwd=stack.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        pasted = [line for line in printed if line.startswith("export ") or "payctl" in line]
        script = "\n".join(["set -eu", *pasted]).replace(
            "--from-start", "--from-start --stop-at-head"
        )
        shell = subprocess.run(
            ["sh", "-c", script],
            cwd=stack.ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.communicate()

    assert len(pasted) == 5, printed
    assert shell.returncode == 0, shell.stdout + shell.stderr
    assert "SUCCEEDED" in shell.stdout
    assert process.returncode == 0
