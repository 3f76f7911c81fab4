"""Starts and stops every Payhub process on this machine.

Owns the child processes, their ports, environment and log files. Called by the demo,
`make up`, tests and benchmarks. Never leaves a process behind: a watcher ends whatever
still runs when the starter is gone, however it went.
"""

import base64
import dataclasses
import json
import os
import pathlib
import secrets
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Self

from servicekit import ports as port_choice

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOCK = "provider_mock"
PAYMENTS = "payment_service"
GATEWAY = "event_gateway"
STRIPE = "provider_stripe"
# Start order does not matter; this is the order in which they are stopped, so
# that the relay still finds the gateway and calls under way their provider.
NAMES = (PAYMENTS, GATEWAY, MOCK)
# What runs only where it is named.
OPTIONAL = (STRIPE,)
KNOWN = NAMES + OPTIONAL
PREFIXES = (
    "PAYMENT_SERVICE_",
    "EVENT_GATEWAY_",
    "PROVIDER_MOCK_",
    "PROVIDER_STRIPE_",
    "PAYHUB_",
)
# What a caller whose settings are passed on may choose instead; all else fits together.
CHOSEN = frozenset(
    {
        "PAYMENT_SERVICE_DATABASE_URL",
        "PAYMENT_SERVICE_PROVIDERS",
        "PAYMENT_SERVICE_DEFAULT_PROVIDER",
        "EVENT_GATEWAY_DATABASE_URL",
        "PROVIDER_MOCK_LEDGER",
    }
)
POLL_S = 0.02
LOG_TAIL_LINES = 20
# How processes are started; tests put a quicker way in its place.
popen: Callable[..., "subprocess.Popen[bytes]"] = subprocess.Popen


class StackError(Exception):
    """A process did not start, became not ready in time, or ended by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where one process listens on 127.0.0.1."""

    grpc: int
    http: int


DEFAULT_PORTS: Mapping[str, Ports] = types.MappingProxyType(
    {
        PAYMENTS: Ports(grpc=50051, http=8080),
        GATEWAY: Ports(grpc=50052, http=8081),
        MOCK: Ports(grpc=50061, http=8082),
        STRIPE: Ports(grpc=50062, http=8083),
    }
)


def free_ports() -> dict[str, Ports]:
    """Returns ports for every process that nobody listens on or was given by this.

    Services name each other's addresses in their environment, so ports have to be
    known before the first one starts.
    """
    try:
        found = port_choice.choose(2 * len(KNOWN))
    except port_choice.NoneFree as error:
        raise StackError(str(error)) from None
    pairs = zip(found[::2], found[1::2], strict=True)
    return {
        name: Ports(grpc=grpc, http=http) for name, (grpc, http) in zip(KNOWN, pairs, strict=True)
    }


