"""Plans: create, get, list, archive, add a price.

Owns the rules that need a database or a look at the provider: a price that exists there
already is fetched and compared before it is believed. Called by the API.
"""

from dataclasses import dataclass, replace

from payhub.plugin.v1 import capability_pb2

from payment_service.db import mirrors, provider_objects
from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, objects, plans
from payment_service.provider_client import fetching, requests
from payment_service.usecases import context, intents, settling
from payment_service.usecases.mirrors import beginning
from servicekit import errors, storage

_RULES = plans.RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A plan to create; `plan` has neither id nor price yet."""

    request: intents.Request
    plan: plans.Plan
    provider: str
    provider_price_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPrice:
    """A price to make at one more provider, or one that is there."""

    request: intents.Request
    plan_id: str
    provider: str
    provider_price_id: str


class Plans:
    """The use cases of plans."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._begin = beginning.Beginner(ctx, settler, _RULES)

    async def create(self, caller: context.Caller, wanted: Create) -> beginning.Shown:
        """Creates a plan and its price at a provider.

        Raises:
            errors.RpcError: INVALID_FIELD (a price that is not there, or another one),
                CAPABILITY_MISSING, idempotency conflicts, and what else keeps provider or
                binding from it.
        """
        now_us = self._ctx.clock.now_us()
        plan = replace(
            wanted.plan,
            id=self._ctx.new_id(_RULES.prefix),
            tenant_id=caller.tenant_id,
            created_us=now_us,
            updated_us=now_us,
        )
        found = await self._price(
            caller, wanted.request, plan, wanted.provider, wanted.provider_price_id
        )
        if found is None:
            return await self._begin.repeat(caller, wanted.request)
        price, made = found, not found.provider_object_id
        plan = replace(plan, prices=(price,))
        operation = self._making(caller, wanted.request, plan, price, now_us) if made else None

        def decide(conn: storage.Connection) -> beginning.Intent | bindings.Refusal:
            refusal = _taken(conn, plan, price)
            if refusal is not None:
                return refusal
            return _intent(None, plan, price, operation)

        operation_id = operation.id if operation is not None else ""
        return await self._begin.change(
            caller, wanted.request, plan.id, operation_id, decide, now_us=now_us
        )

    async def get(self, caller: context.Caller, plan_id: str) -> beginning.Shown:
        """Returns a plan.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        return await self._begin.get(caller, plan_id)

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[plans.Plan]:
        """Returns at most *most* plans without their operations, newest first."""
        return await self._begin.list_newest_first(caller, wanted, most)

    async def add_price(self, caller: context.Caller, wanted: AddPrice) -> beginning.Shown:
        """Makes the price of a plan at one more provider, or again where that failed.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STATE_CONFLICT, and as for create.
        """
        before: plans.Plan = (await self._begin.get(caller, wanted.plan_id)).entity
        now_us = self._ctx.clock.now_us()
        found = await self._price(
            caller, wanted.request, before, wanted.provider, wanted.provider_price_id
        )
        if found is None:
            return await self._begin.repeat(caller, wanted.request)
        price, made = found, not found.provider_object_id
        operation = self._making(caller, wanted.request, before, price, now_us) if made else None

        def decide(conn: storage.Connection) -> beginning.Intent | bindings.Refusal:
            shown = self._begin.locked(conn, caller.tenant_id, before.id)
            after = plans.add_price(shown.entity, price, shown.operations)
            if isinstance(after, bindings.Refusal):
                return after
            refusal = _taken(conn, before, price)
            if refusal is not None:
                return refusal
            return _intent(shown.entity, after, price, operation)

        operation_id = operation.id if operation is not None else ""
        return await self._begin.change(
            caller, wanted.request, before.id, operation_id, decide, now_us=now_us
        )

    async def archive(
        self, caller: context.Caller, request: intents.Request, plan_id: str
    ) -> beginning.Shown:
        """Lets no new subscription use a plan, here at once and at every provider.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STATE_CONFLICT, CAPABILITY_MISSING,
                idempotency conflicts.
        """
        before: plans.Plan = (await self._begin.get(caller, plan_id)).entity
        kind = model.Kind.ARCHIVE_PLAN
        now_us = self._ctx.clock.now_us()
        operations: dict[str, model.Operation] = {}
        for price in before.prices:
            if not price.provider_object_id or not price.active:
                continue
            route = await intents.way(
                self._ctx, caller, request, kind, price.provider, follows=True
            )
            if route is None:
                return await self._begin.repeat(caller, request)
            body = requests.archive_plan(price.provider_object_id)
            operations[price.provider] = self._begin.operation(
                caller, request, kind, before.id, price.provider, body, now_us=now_us
            )

        def decide(conn: storage.Connection) -> beginning.Intent | bindings.Refusal:
            shown = self._begin.locked(conn, caller.tenant_id, before.id)
            found = plans.archive(shown.entity, shown.operations)
            if isinstance(found, bindings.Refusal):
                return found
            after, left = found
            if {price.provider for price in left} - operations.keys():
                # One was made since the plan was read.
                return base.conflict(f"{before.id} has just changed; repeat the call", "CHANGED")
            own = tuple(operations[price.provider] for price in left)
            return beginning.Intent(before=shown.entity, after=after, operations=own)

        first = next(iter(operations.values()), None)
        operation_id = first.id if first is not None else ""
        return await self._begin.change(
            caller, request, before.id, operation_id, decide, now_us=now_us
        )

    async def _price(
        self,
        caller: context.Caller,
        request: intents.Request,
        plan: plans.Plan,
        provider_id: str,
        provider_price_id: str,
    ) -> plans.Price | None:
        """Returns the price to make, or the one that is there; None for a repeat."""
        more: tuple[int, ...] = ()
        if provider_price_id:
            more = (capability_pb2.CAPABILITY_OBJECT_FETCH,)
        route = await intents.way(
            self._ctx,
            caller,
            request,
            model.Kind.CREATE_PLAN,
            provider_id,
            currency=plan.currency,
            more=more,
        )
        if route is None:
            return None
        price = plans.Price(
            provider=route.plugin_id,
            binding_id=bindings.binding_id(caller.tenant_id, route.plugin_id),
        )
        if not provider_price_id:
            return price
        if await intents.is_used(self._ctx, caller, request):
            return None
        seen = await self._fetch(caller, price, provider_price_id)
        if not seen.active or seen.deleted:
            raise errors.invalid_field("provider_price_id", "names a price that is archived")
        if text := plans.contradicts(plan, seen):
            raise errors.invalid_field("provider_price_id", f"names another price: {text}")
        return replace(
            price,
            provider_object_id=seen.provider_object_id,
            provider_time_us=seen.state_time_us,
            sync_state=model.SyncState.SYNCED,
        )

    async def _fetch(
        self, caller: context.Caller, price: plans.Price, provider_price_id: str
    ) -> objects.Plan:
        provider = self._ctx.providers.find(price.provider)
        if provider is None:
            raise errors.unavailable(f"provider {price.provider} was removed")
        wanted = objects.Reference(
            kind=objects.ObjectKind.PLAN, provider_object_id=provider_price_id
        )
        found = await fetching.fetch(
            provider, wanted, binding_id=price.binding_id, tenant_id=caller.tenant_id
        )
        if found.absent:
            raise errors.invalid_field("provider_price_id", f"{price.provider} has no such price")
        if not found.seen or not isinstance(found.seen[0], objects.Plan):
            raise errors.unavailable(
                f"the price could not be looked at: {found.detail}; repeat the call"
            )
        return found.seen[0]

    def _making(
        self,
        caller: context.Caller,
        request: intents.Request,
        plan: plans.Plan,
        price: plans.Price,
        now_us: int,
    ) -> model.Operation:
        return self._begin.operation(
            caller,
            request,
            model.Kind.CREATE_PLAN,
            plan.id,
            price.provider,
            requests.create_plan(plan),
            now_us=now_us,
        )


def _intent(
    before: plans.Plan | None,
    after: plans.Plan,
    price: plans.Price,
    operation: model.Operation | None,
) -> beginning.Intent:
    """Returns what makes a price, or takes the one that is there."""
    if operation is not None:
        return beginning.Intent(before=before, after=after, operations=(operation,))
    return beginning.Intent(before=before, after=after, claims=(_named(after, price),))


def _taken(
    conn: storage.Connection, plan: plans.Plan, price: plans.Price
) -> bindings.Refusal | None:
    """Returns why a price that is there can't be this plan's, or None."""
    if not price.provider_object_id:
        return None
    other = provider_objects.find(conn, *_named(plan, price))
    if not other or other == plan.id:
        return None
    return base.conflict(f"{price.provider_object_id} is the price of {other}", "TAKEN")


def _named(
    plan: plans.Plan, price: plans.Price
) -> tuple[provider_objects.Owner, objects.Reference]:
    return (
        provider_objects.Owner(tenant_id=plan.tenant_id, binding_id=price.binding_id),
        objects.Reference(
            kind=objects.ObjectKind.PLAN, provider_object_id=price.provider_object_id
        ),
    )
