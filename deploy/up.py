"""Starts everything on the default ports and keeps it running.

Owns what is printed for people to copy. Called by `make up`. Ends at Ctrl-C, and with
exit code 1 as soon as a process ends by itself.
"""

import pathlib
import signal
import sys
import time

from deploy import stack

ALIVE_CHECK_S = 0.5

COMMANDS = """\
Payhub runs. In another terminal, from this folder:

  {payctl} pay 10.50 EUR --method tok_approve     # take a payment
  {payctl} list                                   # see it
  {payctl} events tail --from-start               # watch events as they happen
  {payctl} status                                 # providers, outbox, doubts

  grpcurl -plaintext -H "authorization: Bearer $(cat {key})" \\
    -max-time 5 {payments} payhub.payments.v1.PaymentService/ListPayments

Logs: {logs}/*.log    Health: {health}/readyz    Metrics: {health}/metrics
Ctrl-C stops everything.
"""


def main() -> int:
    """Runs everything on the default ports until Ctrl-C or SIGTERM; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print("starting ...", flush=True)
        with stack.Stack(stack.ROOT / "var", ports=stack.DEFAULT_PORTS, inherit=True) as running:
            payctl = pathlib.Path(sys.executable).parent / "payctl"
            print(
                COMMANDS.format(
                    payctl=_from_here(payctl),
                    key=_from_here(running.dev_key_file),
                    payments=running.target(stack.PAYMENTS),
                    logs=_from_here(running.var / "logs"),
                    health=running.http_url(stack.PAYMENTS),
                ),
                flush=True,
            )
            while True:
                running.check_alive()
                time.sleep(ALIVE_CHECK_S)
    except KeyboardInterrupt:
        print("stopped")
        return 0
    except stack.StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _from_here(path: pathlib.Path) -> pathlib.Path:
    """Returns a path as it is typed in the project's folder."""
    return path.relative_to(stack.ROOT) if path.is_relative_to(stack.ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
