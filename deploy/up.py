"""Starts everything and keeps it running, or runs a command beside it.

Owns what is printed for people to copy. Called by `make up`, and by the tests of other services.
Ends at Ctrl-C or SIGTERM, with the command, and with exit code 1 where a process ends by itself.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

from deploy import stack

ALIVE_CHECK_S = 0.5
VAR = stack.ROOT / "var"

COMMANDS = """\
Payhub runs. In another terminal, from this folder:
{exports}
  {payctl} pay 10.50 EUR --method tok_approve
  {payctl} list
  {payctl} events tail --from-start
  {payctl} status

  grpcurl -plaintext -max-time 5 -H "authorization: Bearer $(cat {key})" \\
    {payments} payhub.payments.v1.PaymentService/ListPayments

Logs: {logs}/*.log    Health: {http}/readyz    Metrics: {http}/metrics
Ctrl-C stops everything.
"""


def commands(running: stack.Stack) -> str:
    """Returns what to type in another terminal to use a running stack."""
    exports = ""
    if running.ports != dict(stack.DEFAULT_PORTS) or running.var != VAR:
        exports = (
            f"\n  export PAYHUB_TARGET={running.target(stack.PAYMENTS)}"
            f" PAYHUB_EVENTS_TARGET={running.target(stack.GATEWAY)}"
            f" PAYHUB_KEY_FILE={_from_here(running.dev_key_file)}"
        )
    return COMMANDS.format(
        exports=exports,
        payctl=_from_here(pathlib.Path(sys.executable).parent / "payctl"),
        key=_from_here(running.dev_key_file),
        payments=running.target(stack.PAYMENTS),
        logs=_from_here(running.var / "logs"),
        http=running.http_url(stack.PAYMENTS),
    )


def run(var: pathlib.Path, *, free_ports: bool) -> int:
    """Runs everything until it is told to stop; returns the exit code."""
    ports = stack.free_ports() if free_ports else stack.DEFAULT_PORTS
    try:
        print("starting ...", flush=True)
        with stack.Stack(var, ports=ports, inherit=True) as running:
            print(commands(running), flush=True)
            while True:
                running.check_alive()
                time.sleep(ALIVE_CHECK_S)
    except KeyboardInterrupt:
        print("stopped")
        return 0
    except stack.StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def run_beside(command: list[str], var: pathlib.Path, *, free_ports: bool) -> int:
    """Runs a command that finds everything in its environment; returns its exit code."""
    ports = stack.free_ports() if free_ports else stack.DEFAULT_PORTS
    try:
        with stack.Stack(var, ports=ports, inherit=True) as running:
            told = {
                "PAYHUB_TARGET": running.target(stack.PAYMENTS),
                "PAYHUB_EVENTS_TARGET": running.target(stack.GATEWAY),
                "PAYHUB_KEY_FILE": str(running.dev_key_file),
                "PAYHUB_MOCK_URL": running.http_url(stack.MOCK),
            }
            return subprocess.run(command, env={**os.environ, **told}, check=False).returncode
    except KeyboardInterrupt:
        return 130
    except (OSError, stack.StackError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _from_here(path: pathlib.Path) -> pathlib.Path:
    """Returns a path as it is typed in the project's folder."""
    return path.relative_to(stack.ROOT) if path.is_relative_to(stack.ROOT) else path


def main() -> int:
    """Reads the arguments and runs everything."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m deploy.up", description="Starts everything.")
    parser.add_argument("--var", type=pathlib.Path, default=VAR, help="folder for all data")
    parser.add_argument(
        "--free-ports", action="store_true", help="take any ports, not the default ones"
    )
    parser.add_argument(
        "command", nargs="*", help="run this meanwhile and end with it; PAYHUB_* say where all is"
    )
    options = parser.parse_args()
    var = options.var.resolve()
    if options.command:
        return run_beside(options.command, var, free_ports=options.free_ports)
    return run(var, free_ports=options.free_ports)


if __name__ == "__main__":
    sys.exit(main())
