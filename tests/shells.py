"""payctl as an operator types it.

Owns its environment, and running it in the test's own process or, where the test's loop is
what answers it, in one of its own. Called by tests of commands; each adds what it looks at.
"""

import asyncio
import json
import os
import sys
from typing import Any

from typer import testing

from deploy import stack
from payctl import commands


class Shell:
    """Runs payctl in this process.

    Args:
        group: Words that every command begins with.
        env: Its environment, beside what the process has.
    """

    def __init__(self, *group: str, **env: str) -> None:
        self.env = {"NO_COLOR": "1", **env}
        self._group = group

    def __call__(self, *arguments: str, code: int = 0, given: str = "") -> testing.Result:
        """Returns the result of a command that must exit with *code*; *given* is its stdin."""
        runner = testing.CliRunner(env=self.env)
        result = runner.invoke(commands.app, [*self._group, *arguments], input=given or None)
        assert result.exit_code == code, (arguments, result.output)
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Returns the document that a command writes for programs."""
        return json.loads(self(*arguments, "--json", code=code).stdout)


class Terminal:
    """Runs each payctl in a process of its own.

    Args:
        group: Words that every command begins with.
        env: Its environment, beside what the process has.
    """

    def __init__(self, *group: str, **env: str) -> None:
        self._env = {**os.environ, "NO_COLOR": "1", **env}
        self._group = group

    async def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Returns stdout and stderr of a command that must exit with *code*."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "payctl", *self._group, *arguments),
            cwd=stack.ROOT,
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = (each.decode() for each in await process.communicate())
        assert process.returncode == code, (arguments, out, err)
        return out, err

    async def json(self, *arguments: str) -> Any:
        """Returns the document that a command writes for programs."""
        out, _ = await self(*arguments, "--json")
        return json.loads(out)
