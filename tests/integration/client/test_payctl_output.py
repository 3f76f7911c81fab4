"""payctl where its output can't be written, and with values that no request can hold."""

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any

import pytest
from typer import main, testing

from payctl import commands
from tests.integration.client import conftest, fake_payments


def ran(
    payments: fake_payments.FakePayments,
    *arguments: str | bytes,
    stdout: IO[bytes] | int,
    **env: str,
) -> tuple[int, str]:
    """Exit code and stderr of a payctl process that writes to `stdout`."""
    done = subprocess.run(
        [sys.executable, "-m", "payctl", *arguments],
        env={**os.environ, "PAYHUB_TARGET": payments.target, "PAYHUB_KEY": conftest.KEY, **env},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_payment_whose_result_is_lost_is_no_error(
    payments: fake_payments.FakePayments, as_json: tuple[str, ...]
) -> None:
    """A mutation whose output nobody takes ends as undecided and names its key; a read as error."""
    reading, writing = os.pipe()
    os.close(reading)
    with pathlib.Path("/dev/full").open("wb") as full:
        for stdout in (writing, full):
            code, told = ran(payments, "pay", "1", "EUR", *as_json, stdout=stdout)
            assert code == 4
            key = re.search(r"--key (\S+)\n$", told)
            assert key is not None, told
            assert key[1] == payments.seen[-1].key
            assert "Traceback" not in told
        code, told = ran(payments, "list", *as_json, stdout=full)
        assert (code, "Traceback" in told) == (1, False)
    os.close(writing)


def test_every_terminal_shows_what_was_paid(
    payments: fake_payments.FakePayments, tmp_path: pathlib.Path
) -> None:
    """What an encoding lacks is written as escapes; JSON stays JSON."""
    order = "ü→"
    for encoding in ("ascii", "latin-1"):
        for as_json in ((), ("--json",)):
            with (tmp_path / "out").open("wb") as out:
                arguments = ("pay", "1", "EUR", "--order", order, *as_json)
                code, told = ran(payments, *arguments, stdout=out, PYTHONIOENCODING=encoding)
            assert (code, told) == (0, "")
            text = (tmp_path / "out").read_text(encoding)
            if as_json:
                assert json.loads(text)["references"]["order_id"] == order
            else:
                assert "\\u2192" in text
    with (tmp_path / "out").open("wb") as out:
        code, told = ran(payments, "pay", "1", "EUR", "--order", b"\xff", stdout=out)
    assert code == 2
    assert "not UTF-8" in told


def test_no_number_is_taken_that_no_request_can_hold(
    payments: fake_payments.FakePayments,
) -> None:
    """Each option and argument that is a number says how small and how large it may be."""
    loose = [
        (path, param.opts)
        for path, command in _leaves(main.get_command(commands.app), ())
        for param in command.params
        if re.search(r"\b(int|float)\b", str(param.type_descriptor.annotation))
        and None in (param.min, param.max)
    ]
    assert loose == []
    env = {"PAYHUB_TARGET": payments.target, "PAYHUB_KEY": conftest.KEY}
    for arguments in (
        ["bindings", "show", "*/mock", "--generation", str(2**63)],
        ["bindings", "update", "*/mock", "--keep-old-h", "inf", "--reason", "x"],
        ["events", "consumers", "create", "work", "--backoff", "inf"],
        ["events", "parked", "redrive", "work", "--", "-1"],
    ):
        result = testing.CliRunner(env=env).invoke(commands.app, arguments)
        assert result.exit_code == 2, result.output


def test_wrong_usage_is_told_in_json(tmp_path: pathlib.Path) -> None:
    """A program that asks for JSON reads why its command line is wrong; people get text."""
    wrong = (
        (["pay", "-1", "EUR"], "-1"),
        (["pay"], "amount"),
        (["pay", "x", "EUR"], "x"),
        (["--bogus", "status"], "--bogus"),
        (["nonsense"], "nonsense"),
        (["events", "parked", "redrive", "work"], "--all"),
        (["--key-file", str(tmp_path / "none"), "status"], "none"),
    )
    runner = testing.CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"})
    for arguments, named in wrong:
        result = runner.invoke(commands.app, [*arguments, "--json"])
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        told = json.loads(result.stderr)["error"]
        assert named in told["message"]
        assert told["reason"] == "USAGE"
        for text in (arguments, [*arguments, "--", "--json"]):
            result = runner.invoke(commands.app, text)
            assert result.exit_code == 2, result.output
            assert not result.stderr.startswith("{")


def test_every_command_writes_json() -> None:
    """No command is without `--json`, nor without a help text."""
    for path, command in _leaves(main.get_command(commands.app), ()):
        assert "--json" in {name for param in command.params for name in param.opts}, path
        assert command.help, path


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _leaves(each, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command
