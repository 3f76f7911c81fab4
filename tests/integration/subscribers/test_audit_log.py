"""`python -m subscribers.audit_log run` against the real gateway, killed at every boundary."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from subscribers.audit_log import __main__ as command
from tests import starting
from tests.integration.gateway import harness

READY = re.compile(r"audit_log ready grpc=(\S+) http=(\S+)")
# As the gateway leaves it where retention overtakes a consumer.
_MARKER = """insert into consumer_parked (tenant_id, name, position, entity_key, attempts, reason,
    parked_us, blocked, skipped) values (?, 'audit-log', 1000, '', 0, 'SKIPPED', 1, 0, 7)"""
POINTS = ("audit_log.written", "audit_log.synced", "audit_log.anchored")


class Process:
    """One run of the audit log."""

    def __init__(self, folder: pathlib.Path, target: str, key: str, **env: str) -> None:
        self.folder = folder
        plain = {name: value for name, value in os.environ.items() if "AUDIT_LOG" not in name}
        with (folder / "stderr").open("a") as stderr:
            self.process = starting.popen(
                [sys.executable, "-m", "subscribers.audit_log", "run"],
                env={
                    **plain,
                    "AUDIT_LOG_GRPC_PORT": "0",
                    "AUDIT_LOG_HTTP_PORT": "0",
                    "AUDIT_LOG_EVENTS_TARGET": target,
                    "AUDIT_LOG_KEY": key,
                    "AUDIT_LOG_LOG": str(folder / "log"),
                    "AUDIT_LOG_ANCHOR": str(folder / "anchor"),
                    **env,
                },
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    async def http(self) -> str:
        """Waits until it says where it listens."""
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        ready = READY.match(line)
        assert ready is not None, (self.folder / "stderr").read_text()
        return ready[2]

    async def ended(self) -> int:
        """Waits for its end; returns the status."""
        try:
            return await asyncio.to_thread(self.process.wait, harness.TIMEOUT_S)
        finally:
            self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()


def read(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the whole entries of the log."""
    path = folder / "log"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


@pytest.mark.timeout(120)
async def test_every_event_once_whenever_it_is_killed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after the write, the fsync and the anchor, each before the acknowledgement, the log
    holds each event once, each entity's in order; a second writer is refused; SIGTERM drains.
    What the gateway says is lost to it is noticed, and what was parked is written down from there.
    """
    tenant = "t-audit"
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        publisher = gateway.tenant(tenant)
        sent: list[str] = []

        async def publish(version: int, *groups: str) -> None:
            events = [
                harness.event(tenant, entity_id=f"pay_{group}_{n}", entity_version=version)
                for group in groups
                for n in range(10)
            ]
            await publisher.publish(*events)
            sent.extend(each.id for each in events)

        for point in POINTS:
            # Of entities of its own: those of the process before are under lease for 5 s more.
            await publish(1, point)
            killed = Process(tmp_path, gateway.target, publisher.key, PAYHUB_FAIL_POINTS=point)
            assert await killed.ended() == -signal.SIGKILL, (tmp_path / "stderr").read_text()
            assert read(tmp_path), "killed before it had written"
        (made,) = (await publisher.query(filter={"types": ["consumer.*"]})).events
        sent.append(made.id)
        await publish(1, "parked")
        parked: set[str] = set()

        async def all_parked() -> bool:
            fetched = await publisher.ask("Fetch", consumer="audit-log", member="x", max_events=99)
            ours = [one for one in fetched.deliveries if one.event.id in sent[-10:]]
            for verdict, which in (("PARK", ours), ("RELEASE", fetched.deliveries)):
                leases = [one.lease for one in which if verdict == "PARK" or one not in ours]
                if leases:
                    settlement = {"leases": leases, "verdict": f"VERDICT_{verdict}"}
                    await publisher.ask("Settle", consumer="audit-log", settlements=[settlement])
            parked.update(one.event.id for one in ours)
            return len(parked) == 10

        await harness.until(all_parked, 30)
        with contextlib.closing(sqlite3.connect(tmp_path / "events.db")) as raw, raw:
            raw.execute(_MARKER, (tenant,))
        running = Process(tmp_path, gateway.target, publisher.key)
        http = await running.http()
        await publish(2, *POINTS)
        await harness.until(lambda: len(read(tmp_path)) > len(sent), 30)

        async def settled() -> bool:
            answer = await publisher.ask("GetConsumer", name="audit-log")
            return (answer.status.backlog, answer.status.parked) == (0, 11)

        await harness.until(settled, 30)
        second = Process(tmp_path, gateway.target, publisher.key)
        assert await second.ended() == 1
        assert "another process writes this log" in (tmp_path / "stderr").read_text()

        def scrape(path: str) -> str:
            with urllib.request.urlopen(f"http://{http}/{path}", timeout=20) as answer:
                return str(answer.read().decode())

        assert "ready" in await asyncio.to_thread(scrape, "readyz")
        assert f"sequence {len(sent) + 1}.0" in await asyncio.to_thread(scrape, "metrics")
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0, (tmp_path / "stderr").read_text()
        entries = read(tmp_path)
        assert [each["missing"] for each in entries if "missing" in each] == [7]
        found = [each for each in entries if "missing" not in each]
        assert sorted(each["event_id"] for each in found) == sorted(sent)
        versions: dict[str, list[int]] = {}
        for each in found:
            versions.setdefault(each["entity_id"], []).append(each["entity_version"])
        assert sorted(versions.values()) == [[1]] * 11 + [[1, 2]] * (10 * len(POINTS))
        assert all(each["log_epoch"] and each["position"] for each in found)
    arguments = ["verify", "--log", str(tmp_path / "log"), "--anchor", str(tmp_path / "anchor")]
    assert command.main(arguments) == 1
    assert "7 places" in capsys.readouterr().out


@pytest.mark.timeout(120)
async def test_what_ends_it_for_good_is_said_in_one_line(tmp_path: pathlib.Path) -> None:
    """Whose consumer was deleted, and who is started with a revoked key, ends with status 1 and one
    line that says what to do. Started again with a good key it has each event once.
    """
    tenant = "t-ended"
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        publisher = gateway.tenant(tenant)
        await publisher.publish(harness.event(tenant))

        def told() -> list[Any]:
            lines = (tmp_path / "stderr").read_text().splitlines()
            assert "Traceback" not in str(lines)
            return [each for each in map(json.loads, lines) if each["level"] == "error"]

        first = Process(tmp_path, gateway.target, publisher.key)
        await first.http()
        await harness.until(lambda: bool(read(tmp_path)), 30)
        await publisher.ask("DeleteConsumer", name="audit-log")
        assert await first.ended() == 1
        assert ["no consumer audit-log" in each["problem"] for each in told()] == [True]
        assert "makes it anew" in told()[0]["advice"]
        revoked = gateway.keys.add(tenant)
        gateway.keys.revoke(revoked)
        assert await Process(tmp_path, gateway.target, revoked).ended() == 1
        assert "API key" in told()[1]["advice"]
        await publisher.publish(harness.event(tenant, entity_id="pay_2"))
        again = Process(tmp_path, gateway.target, publisher.key)
        await again.http()
        # Two payments, and what became of the consumer: created, deleted, created.
        await harness.until(lambda: len(read(tmp_path)) == 5, 30)
        again.process.send_signal(signal.SIGTERM)
        assert await again.ended() == 0
    assert len({each["event_id"] for each in read(tmp_path)}) == 5
