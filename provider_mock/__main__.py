"""Entry point: `python -m provider_mock [serve | ledger]`.

Owns the command line. `serve` (the default) runs the provider until SIGTERM;
`ledger` prints what its ledger holds. Never decides anything else.
"""

import argparse
import asyncio
import json
import pathlib
import socket
import sys
from collections.abc import Sequence
from typing import Any

from provider_mock import bank, clock, control, faults, http_api, oracle, settings
from provider_mock.webhooks import sender
from provider_sdk import serve as sdk
from servicekit import clock as clocks
from servicekit import loop, storage
from servicekit import settings as kit_settings

# How late something that settles may be seen to have settled by those who do
# not ask for it.
SETTLE_EVERY_S = 0.1
# How long a webhook that is due may wait.
SEND_EVERY_S = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    parser = argparse.ArgumentParser(prog="provider_mock", description="A simulated provider.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="run until SIGTERM (the default)")
    ledger = commands.add_parser("ledger", help="print what the ledger holds; 1 if it is wrong")
    ledger.add_argument("--json", action="store_true", help="for programs")
    ledger.add_argument("--operations", action="store_true", help="list every operation")
    ledger.add_argument("--path", type=pathlib.Path, help="default: PROVIDER_MOCK_LEDGER")
    arguments = parser.parse_args(argv)
    config = kit_settings.load(settings.MockSettings)
    if arguments.command == "ledger":
        path = arguments.path or config.ledger
        return show(path, as_json=arguments.json, operations=arguments.operations)
    try:
        return serve(config)
    except storage.StorageError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def serve(config: settings.MockSettings) -> int:
    """Serves until SIGTERM."""
    if config.http_port == 0 and not config.public_url:
        # Redirect URLs name the port, so it must be known before the server has one.
        config = config.model_copy(update={"http_port": _free_port(config.host)})
    time = clock.MockClock(clocks.SystemClock(), offset_s=config.clock_offset_s)
    if config.upstream_url:
        # Brings an HTTP client along, which the ledger does without.
        from provider_mock import upstream

        return sdk.serve(
            upstream.UpstreamMock(config, time=time), config, service_name="provider_mock"
        )
    mock = bank.Bank(config, time=time)
    sending = _sender(mock, config) if config.webhook_url else None

    async def settle(stop: asyncio.Event) -> None:
        await loop.run_forever(mock.settle_due, idle_s=SETTLE_EVERY_S, stop=stop, name="settle_due")

    async def send(stop: asyncio.Event) -> None:
        if sending is None:
            return
        try:
            await loop.run_forever(
                lambda: sending.run(mock.database), idle_s=SEND_EVERY_S, stop=stop, name="webhooks"
            )
        finally:
            await sending.close()

    return sdk.serve(
        mock,
        config,
        service_name="provider_mock",
        routes=[*http_api.routes(mock), *control.routes(mock, sending)],
        background=[settle, send],
        interceptors=[faults.Interceptor()],
    )


def _sender(mock: bank.Bank, config: settings.MockSettings) -> sender.Sender:
    sending = sender.Sender(
        config.webhook_url,
        retry_after_s=settings.seconds(config.webhook_retry_s),
        now_us=mock.time.real_us,
        secrets=mock.signing_secrets,
    )
    sending.behave(
        sign_with=config.webhook_sign_with,
        duplicate_share=config.webhook_duplicate_share,
        wrong_signature_share=config.webhook_wrong_signature_share,
    )
    return sending


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as probe:
        return int(probe.getsockname()[1])


def show(path: pathlib.Path, *, as_json: bool, operations: bool) -> int:
    """Prints the ledger at *path*; returns 1 if its books don't add up, 2 without one."""
    try:
        report = oracle.read(path, operations=operations)
    except oracle.LedgerMissing as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = json.dumps(report, indent=2) if as_json else "\n".join(_lines(report))
    sys.stdout.write(f"{text}\n")
    return 1 if report["differences"] else 0


def _lines(report: dict[str, Any]) -> list[str]:
    columns = ("payments", "authorized", "captured", "refunded", "released")
    lines = ["currency " + " ".join(f"{name:>16}" for name in columns)]
    for code, total in report["currencies"].items():
        values = [total["payments"], *(total[f"{name}_minor"] for name in columns[1:])]
        lines.append(f"{code:<8} " + " ".join(f"{value:>16}" for value in values))
    lines.append(f"customers: {report['customers']}")
    lines.append(f"open operations: {report['open_operations']}")
    for row in report.get("operations", ()):
        amount = f"{row['amount_minor']} {row['currency']}" if row["amount_minor"] else "-"
        lines.append(f"{row['operation_id']} {row['kind']} {row['state']} {amount}")
    lines += [f"wrong: {difference}" for difference in report["differences"]]
    return lines


if __name__ == "__main__":
    sys.exit(main())
