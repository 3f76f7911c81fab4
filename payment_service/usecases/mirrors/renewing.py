"""Renewing: entities that wait for their provider are asked for from time to time.

Owns how sparsely, so that everything converges without webhooks too. Called by the
resolver for what it has claimed. Never decides what an entity becomes.
"""

from payment_service.db import mirrors
from payment_service.domain import model
from payment_service.domain.mirrors import base, kinds, objects
from payment_service.usecases import context
from payment_service.usecases.mirrors import fetching
from servicekit import storage


class Renewing:
    """Fetches what waits; see the module.

    Args:
        ctx: What lies outside.
    """

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._fetcher = fetching.Fetcher(ctx)

    async def renew(
        self, entity: base.Entity, fetches: int, actor: str, *, lease_until_us: int
    ) -> bool:
        """Fetches an entity and schedules the next time; returns whether something changed.

        Args:
            entity: As claimed.
            fetches: How often it was fetched in this state, this time included.
            actor: Who asks.
            lease_until_us: Until when it is claimed.
        """
        rules = kinds.BY_PREFIX[entity.id.partition("_")[0]]
        changed, itself, is_answered = False, False, True
        for place in entity.places():
            if not place.provider_object_id:
                continue
            reference = objects.Reference(
                kind=rules.kind, provider_object_id=place.provider_object_id
            )
            known = await self._fetcher.fetch(
                place.provider,
                (reference,),
                tenant_id=entity.tenant_id,
                binding_id=place.binding_id,
                cause=model.Cause(actor=actor),
            )
            is_answered &= not known.failed
            applied = [one for one in known.absorbed if one.verdict is base.Verdict.APPLIED]
            changed |= bool(applied)
            itself |= any(one.entity_id == entity.id for one in applied)
        scheduling = self._schedule(
            rules,
            entity,
            fetches,
            is_answered=is_answered,
            changed=itself,
            lease_until_us=lease_until_us,
        )
        await self._ctx.tracker.shielded(scheduling)
        return changed

    async def _schedule(
        self,
        rules: base.AnyRules,
        entity: base.Entity,
        fetches: int,
        *,
        is_answered: bool,
        changed: bool,
        lease_until_us: int,
    ) -> None:
        """Sets when the entity is fetched next, if it is: while it waits for its provider, or if
        the provider could not be asked this time.
        """
        schedule, now_us = self._ctx.schedule, self._ctx.clock.now_us()
        doublings = min(max(fetches - 1, 0), 30)
        wait_s: float = min(schedule.pending_first_s * 2**doublings, schedule.longest_s)

        def write(conn: storage.Connection) -> None:
            after = mirrors.load(conn, rules, entity.tenant_id, entity.id, lock=True)
            waits_us = rules.waits(after) if after is not None else None
            if waits_us is None and is_answered:
                mirrors.fetched(conn, entity, lease_until_us)
                return
            next_us = max(waits_us or 0, now_us + round(wait_s * 1_000_000))
            mirrors.schedule(conn, entity, next_us, lease_until_us=lease_until_us, changed=changed)

        await self._ctx.db.write(write)
