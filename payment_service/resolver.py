"""The resolver: finds out what became of operations nobody knows the end of.

Owns the loop over due operations: abandoned ones become IN_DOUBT, doubts and
pending ones are looked up at the provider, waiting cancellations are carried
out, objects that wait for the provider are fetched. Run inside payment_service;
several replicas share the work by leases. Never guesses: what neither a look-up nor, where
that is safe, a repeat can tell stays.

A look that takes long goes on by itself: a provider that hangs keeps nobody waiting whose
operations are at another one.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import prometheus_client

from payment_service.db import mirrors, operations, payments
from payment_service.domain import model, outcomes
from payment_service.domain.mirrors import base
from payment_service.usecases import cancellations, context, resending, settling
from payment_service.usecases.mirrors import renewing
from servicekit import logs, loop

_log = logs.get_logger(__name__)

ACTOR = "resolver"
# Enough to work off a provider's outage, few enough not to be one.
BATCH_MAX = 32
# Looks and cancellations that go on at once, those of providers that hang included.
UNDER_WAY_MAX = 256
# How long the next batch waits for this one.
PATIENCE_S = 0.2
PULL_IN_EVERY_S = 60.0
PULLED_MAX = 1_000


class Resolver:
    """Settles what is open; see the module."""

    def __init__(
        self,
        ctx: context.Context,
        settler: settling.Settler,
        cancellations_: cancellations.Cancellations,
        registry: prometheus_client.CollectorRegistry,
    ) -> None:
        self._ctx = ctx
        self._settler = settler
        self._cancellations = cancellations_
        self._renewing = renewing.Renewing(ctx)
        self._resender = resending.Resender(ctx)
        self._under_way: set[asyncio.Task[bool]] = set()
        self._carried_out: set[str] = set()
        self._looked = prometheus_client.Counter(
            "payhub_resolver_looks_total",
            "Open operations looked at, by what came of it.",
            ("verdict",),
            registry=registry,
        )
        self._looked_at = prometheus_client.Gauge(
            "payhub_resolver_looked_timestamp_seconds",
            "When this process last asked its database what is due; 0 if it never did.",
            registry=registry,
        )

    async def run(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Looks at what is due until *stop* is set."""
        try:
            await loop.run_forever(self.run_once, idle_s=idle_s, stop=stop, name="resolver")
        finally:
            # What they have begun to write is finished by the tracker.
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def keep_due(self, stop: asyncio.Event) -> None:
        """Lets nothing wait longer than the schedule says, until *stop* is set: while a clock was
        ahead, times were noted that are far off once it is right again.
        """
        await loop.run_forever(self.pull_in, idle_s=PULL_IN_EVERY_S, stop=stop, name="due times")

    async def pull_in(self) -> int:
        """Makes a batch of what is due too late due now; returns how many that were."""
        schedule, now_us = self._ctx.schedule, self._ctx.clock.now_us()
        longest_s = schedule.longest_s + self._ctx.provider_timeout_s + schedule.grace_s
        beyond_us = now_us + round((longest_s + schedule.lease_s) * 1_000_000)
        pulled = await self._ctx.db.write(
            lambda conn: operations.pull_in(
                conn, now_us=now_us, beyond_us=beyond_us, most=PULLED_MAX
            )
        )
        if pulled:
            _log.warning("looks were due too late, as after a clock was ahead", operations=pulled)
        return pulled

    async def run_once(self) -> int:
        """Begins to look at up to BATCH_MAX due operations; returns how many looks have
        changed something before its patience was over.
        """
        now_us = self._ctx.clock.now_us()
        room = min(BATCH_MAX, UNDER_WAY_MAX - len(self._under_way))
        if room <= 0 or not self._ctx.standing.is_open:
            return 0
        lease_until_us = now_us + round(self._ctx.schedule.lease_s * 1_000_000)
        due = await self._ctx.db.write(
            lambda conn: operations.claim_due(
                conn,
                now_us=now_us,
                lease_until_us=lease_until_us,
                most=room,
            )
        )
        self._looked_at.set(now_us / 1_000_000)
        begun = [self._begin(self._guarded(operation)) for operation in due]
        begun += [
            self._begin(self._renewed(entity, fetches, lease_until_us))
            for entity, fetches in await self._waiting(now_us, lease_until_us)
        ]
        for tenant_id, payment_id in await self._cancellations.waiting(BATCH_MAX):
            if payment_id not in self._carried_out and len(self._under_way) < UNDER_WAY_MAX:
                begun.append(self._begin(self._carry_out(tenant_id, payment_id)))
        if not begun:
            return 0
        done, _ = await asyncio.wait(begun, timeout=PATIENCE_S)
        return sum(task.result() for task in done)

    async def _waiting(self, now_us: int, lease_until_us: int) -> list[tuple[base.Entity, int]]:
        """Takes what waits for its provider and is due to be asked for."""
        room = min(BATCH_MAX, UNDER_WAY_MAX - len(self._under_way))
        if room <= 0:
            return []
        return await self._ctx.db.write(
            lambda conn: mirrors.claim_due(
                conn,
                now_us=now_us,
                lease_until_us=lease_until_us,
                most=room,
            )
        )

    async def _renewed(self, entity: base.Entity, fetches: int, lease_until_us: int) -> bool:
        """Asks the provider for an entity; returns whether something became of it."""
        try:
            return await self._renewing.renew(entity, fetches, ACTOR, lease_until_us=lease_until_us)
        except Exception:
            _log.exception("could not fetch an object", entity_id=entity.id)
            return False

    def _begin(self, work: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _carry_out(self, tenant_id: str, payment_id: str) -> bool:
        self._carried_out.add(payment_id)
        try:
            return await self._cancellations.carry_out(tenant_id, payment_id)
        except Exception:
            _log.exception("could not carry out a cancellation", payment_id=payment_id)
            return False
        finally:
            self._carried_out.discard(payment_id)

    async def _guarded(self, operation: model.Operation) -> bool:
        """One operation that can't be looked at does not keep others from it."""
        try:
            return await self._look(operation)
        except Exception:
            _log.exception("could not look at an operation", operation_id=operation.id)
            return False

    async def _look(self, operation: model.Operation) -> bool:
        provider = self._ctx.providers.find(operation.provider)
        if provider is None:
            _log.error(
                "an open operation's provider is not set up; set it up again to settle it",
                operation_id=operation.id,
                provider=operation.provider,
            )
            return False
        if operation.state is model.OperationState.IN_FLIGHT:
            abandoned = outcomes.Report(
                outcome=outcomes.Outcome.UNKNOWN,
                operation_version=operation.version,
                detail="abandoned in flight",
            )
            verdict = await self._settle(operation, abandoned)
            if verdict is not outcomes.Verdict.APPLIED:
                return False
            operation = replace(
                operation,
                state=model.OperationState.IN_DOUBT,
                version=operation.version + 1,
                updated_us=self._ctx.clock.now_us(),
            )
        report = await provider.look_up(operation, await self._object_id(operation))
        if resending.may_help(provider, operation, report, self._ctx.clock.now_us()):
            report = await self._ctx.tracker.shielded(
                self._resender.resend(provider, operation, report)
            )
        if operation.state is model.OperationState.IN_DOUBT and report.tells_nothing:
            await self._settler.look_later(operation)
            self._looked.labels(outcomes.Verdict.REPEAT.value).inc()
            return False
        verdict = await self._settle(operation, report)
        self._looked.labels(verdict.value).inc()
        return verdict is outcomes.Verdict.APPLIED

    async def _object_id(self, operation: model.Operation) -> str:
        """Returns what an authorization or sale made at its provider, if core has heard of it."""
        is_doubt = operation.state is model.OperationState.IN_DOUBT
        if is_doubt or operation.kind not in model.INITIAL_KINDS:
            return ""
        return await self._ctx.db.read(
            lambda conn: payments.provider_id(conn, operation.tenant_id, operation.entity_id)
        )

    async def _settle(
        self, operation: model.Operation, report: outcomes.Report
    ) -> outcomes.Verdict:
        settled = await self._ctx.tracker.shielded(
            self._settler.settle(operation, report, actor=ACTOR)
        )
        await self._settler.fetch(operation, settled)
        return settled.verdict
