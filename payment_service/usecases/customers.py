"""Customers: create, get, update.

Owns the transactions of these calls. Called by the API. A customer is kept
here and made at the provider by an operation, settled like a payment's.
"""

from dataclasses import dataclass, replace

from payment_service.db import customers as customer_rows
from payment_service.db import idempotency, operations, outbox
from payment_service.domain import bindings, customers, model
from payment_service.provider_client import requests
from payment_service.usecases import changing, context, events, intents, refusals, settling
from servicekit import errors, storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A customer to create."""

    request: intents.Request
    profile: model.Profile
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """New values for a customer; *paths* are names of profile fields, empty for all."""

    request: intents.Request
    customer_id: str
    profile: model.Profile
    paths: tuple[str, ...]


class Customers:
    """The use cases of customers."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._settler = settler

    async def create(self, caller: context.Caller, wanted: Create) -> model.Customer:
        """Creates a customer here and at the provider.

        Raises:
            errors.RpcError: PROVIDER_UNKNOWN, CAPABILITY_MISSING, idempotency conflicts, and
                what else keeps provider or binding from it.
        """
        kind = model.Kind.CREATE_CUSTOMER
        route = await intents.way(self._ctx, caller, wanted.request, kind, wanted.provider)
        if route is None:
            return await self._repeat(caller, wanted.request)
        now_us = self._ctx.clock.now_us()
        customer = model.Customer(
            id=self._ctx.new_id("cus"),
            tenant_id=caller.tenant_id,
            profile=wanted.profile,
            provider=route.plugin_id,
            binding_id=bindings.binding_id(caller.tenant_id, route.plugin_id),
            created_us=now_us,
            updated_us=now_us,
        )
        operation = replace(
            self._operation(caller, model.Kind.CREATE_CUSTOMER, customer, wanted.request, now_us),
            request=requests.create_customer(customer),
        )
        change = customers.create(customer, operation)
        return await self._ctx.tracker.shielded(self._create(caller, wanted.request, change))

    async def _create(
        self, caller: context.Caller, request: intents.Request, change: customers.Change
    ) -> model.Customer:
        claim = intents.claim(
            self._ctx,
            caller,
            request,
            resource_id=change.customer.id,
            operation_id=change.operation.id,
            now_us=change.customer.created_us,
        )
        (entry,) = events.of_customer(change, self._ctx.new_id)
        batch: changing.Batch = [
            (idempotency.CLAIM, idempotency.params(claim)),
            (customer_rows.INSERT, customer_rows.params(change.customer)),
            (outbox.APPEND_IF_FIRST, outbox.params(entry)),
            (operations.INSERT, operations.params(change.operation)),
        ]
        counts = await self._ctx.db.write(
            lambda conn: conn.run_all(batch, first_decides=True), one_statement=True
        )
        if not counts[0]:
            return await self._repeat(caller, request)
        self._ctx.outbox_written.set()
        return await self._settler.drive_customer(change.operation)

    async def get(self, caller: context.Caller, customer_id: str) -> model.Customer:
        """Returns a customer.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        customer = await self._ctx.db.read(
            lambda conn: customer_rows.load(conn, caller.tenant_id, customer_id)
        )
        if customer is None:
            raise errors.not_found("customer", customer_id)
        return customer

    async def update(self, caller: context.Caller, wanted: Update) -> model.Customer:
        """Changes a customer here and at the provider.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STATE_CONFLICT, CAPABILITY_MISSING,
                idempotency conflicts.
        """
        before = await self.get(caller, wanted.customer_id)
        kind = model.Kind.UPDATE_CUSTOMER
        await intents.way(self._ctx, caller, wanted.request, kind, before.provider, follows=True)
        return await self._ctx.tracker.shielded(self._update(caller, wanted))

    async def _update(self, caller: context.Caller, wanted: Update) -> model.Customer:
        now_us = self._ctx.clock.now_us()
        ids = context.fresh_ids(self._ctx.new_id)
        operation_id = self._ctx.new_id("op")

        def begin(conn: storage.Connection) -> customers.Change | model.Customer | None:
            customer = customer_rows.load(conn, caller.tenant_id, wanted.customer_id, lock=True)
            request = wanted.request
            found = idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
            if found is not None:
                return None
            if customer is None:
                raise LookupError(f"{wanted.customer_id} vanished")
            own = operations.newest(conn, customer.id, customers.NEWEST_MAX)
            if customers.is_being_made(customer, own):
                return customer
            change = self._changed(caller, customer, wanted, operation_id, now_us)
            change = replace(change, operation=model.after(change.operation, own))
            claim = intents.claim(
                self._ctx,
                caller,
                request,
                resource_id=customer.id,
                operation_id=operation_id,
                now_us=now_us,
            )
            claimed = conn.run(idempotency.CLAIM, idempotency.params(claim))
            if not claimed:
                return None
            entries = events.of_customer(change, ids())
            changing.write(conn, changing.customer_batch(change, entries, operations.INSERT))
            return change

        change = await self._ctx.db.write(begin)
        if change is None:
            return await self._repeat(caller, wanted.request)
        if isinstance(change, model.Customer):
            raise refusals.customer_being_made(change)
        self._ctx.outbox_written.set()
        return await self._settler.drive_customer(change.operation)

    def _changed(
        self,
        caller: context.Caller,
        customer: model.Customer,
        wanted: Update,
        operation_id: str,
        now_us: int,
    ) -> customers.Change:
        profile = wanted.profile
        if wanted.paths:
            values = {path: getattr(wanted.profile, path) for path in wanted.paths}
            profile = replace(customer.profile, **values)
        # A customer whose creation failed is made by its next update.
        kind = model.Kind.UPDATE_CUSTOMER
        request = requests.update_customer(replace(customer, profile=profile))
        if not customer.provider_customer_id:
            kind = model.Kind.CREATE_CUSTOMER
            request = requests.create_customer(replace(customer, profile=profile))
        operation = self._operation(caller, kind, customer, wanted.request, now_us)
        operation = replace(operation, id=operation_id, request=request)
        return customers.update(customer, profile, operation, now_us)

    def _operation(
        self,
        caller: context.Caller,
        kind: model.Kind,
        customer: model.Customer,
        request: intents.Request,
        now_us: int,
    ) -> model.Operation:
        return intents.operation(
            self._ctx,
            caller,
            kind=kind,
            entity_id=customer.id,
            provider_name=customer.provider,
            key=request.key,
            now_us=now_us,
        )

    async def _repeat(self, caller: context.Caller, request: intents.Request) -> model.Customer:
        """The key was used before: returns the customer it made or changed, as it stands now."""

        def look(
            conn: storage.Connection,
        ) -> tuple[idempotency.Found, model.Customer, model.Operation] | None:
            found = idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
            if found is None:
                return None
            customer = customer_rows.load(conn, caller.tenant_id, found.resource_id)
            operation = operations.load(conn, found.resource_id, found.operation_id)
            return (found, customer, operation) if customer and operation else None

        seen = await self._ctx.db.read(look)
        if seen is None:
            raise errors.unavailable("the idempotency key is being written; repeat the call")
        found, customer, operation = seen
        if intents.check_repeat(request, found, operation):
            await self._settler.hurry(customer.id)
        return customer
