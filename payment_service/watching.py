"""What the metrics of payment_service tell of the installation rather than of this process.

Owns the gauges of open operations, doubts, webhooks in, plugins and the database. Made by
`composition`; its loop runs inside payment_service, and a scrape reads memory only. Every
replica tells the same, so whoever adds replicas up takes the maximum. Never changes anything.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import metrics_core, registry

from payment_service.db import operations, webhooks
from payment_service.domain import model, plugins
from payment_service.usecases import context
from payment_service.usecases.plugins import health
from servicekit import loop, metrics, storage

EVERY_S = 15.0
# More are told as so many; counting goes on no further.
COUNT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the database held when it was last looked at."""

    open_operations: dict[str, int]
    oldest_doubt_us: int = 0
    webhooks_waiting: int = 0


class Watch(registry.Collector):
    """The gauges; see the module.

    Args:
        ctx: What lies outside.
        health_: Judges plugins.
        metrics_: Where the gauges are told.
    """

    def __init__(
        self, ctx: context.Context, health_: health.Health, metrics_: metrics.Metrics
    ) -> None:
        self._ctx = ctx
        self._health = health_
        self._seen = Seen(open_operations={})
        metrics_.registry.register(self)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every EVERY_S until *stop* is set."""
        await loop.run_forever(self.run_once, idle_s=EVERY_S, stop=stop, name="watch")

    async def run_once(self) -> int:
        """Looks once; returns 0."""
        self._seen = await self._ctx.db.read(_look)
        return 0

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yields what a scrape shows."""
        yield from self._of_database()
        yield from self._of_plugins()

    def _of_database(self) -> Iterator[metrics_core.Metric]:
        seen = self._seen
        held = metrics_core.GaugeMetricFamily(
            "payhub_operations_open",
            f"Operations that are not final, by state; {COUNT_MAX} stands for more.",
            labels=["state"],
        )
        for state, count in seen.open_operations.items():
            held.add_metric([state], count)
        yield held
        now_us = self._ctx.clock.now_us()
        age_us = now_us - seen.oldest_doubt_us if seen.oldest_doubt_us else 0
        yield metrics_core.GaugeMetricFamily(
            "payhub_doubt_oldest_seconds",
            "Age of the oldest operation in doubt; 0 if none is.",
            value=max(age_us, 0) / 1_000_000,
        )
        yield metrics_core.GaugeMetricFamily(
            "payhub_webhooks_waiting",
            f"Inbound webhooks that are not worked off; {COUNT_MAX} stands for more.",
            value=seen.webhooks_waiting,
        )
        yield metrics_core.GaugeMetricFamily(
            "payhub_database_calls",
            "Calls of the database that run or wait, of this process.",
            value=self._ctx.db.under_way,
        )

    def _of_plugins(self) -> Iterator[metrics_core.Metric]:
        ready = _by_plugin(
            "payhub_plugin_ready",
            "1 if an instance of a plugin that operations are sent to takes them, 0 if none does.",
        )
        problems = _by_plugin(
            "payhub_plugin_problems",
            "What such a plugin lacks, and 1 for a change of its state that failed.",
        )
        quarantined = _by_plugin(
            "payhub_plugin_quarantined", "1 while a plugin, or a version of it, is in quarantine."
        )
        breakers = _by_plugin(
            "payhub_plugin_breakers_open",
            "Breakers of a plugin's bindings that are not closed, of this process.",
        )
        for each in self._health.judge():
            name = [each.plugin.id]
            if each.routed:
                ready.add_metric(name, each.ready)
            problems.add_metric(name, len(each.problems))
            condition = each.conditions.get(plugins.Condition.QUARANTINED)
            quarantined.add_metric(name, condition is not None and condition.holds is True)
            breakers.add_metric(name, each.open_breakers)
        yield from (ready, problems, quarantined, breakers)


def _by_plugin(name: str, text: str) -> metrics_core.GaugeMetricFamily:
    return metrics_core.GaugeMetricFamily(name, text, labels=["plugin"])


def _look(conn: storage.Connection) -> Seen:
    return Seen(
        open_operations={
            state.name.lower(): operations.count_open(conn, state, COUNT_MAX)
            for state in sorted(model.OPEN_STATES)
        },
        oldest_doubt_us=operations.oldest_doubt_us(conn),
        webhooks_waiting=webhooks.count_waiting(conn, COUNT_MAX),
    )
