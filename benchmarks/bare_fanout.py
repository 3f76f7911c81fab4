"""The bare limit of a stream: a server that writes what it makes to everybody at once.

Owns a gRPC server without log, publisher, filters or keys, whose events are those of
`benchmarks.publisher`; called by `benchmarks.fanout`. Run as `python -m
benchmarks.bare_fanout`: prints its port, waits for its streams, makes events for a while
and prints how many.
"""

import argparse
import asyncio
import sys
import time
from typing import Any

import grpc.aio
from payhub.events.v1 import event_stream_service_pb2 as pb

from benchmarks import publisher, streams
from event_gateway import cursor
from servicekit import server

_SERVICE = "payhub.events.v1.EventStreamService"
_WAITING_S = 60.0


class Source:
    """Makes responses; each of *count* streams gets each of them."""

    def __init__(self, count: int) -> None:
        self._maker = publisher.Maker(streams.TYPES)
        self._count = count
        self._waiting: set[asyncio.Future[bytes]] = set()
        self._all_wait = asyncio.Event()
        self._position = 0

    async def subscribe(self, request: bytes, context: Any) -> None:
        """Writes what is made from now on."""
        await context.write(self._respond([]))
        loop = asyncio.get_running_loop()
        while True:
            waiting = loop.create_future()
            self._waiting.add(waiting)
            if len(self._waiting) == self._count:
                self._all_wait.set()
            await context.write(await waiting)

    async def make(self, count: int) -> None:
        """Makes *count* events and writes them to all, once all have taken the last ones."""
        async with asyncio.timeout(_WAITING_S):
            await self._all_wait.wait()
        self._all_wait.clear()
        response = self._respond(self._maker.batch(count).events)
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            one.set_result(response)

    def _respond(self, events: Any) -> bytes:
        for event in events:
            self._position += 1
            event.position = self._position
        response = pb.SubscribeResponse(
            events=events,
            cursor=cursor.encode(1, self._position),
            head_position=self._position,
        )
        return response.SerializeToString()


async def main(options: argparse.Namespace) -> None:
    """Serves until it is ended."""
    source = Source(options.streams)
    serving = grpc.aio.server(options=server.SERVER_OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Subscribe": grpc.unary_stream_rpc_method_handler(source.subscribe)
    }
    serving.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = serving.add_insecure_port("127.0.0.1:0")
    await serving.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    batches = round(options.seconds * options.rate / options.batch)
    for _ in range(batches):
        due_s = time.perf_counter() + options.batch / options.rate
        await source.make(options.batch)
        await asyncio.sleep(max(due_s - time.perf_counter(), 0))
    sys.stdout.write(f"{batches * options.batch}\n")
    sys.stdout.flush()
    await serving.wait_for_termination()


def measure(load: streams.Load) -> float:
    """Returns the median from made to received, milliseconds."""
    serving = streams.child(
        "benchmarks.bare_fanout", "", streams=load.streams, rate=load.rate_per_s,
        batch=load.batch, seconds=load.seconds,
    )  # fmt: skip
    with streams.ended([serving]):
        assert serving.stdout is not None
        target = f"127.0.0.1:{int(serving.stdout.readline())}"
        with streams.sinks("", target, load) as sinks:
            events = int(serving.stdout.readline())
            seen = streams.told(sinks)
    if any(one["gaps"] or one["watched_events"] != events * one["watched"] for one in seen):
        raise SystemExit(f"not everything arrived: {seen}")
    return sum(float(one["p50_ms"]) for one in seen) / len(seen)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    server.run(main(parser.parse_args()))
