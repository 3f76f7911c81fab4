"""The audit log's process: `python -m subscribers.audit_log run | verify`.

Owns the command line and the exit status. `run` writes until SIGTERM; `verify` proves a log
and needs neither a gateway nor settings. Never decides anything else.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from payhub.options.v1 import options_pb2

from servicekit import logs, metrics, server
from servicekit import settings as kit_settings
from subscribers.audit_log import entries, following, settings, verifying, writing

PROGRESS_EVERY_S = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; 2 for arguments that make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m subscribers.audit_log",
        description="Keeps a log of all events that can't be changed unnoticed.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="write until SIGTERM; AUDIT_LOG_* says what and where")
    check = commands.add_parser("verify", help="prove a log; 0 if it is whole, 1 if it is not")
    check.add_argument("--log", type=pathlib.Path, required=True)
    check.add_argument(
        "--anchor", type=pathlib.Path, help="without it, a log cut at its end looks whole"
    )
    check.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args(argv)
    if arguments.command == "verify":
        return verify(arguments.log, arguments.anchor, as_json=arguments.json)
    told = kit_settings.load(settings.AuditLogSettings)
    logs.configure(
        service="audit_log",
        level=told.log_level,
        fmt=told.log_format,
        sensitive=options_pb2.sensitive,
    )
    return run(told)


def run(told: settings.AuditLogSettings) -> int:
    """Write until SIGTERM."""
    key = told.digest_key.get_secret_value().encode() if told.digest_key else b""
    try:
        writer = writing.Writer(told.log, told.anchor, digest_key=key)
    except (writing.CantOpen, OSError) as failure:
        logs.get_logger(__name__).error("can't open the audit log", problem=str(failure))
        logs.flush()
        return 1
    registry = metrics.Metrics()
    follower = following.Follower(told, writer, registry)
    try:
        return server.run(
            server.serve(
                settings=told,
                service_name="audit_log",
                servicers=(),
                background=[follower.follow],
                registry=registry,
                ready_checks={"gateway": follower.ready},
            )
        )
    finally:
        writer.close()


def verify(log: pathlib.Path, anchor_path: pathlib.Path | None, *, as_json: bool) -> int:
    """Prove a log, print what was found and return the exit status."""
    try:
        # Read before the log: a writer may be at work, and it appends before it anchors.
        anchor = verifying.read_anchor(anchor_path) if anchor_path else None
        if anchor_path and anchor is None:
            raise verifying.BadAnchor(f"{anchor_path}: no such file")
        size_bytes = log.stat().st_size
        with log.open("rb") as file:
            progress = _progress(size_bytes) if sys.stderr.isatty() else None
            verdict = verifying.scan(file, anchor=anchor, on_entry=progress)
    except (OSError, verifying.BadAnchor) as failure:
        verdict = verifying.Verdict(head=entries.Head(), problem=str(failure))
    if as_json:
        sys.stdout.write(json.dumps({"valid": verdict.valid, **dataclasses.asdict(verdict)}) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(verdict, asked=anchor_path is not None)) + "\n")
    return 0 if verdict.valid else 1


def _lines(verdict: verifying.Verdict, *, asked: bool) -> list[str]:
    lines = [f"entries {verdict.head.sequence}", f"head    {verdict.head.hash}"]
    if verdict.unfinished_bytes:
        lines.append(f"note    {verdict.unfinished_bytes} bytes of an unfinished line at the end")
    if verdict.unanchored:
        lines.append(
            f"note    {verdict.unanchored} entries behind the anchor: being written, left by a "
            "crash, or added"
        )
    if not asked:
        lines.append("note    without --anchor, entries missing at the end are not noticed")
    if verdict.missing:
        lines.append(
            f"wrong   {verdict.missing} places of the gateway's log were deleted before they were "
            'read; the entries with "missing" say which'
        )
    if verdict.line:
        lines.append(f"wrong   line {verdict.line}: {verdict.problem}")
    elif verdict.problem:
        lines.append(f"wrong   {verdict.problem}")
    elif verdict.valid:
        lines.append("whole")
    return lines


def _progress(size_bytes: int) -> Callable[[dict[str, Any], entries.Head, int], None]:
    """Return what keeps one line on the terminal true: how far, how many."""
    told_s = time.monotonic()

    def tell(_: dict[str, Any], head: entries.Head, end_bytes: int) -> None:
        nonlocal told_s
        if end_bytes == size_bytes:
            sys.stderr.write("\r\033[K")
        elif time.monotonic() - told_s >= PROGRESS_EVERY_S:
            told_s = time.monotonic()
            share = end_bytes / max(size_bytes, 1)
            sys.stderr.write(f"\r\033[K{share:>6.1%}  {head.sequence} entries")
            sys.stderr.flush()

    return tell


if __name__ == "__main__":
    sys.exit(main())
