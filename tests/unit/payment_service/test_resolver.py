"""When the resolver looks again at what a process has left behind."""

import types
from typing import Any, cast

import prometheus_client

from payment_service import resolver
from payment_service.domain import model, outcomes
from payment_service.provider_client import reading
from payment_service.usecases import cancellations, context, settling, standing
from servicekit import tasks
from tests import fake_clock
from tests.unit.payment_service import build

SCHEDULE = context.Schedule(doubt_first_s=1.0, longest_s=3600.0)


class Provider:
    """One that is not connected yet."""

    async def look_up(self, operation: model.Operation, object_id: str) -> outcomes.Report:
        """Tells nothing."""
        return reading.unknown(operation.version, "no connection")

    def finds(self, version: str) -> bool:
        """Looks everything up."""
        return True


class Settler:
    """Believes every report; keeps what it was to look at later."""

    def __init__(self) -> None:
        self.later: list[model.Operation] = []

    async def settle(
        self, operation: model.Operation, report: outcomes.Report, *, actor: str
    ) -> settling.Settled:
        """Applies it."""
        return settling.Settled(
            verdict=outcomes.Verdict.APPLIED, operation=operation, report=report, entity=None
        )

    async def fetch(self, operation: model.Operation, settled: settling.Settled) -> None:
        """Nothing was left open."""

    async def look_later(self, operation: model.Operation) -> None:
        """Keeps it."""
        self.later.append(operation)


async def test_the_first_look_after_a_long_rest_is_not_the_last_for_long() -> None:
    """A process that was down for an hour looks before its providers are connected."""
    time = fake_clock.FakeClock(build.NOW_US)
    abandoned = [build.operation(model.Kind.SALE, attempts=13)]

    class Database:
        async def write(self, fn: Any) -> list[model.Operation]:
            found, abandoned[:] = list(abandoned), []
            return found

    class Cancellations:
        async def waiting(self, most: int) -> list[tuple[str, str]]:
            return []

    settler = Settler()
    ctx: Any = types.SimpleNamespace(
        clock=time,
        db=Database(),
        standing=standing.Standing(),
        schedule=SCHEDULE,
        tracker=tasks.Tracker(),
        providers=types.SimpleNamespace(find=lambda _: Provider()),
    )
    looking = resolver.Resolver(
        ctx,
        cast(settling.Settler, settler),
        cast(cancellations.Cancellations, Cancellations()),
        prometheus_client.CollectorRegistry(),
    )
    time.advance(3600)
    await looking.run_once()
    (operation,) = settler.later
    assert operation.state is model.OperationState.IN_DOUBT
    next_us = context.next_check_us(SCHEDULE, operation, time.now_us())
    assert next_us == time.now_us() + 1_000_000
