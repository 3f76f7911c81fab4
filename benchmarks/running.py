"""Processes of a measurement: Payhub on either database, the bare limit, loads.

Owns starting and stopping them. Called by the measurements. Everything listens
on loopback and ends with the run.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil
import psycopg

from deploy import stack
from tests import postgres

DATABASES = ("sqlite", "postgres")
LOAD_GRACE_S = 60
READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is called, and the processes that work for it, by name."""

    target: str
    key: str = ""
    pids: Mapping[str, int]

    def load(self, **options: float | str) -> dict[str, float]:
        """Runs one load; its figures hold `cpu_us_<process>` for each call, too."""
        before_s = self._cpu_s()
        figures = load(self.target, self.key, **options)
        for name, spent_s in self._cpu_s().items():
            figures[f"cpu_us_{name}"] = (spent_s - before_s[name]) / figures["calls"] * 1e6
        return figures

    def _cpu_s(self) -> dict[str, float]:
        times = {name: psutil.Process(pid).cpu_times() for name, pid in self.pids.items()}
        return {name: spent.user + spent.system for name, spent in times.items()}


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
    """A folder for one run, on the disk that the project is on, deleted afterwards."""
    base = stack.ROOT / "var"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base) as name:
        yield pathlib.Path(name)


@contextlib.contextmanager
def payhub(
    database: str,
    *,
    env: Mapping[str, str] | None = None,
    providers: Mapping[str, str] | None = None,
) -> Iterator[stack.Stack]:
    """Runs every process of Payhub with both databases of the given kind.

    *providers* are those beside the simulated one, by plugin id.
    """
    with contextlib.ExitStack() as cleanup:
        var = cleanup.enter_context(folder())
        settings = dict(env or {})
        ports = stack.free_ports()
        if providers:
            mock = {"mock": f"127.0.0.1:{ports[stack.MOCK].grpc}"}
            settings["PAYMENT_SERVICE_PROVIDERS"] = json.dumps({**mock, **providers})
        urls: dict[str, str] = {}
        if database == "postgres":
            server = cleanup.enter_context(postgres.server())
            for name in (stack.PAYMENTS, stack.GATEWAY):
                with psycopg.connect(server, autocommit=True) as connection:
                    connection.execute(f"create database {name}")
                urls[name] = postgres.with_database(server, name)
            settings |= {
                "PAYMENT_SERVICE_AUTO_MIGRATE": "true",
                "EVENT_GATEWAY_AUTO_MIGRATE": "true",
                "PAYMENT_SERVICE_DEV_KEY_PATH": str(var / "dev.key"),
            }
        yield cleanup.enter_context(stack.Stack(var, ports=ports, env=settings, databases=urls))


@contextlib.contextmanager
def bare() -> Iterator[Side]:
    """Runs the bare proxy and its backend."""
    with contextlib.ExitStack() as cleanup:
        backend, backend_pid = _role(cleanup, "backend")
        proxy, proxy_pid = _role(cleanup, "proxy", "--backend", backend)
        yield Side(target=proxy, pids={"proxy": proxy_pid, "backend": backend_pid})


def _role(cleanup: contextlib.ExitStack, *arguments: str) -> tuple[str, int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=stack.ROOT,
    )  # fmt: skip
    cleanup.callback(process.wait)
    cleanup.callback(process.terminate)
    assert process.stdout is not None
    cleanup.callback(process.stdout.close)
    return f"127.0.0.1:{process.stdout.readline().split()[1]}", process.pid


def _load(target: str, key: str, options: Mapping[str, float | str]) -> subprocess.Popen[str]:
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", "--target", target, *arguments],
        env=os.environ | {"BENCH_KEY": key}, stdout=subprocess.PIPE, text=True, cwd=stack.ROOT,
    )  # fmt: skip


def tried(target: str, key: str, **options: float | str) -> dict[str, float]:
    """Runs one load and returns its figures, whatever became of its payments."""
    process = _load(target, key, options)
    longest_s = float(options.get("seconds", 5)) + float(options.get("warm", 1)) + LOAD_GRACE_S
    try:
        printed, _ = process.communicate(timeout=longest_s)
    finally:
        process.kill()
        process.wait()
    figures: dict[str, float] = json.loads(printed)
    return figures


@contextlib.contextmanager
def side_load(target: str, key: str, **options: float | str) -> Iterator[None]:
    """Runs a load beside what is measured, and waits for its end; nobody asks for figures."""
    process = _load(target, key, options)
    try:
        yield
        process.communicate(timeout=LOAD_GRACE_S)
    finally:
        process.kill()
        process.wait()


def load(target: str, key: str, **options: float | str) -> dict[str, float]:
    """Runs one load and returns its figures; fails if a payment did not succeed."""
    figures = tried(target, key, **options)
    if figures["failed"]:
        raise SystemExit(f"{figures['failed']:g} payments did not succeed at {target}")
    return figures


def until_taken(target: str, key: str, **options: float | str) -> None:
    """Waits until a provider takes payments."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if not tried(target, key, rate=5, seconds=1, **options)["failed"]:
            return
    raise SystemExit(f"no payments were taken within {READY_TIMEOUT_S:g} s: {options}")


@contextlib.contextmanager
def provider(
    module: str, own: stack.Stack, settings: Mapping[str, str], *, http_port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a provider beside the simulated one; yields its process once it serves."""
    with (own.var / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=stack.ROOT, env=os.environ | settings, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _ready(module, f"http://127.0.0.1:{http_port}/readyz", process)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()


def _ready(name: str, url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{name} did not start")
