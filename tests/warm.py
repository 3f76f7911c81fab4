"""A process that has everything imported and becomes, by a fork, any of Payhub's own.

Owns the imports, the forks and telling how a child ended. Run as `python -m tests.warm <fd>` by
`tests.starting`, once per test run; ends when the socket closes. A child is a process like any
other: its own pid, session, files, environment and exit status; only its imports were done
before. Never opens a socket, a database or a thread before it forks.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

MODULES = (
    "payment_service",
    "event_gateway",
    "provider_mock",
    "provider_stripe",
    "subscribers.audit_log",
    "subscribers.email_notifier",
    "tests.stripe_double",
    "examples.advanced_provider",
)
# What a process imports later than at its start.
LATE = ("alembic.command", "alembic.script", "psycopg", "sqlalchemy.dialects.postgresql.psycopg")
STATUS = struct.Struct("i")
PID = struct.Struct("i")
REQUEST_BYTES_MAX = 1 << 17
# stdin, stdout, stderr, and where the status goes.
DESCRIPTORS = 4


def load() -> None:
    """Imports what the processes import."""
    for module in MODULES:
        importlib.import_module(f"{module}.__main__")
        # To be run again, as `python -m` would.
        del sys.modules[f"{module}.__main__"]
    for module in LATE:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def serve(asked: socket.socket) -> Mapping[str, Any] | None:
    """Forks for every request; returns the request in the child, None at the end."""
    ended, wakeup = socket.socketpair()
    for one in (ended, wakeup):
        one.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, int] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(asked, selectors.EVENT_READ)
        ready.register(ended, selectors.EVENT_READ)
        while True:
            keys = {key.fileobj for key, _ in ready.select()}
            if ended in keys:
                ended.recv(4096)
                _tell(children)
            if asked not in keys:
                continue
            data, descriptors, _, _ = socket.recv_fds(asked, REQUEST_BYTES_MAX, DESCRIPTORS)
            if not data:
                return None
            request: dict[str, Any] = json.loads(data)
            pid = os.fork()
            if pid == 0:
                break
            children[pid] = descriptors[3]
            for each in descriptors[:3]:
                os.close(each)
            asked.send(PID.pack(pid))
    _forget(asked, ended, wakeup, [*children.values(), descriptors[3]])
    _become(request, descriptors)
    return request


def _tell(children: dict[int, int]) -> None:
    """Says of the children that have ended how they did."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        descriptor = children.pop(pid)
        try:
            os.write(descriptor, STATUS.pack(status))
        except BrokenPipeError:
            pass
        finally:
            os.close(descriptor)


def _forget(
    asked: socket.socket, ended: socket.socket, wakeup: socket.socket, others: Sequence[int]
) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for each in (asked, ended, wakeup):
        each.close()
    for other in others:
        os.close(other)


def _become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [request["module"], *request["arguments"]]


if __name__ == "__main__":
    load()
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        # From here on as `python -m`, the end of the interpreter included.
        runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)
