"""Subscriptions: create, get, list, change plan, cancel, reactivate.

Owns the rules that need more than the subscription: its customer, plan and payment method.
Called by the API. What providers bill is told by them and absorbed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from payment_service.db import customers as customer_rows
from payment_service.db import mirrors
from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, payment_methods, plans, subscriptions
from payment_service.provider_client import requests
from payment_service.usecases import context, intents, settling
from payment_service.usecases.mirrors import beginning
from payment_service.usecases.mirrors import payment_methods as method_cases
from servicekit import errors, storage

_RULES = subscriptions.RULES
_AMOUNT_MAX = 2**63 - 1

Body = Callable[[storage.Connection, subscriptions.Subscription], bytes | bindings.Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A subscription to make; `trial_days` None for those of the plan."""

    request: intents.Request
    customer_id: str
    plan_id: str
    quantity: int
    trial_days: int | None
    payment_method_id: str
    user_id: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePlan:
    """Another plan or quantity; 0 leaves the quantity."""

    request: intents.Request
    subscription_id: str
    plan_id: str
    quantity: int
    proration: subscriptions.Proration


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What a new subscription rests on."""

    customer: model.Customer
    plan: plans.Plan
    method: payment_methods.PaymentMethod | None


class Subscriptions:
    """The use cases of subscriptions."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._begin = beginning.Beginner(ctx, settler, _RULES)

    async def create(self, caller: context.Caller, wanted: Create) -> beginning.Shown:
        """Subscribes a customer to a plan.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND (customer, plan, payment method),
                STATE_CONFLICT, CAPABILITY_MISSING, idempotency conflicts, and what else
                keeps provider or binding from it.
        """
        terms = await self._terms(caller, wanted)
        customer, plan = terms.customer, terms.plan
        kind = model.Kind.CREATE_SUBSCRIPTION
        route = await intents.way(
            self._ctx,
            caller,
            wanted.request,
            kind,
            customer.provider,
            follows=True,
            currency=plan.currency,
        )
        if route is None:
            return await self._begin.repeat(caller, wanted.request)
        now_us = self._ctx.clock.now_us()
        quantity = _quantity(plan, wanted.quantity or 1)
        made = subscriptions.Subscription(
            id=self._ctx.new_id(_RULES.prefix),
            tenant_id=caller.tenant_id,
            place=base.Place(
                provider=customer.provider,
                binding_id=bindings.binding_id(caller.tenant_id, customer.provider),
            ),
            customer_id=customer.id,
            user_id=wanted.user_id or customer.profile.user_id,
            plan_id=plan.id,
            quantity=quantity,
            payment_method_id=wanted.payment_method_id,
            metadata=wanted.metadata,
            created_us=now_us,
            updated_us=now_us,
        )
        operation = self._begin.operation(
            caller, wanted.request, kind, made.id, customer.provider, now_us=now_us
        )

        def decide(conn: storage.Connection) -> beginning.Intent | bindings.Refusal:
            # Its price may have become known since it was read.
            now = mirrors.load(conn, plans.RULES, caller.tenant_id, plan.id)
            body = _body(made, replace(terms, plan=now), wanted.trial_days)
            if isinstance(body, bindings.Refusal):
                return body
            asked = replace(operation, request=body)
            return beginning.Intent(before=None, after=made, operations=(asked,))

        return await self._begin.change(
            caller, wanted.request, made.id, operation.id, decide, now_us=now_us
        )

    async def get(self, caller: context.Caller, subscription_id: str) -> beginning.Shown:
        """Returns a subscription.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        return await self._begin.get(caller, subscription_id)

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[subscriptions.Subscription]:
        """Returns at most *most* subscriptions without their operations, newest first."""
        return await self._begin.list_newest_first(caller, wanted, most)

    async def change_plan(self, caller: context.Caller, wanted: ChangePlan) -> beginning.Shown:
        """Moves a subscription to another plan or quantity.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND (subscription, plan), STATE_CONFLICT,
                CAPABILITY_MISSING, idempotency conflicts.
        """
        before = (await self._begin.get(caller, wanted.subscription_id)).entity
        plan = await self._plan(caller, wanted.plan_id)

        def body(
            conn: storage.Connection, now: subscriptions.Subscription
        ) -> bytes | bindings.Refusal:
            old = mirrors.load(conn, plans.RULES, caller.tenant_id, now.plan_id)
            new = mirrors.load(conn, plans.RULES, caller.tenant_id, plan.id)
            quantity = wanted.quantity or now.quantity
            price = _move(now, old, new, quantity)
            if isinstance(price, bindings.Refusal):
                return price
            return requests.change_subscription(
                now.place.provider_object_id,
                provider_price_id=price.provider_object_id,
                quantity=quantity,
                proration=wanted.proration,
            )

        _quantity(plan, wanted.quantity or before.quantity)
        return await self._change(
            caller,
            wanted.request,
            before,
            model.Kind.CHANGE_SUBSCRIPTION,
            subscriptions.CHANGE,
            body,
        )

    async def cancel(
        self,
        caller: context.Caller,
        request: intents.Request,
        subscription_id: str,
        *,
        at_period_end: bool,
    ) -> beginning.Shown:
        """Ends a subscription, now or with the period that runs.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STATE_CONFLICT, CAPABILITY_MISSING,
                idempotency conflicts.
        """
        before = (await self._begin.get(caller, subscription_id)).entity

        def body(
            conn: storage.Connection, now: subscriptions.Subscription
        ) -> bytes | bindings.Refusal:
            return requests.cancel_subscription(
                now.place.provider_object_id, at_period_end=at_period_end
            )

        kind = model.Kind.CANCEL_SUBSCRIPTION
        return await self._change(
            caller, request, before, kind, subscriptions.CANCEL, body, at_period_end
        )

    async def reactivate(
        self, caller: context.Caller, request: intents.Request, subscription_id: str
    ) -> beginning.Shown:
        """Takes back a cancellation at the end of the period that runs.

        Raises:
            errors.RpcError: as for cancel.
        """
        before = (await self._begin.get(caller, subscription_id)).entity

        def body(
            conn: storage.Connection, now: subscriptions.Subscription
        ) -> bytes | bindings.Refusal:
            return requests.reactivate_subscription(now.place.provider_object_id)

        kind = model.Kind.REACTIVATE_SUBSCRIPTION
        return await self._change(caller, request, before, kind, subscriptions.REACTIVATE, body)

    async def _change(
        self,
        caller: context.Caller,
        request: intents.Request,
        before: subscriptions.Subscription,
        kind: model.Kind,
        action: str,
        body: Body,
        at_period_end: bool = False,
    ) -> beginning.Shown:
        def rule(conn: storage.Connection, now: beginning.Shown) -> bytes | bindings.Refusal:
            refusal = subscriptions.refusal(
                now.entity, now.operations, action, at_period_end=at_period_end
            )
            return refusal or body(conn, now.entity)

        return await self._begin.ask_provider(caller, request, before, kind, rule)

    async def _terms(self, caller: context.Caller, wanted: Create) -> _Terms:
        def look(
            conn: storage.Connection,
        ) -> tuple[model.Customer | None, plans.Plan | None, payment_methods.PaymentMethod | None]:
            tenant_id, method_id = caller.tenant_id, wanted.payment_method_id
            return (
                customer_rows.load(conn, tenant_id, wanted.customer_id),
                mirrors.load(conn, plans.RULES, tenant_id, wanted.plan_id),
                mirrors.load(conn, payment_methods.RULES, tenant_id, method_id),
            )

        customer, plan, method = await self._ctx.db.read(look)
        if customer is None:
            raise errors.not_found("customer", wanted.customer_id)
        if plan is None:
            raise errors.not_found("plan", wanted.plan_id)
        if wanted.payment_method_id and (method is None or method.customer_id != customer.id):
            raise errors.not_found("payment_method", wanted.payment_method_id)
        return _Terms(customer=customer, plan=plan, method=method)

    async def _plan(self, caller: context.Caller, plan_id: str) -> plans.Plan:
        plan: plans.Plan | None = await self._ctx.db.read(
            lambda conn: mirrors.load(conn, plans.RULES, caller.tenant_id, plan_id)
        )
        if plan is None:
            raise errors.not_found("plan", plan_id)
        return plan


def _quantity(plan: plans.Plan, quantity: int) -> int:
    """Returns how many of a plan, which together must still be an amount.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    if plan.amount_minor * quantity > _AMOUNT_MAX:
        raise errors.invalid_field("quantity", "makes an amount beyond what can be counted")
    return quantity


