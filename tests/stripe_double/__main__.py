"""Runs the double by hand: prints its address on the first line and serves until stopped."""

import argparse
import asyncio
import pathlib
import signal
import sys

from tests.stripe_double import running


async def _main(port: int, state: pathlib.Path | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    async with running.serve(port=port, state=state) as double:
        sys.stdout.write(f"{double.address}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m tests.stripe_double", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=pathlib.Path, help="keep everything in this file")
    given = parser.parse_args()
    asyncio.run(_main(given.port, given.state))


if __name__ == "__main__":
    main()
