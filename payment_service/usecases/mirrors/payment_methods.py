"""Payment methods: attach, get, list, set default, detach.

Owns the rules that need a database: the customer, and how many methods one has. Called by
the API. A token is in the request of its operation and nowhere else.
"""

from dataclasses import dataclass

from payment_service.db import customers as customer_rows
from payment_service.db import mirrors
from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, payment_methods
from payment_service.provider_client import requests
from payment_service.usecases import context, intents, settling
from payment_service.usecases.mirrors import beginning
from servicekit import errors, storage

_RULES = payment_methods.RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    """A payment method to keep; `token` is a secret."""

    request: intents.Request
    customer_id: str
    token: str
    set_default: bool


class PaymentMethods:
    """The use cases of payment methods."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._begin = beginning.Beginner(ctx, settler, _RULES)

    async def attach(self, caller: context.Caller, wanted: Attach) -> beginning.Shown:
        """Keeps a payment method at a customer.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND (customer), STATE_CONFLICT,
                CAPABILITY_MISSING, idempotency conflicts, and what else keeps provider or
                binding from it.
        """
        customer = await self._customer(caller, wanted.customer_id)
        kind = model.Kind.ATTACH_PAYMENT_METHOD
        route = await intents.way(
            self._ctx, caller, wanted.request, kind, customer.provider, follows=True
        )
        if route is None:
            return await self._begin.repeat(caller, wanted.request)
        now_us = self._ctx.clock.now_us()
        method = payment_methods.PaymentMethod(
            id=self._ctx.new_id(_RULES.prefix),
            tenant_id=caller.tenant_id,
            place=base.Place(
                provider=customer.provider,
                binding_id=bindings.binding_id(caller.tenant_id, customer.provider),
            ),
            customer_id=customer.id,
            user_id=customer.profile.user_id,
            created_us=now_us,
            updated_us=now_us,
        )
        body = b""
        if customer.provider_customer_id:
            body = requests.attach_payment_method(
                method.id,
                token=wanted.token,
                provider_customer_id=customer.provider_customer_id,
                set_default=wanted.set_default,
            )
        operation = self._begin.operation(
            caller, wanted.request, kind, method.id, customer.provider, body, now_us=now_us
        )

        def decide(conn: storage.Connection) -> beginning.Intent | bindings.Refusal:
            if not customer.provider_customer_id:
                return unknown_there(customer)
            customer_rows.load(conn, caller.tenant_id, customer.id, lock=True)
            most = payment_methods.METHODS_MAX
            kept = mirrors.lock_of_customer(conn, _RULES, caller.tenant_id, customer.id, most)
            if len(kept) >= most:
                return base.conflict(
                    f"{customer.id} has {most} payment methods, as many as allowed; "
                    "detach one first",
                    "FULL",
                )
            return beginning.Intent(before=None, after=method, operations=(operation,))

        return await self._begin.change(
            caller, wanted.request, method.id, operation.id, decide, now_us=now_us
        )

    async def get(self, caller: context.Caller, payment_method_id: str) -> beginning.Shown:
        """Returns a payment method.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        return await self._begin.get(caller, payment_method_id)

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[payment_methods.PaymentMethod]:
        """Returns at most *most* payment methods without their operations, newest first.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND (customer).
        """
        await self._customer(caller, wanted.customer_id)
        return await self._begin.list_newest_first(caller, wanted, most)

    async def set_default(
        self, caller: context.Caller, request: intents.Request, payment_method_id: str
    ) -> beginning.Shown:
        """Makes a payment method the one its customer pays by.

        Raises:
            errors.RpcError: as for attach.
        """
        kind = model.Kind.SET_DEFAULT_PAYMENT_METHOD
        return await self._change(caller, request, payment_method_id, kind)

    async def detach(
        self, caller: context.Caller, request: intents.Request, payment_method_id: str
    ) -> beginning.Shown:
        """Takes a payment method from its customer.

        Raises:
            errors.RpcError: as for attach.
        """
        kind = model.Kind.DETACH_PAYMENT_METHOD
        return await self._change(caller, request, payment_method_id, kind)

    async def _change(
        self,
        caller: context.Caller,
        request: intents.Request,
        payment_method_id: str,
        kind: model.Kind,
    ) -> beginning.Shown:
        before = (await self._begin.get(caller, payment_method_id)).entity
        customer = await self._customer(caller, before.customer_id)

        def rule(conn: storage.Connection, now: beginning.Shown) -> bytes | bindings.Refusal:
            refusal = payment_methods.refusal(now.entity, now.operations)
            if refusal is not None:
                return refusal
            there = now.entity.place.provider_object_id
            if kind is model.Kind.DETACH_PAYMENT_METHOD:
                return requests.detach_payment_method(there)
            return requests.set_default_payment_method(there, customer.provider_customer_id)

        return await self._begin.ask_provider(caller, request, before, kind, rule)

    async def _customer(self, caller: context.Caller, customer_id: str) -> model.Customer:
        customer = await self._ctx.db.read(
            lambda conn: customer_rows.load(conn, caller.tenant_id, customer_id)
        )
        if customer is None:
            raise errors.not_found("customer", customer_id)
        return customer


def unknown_there(customer: model.Customer) -> bindings.Refusal:
    """Returns the refusal while a customer's provider is not known to have them."""
    return base.conflict(
        f"{customer.id} is not known at {customer.provider}; wait until its sync_state is "
        "SYNCED, or update it to have it made again",
        f"SYNC_STATE_{customer.sync_state.name}",
    )
