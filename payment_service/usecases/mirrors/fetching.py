"""Fetching objects and absorbing them: how core comes to know without being told.

Owns the rounds of asking for what is missing and committing what came. Called by the
settler and by `renewing`, never inside a transaction; `webhooks.applying` has rounds of
its own, since a webhook and all it leads to commit together.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from payment_service.domain import model
from payment_service.domain.mirrors import base, objects
from payment_service.provider_client import fetching
from payment_service.usecases import context
from payment_service.usecases.mirrors import absorbing, scopes
from servicekit import logs, storage

_log = logs.get_logger(__name__)

# Most calls for one cause: an invoice, its subscription, and what those lack.
FETCHES_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known after asking.

    `absorbed` is what became of each object; `failed` what nobody could tell now, `absent`
    what the provider says it has not.
    """

    absorbed: tuple[absorbing.Absorbed, ...] = ()
    failed: tuple[objects.Reference, ...] = ()
    absent: tuple[objects.Reference, ...] = ()


class Fetcher:
    """Asks providers for objects.

    Args:
        ctx: What lies outside.
    """

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def fetch(
        self,
        provider_id: str,
        wanted: Iterable[objects.Reference],
        *,
        tenant_id: str,
        binding_id: str,
        cause: model.Cause,
    ) -> Known:
        """Fetches objects, what they lack first, and commits what they tell. Never raises for
        what a provider does.
        """
        provider = self._ctx.providers.find(provider_id)
        absorb = functools.partial(
            self.absorb,
            provider_id,
            tenant_id=tenant_id,
            binding_id=binding_id,
            cause=cause,
            fetched=True,
        )
        asked: list[objects.Reference] = []
        absorbed: list[absorbing.Absorbed] = []
        failed: list[objects.Reference] = []
        absent: list[objects.Reference] = []
        waiting: list[objects.Seen] = []
        left = list(wanted)
        while left and len(asked) < FETCHES_MAX:
            reference = left.pop(0)
            if reference in asked:
                continue
            asked.append(reference)
            if provider is None:
                failed.append(reference)
                continue
            found = await fetching.fetch(
                provider, reference, binding_id=binding_id, tenant_id=tenant_id
            )
            if not found.seen:
                (absent if found.absent else failed).append(reference)
                _log.info(
                    "object not fetched",
                    provider=provider_id,
                    kind=reference.kind.name.lower(),
                    provider_object_id=reference.provider_object_id,
                    detail=found.detail or "the provider has none",
                )
                continue
            told = await absorb(found.seen)
            absorbed += told
            left += [one for each in told for one in each.refetch]
            lacking = {one.reference for one in told if one.verdict is base.Verdict.MISSING}
            waiting += [one for one in found.seen if one.reference in lacking]
        if waiting:
            absorbed += await absorb(waiting, final=True)
        return Known(absorbed=tuple(absorbed), failed=(*failed, *left), absent=tuple(absent))

    async def absorb(
        self,
        provider_id: str,
        seen: Sequence[objects.Seen],
        *,
        tenant_id: str,
        binding_id: str,
        cause: model.Cause,
        fetched: bool,
        final: bool = False,
    ) -> list[absorbing.Absorbed]:
        """Commits what snapshots tell, all in one transaction; see `absorbing.absorb_in`."""
        now_us = self._ctx.clock.now_us()
        ids = context.fresh_ids(self._ctx.new_id)

        def write(conn: storage.Connection) -> list[absorbing.Absorbed]:
            scope = scopes.Scope(
                tenant_id=tenant_id,
                provider=provider_id,
                binding_id=binding_id,
                now_us=now_us,
                new_id=ids(),
                schedule=self._ctx.schedule,
                cause=cause,
            )
            return absorbing.absorb_all_in(conn, scope, seen, fetched=fetched, final=final)

        told = await self._ctx.tracker.shielded(self._ctx.db.write(write))
        if any(one.verdict is base.Verdict.APPLIED for one in told):
            self._ctx.outbox_written.set()
        return told