def _body(
    made: subscriptions.Subscription, terms: _Terms, trial_days: int | None
) -> bytes | bindings.Refusal:
    """Returns the request that makes a subscription, or why customer, plan and payment method
    don't make one.
    """
    customer, plan, method = terms.customer, terms.plan, terms.method
    provider = customer.provider
    if not customer.provider_customer_id:
        return method_cases.unknown_there(customer)
    price = _price(plan, provider)
    if isinstance(price, bindings.Refusal):
        return price
    if method is not None and (
        method.state is not payment_methods.State.ACTIVE or method.place.provider != provider
    ):
        return base.conflict(
            f"{method.id} is {method.state.name} at {method.place.provider}; only an ACTIVE "
            f"payment method at {provider} can be billed",
            f"STATE_{method.state.name}",
        )
    return requests.create_subscription(
        made,
        plan,
        provider_customer_id=customer.provider_customer_id,
        provider_price_id=price.provider_object_id,
        provider_payment_method_id=method.place.provider_object_id if method else "",
        trial_days=plan.trial_days if trial_days is None else trial_days,
    )


def _price(plan: plans.Plan, provider: str) -> plans.Price | bindings.Refusal:
    """Returns the price at *provider* that may be subscribed to, or why there is none."""
    if plan.state is not plans.State.ACTIVE:
        return base.conflict(f"{plan.id} is archived", f"STATE_{plan.state.name}")
    price = plan.price_at(provider)
    if price is not None:
        return price
    there = ", ".join(p.provider for p in plan.prices if p.provider_object_id and p.active)
    return base.conflict(
        f"{plan.id} has no price at {provider}, which the customer is at; it has one at: "
        f"{there or 'none yet'}; add one with AddPlanPrice",
        "PRICE_MISSING",
    )


def _move(
    now: subscriptions.Subscription,
    old: plans.Plan | None,
    new: plans.Plan,
    quantity: int,
) -> plans.Price | bindings.Refusal:
    """Returns the price that a subscription moves to, or why it can't."""
    allowed = subscriptions.available(now)
    state = f"STATE_{now.state.name}"
    if new.id == now.plan_id and quantity == now.quantity:
        text = f"{now.id} has {quantity} of {new.id} already"
        return base.conflict(text, state, allowed)
    if old is not None and old.currency != new.currency:
        return bindings.Refusal(
            reason="CURRENCY_MISMATCH",
            message=f"{now.id} is billed in {old.currency}, {new.id} in {new.currency}; "
            "cancel it and subscribe again",
            metadata={"currency": old.currency},
        )
    # More or fewer of a plan that is archived is no new subscription.
    price = new.price_at(now.place.provider)
    if new.id == now.plan_id and price is not None:
        return price
    return _price(new, now.place.provider)
