"""Subscribers and publishers around a gateway: what the event measurements share.

Owns the processes of one run and the check that everybody received everything. Called
by `benchmarks.fanout` and its neighbours. CPU is the server process's own, user and
system.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil

from benchmarks import publisher, running
from deploy import stack
from event_gateway import cursor
from tests.integration.gateway import harness

SINKS = 2
# Latencies are those of as many subscribers: one that is written to early hears sooner than others.
WATCHED = 20
TYPES = 50


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much of what."""

    streams: int
    rate_per_s: int
    seconds: float
    tick_ms: int = 0
    batch: int = 10
    filters: str = "none"
    parse: bool = False
    connections: int = 5

    @property
    def part(self) -> float:
        """Which part of the events each subscriber takes."""
        return (TYPES - 2) / TYPES if self.filters == "types" else 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run measured."""

    delivered: float
    cpu_s: float
    seconds: float
    p50_ms: float
    p99_ms: float
    # From the first event received to the last one; 0 where nobody looks.
    arriving_s: float = 0.0

    @property
    def us_per_event(self) -> float:
        """CPU of the server for one event delivered, microseconds."""
        return self.cpu_s * 1e6 / self.delivered

    @property
    def cores(self) -> float:
        """How much of a core the server used."""
        return self.cpu_s / self.seconds


Sink = subprocess.Popen[str]


def child(module: str, key: str, **options: object) -> subprocess.Popen[str]:
    """Starts a module of ours with options."""
    arguments: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(flag)
        elif value is not False:
            arguments.append(f"{flag}={value}")
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | {"BENCH_KEY": key}, stdout=subprocess.PIPE, text=True, cwd=stack.ROOT,
    )  # fmt: skip


@contextlib.contextmanager
def ended(processes: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Ends *processes* whatever happens."""
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def wait_for(address: str) -> None:
    """Waits until something listens at *address*."""
    host, _, port = address.rpartition(":")
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens at {address}")


def cpu_s(pid: int) -> float:
    """Returns the CPU a process has used, seconds."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@contextlib.contextmanager
def sinks(key: str, target: str, load: Load) -> Iterator[list[Sink]]:
    """Runs the subscribers of a load; yields when all of them are confirmed."""
    found = [
        child(
            "benchmarks.sink", key, target=target, streams=load.streams // SINKS,
            connections=load.connections, tick_ms=load.tick_ms, filters=load.filters,
            parse=load.parse, types=TYPES, first=number * (load.streams // SINKS),
            watch_one_in=max(load.streams // WATCHED, 1),
        )
        for number in range(SINKS)
    ]  # fmt: skip
    with ended(found):
        for sink in found:
            assert sink.stdout is not None
            sink.stdout.readline()
        yield found


def told(sinks: Sequence[Sink]) -> list[dict[str, Any]]:
    """Returns what each of *sinks* has seen, once nothing more comes."""
    for sink in sinks:
        sink.send_signal(signal.SIGTERM)
    return [json.loads(sink.communicate(timeout=120)[0]) for sink in sinks]


def run(gateway: harness.Gateway, load: Load) -> Outcome:
    """Subscribes, publishes for a while, waits until everything has arrived."""
    key = gateway.keys.add(publisher.TENANT)
    with sinks(key, gateway.target, load) as subscribers:
        before_s = cpu_s(gateway.pid)
        source = child(
            "benchmarks.publisher", key, target=gateway.target, rate=load.rate_per_s,
            batch=load.batch, seconds=load.seconds, types=TYPES,
        )  # fmt: skip
        with ended([source]):
            published = json.loads(source.communicate(timeout=load.seconds + 120)[0])
        seen = told(subscribers)
        used_s = cpu_s(gateway.pid) - before_s
    check(published, seen, load)
    return Outcome(
        delivered=published["events"] * load.streams * load.part,
        cpu_s=used_s,
        seconds=published["events"] / published["per_s"],
        p50_ms=sum(one["p50_ms"] for one in seen) / len(seen),
        p99_ms=max(one["p99_ms"] for one in seen),
        arriving_s=max(one["last_s"] for one in seen) - min(one["first_s"] for one in seen),
    )


def check(published: Mapping[str, float], seen: Sequence[Mapping[str, Any]], load: Load) -> None:
    """Fails unless everybody received everything, and nobody fell behind."""
    if published["failed"] or published["per_s"] < 0.95 * load.rate_per_s:
        raise SystemExit(f"the publisher did not keep its rate: {published}")
    for one in seen:
        if one["ended"] or one["fell_behind"] or one["gaps"]:
            raise SystemExit(f"subscribers ended, fell behind or missed something: {one}")
        wanted = published["events"] * one["watched"] * load.part
        if abs(one["watched_events"] - wanted) > one["watched"] * TYPES:
            raise SystemExit(f"not everything arrived: {one['watched_events']} of {wanted}")
    places = {cursor.decode(place).position for one in seen for place in one["places"]}
    if load.filters == "none" and len(places) != 1:
        raise SystemExit(f"subscribers ended at different places: {sorted(places)}")


@contextlib.contextmanager
def gateway(**env: str) -> Iterator[harness.Gateway]:
    """Runs a gateway on SQLite on the disk that the project is on."""
    quiet = {"EVENT_GATEWAY_LOG_LEVEL": "warning", **env}
    with (
        running.folder() as folder,
        harness.running(f"sqlite:///{folder}/events.db", **quiet) as started,
    ):
        yield started
