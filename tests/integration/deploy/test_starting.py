"""Processes that are forked from a warm parent behave as those that were started anew."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests import starting

MOCK = [sys.executable, "-m", "provider_mock"]
ENV = {"PROVIDER_MOCK_GRPC_PORT": "0", "PROVIDER_MOCK_HTTP_PORT": "0"}
WAYS: tuple[Callable[..., Any], ...] = (starting.popen, subprocess.Popen)

Start = Callable[..., Any]


def environment(folder: pathlib.Path, **more: str) -> dict[str, str]:
    """Returns the variables of a mock with its ledger in *folder*."""
    return {**os.environ, **ENV, "PROVIDER_MOCK_LEDGER": str(folder / "ledger.db"), **more}


def test_bad_settings_end_both_alike(tmp_path: pathlib.Path) -> None:
    """Arguments, environment, output and exit status are the child's own."""
    told = []
    for start in WAYS:
        process = start(
            [*MOCK], env=environment(tmp_path, PROVIDER_MOCK_GRPC_PORT="nonsense"),
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process.stdout, process.stderr:
            told.append((process.wait(20), process.stdout.read(), process.stderr.read()))
    assert told[0] == told[1]
    assert (told[0][0], "PROVIDER_MOCK_GRPC_PORT" in told[0][2]) == (2, True)


@pytest.mark.parametrize("start", WAYS, ids=("warm", "anew"))
def test_a_process_is_one_of_its_own(tmp_path: pathlib.Path, start: Start) -> None:
    """It has a session, a folder and files of its own; signals reach it and say how it ended."""
    for number, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        with (tmp_path / "log").open("w") as log:
            process = start(
                MOCK, env=environment(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        with process.stdout:
            assert process.stdout.readline().startswith(b"provider_mock ready ")
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
            assert os.getsid(process.pid) == process.pid
            assert psutil.Process(process.pid).cwd() == str(tmp_path)
            process.send_signal(number)
            assert process.wait(20) == process.poll() == status
            process.kill()


def test_the_parent_keeps_nothing_that_a_fork_could_break() -> None:
    """It has one thread, and no sockets but the one it is asked through."""
    process = starting.popen([*MOCK, "--help"], stdout=subprocess.DEVNULL)
    parent = psutil.Process(starting._parent().pid)
    assert process.wait(20) == 0
    assert parent.num_threads() == 1
    assert not parent.net_connections("inet")
