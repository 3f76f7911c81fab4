"""payctl in the test's own process.

Owns running it. Called by tests of single commands. Never reaches a server: a test replaces what
the command calls.
"""

import functools
from collections.abc import Sequence
from typing import Any
from unittest import mock

from typer import main, testing

from payctl import commands


@functools.cache
def command() -> Any:
    """Returns all commands, which take longer to make than most to run."""
    return main.get_command(commands.app)


def run(arguments: Sequence[str]) -> Any:
    """Runs a command with a key; returns exit code, stdout and stderr."""
    shell = testing.CliRunner(env={"PAYHUB_KEY": "phk_test"})
    with mock.patch.object(testing, "_get_command", return_value=command()):
        return shell.invoke(commands.app, arguments)
