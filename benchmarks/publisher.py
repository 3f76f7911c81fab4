"""Publishes events at a fixed rate, for `benchmarks.fanout`.

Owns the events' shape: about 600 bytes, the moment they were made in their id. Run as
`python -m benchmarks.publisher`; prints one JSON object. Never waits for an answer
before the next batch is due, so a slow server shows in its figures.
"""

import argparse
import asyncio
import json
import os
import sys
import time

import grpc.aio
from payhub.events.v1 import event_ingest_service_pb2 as pb
from payhub.events.v1 import event_ingest_service_pb2_grpc, event_pb2

from servicekit import server

TENANT = "bench"
EVENT_BYTES = 600
ENTITIES = 1000
_FILLING = b"x" * (EVENT_BYTES - 160)


class Maker:
    """Makes events of many entities with dense versions."""

    def __init__(self, types: int) -> None:
        self._types = [f"bench.t{number}" for number in range(types)]
        self._versions = [0] * ENTITIES
        self._run = f"{os.getpid():x}{time.time_ns():x}"
        self._made = 0

    def batch(self, count: int) -> pb.PublishEventsRequest:
        """Returns the next *count* events."""
        request = pb.PublishEventsRequest()
        now_ns = time.time_ns()
        occur = {"seconds": now_ns // 10**9, "nanos": now_ns % 10**9}
        for _ in range(count):
            number = self._made
            self._made += 1
            entity = number % ENTITIES
            self._versions[entity] += 1
            request.events.append(
                event_pb2.Event(
                    id=f"evt_{now_ns:019d}_{number:09d}",
                    type=self._types[number % len(self._types)],
                    type_version=1,
                    source="bench",
                    tenant_id=TENANT,
                    entity_type="order",
                    entity_id=f"{self._run}-{entity:04d}",
                    entity_version=self._versions[entity],
                    occur_time=occur,
                    content_type="application/json",
                    data=_FILLING,
                )
            )
        return request


async def main(options: argparse.Namespace) -> None:
    """Publishes and tells how that went."""
    maker = Maker(options.types)
    metadata = (("authorization", f"Bearer {os.environ['BENCH_KEY']}"),)
    async with grpc.aio.insecure_channel(options.target) as channel:
        stub = event_ingest_service_pb2_grpc.EventIngestServiceStub(channel)
        await channel.channel_ready()
        latencies_ms: list[float] = []
        failed = 0

        async def publish(request: pb.PublishEventsRequest) -> None:
            nonlocal failed
            began_s = time.perf_counter()
            answer = await stub.PublishEvents(request, metadata=metadata, timeout=30)
            latencies_ms.append((time.perf_counter() - began_s) * 1000)
            appended = pb.PublishResult.OUTCOME_APPENDED
            failed += sum(result.outcome != appended for result in answer.results)

        began_s = time.perf_counter()
        running: set[asyncio.Task[None]] = set()
        batches = round(options.seconds * options.rate / options.batch)
        for number in range(batches):
            due_s = began_s + number * options.batch / options.rate
            await asyncio.sleep(max(due_s - time.perf_counter(), 0))
            task = asyncio.create_task(publish(maker.batch(options.batch)))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        took_s = time.perf_counter() - began_s
    latencies_ms.sort()
    json.dump(
        {
            "events": batches * options.batch,
            "failed": failed,
            "per_s": batches * options.batch / took_s,
            "publish_p50_ms": latencies_ms[len(latencies_ms) // 2],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--types", type=int, default=50)
    server.run(main(parser.parse_args()))
