"""What a scrape tells of the whole installation, against what its database holds."""

import asyncio
import types
from typing import Any, cast

from payment_service import composition, watching
from payment_service.db import operations
from payment_service.domain import model, plugins
from payment_service.usecases.plugins import health
from servicekit import metrics, storage
from tests import fake_clock
from tests.integration.payment_service import inside, rig
from tests.unit.payment_service import build


def told(registry: metrics.Metrics, name: str, **labels: str) -> float | None:
    """The value of one metric."""
    return registry.registry.get_sample_value(name, labels)


async def test_doubts_are_told_with_the_age_of_the_oldest(database_url: str) -> None:
    """Open operations are counted by state, settled ones are not; the age goes on growing
    between two looks.
    """
    await asyncio.to_thread(storage.migrate, database_url, composition.MIGRATIONS)
    db = await storage.open_database(database_url)
    registry, time = metrics.Metrics(), fake_clock.FakeClock(build.NOW_US)
    ctx: Any = types.SimpleNamespace(db=db, clock=time)
    judging = cast(health.Health, types.SimpleNamespace(judge=list))
    watch = watching.Watch(ctx, judging, registry)
    rows = [
        build.operation(model.Kind.SALE, state=state, id=f"op_{n}", entity_id=f"pay_{n}")
        for n, state in enumerate(
            [
                model.OperationState.IN_DOUBT,
                model.OperationState.IN_DOUBT,
                model.OperationState.PENDING,
                model.OperationState.SUCCEEDED,
            ]
        )
    ]
    try:
        assert await watch.run_once() == 0
        assert told(registry, "payhub_doubt_oldest_seconds") == 0
        for row in rows:
            await db.write(
                lambda conn, row=row: conn.run(operations.INSERT, operations.params(row))  # type: ignore[misc]
            )
        await watch.run_once()
        counts = {
            state.name: told(registry, "payhub_operations_open", state=state.name.lower())
            for state in model.OperationState
        }
        assert {name: count for name, count in counts.items() if count} == {
            "IN_DOUBT": 2,
            "PENDING": 1,
        }
        before_s = told(registry, "payhub_doubt_oldest_seconds")
        time.advance(900)
        assert before_s is not None
        assert told(registry, "payhub_doubt_oldest_seconds") == before_s + 900
        assert told(registry, "payhub_webhooks_waiting") == 0
        assert told(registry, "payhub_database_calls") == 0
    finally:
        await db.close()


def test_plugins_are_told_as_their_health_is_judged() -> None:
    """An enabled plugin without instances is not ready; a disabled one is not asked to be."""
    quarantined = plugins.ConditionStatus(holds=True, reason="CRASHES")

    def plugin(name: str, state: plugins.PluginState) -> Any:
        return types.SimpleNamespace(id=name, state=state)

    judged = [
        health.Judged(
            plugin=plugin("one", plugins.PluginState.ENABLED),
            conditions={plugins.Condition.QUARANTINED: quarantined},
            routed=True,
            problems=("one: READY: nobody",),
            open_breakers=2,
        ),
        health.Judged(
            plugin=plugin("two", plugins.PluginState.DISABLED), conditions={}, routed=False
        ),
    ]
    registry = metrics.Metrics()
    ctx: Any = types.SimpleNamespace(
        db=types.SimpleNamespace(under_way=0), clock=fake_clock.FakeClock(build.NOW_US)
    )
    judging = cast(health.Health, types.SimpleNamespace(judge=lambda: judged))
    watching.Watch(ctx, judging, registry)
    assert [
        told(registry, f"payhub_plugin_{name}", plugin="one")
        for name in ("ready", "problems", "quarantined", "breakers_open")
    ] == [0, 1, 1, 2]
    assert [
        told(registry, f"payhub_plugin_{name}", plugin="two")
        for name in ("ready", "problems", "quarantined", "breakers_open")
    ] == [None, 0, 0, 0]


async def test_a_provider_that_was_never_reached_is_missed(database_url: str) -> None:
    """One that the process was started with gets payments from the start."""
    async with inside.running(database_url, "127.0.0.1:1") as service:

        async def missed() -> bool:
            values = {
                sample.name: sample.value
                for family in service.parts.watch.collect()
                for sample in family.samples
                if sample.labels.get("plugin") == "mock"
            }
            lacks = values.get("payhub_plugin_problems", 0.0) > 0
            return lacks and values.get("payhub_plugin_ready") == 0.0

        await rig.until(missed)
