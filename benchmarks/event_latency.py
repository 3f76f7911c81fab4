"""From commit to a subscriber, at 100 payments a second.

Owns `event_latency_*`. A load at a fixed rate, one follower, both databases.
"""

from benchmarks import follower, report, running
from deploy import stack

RATE_PER_S = 100
# Created and succeeded.
EVENTS_EACH = 2


def measure(board: report.Board, seconds: float) -> None:
    """Measures both databases; the plain names are those of SQLite."""
    for database in running.DATABASES:
        suffix = "" if database == "sqlite" else f"_{database}"
        names = [f"event_latency_p50_ms{suffix}", f"event_latency_p99_ms{suffix}"]
        if not board.wants(*names):
            continue
        board.progress(f"event_latency {database}: {RATE_PER_S} payments/s")
        with running.payhub(database) as payhub, follower.following(payhub) as seen:
            made = running.load(
                payhub.target(stack.PAYMENTS), payhub.dev_key(), rate=RATE_PER_S,
                seconds=max(seconds, 5.0),
            )  # fmt: skip
            seen.wait_drained()
        # Gaps show between the events that came alone: what is behind them has to be counted.
        wanted = EVENTS_EACH * made["calls"]
        if seen.figures["gaps"] or seen.figures["events"] != wanted:
            raise SystemExit(f"the follower did not see {wanted:g} events: {seen.figures}")
        board.figure(names[0], seen.figures["p50_ms"])
        board.figure(names[1], seen.figures["p99_ms"])
