"""Payments through one provider while its neighbour hangs.

Owns `neighbour_hang_p99_ratio`. One installation with two providers: the simulated one,
whose payments are measured at a steady rate, and the example's, whose process is stopped
with SIGSTOP, so that it takes connections and calls and answers nothing. Situations take
turns, several rounds each; the ratio is of their medians: neighbour hangs and gets
payments all the time ÷ nobody uses the neighbour.
"""

import contextlib
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator

from benchmarks import report, running
from deploy import stack

ROUNDS = 3
RATE_PER_S = 100
NEIGHBOUR_RATE_PER_S = 50
# Calls are hanging for this long before anything is measured.
HEAD_START_S = 2.0
# Shorter than a round, so that time-outs, doubts and an open breaker are in it too.
TIMEOUT_S = 4.0
SECONDS_MIN = 6.0
NAME = "neighbour_hang_p99_ratio"
NEIGHBOUR = {"provider": "vouchers", "method": "voucher_1"}


def measure(board: report.Board, seconds: float) -> None:
    """Measures with SQLite, where everything is in one process."""
    if not board.wants(NAME):
        return
    seconds = max(seconds, SECONDS_MIN)
    port = stack.free_ports()[stack.MOCK]
    env = {
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": f"{TIMEOUT_S:g}",
        "VOUCHERS_GRPC_PORT": str(port.grpc),
        "VOUCHERS_HTTP_PORT": str(port.http),
        "VOUCHERS_HOST": "127.0.0.1",
    }
    providers = {"vouchers": f"127.0.0.1:{port.grpc}"}
    with (
        running.payhub("sqlite", env=env, providers=providers) as own,
        running.provider(
            "examples.simple_provider",
            own,
            env | {"VOUCHERS_BOOKS": str(own.var / "vouchers.db")},
            http_port=port.http,
        ) as process,
    ):
        _measure(board, own, process, seconds)


def _measure(
    board: report.Board, own: stack.Stack, process: subprocess.Popen[bytes], seconds: float
) -> None:
    target, key = own.target(stack.PAYMENTS), own.dev_key()
    p99_ms: dict[str, list[float]] = {"idle": [], "answering": [], "hanging": []}
    for number in range(ROUNDS):
        for situation, seen in p99_ms.items():
            board.progress(f"neighbour {situation}: round {number + 1}")
            running.until_taken(target, key, **NEIGHBOUR)
            with _situation(situation, process, target, key, seconds):
                figures = running.load(target, key, rate=RATE_PER_S, seconds=seconds)
            seen.append(figures["p99_ms"])
    medians = {situation: statistics.median(seen) for situation, seen in p99_ms.items()}
    for situation, median_ms in medians.items():
        board.note(f"payment_p99_ms_neighbour_{situation}", median_ms)
    board.figure(NAME, medians["hanging"] / medians["idle"])


@contextlib.contextmanager
def _situation(
    name: str, process: subprocess.Popen[bytes], target: str, key: str, seconds: float
) -> Iterator[None]:
    if name == "idle":
        yield
        return
    if name == "hanging":
        process.send_signal(signal.SIGSTOP)
    try:
        length_s = seconds + HEAD_START_S
        with running.side_load(
            target, key, rate=NEIGHBOUR_RATE_PER_S, seconds=length_s, **NEIGHBOUR
        ):
            time.sleep(HEAD_START_S)
            yield
    finally:
        process.send_signal(signal.SIGCONT)
