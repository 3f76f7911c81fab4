"""Prometheus metrics of one process.

Owns the registry and the RED metrics of RPCs. Called by the pipeline, the HTTP
server (`render`) and services for metrics of their own; never a global registry,
so that several servers live in one test process.
"""

from collections.abc import Sequence

import prometheus_client
from prometheus_client import exposition, gc_collector, platform_collector, process_collector

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

# From a cached read to the longest provider call.
SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class Metrics:
    """A registry, the RPC metrics, and constructors bound to the registry."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        process_collector.ProcessCollector(registry=self.registry)
        platform_collector.PlatformCollector(registry=self.registry)
        gc_collector.GCCollector(registry=self.registry)
        self.rpc_requests = self.counter(
            "payhub_rpc_requests_total", "RPCs ended, by status code.", ("method", "code")
        )
        self.rpc_seconds = self.histogram(
            "payhub_rpc_seconds", "Duration of unary RPCs in seconds.", ("method",)
        )
        self.rpc_streams = self.gauge("payhub_rpc_streams", "Streaming RPCs open now.", ("method",))

    def counter(
        self, name: str, text: str, labels: Sequence[str] = ()
    ) -> prometheus_client.Counter:
        """Make a counter in this registry."""
        return prometheus_client.Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> prometheus_client.Gauge:
        """Make a gauge in this registry."""
        return prometheus_client.Gauge(name, text, labels, registry=self.registry)

    def histogram(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS_BUCKETS,
    ) -> prometheus_client.Histogram:
        """Make a histogram in this registry; `buckets` are upper bounds, ascending."""
        return prometheus_client.Histogram(
            name, text, labels, registry=self.registry, buckets=buckets
        )

    def render(self) -> bytes:
        """Return everything in the text format that Prometheus scrapes."""
        return exposition.generate_latest(self.registry)
