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
    with running.bare() as bare, running.payhub(database) as payhub:
        own = running.Side(
            target=payhub.target(stack.PAYMENTS),
            key=payhub.dev_key(),
            pids={name: payhub.pid(name) for name in stack.NAMES},
        )
        many = _turns(board, database, bare, own, callers=32, seconds=seconds)
        one = _turns(board, database, bare, own, callers=1, seconds=seconds / 2)
        bare_rate, own_rate = (_median(side, "per_s") for side in many)
        bare_p50, own_p50 = (_median(side, "p50_ms") for side in one)
        board.note(f"create_payment_per_s_{database}", own_rate)
        board.note(f"bare_per_s_beside_{database}", bare_rate)
        board.note(f"create_payment_p50_ms_{database}", own_p50)
        board.note(f"bare_p50_ms_beside_{database}", bare_p50)
        board.note(f"create_payment_p99_ms_32_callers_{database}", _median(many[1], "p99_ms"))
        for callers, sides in ((32, many), (1, one)):
            for side, turns in zip((bare, own), sides, strict=True):
                for name in side.pids:
                    board.note(
                        f"cpu_us_per_payment_{name}_{callers}_callers_{database}",
                        _median(turns, f"cpu_us_{name}"),
                    )
        board.figure(f"create_payment_vs_bare_{database}", own_rate / bare_rate)
        board.figure(f"create_payment_p50_vs_bare_{database}", own_p50 / bare_p50)


def _median(turns: list[dict[str, float]], name: str) -> float:
    return statistics.median(turn[name] for turn in turns)


def _turns(
    board: report.Board,
    database: str,
    bare: running.Side,
    own: running.Side,
    *,
    callers: int,
    seconds: float,
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    seen: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    for number in range(ROUNDS):
        board.progress(f"create_payment {database}: {callers} callers, round {number + 1}")
        for side, turns in zip((bare, own), seen, strict=True):
            turns.append(side.load(callers=callers, seconds=seconds))
    return seen
