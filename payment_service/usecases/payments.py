"""Payments: create, confirm, capture, cancel, get.

Owns the transactions of these calls. Called by the API. Each one commits its
intent together with the caller's idempotency key, calls the provider with no
transaction open, and commits the outcome, in a task that no deadline of the
caller can stop half-way.
"""

from dataclasses import replace

from payhub.plugin.v1 import capability_pb2

from payment_service.db import idempotency, operations, outbox, payments
from payment_service.domain import actions, bindings, changes, commands, model
from payment_service.provider_client import requests
from payment_service.usecases import (
    asked,
    changing,
    context,
    daily_limits,
    driving,
    events,
    instruments,
    intents,
    settling,
)
from servicekit import errors


class Payments:
    """The use cases of payments."""

    def __init__(
        self, ctx: context.Context, settler: settling.Settler, driver: driving.Driver
    ) -> None:
        self._ctx = ctx
        self._settler = settler
        self._driver = driver

    async def create(self, caller: context.Caller, wanted: asked.Create) -> model.Payment:
        """Creates a payment and, with `confirm`, sends it.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND (customer), IDEMPOTENCY_KEY_REUSED,
                IDEMPOTENCY_KEY_IN_FLIGHT; PROVIDER_UNKNOWN, PROVIDER_DISABLED,
                BINDING_UNKNOWN, CAPABILITY_MISSING, KILL_SWITCH_ACTIVE, FEATURE_DISABLED,
                LIMIT_EXCEEDED.
        """
        ctx = self._ctx
        route = await intents.way(
            ctx,
            caller,
            wanted.request,
            _initial_kind(wanted.capture_method),
            wanted.provider,
            amount_minor=wanted.amount_minor,
            currency=wanted.currency,
            more=instruments.needs(off_session=wanted.off_session, saves=wanted.saves_method),
        )
        if route is None:
            return await self._driver.repeat(caller, wanted.request)
        try:
            means = await instruments.find(ctx, caller, wanted, wanted.references, route.plugin_id)
            if wanted.saves_method:
                instruments.require_customer(means)
        except errors.RpcError:
            if await intents.is_used(ctx, caller, wanted.request):
                return await self._driver.repeat(caller, wanted.request)
            raise
        payment = _new(ctx, caller, wanted, route.plugin_id)
        operation = None
        if wanted.confirm:
            body = requests.authorize(
                payment,
                payment_method=means.token,
                return_url=wanted.return_url,
                provider_customer_id=means.provider_customer_id,
            )
            operation = self._initial(caller, wanted.request, payment, payment.created_us, body)
        takes = daily_limits.counted(route, operation)
        if takes is not None and operation is not None:
            operation = replace(operation, counted_day=takes.day)
        change = commands.create(payment, operation)
        return await ctx.tracker.shielded(self._create(caller, wanted.request, change, takes))

    async def _create(
        self,
        caller: context.Caller,
        request: intents.Request,
        change: changes.Change,
        takes: bindings.Counted | None,
    ) -> model.Payment:
        payment, operation = change.payment, change.new_operation
        claim = intents.claim(
            self._ctx,
            caller,
            request,
            resource_id=payment.id,
            operation_id=operation.id if operation else "",
            now_us=payment.created_us,
        )
        (entry,) = events.of_change(change, caller.cause(request.key), self._ctx.new_id)
        batch: changing.Batch = [
            (idempotency.CLAIM, idempotency.params(claim)),
            payments.insert(payment),
            (outbox.APPEND_IF_FIRST, outbox.params(entry)),
        ]
        if operation is not None:
            batch.append((operations.INSERT, operations.params(operation)))
        try:
            # A day that is full undoes the whole, which a lone statement can't.
            written = await self._ctx.db.write(
                lambda conn: changing.write_if_first(conn, batch, takes),
                one_statement=takes is None,
            )
        except daily_limits.DayIsFull as full:
            raise await daily_limits.refusal(self._ctx, full) from None
        if not written:
            return await self._driver.repeat(caller, request)
        self._ctx.outbox_written.set()
        if operation is None:
            return payment
        return await self._settler.drive_payment(operation, payment)

    async def confirm(self, caller: context.Caller, wanted: asked.Confirm) -> model.Payment:
        """Sends a created or failed payment.

        Raises:
            errors.RpcError: as for create, and STATE_CONFLICT.
        """
        before = await self._driver.read(caller, wanted.payment_id)
        route = await intents.way(
            self._ctx,
            caller,
            wanted.request,
            _initial_kind(before.capture_method),
            before.provider,
            follows=True,
            amount_minor=before.amount_minor,
            currency=before.currency,
            more=instruments.needs(off_session=before.off_session, saves=before.saves_method),
        )
        if route is None:
            return await self._driver.repeat(caller, wanted.request)
        if before.off_session and not wanted.payment_method_id:
            raise errors.invalid_field("payment_method_id", "is required for one off session")
        try:
            means = await instruments.find(
                self._ctx, caller, wanted, before.references, route.plugin_id
            )
        except errors.RpcError:
            if await intents.is_used(self._ctx, caller, wanted.request):
                return await self._driver.repeat(caller, wanted.request)
            raise
        now_us = self._ctx.clock.now_us()
        operation = self._initial(caller, wanted.request, before, now_us)
        takes = daily_limits.counted(route, operation)
        if takes is not None:
            operation = replace(operation, counted_day=takes.day)

        def decide(payment: model.Payment) -> changes.Change | changes.Refusal:
            request = requests.authorize(
                payment,
                payment_method=means.token,
                return_url=wanted.return_url,
                provider_customer_id=means.provider_customer_id,
            )
            intent = replace(operation, request=request)
            return commands.confirm(payment, intent, now_us, wanted.payment_method_id)

        return await self._driver.begin_and_drive(
            caller, wanted.request, before, operation.id, decide, takes
        )

    async def capture(self, caller: context.Caller, wanted: asked.Capture) -> model.Payment:
        """Captures an authorized payment or a part of it.

        Raises:
            errors.RpcError: STATE_CONFLICT, AMOUNT_EXCEEDED, CAPABILITY_MISSING,
                RESOURCE_NOT_FOUND, idempotency conflicts.
        """
        before = await self._driver.read(caller, wanted.payment_id)
        if wanted.currency and wanted.currency != before.currency:
            raise errors.invalid_field("amount.currency_code", f"must be {before.currency}")
        kind, needs = model.Kind.CAPTURE, _capture_needs(before, wanted)
        await intents.way(
            self._ctx, caller, wanted.request, kind, before.provider, follows=True, more=needs
        )
        now_us = self._ctx.clock.now_us()
        draft = intents.operation(
            self._ctx,
            caller,
            kind=kind,
            entity_id=before.id,
            provider_name=before.provider,
            key=wanted.request.key,
            now_us=now_us,
        )
        operation = replace(draft, currency=before.currency, final=wanted.final)

        def decide(payment: model.Payment) -> changes.Change | changes.Refusal:
            amount = wanted.amount_minor
            if amount is None:
                amount = max(actions.capturable_minor(payment), 1)
            request = requests.capture(payment, amount, final=wanted.final)
            return commands.capture(
                payment, replace(operation, request=request), wanted.amount_minor, now_us
            )

        return await self._driver.begin_and_drive(
            caller, wanted.request, before, operation.id, decide
        )

    async def cancel(self, caller: context.Caller, wanted: asked.Cancel) -> model.Payment:
        """Ends a payment without money, or releases what is not captured yet.

        Raises:
            errors.RpcError: STATE_CONFLICT, CAPABILITY_MISSING, RESOURCE_NOT_FOUND,
                idempotency conflicts.
        """
        before = await self._driver.read(caller, wanted.payment_id)
        if before.state not in (model.PaymentState.CREATED, model.PaymentState.FAILED):
            kind = model.Kind.VOID
            await intents.way(
                self._ctx, caller, wanted.request, kind, before.provider, follows=True
            )
        now_us = self._ctx.clock.now_us()
        operation = self.void_operation(caller, before, wanted.request.key, now_us)

        def decide(payment: model.Payment) -> changes.Change | changes.Refusal:
            if payment.operations:
                request = requests.void(payment)
                return commands.cancel(payment, replace(operation, request=request), now_us)
            return commands.cancel(payment, operation, now_us)

        return await self._driver.begin_and_drive(
            caller, wanted.request, before, operation.id, decide
        )

    async def get(self, caller: context.Caller, payment_id: str) -> model.Payment:
        """Returns a payment; for one in doubt, makes the resolver look now.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        payment = await self._driver.read(caller, payment_id)
        if any(operation.is_unknown for operation in payment.operations):
            await self._settler.hurry(payment.id)
        return payment

    async def list_newest_first(
        self, caller: context.Caller, wanted: payments.ListFilter, most: int
    ) -> list[model.Payment]:
        """Returns at most *most* payments, newest first, with operations only where these
        decide what is allowed.
        """
        return await self._ctx.db.read(
            lambda conn: payments.list_newest_first(conn, caller.tenant_id, wanted, most)
        )

    def void_operation(
        self, caller: context.Caller, payment: model.Payment, key: str, now_us: int
    ) -> model.Operation:
        """Returns a new VOID of *payment*, without amount and request."""
        operation = intents.operation(
            self._ctx,
            caller,
            kind=model.Kind.VOID,
            entity_id=payment.id,
            provider_name=payment.provider,
            key=key,
            now_us=now_us,
        )
        return replace(operation, currency=payment.currency)

    def _initial(
        self,
        caller: context.Caller,
        request: intents.Request,
        payment: model.Payment,
        now_us: int,
        body: bytes = b"",
    ) -> model.Operation:
        return intents.operation(
            self._ctx,
            caller,
            kind=_initial_kind(payment.capture_method),
            entity_id=payment.id,
            provider_name=payment.provider,
            key=request.key,
            now_us=now_us,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            body=body,
        )


def _new(
    ctx: context.Context, caller: context.Caller, wanted: asked.Create, plugin_id: str
) -> model.Payment:
    now_us = ctx.clock.now_us()
    return model.Payment(
        id=ctx.new_id("pay"),
        tenant_id=caller.tenant_id,
        state=model.PaymentState.CREATED,
        amount_minor=wanted.amount_minor,
        currency=wanted.currency,
        capture_method=wanted.capture_method,
        provider=plugin_id,
        binding_id=bindings.binding_id(caller.tenant_id, plugin_id),
        references=wanted.references,
        description=wanted.description,
        payment_method_id=wanted.payment_method_id if wanted.confirm else "",
        off_session=wanted.off_session,
        saves_method=wanted.saves_method,
        created_us=now_us,
        updated_us=now_us,
    )


def _initial_kind(method: model.CaptureMethod) -> model.Kind:
    return model.Kind.SALE if method is model.CaptureMethod.AUTOMATIC else model.Kind.AUTHORIZE


def _capture_needs(payment: model.Payment, wanted: asked.Capture) -> tuple[int, ...]:
    needs: list[int] = []
    if wanted.amount_minor is not None and wanted.amount_minor < payment.authorized_minor:
        needs.append(capability_pb2.CAPABILITY_PARTIAL_CAPTURE)
    if not wanted.final or payment.captured_minor:
        needs.append(capability_pb2.CAPABILITY_MULTIPLE_CAPTURE)
    return tuple(needs)
