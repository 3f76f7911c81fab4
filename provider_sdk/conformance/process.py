"""The provider as a process of the suite's own.

Owns starting it with the profile's command, its signals, and what it logs.
Called by `sites`. Never signals a process it did not start.
"""

import asyncio
import contextlib
import os
import pathlib
import signal
from collections.abc import Sequence

from provider_sdk.conformance import profile as profiles
from servicekit import ports

LOG_LINES_SHOWN = 5
LOG_BYTES_MAX = 64 * 1024 * 1024
# How processes are started; tests of the suite put a quicker way in its place.
create_subprocess_exec = asyncio.create_subprocess_exec


class CannotStart(Exception):
    """The command does not give a provider that serves."""


class Process:
    """One provider process; it may be started again after its end.

    Args:
        profile: How to start it.
        places: What the placeholders stand for.
        hidden: Variables of the suite it must not see: where the secrets are.
    """

    def __init__(
        self, profile: profiles.Profile, places: profiles.Places, *, hidden: Sequence[str]
    ) -> None:
        self.places = places
        self.target = f"127.0.0.1:{places.port}"
        self._profile = profile
        self._hidden = frozenset(hidden)
        self._log = places.state_dir / "conformance-output.txt"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Leader of its process group; None before the first start."""
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it; does not wait until it serves.

        Raises:
            CannotStart: There is no such program.
        """
        assert self._profile.command is not None
        assert not self.is_running
        command = self.places.fill(self._profile.command)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in self._hidden and not name.startswith("PAYHUB_FAIL")
        }
        environment |= self.places.fill(self._profile.environment)
        try:
            with self._log.open("ab") as log:
                self._process = await create_subprocess_exec(
                    *command,
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A group of its own, so that a kill reaches what a wrapper started.
                    start_new_session=True,
                )
        except OSError as failure:
            raise CannotStart(
                f"{command[0]}: {failure.strerror}; correct `command` in the profile"
            ) from failure

    def explain(self) -> str:
        """Says how it ended and what it said last."""
        status = self._process.returncode if self._process is not None else None
        said = "; ".join(line[:300] for line in self.log_lines()[-LOG_LINES_SHOWN:])
        state = "is still running" if status is None else f"ended with status {status}"
        return f"the process {state}; its last lines: {said or '(none)'}"

    async def stop(self) -> int | None:
        """Sends SIGTERM and returns the exit status; None if it had to be killed."""
        self.terminate()
        return await self.ended(self._profile.stop_grace_s)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        if self._process is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def ended(self, timeout_s: float) -> int | None:
        """Waits for its end and returns the exit status; kills it and returns None if late."""
        assert self._process is not None
        try:
            async with asyncio.timeout(timeout_s):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return None

    async def kill(self) -> None:
        """Kills it with everything it started, like a power cut."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def log_lines(self) -> list[str]:
        """Returns what it wrote to stdout and stderr since its first start."""
        try:
            with self._log.open("rb") as log:
                return log.read(LOG_BYTES_MAX).decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []


def places(folder: pathlib.Path, **known: str) -> profiles.Places:
    """Returns two free ports and a state folder for a new process, beside what is known."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = free_ports(2)
    return profiles.Places(port=port, http_port=http_port, state_dir=folder, **known)


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody has.

    Raises:
        CannotStart: There are none.
    """
    try:
        return ports.choose(count)
    except ports.NoneFree as error:
        raise CannotStart(str(error)) from None
