"""Showing webhooks, applying them again, and forgetting old ones.

Owns what operators see and may do. Called by the API and the applier. Never applies a
webhook whose signature was never right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import grpc

from payment_service.db import webhooks as rows
from payment_service.domain import webhooks
from payment_service.usecases import context
from payment_service.usecases.webhooks import applying, receiving, verifying
from servicekit import errors, logs, storage

_log = logs.get_logger(__name__)

PRUNE_MAX = 500
# Of a sort in one go, in steps of PRUNE_MAX: more than can come in the minute between two.
PRUNE_STEPS = 100
DAY_US = 86_400 * 1_000_000
# A provider sends an event again for days; longer than any does, its note is kept.
EVENTS_KEEP_DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long webhooks are kept: days, and how many of those that were rejected."""

    days: float = 30.0
    rejected_max: int = 10_000


class Webhooks:
    """The use cases beside receiving.

    Args:
        ctx: What lies outside.
        applier: Applies webhooks.
        tolerance_s: Oldest signature accepted, counted back from when it was received.
        keeping: How long they are kept.
    """

    def __init__(
        self,
        ctx: context.Context,
        applier: applying.Applier,
        *,
        tolerance_s: float,
        keeping: Keeping,
    ) -> None:
        self._ctx = ctx
        self._applier = applier
        self._tolerance_s = tolerance_s
        self._keeping = keeping
        self._ageing = storage.Ageing(ctx.db, ctx.clock, "webhooks")

    async def list_newest_first(self, wanted: rows.ListFilter, most: int) -> list[webhooks.Webhook]:
        """Returns at most *most* webhooks without headers and bodies, newest first."""
        return await self._ctx.db.read(lambda conn: rows.list_newest_first(conn, wanted, most))

    async def get(self, webhook_id: str) -> webhooks.Webhook:
        """Returns a webhook with what is kept of it.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        found = await self._ctx.db.read(lambda conn: rows.load(conn, webhook_id))
        if found is None:
            raise errors.not_found("webhook", webhook_id)
        return found

    async def replay(self, webhook_id: str) -> webhooks.Webhook:
        """Applies a webhook again, from the start of its tries.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND; STATE_CONFLICT for one that was rejected.
        """
        webhook = await self.get(webhook_id)
        if webhook.state is webhooks.State.REJECTED:
            raise errors.RpcError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "STATE_CONFLICT",
                f"{webhook_id} was rejected and its body not kept; let the provider send it again",
                metadata={"state": "STATE_REJECTED", "allowed_actions": ""},
            )
        now_us = self._ctx.clock.now_us()
        again = replace(
            webhook,
            state=webhooks.State.RECEIVED,
            attempts=1,
            next_attempt_us=now_us + round(self._ctx.schedule.lease_s * 1_000_000),
            updated_us=now_us,
        )
        await self._ctx.db.write(lambda conn: rows.update(conn, again))
        return await self._ctx.tracker.shielded(self.work(again))

    async def claim_due(
        self, busy: Sequence[str], held: Sequence[str], most: int
    ) -> list[webhooks.Webhook]:
        """Takes at most *most* webhooks whose try is due, none of providers that are *busy* and
        none of those *held*, which are worked on here though their lease may be over.
        """
        now_us = self._ctx.clock.now_us()
        lease_us = round(self._ctx.schedule.lease_s * 1_000_000)
        return await self._ctx.db.write(
            lambda conn: rows.claim_due(
                conn,
                now_us=now_us,
                lease_us=lease_us,
                busy=busy,
                held=held,
                most=most,
            )
        )

    async def give_back(self, taken: Sequence[webhooks.Webhook]) -> None:
        """Leaves to others, at once, what `claim_due` returned and `work` did not end."""
        now_us = self._ctx.clock.now_us()
        await self._ctx.db.write(lambda conn: rows.give_back(conn, taken, now_us=now_us))

    async def work(self, webhook: webhooks.Webhook) -> webhooks.Webhook:
        """Verifies a webhook, if that was not done, and applies it."""
        verified = await verifying.verify(self._ctx, webhook, tolerance_s=self._tolerance_s)
        if verified.authentic and verified.told is not None:
            return await self._applier.apply(
                receiving.believe(webhook, verified.told), verified.told
            )
        if webhook.is_verified:
            # Its secret may have been taken away since; it was right when it counted.
            try:
                kept = verifying.kept(webhook)
            except LookupError as problem:
                return await self._applier.put_off(webhook, str(problem))
            return await self._applier.apply(webhook, kept)
        if verified.told is None:
            return await self._applier.put_off(webhook, verified.problem)
        now_us = self._ctx.clock.now_us()
        refused = webhooks.rejected(
            webhook, receiving.UNAUTHORIZED, verified.told.detail or "not authentic", now_us
        )
        _log.warning("webhook rejected", webhook_id=refused.id, detail=refused.detail)
        return await self._applier.note(refused)

    async def pull_in(self) -> int:
        """Makes some of what waits longer than any try does due now: a clock was ahead when that
        was noted. Returns how many.
        """
        now_us = self._ctx.clock.now_us()
        lease_us = round(self._ctx.schedule.lease_s * 1_000_000)
        longest_us = max(rows.LEASES_MAX * lease_us, *webhooks.WAITS_US)
        pulled = await self._ctx.db.write(
            lambda conn: rows.pull_in(
                conn, now_us=now_us, beyond_us=now_us + 2 * longest_us, most=PRUNE_MAX
            )
        )
        if pulled:
            _log.warning("webhooks were due too late, as after a clock was ahead", count=pulled)
        return pulled

    async def prune(self) -> int:
        """Forgets some of what is old; returns how many rows."""
        now_us = await self._ageing.now_us()
        pruned = 0
        for _ in range(PRUNE_STEPS):
            found = await self._ctx.db.write(lambda conn: self._prune(conn, now_us))
            pruned += found
            if found < PRUNE_MAX:
                break
        return pruned

    def _prune(self, conn: storage.Connection, now_us: int) -> int:
        return rows.prune(
            conn,
            before_us=now_us - round(self._keeping.days * DAY_US),
            events_before_us=now_us - EVENTS_KEEP_DAYS * DAY_US,
            rejected_keep=self._keeping.rejected_max,
            most=PRUNE_MAX,
        )
