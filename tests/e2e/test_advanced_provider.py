"""The advanced example in a whole installation: secrets, limits, doubts about upstream, events."""

import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest
from typer import testing

from deploy import stack
from payctl import commands
from provider_sdk.conformance import upstream as upstreams
from tests import starting

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 20.0
CONFIG = json.dumps({"merchant": "shop-1", "limits_minor": {"EUR": 10_000}})
WHY = "--reason=test"


class Operator:
    """Somebody who has `payctl` and the development key."""

    def __init__(self, processes: stack.Stack) -> None:
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PLUGIN_")},
            "PAYHUB_TARGET": processes.target(stack.PAYMENTS),
            "PAYHUB_EVENTS_TARGET": processes.target(stack.GATEWAY),
            "PAYHUB_KEY_FILE": str(processes.dev_key_file),
            "SHOP_KEY": "sk_test_canary_51c7",
        }

    async def does(self, *words: str, status: int = 0) -> str:
        """Runs one command, which ends with *status*."""
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "payctl", *words], capture_output=True,
            text=True, timeout=30, env=self.environment, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == status, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    async def sees(self, text: str, *words: str) -> None:
        """Waits until a command's JSON holds *text*."""
        # In this process: to start one takes longer than to ask, and it is asked often.
        shell = testing.CliRunner(env=self.environment)
        deadline_s = time.monotonic() + WAIT_S
        while True:
            shown = await asyncio.to_thread(shell.invoke, commands.app, [*words, "--json"])
            if text in shown.output:
                return
            assert time.monotonic() < deadline_s, f"no {text} in {shown.output}"
            await asyncio.sleep(0.1)


def _start(environment: dict[str, str], log: pathlib.Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        made: subprocess.Popen[bytes] = starting.popen(
            [sys.executable, "-m", "examples.advanced_provider"],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=file,
        )
    return made


async def _let_in(operator: Operator, port: int) -> str:
    """Allows the plugin with its permission; returns its key."""
    pattern = rf"127\.0\.0\.1:{port}"
    grant = ("--permission", "events:publish:acme.*")
    await operator.does("plugins", "allow", "acme", "--endpoint-pattern", pattern, *grant, WHY)
    scopes: Sequence[Any] = ("--scope", "plugins:register", "--scope", "events:publish")
    plugin = ("--tenant", "system", "--plugin", "acme", "--name", "acme")
    secret = re.search(r"phk_\S+", await operator.does("keys", "create", *plugin, *scopes))
    assert secret is not None
    return secret[0]


@pytest.mark.timeout(180)
async def test_acme_takes_payments_and_tells_of_its_troubles(tmp_path: pathlib.Path) -> None:
    """From the allowlist to a payment, with a wrong key, a limit and an outage on the way."""
    port = stack.free_ports()[stack.MOCK].grpc
    upstream = upstreams.Upstream()
    await upstream.start()
    processes = stack.Stack(tmp_path / "var")
    await asyncio.to_thread(processes.start)
    operator = Operator(processes)
    key = await _let_in(operator, port)
    acme = _start(
        operator.environment
        | {
            "ACME_GRPC_PORT": str(port),
            "ACME_UPSTREAM_URL": upstream.url,
            "ACME_EVENTS_ENDPOINT": processes.target(stack.GATEWAY),
            "PLUGIN_CORE_ENDPOINT": processes.target(stack.PAYMENTS),
            "PLUGIN_KEY": key,
        },
        tmp_path / "acme.log",
    )
    try:
        await operator.sees("STATE_REGISTERED", "plugins", "show", "acme")
        binding = ("*", "acme", "--config", CONFIG, "--secret-env", "api_key=SHOP_KEY")
        upstream.reject_credentials()
        found = await operator.does(
            "bindings", "validate", *binding, "--check-credentials", status=1
        )
        assert "Acme refuses the secret api_key" in found
        upstream.lift()
        await operator.does("bindings", "create", *binding, WHY)
        await operator.does("plugins", "initialize", "acme", WHY)
        await operator.does("plugins", "enable", "acme", WHY)
        pay = ("--provider", "acme", "--method", "tok_approve")
        assert "SUCCEEDED" in await operator.does("pay", "12.50", "EUR", *pay)
        assert "LIMIT_EXCEEDED" in await operator.does("pay", "100.01", "EUR", *pay, status=3)
        assert len(upstream.effects()) == 1

        events = ("events", "query", "--types", "acme.*", "--tenant", "system")
        upstream.go_down()
        await operator.sees("acme.degraded", *events)
        await operator.sees("no connection to the upstream system", "plugins", "health", "acme")
        upstream.come_up()
        await operator.sees("acme.recovered", *events)
        acme.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(acme.wait, WAIT_S) == 0
        log = (tmp_path / "acme.log").read_text()
        assert "canary" not in log
        assert key not in log
    finally:
        acme.kill()
        acme.wait()
        await asyncio.to_thread(processes.stop)
        await upstream.close()