def mock_webhooks(ports: Mapping[str, Ports]) -> dict[str, str]:
    """Returns settings by which the simulated provider tells core by webhooks, newly signed."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    core = f"http://127.0.0.1:{ports[PAYMENTS].http}"
    return {
        "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps({"mock": {"webhook_secret": secret}}),
        "PROVIDER_MOCK_WEBHOOK_URL": f"{core}/webhooks/mock/{{binding_id}}",
    }


@dataclasses.dataclass(slots=True, kw_only=True)
class _Child:
    process: subprocess.Popen[bytes]
    log_offset: int


class Stack:
    """All processes of one installation, with its own folder, ports and environment.

    Use as a context manager: entering starts everything and waits until it is ready,
    leaving stops it. Ports stay the same across restarts. Not safe for use by several
    threads at once.

    Args:
        var: folder for databases, keys and logs; made if missing.
        ports: where each process listens; `free_ports()` if not given.
        env: settings for all processes on top of what the stack sets itself.
        databases: database URL by process name; SQLite files in `var` if not given.
        inherit: pass on Payhub settings of the caller's own environment; its databases and
            providers win, addresses and keys are the stack's.
        names: which processes to run; the others' addresses are still told. With
            `STRIPE` and without `MOCK`, Stripe is the default provider.
    """

    def __init__(
        self,
        var: pathlib.Path,
        *,
        ports: Mapping[str, Ports] | None = None,
        env: Mapping[str, str] | None = None,
        databases: Mapping[str, str] | None = None,
        inherit: bool = False,
        names: Iterable[str] = NAMES,
    ) -> None:
        self.var = var.resolve()
        self.ports = dict(ports or free_ports())
        self._env = dict(env or {})
        self._databases = dict(databases or {})
        self._inherit = inherit
        self._names = tuple(name for name in KNOWN if name in set(names))
        self._children: dict[str, _Child] = {}
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts every process; stops those that did start if one does not."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stops every process."""
        self.stop()

    @property
    def dev_key_file(self) -> pathlib.Path:
        """File with the development key, there once payment_service is ready."""
        return self.var / "dev.key"

    def dev_key(self) -> str:
        """Returns the development key: tenant `default`, all scopes."""
        return self.dev_key_file.read_text().strip()

    @property
    def plugin_key_file(self) -> pathlib.Path:
        """File with the key plugins register with, there once payment_service is ready."""
        return self.var / "plugin.key"

    def target(self, name: str) -> str:
        """Returns the gRPC address of a process, `host:port`."""
        return f"127.0.0.1:{self.ports[name].grpc}"

    def http_url(self, name: str) -> str:
        """Returns the HTTP address of a process, without a slash at the end."""
        return f"http://127.0.0.1:{self.ports[name].http}"

    def log_file(self, name: str) -> pathlib.Path:
        """Returns the file that holds everything a process printed."""
        return self.var / "logs" / f"{name}.log"

    def environment(self, name: str) -> dict[str, str]:
        """Returns the whole environment of a process."""
        base = {
            key: value
            for key, value in os.environ.items()
            if self._inherit or not key.startswith(PREFIXES)
        }
        # Below errors, gRPC's core writes lines that are not JSON between those of the log.
        base.setdefault("GRPC_VERBOSITY", "ERROR")
        prefix = f"{name.upper()}_"
        base[f"{prefix}HOST"] = "127.0.0.1"
        base[f"{prefix}GRPC_PORT"] = str(self.ports[name].grpc)
        base[f"{prefix}HTTP_PORT"] = str(self.ports[name].http)
        # Nothing in front of these processes needs time to notice that they leave.
        base[f"{prefix}DRAIN_DELAY_S"] = "0"
        own = self._own_settings(name)
        chosen = {key for key in CHOSEN & own.keys() if base.get(key, "").strip()}
        if "PAYMENT_SERVICE_PROVIDERS" in chosen:
            # The stack's default need not be among them.
            del own["PAYMENT_SERVICE_DEFAULT_PROVIDER"]
        base |= {key: value for key, value in own.items() if key not in chosen}
        return base | self._env

    def _own_settings(self, name: str) -> dict[str, str]:
        if name == MOCK:
            return {"PROVIDER_MOCK_LEDGER": str(self.var / "mock_ledger.db")}
        if name == GATEWAY:
            return {
                "EVENT_GATEWAY_DATABASE_URL": self._databases.get(
                    name, f"sqlite:///{self.var / 'events.db'}"
                ),
                "EVENT_GATEWAY_KEYS_ENDPOINT": self.target(PAYMENTS),
                "EVENT_GATEWAY_ENCRYPTION_KEY_PATH": str(self.var / "gateway.key"),
            }
        if name == STRIPE:
            return {}
        providers = self._providers()
        return {
            "PAYMENT_SERVICE_DATABASE_URL": self._databases.get(
                name, f"sqlite:///{self.var / 'payments.db'}"
            ),
            "PAYMENT_SERVICE_PROVIDERS": json.dumps(providers),
            "PAYMENT_SERVICE_DEFAULT_PROVIDER": next(iter(providers)),
            "PAYMENT_SERVICE_GATEWAY_ENDPOINT": self.target(GATEWAY),
            "PAYMENT_SERVICE_DEV_KEY_PATH": str(self.dev_key_file),
            "PAYMENT_SERVICE_RELAY_KEY_PATH": str(self.var / "relay.key"),
            "PAYMENT_SERVICE_PLUGIN_KEY_PATH": str(self.plugin_key_file),
            "PAYMENT_SERVICE_ENCRYPTION_KEY_PATH": str(self.var / "encryption.key"),
        }

    def _providers(self) -> dict[str, str]:
        """Returns the addresses of the providers, the default one first."""
        if STRIPE not in self._names:
            return {"mock": self.target(MOCK)}
        stripe = {"stripe": self.target(STRIPE)}
        return {"mock": self.target(MOCK)} | stripe if MOCK in self._names else stripe

    def start(self, *, timeout_s: float = 40.0) -> None:
        """Starts every process that does not run, at once, and waits until all are ready.

        Raises:
            StackError: one ended or was not ready in time; names its log's last lines.
        """
        deadline = time.monotonic() + timeout_s
        started = [name for name in self._names if not self.running(name)]
        for name in started:
            self._spawn(name, {})
        for name in started:
            self._wait_ready(name, deadline)

    def restart(
        self, name: str, extra_env: Mapping[str, str] | None = None, *, timeout_s: float = 40.0
    ) -> None:
        """Starts a process again, stopping it first if it runs; waits until it is ready.

        `extra_env` holds for this run only.
        """
        self.stop_one(name)
        self._spawn(name, extra_env or {})
        self._wait_ready(name, time.monotonic() + timeout_s)

    def running(self, name: str) -> bool:
        """Tells whether a process was started and has not ended."""
        child = self._children.get(name)
        return child is not None and child.process.poll() is None

    def pid(self, name: str) -> int:
        """Returns the process id of a process that was started."""
        return self._children[name].process.pid

    def kill(self, name: str) -> None:
        """Ends a process with SIGKILL and waits until it is gone."""
        child = self._children[name]
        child.process.kill()
        self._reap(name, timeout_s=10.0)

    def wait_exit(self, name: str, *, timeout_s: float = 20.0) -> int:
        """Waits until a process has ended by itself; returns its exit code, -9 for SIGKILL.

        Raises:
            StackError: it still runs after `timeout_s`.
        """
        try:
            return self._reap(name, timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            raise StackError(f"{name} still runs after {timeout_s:g} s") from None

    def stop_one(self, name: str, *, grace_s: float = 15.0) -> None:
        """Stops a process with SIGTERM, and with SIGKILL if it runs on after `grace_s`."""
        if name not in self._children:
            return
        child = self._children[name]
        child.process.terminate()
        try:
            self._reap(name, timeout_s=grace_s)
        except subprocess.TimeoutExpired:
            self.kill(name)

    def stop(self, *, grace_s: float = 15.0) -> None:
        """Stops every process, and the watcher. Does nothing if none runs."""
        for name in KNOWN:
            self.stop_one(name, grace_s=grace_s)
        if self._watcher is not None:
            self._pipe_to_watcher().close()
            self._watcher.wait()
            self._watcher = None

    def check_alive(self) -> None:
        """Raises StackError if a process that was started has ended by itself."""
        for name, child in self._children.items():
            code = child.process.poll()
            if code is not None:
                raise StackError(f"{name} ended with exit code {code}\n{self.log_tail(name)}")

    def log_tail(self, name: str) -> str:
        """Returns the last lines a process printed."""
        file = self.log_file(name)
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _spawn(self, name: str, extra_env: Mapping[str, str]) -> None:
        self._start_watcher()
        log_file = self.log_file(name)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["serve"] if name in (PAYMENTS, GATEWAY) else []
        with log_file.open("ab") as log:
            offset = log.tell()
            # A session of its own: Ctrl-C reaches the starter only, which then
            # stops the processes in order.
            process = popen(
                [sys.executable, "-m", name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.environment(name) | dict(extra_env),
                start_new_session=True,
            )
        self._tell_watcher(f"+{process.pid}")
        self._children[name] = _Child(process=process, log_offset=offset)

    def _reap(self, name: str, *, timeout_s: float) -> int:
        child = self._children[name]
        code = child.process.wait(timeout=timeout_s)
        self._tell_watcher(f"-{child.process.pid}")
        del self._children[name]
        return code

    def _wait_ready(self, name: str, deadline: float) -> None:
        child = self._children[name]
        while time.monotonic() < deadline:
            code = child.process.poll()
            if code is not None:
                raise StackError(
                    f"{name} ended with exit code {code} while starting\n{self.log_tail(name)}"
                )
            if self._printed_ready(name, child.log_offset) and self._answers_ready(name):
                return
            time.sleep(POLL_S)
        raise StackError(f"{name} was not ready in time\n{self.log_tail(name)}")

    def _printed_ready(self, name: str, offset: int) -> bool:
        with self.log_file(name).open("rb") as log:
            log.seek(offset)
            return any(line.startswith(f"{name} ready ".encode()) for line in log)

    def _answers_ready(self, name: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.http_url(name)}/readyz", timeout=1) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError as refused:
            refused.close()
        except OSError:
            pass
        return False

    def _start_watcher(self) -> None:
        if self._watcher is None:
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(ROOT / "deploy" / "watcher.py")],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def _tell_watcher(self, line: str) -> None:
        pipe = self._pipe_to_watcher()
        pipe.write(f"{line}\n".encode())
        pipe.flush()

    def _pipe_to_watcher(self) -> IO[bytes]:
        assert self._watcher is not None
        assert self._watcher.stdin is not None
        return self._watcher.stdin
