"""Backups: an export of every binding to a folder, now and then.

Owns the files `bindings-<time>.json` of that folder and how many are kept. Run in the
background of payment_service; of several replicas one writes. Secrets are in them only if
a passphrase is set, and sealed with it.
"""

import asyncio
import datetime
import json
import os
import pathlib
import re
from dataclasses import dataclass

import prometheus_client
from google.protobuf import json_format

from payment_service.db import leases
from payment_service.usecases import context
from payment_service.usecases.bindings import export
from servicekit import logs, loop

_log = logs.get_logger(__name__)

LEASE = "binding_backup"
LOOK_S = 60.0
_NAME = "bindings-%Y%m%dT%H%M%SZ.json"
_FILE = re.compile(r"bindings-(\d{8}T\d{6})Z\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where to, how often (seconds), how many files to keep, and what seals the secrets."""

    folder: pathlib.Path
    every_s: float
    keep: int
    passphrase: str | None


class Backup:
    """Writes backups.

    Args:
        ctx: What lies outside.
        exports: What is written.
        plan: Where and when.
        owner: Name of this process, for the lease.
        registry: Where the time of the newest backup is told.
    """

    def __init__(
        self,
        ctx: context.Context,
        exports: export.Exports,
        plan: Plan,
        owner: str,
        registry: prometheus_client.CollectorRegistry,
    ) -> None:
        self._ctx = ctx
        self._exports = exports
        self._plan = plan
        self._owner = owner
        self._written = prometheus_client.Gauge(
            "payhub_binding_backup_timestamp_seconds",
            "When the newest backup of bindings was written; 0 if there is none.",
            registry=registry,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Writes a backup whenever the newest one is old enough, until *stop*."""
        idle_s = min(self._plan.every_s, LOOK_S)
        await loop.run_forever(self.run_once, idle_s=idle_s, stop=stop, name="binding backup")

    async def run_once(self) -> int:
        """Writes a backup if one is due; returns 0."""
        now_us = self._ctx.clock.now_us()
        newest_us = await asyncio.to_thread(newest_us_of, self._plan.folder, now_us)
        # Whoever wrote it: a process that never gets to write one must be noticed, too.
        self._written.set(newest_us / 1_000_000)
        if now_us - newest_us < self._plan.every_s * 1_000_000:
            return 0
        length_us = round(self._plan.every_s * 500_000)
        taken = await self._ctx.db.write(
            lambda conn: leases.take(conn, name=LEASE, owner=self._owner, length_us=length_us)
        )
        if not taken:
            return 0
        path, count = await self.write(now_us)
        self._written.set(now_us / 1_000_000)
        _log.info("bindings backed up", file=path.name, bindings=count)
        return 0

    async def write(self, now_us: int) -> tuple[pathlib.Path, int]:
        """Writes a backup and forgets old ones; returns its file and how many bindings."""
        exported: list[dict[str, object]] = []
        after_id = ""
        while True:
            page, after_id = await self._exports.page(
                tenant_id="",
                plugin_id="",
                after_id=after_id,
                most=export.PAGE_MAX,
                passphrase=self._plan.passphrase,
            )
            exported += [
                json_format.MessageToDict(each, preserving_proto_field_name=True) for each in page
            ]
            if not after_id:
                break
        moment = datetime.datetime.fromtimestamp(now_us // 1_000_000, datetime.UTC)
        document = {
            "format": export.FORMAT,
            "export_time": moment.isoformat().replace("+00:00", "Z"),
            "bindings": exported,
        }
        path = self._plan.folder / moment.strftime(_NAME)
        await asyncio.to_thread(_write, path, json.dumps(document, indent=2), self._plan.keep)
        return path, len(exported)


def newest_us_of(folder: pathlib.Path, now_us: int) -> int:
    """Returns when the newest backup in *folder* was written; 0 if there is none.

    One that is said to come from after *now_us*, as a clock that was wrong leaves it, says
    nothing: nothing would be backed up until then.
    """
    if not folder.is_dir():
        return 0
    names = [match[1] for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))]
    moments = [datetime.datetime.strptime(f"{name}+0000", "%Y%m%dT%H%M%S%z") for name in names]
    times = [round(moment.timestamp()) * 1_000_000 for moment in moments]
    return max((one for one in times if one <= now_us), default=0)


def _write(path: pathlib.Path, text: str, keep: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(unfinished, flags, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    written = sorted(each for each in path.parent.iterdir() if _FILE.fullmatch(each.name))
    # What a wrong clock dated later takes the place of none.
    for old in [each for each in written if each.name <= path.name][:-keep]:
        old.unlink()
