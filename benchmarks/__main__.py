"""`make bench`: runs every measurement, or those whose figures start with ONLY.

Owns the command line. Each measurement starts its own processes and stops them.
"""

import argparse
import signal
import sys

from benchmarks import (
    consuming,
    create_payment,
    event_latency,
    event_log,
    fanout,
    idle,
    million,
    neighbour,
    report,
    stripe_overhead,
    webhook_ingest,
)

MEASUREMENTS = (
    create_payment,
    event_latency,
    fanout,
    event_log,
    idle,
    consuming,
    million,
    neighbour,
    stripe_overhead,
    webhook_ingest,
)


def main() -> None:
    """Measures, shows and keeps the figures."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help="prefix of the figures to measure")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one round")
    options = parser.parse_args()
    # Ended from outside, it still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    board = report.Board(options.only)
    for measurement in MEASUREMENTS:
        measurement.measure(board, options.seconds)
    board.write()


if __name__ == "__main__":
    main()
