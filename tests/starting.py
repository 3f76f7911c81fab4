"""How tests start Payhub's processes: forked from one that has imported everything.

Owns `popen`, with the arguments and the behaviour of `subprocess.Popen` as far as tests need
them. A process so started is ready in a tenth of the time, which is nearly all imports. Called by
whoever runs services in tests. Anything but a module of ours is started as usual, and so is
everything while coverage is measured, which begins with the interpreter.
"""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

from tests import warm

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEASURED = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "COV_CORE_SOURCE")


def popen(arguments: Sequence[str], **options: Any) -> Any:
    """Starts a process; see `subprocess.Popen`."""
    if _is_ours(arguments):
        return Process(arguments, **options)
    return subprocess.Popen(arguments, **options)


def _is_ours(arguments: Sequence[str]) -> bool:
    named = list(arguments[:2]) == [sys.executable, "-m"] and arguments[2] in warm.MODULES
    return named and not any(name in os.environ for name in MEASURED)


async def create_subprocess_exec(*arguments: str, **options: Any) -> Any:
    """Starts a process; see the function of asyncio."""
    if _is_ours(arguments):
        return Awaited(Process(arguments, **options))
    return await asyncio.create_subprocess_exec(*arguments, **options)


class Process:
    """A running process, as `subprocess.Popen` shows one."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        cwd: Any = None,
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        text: bool = False,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self.stdin: IO[Any] | None = None
        self.stdout: IO[Any] | None = None
        self.stderr: IO[Any] | None = None
        request = {
            "module": arguments[2],
            "arguments": list(arguments[3:]),
            "cwd": str(cwd or pathlib.Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        self._ending = threading.Lock()
        self._status, tell = os.pipe()
        with contextlib.ExitStack() as given:
            given.callback(os.close, tell)
            descriptors: list[int] = []
            for number, (name, what) in enumerate(
                (("stdin", stdin), ("stdout", stdout), ("stderr", stderr))
            ):
                descriptor, own = _descriptor(number, what, descriptors, given)
                descriptors.append(descriptor)
                if own is not None:
                    mode = "w" if number == 0 else "r"
                    opened = os.fdopen(own, mode) if text else os.fdopen(own, f"{mode}b")
                    setattr(self, name, opened)
            self.pid = _parent().fork(request, [*descriptors, tell])

    def poll(self) -> int | None:
        """Returns how it ended, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it has ended; returns how.

        Raises:
            subprocess.TimeoutExpired: It still runs after *timeout* seconds.
        """
        if self.returncode is None:
            told = select.poll()
            told.register(self._status, select.POLLIN)
            if not told.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def _end(self) -> None:
        # Whoever comes second, from another thread, finds the pipe at its end.
        with self._ending:
            if self.returncode is None:
                told = os.read(self._status, warm.STATUS.size)
                # Nothing told: the parent was killed, and nobody knows.
                status = warm.STATUS.unpack(told)[0] if told else signal.SIGKILL
                self.returncode = os.waitstatus_to_exitcode(status)

    def __del__(self) -> None:
        os.close(self._status)

    def fileno(self) -> int:
        """Returns what can be read once it has ended."""
        return self._status

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Awaited:
    """A running process without pipes, as `asyncio.subprocess.Process` shows one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid
        self.send_signal = process.send_signal
        self.terminate = process.terminate
        self.kill = process.kill

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Waits until it has ended; returns how."""
        if self._process.poll() is None:
            loop = asyncio.get_running_loop()
            ended = loop.create_future()
            descriptor = os.dup(self._process.fileno())
            loop.add_reader(descriptor, lambda: None if ended.done() else ended.set_result(None))
            try:
                await ended
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
        return self._process.wait()


def _descriptor(
    number: int, what: Any, before: Sequence[int], given: contextlib.ExitStack
) -> tuple[int, int | None]:
    """Returns what the child gets, and this side's end if it is a pipe."""
    if what is None:
        return number, None
    if what == subprocess.STDOUT:
        return before[1], None
    if what == subprocess.DEVNULL:
        descriptor = os.open(os.devnull, os.O_RDWR)
        given.callback(os.close, descriptor)
        return descriptor, None
    if what == subprocess.PIPE:
        read, write = os.pipe()
        theirs, own = (read, write) if number == 0 else (write, read)
        given.callback(os.close, theirs)
        return theirs, own
    return what if isinstance(what, int) else what.fileno(), None


class _Parent:
    """The process that forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=ROOT,
                # Read when gRPC is imported; every rig of the tests sets the same.
                env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self._process.pid
        atexit.register(self.close)

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Forks a child; returns its pid."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
            answer = self._socket.recv(warm.PID.size)
        if not answer:
            raise ChildProcessError(f"tests.warm has ended with {self._process.wait()}")
        return int(warm.PID.unpack(answer)[0])

    def close(self) -> None:
        """Lets it end."""
        self._socket.close()
        self._process.wait()


@functools.cache
def _parent() -> _Parent:
    return _Parent()
