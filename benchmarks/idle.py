"""Ten thousand subscribers with nothing to hear.

Owns `idle_streams_*`: memory of the gateway for each, and how soon all are back after it
was started anew. Each has a filter of its own, over few connections.
"""

import psutil

from benchmarks import publisher, report, streams

STREAMS = 10_000
CONNECTIONS = 10


def measure(board: report.Board, seconds: float) -> None:
    """Measures memory and the way back; *seconds* does not matter."""
    names = ("idle_streams_kb_each", "idle_streams_reconnect_s")
    if not board.wants(*names):
        return
    board.progress(f"idle: {STREAMS:,} subscribers")
    with streams.gateway() as started:
        key = started.keys.add(publisher.TENANT)
        before = psutil.Process(started.pid).memory_info().rss
        subscribed(started.target, key)
        # The first time also makes what stays for good; the second is what streams cost.
        with streams.ended([sink := subscribers(started.target, key)]):
            assert sink.stdout is not None
            sink.stdout.readline()
            held = psutil.Process(started.pid).memory_info().rss - before
            started.stop_process()
        started.start()
        took_s = subscribed(started.target, key)
    board.figure(names[0], held / 1024 / STREAMS)
    board.figure(names[1], took_s)


def subscribers(target: str, key: str) -> "streams.Sink":
    """Starts ten thousand subscribers."""
    return streams.child(
        "benchmarks.sink", key, target=target, streams=STREAMS, connections=CONNECTIONS,
        filters="entities",
    )  # fmt: skip


def subscribed(target: str, key: str) -> float:
    """Opens ten thousand streams and ends them; returns how long opening took, seconds."""
    with streams.ended([sink := subscribers(target, key)]):
        assert sink.stdout is not None
        return float(sink.stdout.readline())
