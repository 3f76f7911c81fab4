"""What is counted of calls to providers.

Owns the metrics of provider calls. Made once per process, written by `pool`.
"""

from typing import Any

import prometheus_client

from servicekit import metrics


class Metrics:
    """Counts and durations of provider calls."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._known: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        self._calls = prometheus_client.Counter(
            "payhub_provider_calls_total",
            "Calls of operations and look-ups by what they told.",
            ("provider", "call", "outcome"),
            registry=registry,
        )
        self._seconds = prometheus_client.Histogram(
            "payhub_provider_call_seconds",
            "Duration of provider calls in seconds.",
            ("provider", "call"),
            registry=registry,
            buckets=metrics.SECONDS_BUCKETS,
        )
        self.faults = prometheus_client.Counter(
            "payhub_provider_contract_faults_total",
            "Answers that break the contract.",
            ("provider", "version"),
            registry=registry,
        )
        self.opened = prometheus_client.Counter(
            "payhub_provider_breakers_opened_total",
            "Times a breaker of a binding opened.",
            ("provider", "class"),
            registry=registry,
        )

    def count(self, provider: str, call: str, outcome: str, seconds: float) -> None:
        """Counts one call that took *seconds*."""
        labels = (provider, call, outcome)
        found = self._known.get(labels)
        if found is None:
            found = (self._calls.labels(*labels), self._seconds.labels(provider, call))
            self._known[labels] = found
        found[0].inc()
        found[1].observe(seconds)
