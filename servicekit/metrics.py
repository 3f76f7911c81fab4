"""Prometheus metrics of one process.

Owns the registry and the RED metrics of RPCs. Called by the pipeline, the HTTP
server (`render`) and services for metrics of their own; never a global registry,
so that several servers live in one test process.
"""

import bisect
from collections.abc import Iterator, Sequence

import prometheus_client
from prometheus_client import (
    exposition,
    gc_collector,
    metrics_core,
    platform_collector,
    process_collector,
    registry,
)

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

# From a cached read to the longest provider call.
SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class MethodStats:
    """Plain counts of one RPC method, written by the event loop's thread alone.

    The library's own counters take a lock and walk the buckets; on the hot path
    that is several times the price of these additions.
    """

    __slots__ = ("buckets", "codes", "seconds_sum", "streams")

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.buckets = [0] * (len(SECONDS_BUCKETS) + 1)
        self.seconds_sum = 0.0
        self.streams = 0

    def ended(self, code: str) -> None:
        """Count an RPC that ended with the status `code`."""
        self.codes[code] = self.codes.get(code, 0) + 1

    def took(self, seconds: float) -> None:
        """Count the duration of a unary RPC."""
        self.buckets[bisect.bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.seconds_sum += seconds


class RpcStats(registry.Collector):
    """RED metrics of all methods: payhub_rpc_requests_total, _seconds, _streams."""

    def __init__(self) -> None:
        self._methods: dict[str, MethodStats] = {}

    def of(self, method: str) -> MethodStats:
        """Return the counts of `method` (`package.Service.Method`)."""
        return self._methods.setdefault(method, MethodStats())

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yield what a scrape shows."""
        requests = metrics_core.CounterMetricFamily(
            "payhub_rpc_requests", "RPCs ended, by status code.", labels=["method", "code"]
        )
        seconds = metrics_core.HistogramMetricFamily(
            "payhub_rpc_seconds", "Duration of unary RPCs in seconds.", labels=["method"]
        )
        streams = metrics_core.GaugeMetricFamily(
            "payhub_rpc_streams", "Streaming RPCs open now.", labels=["method"]
        )
        for name, stats in list(self._methods.items()):
            for code, count in list(stats.codes.items()):
                requests.add_metric([name, code], count)
            if any(stats.buckets):
                seconds.add_metric([name], _cumulative(stats.buckets), stats.seconds_sum)
            streams.add_metric([name], stats.streams)
        yield requests
        yield seconds
        yield streams


class Metrics:
    """A registry, the RPC metrics, and constructors bound to the registry."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        process_collector.ProcessCollector(registry=self.registry)
        platform_collector.PlatformCollector(registry=self.registry)
        gc_collector.GCCollector(registry=self.registry)
        self.rpc = RpcStats()
        self.registry.register(self.rpc)

    def counter(
        self, name: str, text: str, labels: Sequence[str] = ()
    ) -> prometheus_client.Counter:
        """Make a counter in this registry."""
        return prometheus_client.Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str) -> prometheus_client.Gauge:
        """Make a gauge in this registry."""
        return prometheus_client.Gauge(name, text, registry=self.registry)

    def render(self) -> bytes:
        """Return everything in the text format that Prometheus scrapes."""
        return exposition.generate_latest(self.registry)


def _cumulative(buckets: Sequence[int]) -> list[tuple[str, float]]:
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, SECONDS_BUCKETS), "+Inf"), buckets, strict=True):
        total += count
        rows.append((bound, total))
    return rows
