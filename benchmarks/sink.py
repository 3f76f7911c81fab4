"""Many subscribers of a gateway in one process, for `benchmarks.fanout`.

Owns the counting and the latencies of what they receive. Run as `python -m
benchmarks.sink`: prints a line when every stream is confirmed, reads until SIGTERM and
until nothing has come for a second, then prints one JSON object. With `--parse` every
event of every stream is decoded and its density checked, which costs more than the
server; else one stream in `--watch-one-in` is, for latencies.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from benchmarks import wire

QUIET_S = 1.0
GIVE_UP_S = 60.0


class Seen:
    """What the watched streams received."""

    def __init__(self, *, latencies: bool, filtered: bool) -> None:
        self.events = 0
        self.gaps = 0
        self.fell_behind = 0
        self.latencies_ms: list[float] = []
        # When the first event came, and the last one.
        self.first_s = self.last_s = 0.0
        self._latencies = latencies
        self._filtered = filtered
        self._last: dict[tuple[int, int], int] = {}

    def watch(self, connection: int) -> Callable[[int, bytes, float], None]:
        """Returns what one connection calls for each message of its watched streams."""

        def take(stream: int, message: bytes, now_s: float) -> None:
            response = pb.SubscribeResponse.FromString(message)
            if response.notice.WhichOneof("kind") == "fell_behind":
                self.fell_behind += 1
            place = (connection, stream)
            last = self._last.get(place, 0)
            for event in response.events:
                # Only a stream without a filter sees every place.
                self.gaps += bool(last) and event.position != last + 1 and not self._filtered
                last = event.position
                if self._latencies:
                    self.latencies_ms.append((now_s - sent_s(event)) * 1000)
            self.events += len(response.events)
            if response.events:
                self.first_s, self.last_s = self.first_s or now_s, now_s
            self._last[place] = last

        return take


def sent_s(event: event_pb2.Event) -> float:
    """Returns when the publisher made an event: its id says so."""
    return int(event.id[4:23]) / 1e9


def filter_of(number: int, kind: str, types: int) -> event_pb2.Filter:
    """Returns the filter of one subscriber, no two alike up to twice as many as *types*.

    `types`: all but two of them. `entities`: one entity, which has no events.
    """
    if kind == "entities":
        return event_pb2.Filter(entity_ids=[f"nothing-{number}"])
    if kind == "types":
        out = {number % types, (number + 1 + number // types) % types}
        return event_pb2.Filter(types=[f"bench.t{n}" for n in range(types) if n not in out])
    return event_pb2.Filter()


def quantile(ordered: list[float], part: float) -> float:
    """Returns the value below which *part* of *ordered* lies."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0


def main(options: argparse.Namespace) -> None:
    """Subscribes, reads, tells."""
    seen = Seen(latencies=not options.parse, filtered=options.filters != "none")
    connections = [
        wire.Connection(options.target, os.environ["BENCH_KEY"], seen.watch(number))
        for number in range(options.connections)
    ]
    reader = wire.Reader(connections)
    began_s = time.monotonic()
    _subscribe(options, connections, reader)
    while not all(stream.bytes for stream in reader.streams):
        reader.read(1.0)
    sys.stdout.write(f"{time.monotonic() - began_s:.3f}\n")
    sys.stdout.flush()
    last_s = _read_until_over(reader, replay=options.replay)
    json.dump(_figures(reader, seen, replay_s=last_s - began_s), sys.stdout)


def _subscribe(
    options: argparse.Namespace, connections: Sequence[wire.Connection], reader: wire.Reader
) -> None:
    """Opens the streams, and reads on the way: a server that is waited for sends to the others."""
    request = pb.SubscribeRequest(max_batch_events=1000, client_name="bench")
    request.max_batch_bytes = 2 * 1024 * 1024
    request.max_batch_delay.FromMilliseconds(options.tick_ms)
    request.heartbeat_interval.FromSeconds(60)
    if options.replay:
        request.start.anchor = pb.StartPoint.ANCHOR_OLDEST
        request.stop_at_head = True
    for number in range(options.first, options.first + options.streams):
        request.filter.CopyFrom(filter_of(number, options.filters, options.types))
        watched = options.parse or (number % options.watch_one_in == 0 and not options.replay)
        connections[number % len(connections)].subscribe(request, watched=watched)
        if number % 50 == 0:
            reader.read(0)


def _read_until_over(reader: wire.Reader, *, replay: bool) -> float:
    """Reads until the log was replayed, or until SIGTERM and quiet; returns when it read last."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    last_s = time.monotonic()
    give_up_s = 0.0
    while not (reader.ended if replay else stopping and _quiet(last_s, give_up_s)):
        if reader.read(0.2):
            last_s = time.monotonic()
        if stopping and not give_up_s:
            give_up_s = last_s + GIVE_UP_S
    return last_s


def _figures(reader: wire.Reader, seen: Seen, *, replay_s: float) -> dict[str, Any]:
    seen.latencies_ms.sort()
    return {
        "bytes": sum(stream.bytes for stream in reader.streams),
        "ended": sum(stream.ended for stream in reader.streams),
        "places": sorted({wire.last_cursor(stream) for stream in reader.streams}),
        "head": wire.head_cursor(reader.streams[0]),
        "replay_s": replay_s,
        "watched": sum(stream.watched for stream in reader.streams),
        "watched_events": seen.events,
        "first_s": seen.first_s,
        "last_s": seen.last_s,
        "gaps": seen.gaps,
        "fell_behind": seen.fell_behind,
        "p50_ms": quantile(seen.latencies_ms, 0.5),
        "p99_ms": quantile(seen.latencies_ms, 0.99),
    }


def _quiet(last_s: float, give_up_s: float) -> bool:
    now_s = time.monotonic()
    return now_s - last_s >= QUIET_S or bool(give_up_s and now_s >= give_up_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--tick-ms", type=int, default=0)
    parser.add_argument("--types", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--filters", default="none", choices=("none", "types", "entities"))
    parser.add_argument("--watch-one-in", type=int, default=50)
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--parse", action="store_true")
    main(parser.parse_args())
