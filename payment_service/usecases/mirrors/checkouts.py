"""Checkouts: create, get, list, expire.

Owns the transactions of these calls, and what a checkout needs first: the customer at the
provider and the price of its plan. Called by the API. What is paid becomes known by what
providers tell; see `absorbing`.
"""

import json
from dataclasses import dataclass

from payment_service.db import bindings as binding_rows
from payment_service.db import customers as customer_rows
from payment_service.db import mirrors
from payment_service.domain import bindings, model, routing
from payment_service.domain.mirrors import base, checkouts, plans
from payment_service.provider_client import checkout_requests
from payment_service.usecases import context, customers, intents, refusals, settling
from payment_service.usecases.mirrors import beginning, payment_methods
from servicekit import errors, storage

_RULES = checkouts.RULES
# Keys of customers that are made for their first checkout, one per user.
_CUSTOMER_RPC = "CheckoutCustomer"
# Keys of customers that are made for whoever subscribes, one per checkout.
_SUBSCRIBER_RPC = "CheckoutSubscriber"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A checkout to make: for an amount in minor units, or for a plan.

    At most one of `customer_id` and `user_id` is set; `trial_days` None for those of the
    plan.
    """

    request: intents.Request
    customer_id: str
    user_id: str
    amount_minor: int
    currency: str
    plan_id: str
    quantity: int
    trial_days: int | None
    success_url: str
    cancel_url: str
    open_for_us: int
    description: str
    embedded: bool
    provider: str
    order_id: str
    metadata: dict[str, str]


class Checkouts:
    """The use cases of checkouts."""

    def __init__(
        self,
        ctx: context.Context,
        settler: settling.Settler,
        customers_: customers.Customers,
    ) -> None:
        self._ctx = ctx
        self._customers = customers_
        self._begin = beginning.Beginner(ctx, settler, _RULES)

    async def create(self, caller: context.Caller, wanted: Create) -> beginning.Shown:
        """Makes a page on which a payer pays; their customer at the provider first.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND (customer, plan), STATE_CONFLICT,
                CAPABILITY_MISSING, idempotency conflicts, and what else keeps provider or
                binding from it.
        """
        kind = model.Kind.CREATE_CHECKOUT
        route = await intents.way(
            self._ctx,
            caller,
            wanted.request,
            kind,
            wanted.provider,
            amount_minor=wanted.amount_minor,
            currency=wanted.currency,
        )
        if route is None:
            return await self._begin.repeat(caller, wanted.request)
        try:
            price_id, trial_days = await self._price(caller, wanted, route.plugin_id)
            customer = await self._payer(caller, wanted, route.plugin_id)
        except errors.RpcError:
            if await intents.is_used(self._ctx, caller, wanted.request):
                return await self._begin.repeat(caller, wanted.request)
            raise
        now_us = self._ctx.clock.now_us()
        checkout = await self._drafted(caller, wanted, route, customer, now_us)
        terms = checkout_requests.Terms(
            provider_customer_id=customer.provider_customer_id if customer is not None else "",
            provider_price_id=price_id,
            trial_days=trial_days,
            success_url=wanted.success_url,
            cancel_url=wanted.cancel_url,
            embedded=wanted.embedded,
        )
        operation = self._begin.operation(
            caller,
            wanted.request,
            kind,
            checkout.id,
            route.plugin_id,
            checkout_requests.create_checkout(checkout, terms),
            now_us=now_us,
        )
        intent = beginning.Intent(before=None, after=checkout, operations=(operation,))
        return await self._begin.change(
            caller, wanted.request, checkout.id, operation.id, lambda _: intent, now_us=now_us
        )

    async def _drafted(
        self,
        caller: context.Caller,
        wanted: Create,
        route: routing.Route,
        customer: model.Customer | None,
        now_us: int,
    ) -> checkouts.Checkout:
        return checkouts.Checkout(
            id=self._ctx.new_id(_RULES.prefix),
            tenant_id=caller.tenant_id,
            place=base.Place(
                provider=route.plugin_id,
                binding_id=bindings.binding_id(caller.tenant_id, route.plugin_id),
            ),
            customer_id=customer.id if customer is not None else "",
            user_id=customer.profile.user_id if customer is not None else "",
            amount_minor=wanted.amount_minor,
            currency=wanted.currency,
            plan_id=wanted.plan_id,
            quantity=wanted.quantity,
            publishable_key=await self._publishable_key(route),
            expire_us=now_us + wanted.open_for_us,
            order_id=wanted.order_id,
            description=wanted.description,
            metadata=wanted.metadata,
            created_us=now_us,
            updated_us=now_us,
        )

    async def get(self, caller: context.Caller, checkout_id: str) -> beginning.Shown:
        """Returns a checkout.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        return await self._begin.get(caller, checkout_id)

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[checkouts.Checkout]:
        """Returns at most *most* checkouts without their operations, newest first."""
        return await self._begin.list_newest_first(caller, wanted, most)

    async def expire(
        self, caller: context.Caller, request: intents.Request, checkout_id: str
    ) -> beginning.Shown:
        """Ends an open checkout.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STATE_CONFLICT, CAPABILITY_MISSING,
                idempotency conflicts, and what else keeps provider or binding from it.
        """
        before = (await self._begin.get(caller, checkout_id)).entity

        def rule(conn: storage.Connection, now: beginning.Shown) -> bytes | bindings.Refusal:
            refusal = checkouts.refusal(now.entity, now.operations)
            return refusal or checkout_requests.expire_checkout(now.entity.place.provider_object_id)

        kind = model.Kind.EXPIRE_CHECKOUT
        return await self._begin.ask_provider(caller, request, before, kind, rule)

    async def _payer(
        self, caller: context.Caller, wanted: Create, provider: str
    ) -> model.Customer | None:
        """Returns the customer, known at the provider; None for an amount of nobody's."""
        if wanted.customer_id:
            customer = await self._customers.get(caller, wanted.customer_id)
            if customer.provider != provider:
                raise errors.invalid_field(
                    "customer_id", f"is a customer at {customer.provider}, not at {provider}"
                )
        elif wanted.user_id:
            customer = await self._of_user(caller, wanted.user_id, provider)
        elif wanted.plan_id:
            customer = await self._make(caller, _SUBSCRIBER_RPC, wanted.request.key, provider)
        else:
            return None
        if not customer.provider_customer_id and customer.sync_state is model.SyncState.FAILED:
            customer = await self._make_again(caller, wanted, customer)
        if not customer.provider_customer_id:
            raise refusals.refused(payment_methods.unknown_there(customer))
        return customer

    async def _of_user(self, caller: context.Caller, user_id: str, provider: str) -> model.Customer:
        """Returns a user's customer at a provider, made if there is none.

        The key is the user's, so that checkouts that begin together make one.
        """
        found = await self._ctx.db.read(
            lambda conn: customer_rows.of_user(conn, caller.tenant_id, user_id, provider)
        )
        if found is not None:
            return found
        return await self._make(caller, _CUSTOMER_RPC, f"{provider} {user_id}", provider, user_id)

    async def _make(
        self, caller: context.Caller, rpc: str, key: str, provider: str, user_id: str = ""
    ) -> model.Customer:
        request = intents.Request(rpc=rpc, key=key, fingerprint=intents.fingerprint(key.encode()))
        profile = model.Profile(user_id=user_id)
        return await self._customers.create(
            caller, customers.Create(request=request, profile=profile, provider=provider)
        )

    async def _make_again(
        self, caller: context.Caller, wanted: Create, customer: model.Customer
    ) -> model.Customer:
        """Has the provider make a customer that it refused or never got; once per version."""
        key = f"{customer.id} {customer.version} {wanted.request.key}"
        request = intents.Request(
            rpc=_CUSTOMER_RPC, key=key, fingerprint=intents.fingerprint(key.encode())
        )
        return await self._customers.update(
            caller,
            customers.Update(
                request=request, customer_id=customer.id, profile=customer.profile, paths=()
            ),
        )

    async def _price(
        self, caller: context.Caller, wanted: Create, provider: str
    ) -> tuple[str, int]:
        """Returns the plan's price at the provider, '' for an amount, and the trial's days."""
        if not wanted.plan_id:
            return "", 0
        plan: plans.Plan | None = await self._ctx.db.read(
            lambda conn: mirrors.load(conn, plans.RULES, caller.tenant_id, wanted.plan_id)
        )
        if plan is None:
            raise errors.not_found("plan", wanted.plan_id)
        if plan.state is not plans.State.ACTIVE:
            text = f"{plan.id} is {plan.state.name}; only an ACTIVE plan can be paid for"
            raise refusals.refused(base.conflict(text, f"STATE_{plan.state.name}"))
        place = plan.place_at(provider)
        if place is None or not place.provider_object_id:
            raise errors.invalid_field("plan_id", f"has no price at {provider}")
        days = plan.trial_days if wanted.trial_days is None else wanted.trial_days
        return place.provider_object_id, days

    async def _publishable_key(self, route: routing.Route) -> str:
        """Returns the key for front ends that the binding's configuration names, if it does."""
        stored = await self._ctx.db.read(lambda conn: binding_rows.load(conn, route.binding.id))
        if stored is None:
            return ""
        found = json.loads(stored.content.config_json).get("publishable_key", "")
        return found if isinstance(found, str) else ""
