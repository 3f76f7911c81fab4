"""What is counted of calls to providers, and of their processes.

Owns the metrics of provider calls and of loads. Made once per process, written by `pool` and
`fleet`.
"""

from collections import OrderedDict
from typing import Any

import prometheus_client

from payment_service.provider_client import loading
from servicekit import metrics

# From a process that answers at once to one that reads much before it takes calls.
LOAD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
# Versions of a plugin whose faults are told.
FAULTY_VERSIONS_MAX = 20


class Metrics:
    """Counts and durations of provider calls, and durations of loads."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._known: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        # By plugin: its versions with faults, the one with the newest last.
        self._faulty: dict[str, OrderedDict[str, None]] = {}
        self._calls = prometheus_client.Counter(
            "payhub_provider_calls_total",
            "Calls of operations and look-ups by what they told.",
            ("provider", "call", "outcome"),
            registry=registry,
        )
        self._seconds = prometheus_client.Histogram(
            "payhub_provider_call_seconds",
            "Duration of provider calls in seconds.",
            ("provider", "call", "outcome"),
            registry=registry,
            buckets=metrics.SECONDS_BUCKETS,
        )
        self._loads = prometheus_client.Histogram(
            "payhub_plugin_load_seconds",
            "Time from the connection to a process of a plugin until it takes operations.",
            ("plugin", "outcome"),
            registry=registry,
            buckets=LOAD_BUCKETS,
        )
        self._faults = prometheus_client.Counter(
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
            found = (self._calls.labels(*labels), self._seconds.labels(*labels))
            self._known[labels] = found
        found[0].inc()
        found[1].observe(seconds)

    def loaded(self, plugin: str, outcome: loading.Outcome, seconds: float) -> None:
        """Counts what a load came to *seconds* after the connection."""
        self._loads.labels(plugin, outcome.value).observe(seconds)

    def fault(self, plugin: str, version: str) -> None:
        """Counts an answer that breaks the contract.

        Versions are what plugins say that they are: of the one whose last fault is the longest ago
        nothing is told any more once others have them.
        """
        versions = self._faulty.setdefault(plugin, OrderedDict())
        versions[version] = None
        versions.move_to_end(version)
        if len(versions) > FAULTY_VERSIONS_MAX:
            oldest, _ = versions.popitem(last=False)
            self._faults.remove(plugin, oldest)
        self._faults.labels(plugin, version).inc()

    def forget(self, plugin: str) -> None:
        """Ends what is told of the loads and faults of a plugin that is gone."""
        for outcome in loading.Outcome:
            self._loads.remove(plugin, outcome.value)
        for version in self._faulty.pop(plugin, ()):
            self._faults.remove(plugin, version)
