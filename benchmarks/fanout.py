"""Live fan-out: one log, many subscribers, CPU of the server for each event delivered.

Owns `fanout_*`. Gateway, publisher and sinks are processes of their own; the sinks are
raw readers, so that the server is what is measured. NATS runs beside it in the same run.
"""

import dataclasses
import statistics

import psutil

from benchmarks import bare_fanout, nats, report, streams

# The relay gathers for up to 50 ms under heavy traffic: 25 events are usual at 1,000 a second.
RELAY_BATCH = 25
# A round is at least this long: the first moments are not like the rest.
SECONDS_MIN = 3.0
ROUNDS = 3


def measure(board: report.Board, seconds: float) -> None:
    """Measures everything whose name starts with `fanout`."""
    seconds = max(seconds, SECONDS_MIN)
    _million(board, seconds)
    _hundred(board, seconds)
    _filters(board, seconds)


def _million(board: report.Board, seconds: float) -> None:
    name = "fanout_1000x1000_delivered_per_s"
    if not board.wants(name):
        return
    load = streams.Load(
        streams=1000, rate_per_s=1000, seconds=seconds, tick_ms=100, batch=RELAY_BATCH,
        connections=10,
    )  # fmt: skip
    board.progress("fanout: 1,000 subscribers, 1,000 events/s, tick 100 ms, gateway on one core")
    with streams.gateway() as started:
        process = psutil.Process(started.pid)
        process.cpu_affinity([max(process.cpu_affinity())])
        outcome = streams.run(started, load)
    # Publishing keeps its rate however far behind subscribers are; a tick is what they asked for.
    took_s = max(outcome.seconds, outcome.arriving_s - load.tick_ms / 1000)
    board.figure(name, outcome.delivered / took_s)
    board.figure("fanout_1000x1000_p99_ms", outcome.p99_ms)
    board.note("fanout_1000x1000_p50_ms", outcome.p50_ms)
    board.note("fanout_1000x1000_cores", outcome.cores)
    board.note("fanout_1000x1000_us_per_event", outcome.us_per_event)
    board.progress("fanout: the same for 50 subscribers that decode every event")
    with streams.gateway() as started:
        streams.run(started, dataclasses.replace(load, streams=50, parse=True))


def _hundred(board: report.Board, seconds: float) -> None:
    names = ("fanout_100x1000_cpu_vs_jetstream", "fanout_100x1000_cpu_vs_nats_core")
    load = streams.Load(
        streams=100, rate_per_s=1000, seconds=seconds, tick_ms=25, batch=RELAY_BATCH,
        connections=50,
    )  # fmt: skip
    if board.wants(*names):
        rounds: dict[str, list[streams.Outcome]] = {"gateway": [], "nats_core": [], "jetstream": []}
        for number in range(ROUNDS):
            board.progress(f"fanout: 100 subscribers beside NATS, round {number + 1}")
            with streams.gateway() as started:
                rounds["gateway"].append(streams.run(started, load))
            single = dataclasses.replace(load, batch=1)
            rounds["nats_core"].append(nats.measure(single, jetstream=False))
            rounds["jetstream"].append(nats.measure(single, jetstream=True))
        middle = {name: _median(outcomes) for name, outcomes in rounds.items()}
        for name, outcome in middle.items():
            board.note(f"fanout_100x1000_us_per_event_{name}", outcome.us_per_event)
            board.note(f"fanout_100x1000_p50_ms_{name}", outcome.p50_ms)
            board.note(f"fanout_100x1000_p99_ms_{name}", outcome.p99_ms)
        ours = middle["gateway"].us_per_event
        board.figure(names[0], ours / middle["jetstream"].us_per_event)
        board.figure(names[1], ours / middle["nats_core"].us_per_event)
    if board.wants("fanout_100x1000_p50_ms_tick0"):
        board.progress("fanout: 100 subscribers, tick 0")
        at_once = dataclasses.replace(load, tick_ms=0)
        with streams.gateway() as started:
            outcome = streams.run(started, at_once)
        board.figure("fanout_100x1000_p50_ms_tick0", outcome.p50_ms)
        board.progress("fanout: the same from a server that does nothing else")
        board.note("fanout_100x1000_p50_ms_tick0_bare", bare_fanout.measure(at_once))
        board.note("fanout_100x1000_p99_ms_tick0", outcome.p99_ms)
        board.note("fanout_100x1000_us_per_event_tick0", outcome.us_per_event)


def _filters(board: report.Board, seconds: float) -> None:
    name = "fanout_100_filters_cpu_vs_none"
    if not board.wants(name):
        return
    load = streams.Load(
        streams=100, rate_per_s=1000, seconds=seconds, tick_ms=25, batch=RELAY_BATCH,
        connections=50,
    )  # fmt: skip
    ratios = []
    for number in range(ROUNDS):
        board.progress(f"fanout: a filter for each of 100 subscribers, round {number + 1}")
        with streams.gateway() as started:
            none = streams.run(started, load)
        with streams.gateway() as started:
            each = streams.run(started, dataclasses.replace(load, filters="types"))
        ratios.append(each.us_per_event / none.us_per_event)
    board.figure(name, statistics.median(ratios))


def _median(outcomes: list[streams.Outcome]) -> streams.Outcome:
    """Returns the outcome with the median CPU for an event."""
    return sorted(outcomes, key=lambda outcome: outcome.us_per_event)[len(outcomes) // 2]
