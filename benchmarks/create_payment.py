"""Create with confirm against the bare limit: rate and latency.

Owns `create_payment_*`. Bare and Payhub take turns, several rounds each, in one
run; the ratio of their medians is the figure.
"""

import statistics

from benchmarks import report, running
from deploy import stack

ROUNDS = 3


def measure(board: report.Board, seconds: float) -> None:
    """Measures both databases."""
    for database in running.DATABASES:
        names = [
            f"create_payment_vs_bare_{database}",
            f"create_payment_p50_vs_bare_{database}",
        ]
        if board.wants(*names):
            _measure(board, database, seconds)


def _measure(board: report.Board, database: str, seconds: float) -> None:
    with running.bare() as proxy, running.payhub(database) as payhub:
        key = payhub.dev_key()
        target = payhub.target(stack.PAYMENTS)
        many = _turns(board, database, proxy, target, key, callers=32, seconds=seconds)
        one = _turns(board, database, proxy, target, key, callers=1, seconds=seconds / 2)
        bare_rate, own_rate = (statistics.median(r["per_s"] for r in side) for side in many)
        bare_p50, own_p50 = (statistics.median(r["p50_ms"] for r in side) for side in one)
        board.note(f"create_payment_per_s_{database}", own_rate)
        board.note(f"bare_per_s_beside_{database}", bare_rate)
        board.note(f"create_payment_p50_ms_{database}", own_p50)
        board.note(f"bare_p50_ms_beside_{database}", bare_p50)
        board.note(
            f"create_payment_p99_ms_32_callers_{database}",
            statistics.median(r["p99_ms"] for r in many[1]),
        )
        board.figure(f"create_payment_vs_bare_{database}", own_rate / bare_rate)
        board.figure(f"create_payment_p50_vs_bare_{database}", own_p50 / bare_p50)


def _turns(
    board: report.Board,
    database: str,
    proxy: str,
    target: str,
    key: str,
    *,
    callers: int,
    seconds: float,
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    bare, own = [], []
    for number in range(ROUNDS):
        board.progress(f"create_payment {database}: {callers} callers, round {number + 1}")
        bare.append(running.load(proxy, "", callers=callers, seconds=seconds))
        own.append(running.load(target, key, callers=callers, seconds=seconds))
    return bare, own
