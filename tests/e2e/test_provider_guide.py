"""The provider guide's commands, run as they stand, from a copy of the example to a payment."""

import os
import pathlib
import re
import subprocess
import sys
import time

import pytest
from typer import testing

from deploy import stack
from payctl import commands
from provider_sdk.conformance import catalog

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "provider-guide.md").read_text()
COPY, CONFORM, REGISTER, ENABLE = re.findall(r"```shell\n(.*?)```", GUIDE, re.DOTALL)
PORT = "50063"
WAIT_S = 20.0


class Author:
    """Somebody at a shell in a folder of their own."""

    def __init__(self, folder: pathlib.Path, processes: stack.Stack, port: int) -> None:
        self.folder = folder
        self.port = port
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PLUGIN_")},
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "PAYHUB": str(ROOT),
            "PAYHUB_TARGET": processes.target(stack.PAYMENTS),
            "PAYHUB_EVENTS_TARGET": processes.target(stack.GATEWAY),
            "PAYHUB_KEY_FILE": str(processes.dev_key_file),
        }

    def run(self, block: str) -> list[str]:
        """Runs the commands of a block; returns what each wrote."""
        return [self.line(command) for command in block.strip().splitlines()]

    def line(self, command: str, *, status: int = 0) -> str:
        """Runs one command, which must end with *status*."""
        done = subprocess.run(
            command.replace(PORT, str(self.port)), shell=True, capture_output=True, text=True,
            timeout=50, env=self.environment, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def until(self, state: str) -> None:
        """Waits until core has the plugin in *state*."""
        # In this process: to start one takes longer than to ask, and it is asked often.
        shell = testing.CliRunner(env=self.environment)
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            shown = shell.invoke(commands.app, ["plugins", "show", "vouchers", "--json"])
            if state in shown.output:
                return
            time.sleep(0.1)
        raise AssertionError(f"not {state} within {WAIT_S} s")


@pytest.mark.timeout(180)
def test_a_new_author_comes_from_nothing_to_a_payment(tmp_path: pathlib.Path) -> None:
    """Copy, prove, register, enable and pay, with the guide's own words."""
    port = stack.free_ports()[stack.MOCK].grpc
    with stack.Stack(tmp_path / "var") as processes:
        author = Author(tmp_path, processes, port)
        author.run(COPY)
        # A whole run takes most of a minute; tests/integration/provider has most of it.
        author.line(CONFORM.strip() + " --only 5,33,39")
        *_, shown = author.run(REGISTER)
        secret = re.search(r"phk_\S+", shown)
        assert secret is not None
        provider = subprocess.Popen(
            [sys.executable, "-m", "vouchers"],
            cwd=tmp_path,
            env=author.environment
            | {
                "VOUCHERS_GRPC_PORT": str(port),
                "PLUGIN_CORE_ENDPOINT": processes.target(stack.PAYMENTS),
                "PLUGIN_KEY": secret[0],
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            author.until("STATE_REGISTERED")
            # A report on three checks is none that passed, which its status says.
            told = [
                author.line(command, status=int(" report " in command))
                for command in ENABLE.strip().splitlines()
            ]
            assert any("SUCCEEDED" in text and "12.50 EUR" in text for text in told)
            provider.terminate()
            assert provider.wait(WAIT_S) == 0
        finally:
            provider.kill()
            provider.wait()


def test_the_guide_counts_every_check() -> None:
    """The result that the guide shows is one of all checks that there are."""
    (counts,) = re.findall(r"(\d+) passed, (\d+) failed, (\d+) not proven", GUIDE)
    assert sum(map(int, counts)) == len(catalog.everything())
