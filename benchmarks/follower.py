"""A subscriber that follows every event of a run, in a process of its own.

Owns the reading side of the measurements. Run as `python -m
benchmarks.follower`; prints one JSON object when it is told to stop. Its
latency is from the event's `occur_time`, which the payment service takes right
before it commits, to arrival, on one machine's clock.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import payhub_client
from deploy import stack
from servicekit import server

DRAIN_S = 120.0


class Following:
    """A follower that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.figures: dict[str, float] = {}

    def wait_drained(self) -> None:
        """Waits until no event arrives any more, then stops the follower."""
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=DRAIN_S + 30)
        self.figures = json.loads(out)


@contextlib.contextmanager
def following(payhub: stack.Stack) -> Iterator[Following]:
    """Runs a follower of *payhub* from the newest event on."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "benchmarks.follower",
            "--target", payhub.target(stack.PAYMENTS), "--events", payhub.target(stack.GATEWAY),
        ],
        env=os.environ | {"BENCH_KEY": payhub.dev_key()},
        stdout=subprocess.PIPE, text=True, cwd=stack.ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield Following(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


async def main(target: str, events_target: str) -> None:
    """Follows until SIGTERM and one quiet second, then prints what was seen."""
    latencies_ms: list[float] = []
    versions: dict[str, int] = {}
    gaps = 0
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    last_s = time.monotonic()
    async with (
        payhub_client.Client(
            target, key=os.environ["BENCH_KEY"], events_target=events_target
        ) as client,
        client.events.subscribe() as subscription,
    ):

        async def read() -> None:
            nonlocal gaps, last_s
            async for batch in subscription.batches():
                now_us = time.time_ns() // 1000
                last_s = time.monotonic()
                for event in batch.events:
                    latencies_ms.append((now_us - event.occur_time.ToMicroseconds()) / 1000)
                    gaps += event.entity_version != versions.get(event.entity_id, 0) + 1
                    versions[event.entity_id] = event.entity_version

        reading = asyncio.create_task(read())
        await asyncio.sleep(1.0)
        sys.stdout.write("following\n")
        sys.stdout.flush()
        await stopping.wait()
        give_up_s = time.monotonic() + DRAIN_S
        while (now_s := time.monotonic()) - last_s < 1.0 and now_s < give_up_s:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        reading.cancel()
    ordered = sorted(latencies_ms) or [0.0]
    json.dump(
        {
            "events": len(latencies_ms),
            "gaps": gaps,
            "p50_ms": ordered[len(ordered) // 2],
            "p99_ms": ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--events", required=True)
    options = parser.parse_args()
    server.run(main(options.target, options.events))
