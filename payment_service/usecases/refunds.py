"""Refunds: create, get, list.

Owns the transactions of these calls. Called by the API. The amount is reserved
on the payment's row before the provider is called, so that two refunds can't
return more than was captured.
"""

from dataclasses import dataclass, replace

from payhub.plugin.v1 import capability_pb2

from payment_service.db import idempotency, payments
from payment_service.db import refunds as refund_rows
from payment_service.domain import actions, changes, commands, model
from payment_service.provider_client import requests
from payment_service.usecases import beginning, context, driving, intents, refusals, settling
from servicekit import errors, storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """An amount to return; `amount_minor` None for all that is left."""

    request: intents.Request
    payment_id: str
    amount_minor: int | None
    currency: str
    reason: model.RefundReason
    note: str


class Refunds:
    """The use cases of refunds."""

    def __init__(
        self, ctx: context.Context, settler: settling.Settler, driver: driving.Driver
    ) -> None:
        self._ctx = ctx
        self._settler = settler
        self._driver = driver

    async def create(self, caller: context.Caller, wanted: Create) -> model.Refund:
        """Returns captured money.

        Raises:
            errors.RpcError: STATE_CONFLICT, AMOUNT_EXCEEDED, CAPABILITY_MISSING,
                RESOURCE_NOT_FOUND, idempotency conflicts, and what keeps its provider or
                binding from refunding.
        """
        before = await self._driver.read(caller, wanted.payment_id)
        if wanted.currency and wanted.currency != before.currency:
            raise errors.invalid_field("amount.currency_code", f"must be {before.currency}")
        kind, more = model.Kind.REFUND, needs(before, wanted.amount_minor)
        await intents.way(
            self._ctx, caller, wanted.request, kind, before.provider, follows=True, more=more
        )
        return await self._ctx.tracker.shielded(self._create(caller, wanted, before))

    async def _create(
        self, caller: context.Caller, wanted: Create, before: model.Payment
    ) -> model.Refund:
        now_us = self._ctx.clock.now_us()
        refund, operation = self.draft(caller, before, wanted, now_us)

        def decide(payment: model.Payment) -> changes.Change | changes.Refusal:
            return refund_decision(payment, refund, operation, wanted.amount_minor, now_us)

        begun = await beginning.begin(
            self._ctx,
            caller,
            wanted.request,
            before.id,
            operation.id,
            decide,
            resource_id=refund.id,
        )
        if begun.refusal is not None:
            raise refusals.of_payment(begun.refusal)
        if begun.found is not None:
            return await self._repeat(caller, wanted.request, begun.found)
        assert begun.operation is not None
        self._ctx.outbox_written.set()
        await self._settler.drive_payment(begun.operation)
        return await self.get(caller, refund.id)

    def draft(
        self, caller: context.Caller, payment: model.Payment, wanted: Create, now_us: int
    ) -> tuple[model.Refund, model.Operation]:
        """Returns a new refund and its operation, without amounts and request."""
        operation = intents.operation(
            self._ctx,
            caller,
            kind=model.Kind.REFUND,
            entity_id=payment.id,
            provider_name=payment.provider,
            key=wanted.request.key,
            now_us=now_us,
        )
        refund = model.Refund(
            id=self._ctx.new_id("ref"),
            tenant_id=caller.tenant_id,
            payment_id=payment.id,
            operation_id=operation.id,
            amount_minor=0,
            currency=payment.currency,
            state=model.RefundState.PENDING,
            reason=wanted.reason,
            note=wanted.note,
            created_us=now_us,
            updated_us=now_us,
        )
        return refund, replace(operation, currency=payment.currency, refund_id=refund.id)

    async def get(self, caller: context.Caller, refund_id: str) -> model.Refund:
        """Returns a refund.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        refund = await self._ctx.db.read(
            lambda conn: refund_rows.load(conn, caller.tenant_id, refund_id)
        )
        if refund is None:
            raise errors.not_found("refund", refund_id)
        return refund

    async def list_newest_first(
        self, caller: context.Caller, *, payment_id: str, before_id: str, most: int
    ) -> list[model.Refund]:
        """Returns at most *most* refunds, newest first."""
        return await self._ctx.db.read(
            lambda conn: refund_rows.list_newest_first(
                conn, caller.tenant_id, payment_id=payment_id, before_id=before_id, most=most
            )
        )

    async def _repeat(
        self, caller: context.Caller, request: intents.Request, found: idempotency.Found
    ) -> model.Refund:
        """The key was used before: returns the refund it made, as it stands now."""

        def look(
            conn: storage.Connection,
        ) -> tuple[model.Refund | None, model.Payment | None]:
            refund = refund_rows.load(conn, caller.tenant_id, found.resource_id)
            if refund is None:
                return None, None
            return refund, payments.load(conn, caller.tenant_id, refund.payment_id)

        if not request.is_of(found):
            raise refusals.key_reused(found.resource_id)
        refund, payment = await self._ctx.db.read(look)
        if refund is None or payment is None:
            raise LookupError(f"idempotency key points at {found.resource_id}, which is gone")
        if intents.check_repeat(request, found, payment.operation(found.operation_id)):
            await self._settler.hurry(payment.id)
        return refund


def needs(payment: model.Payment, amount_minor: int | None) -> tuple[int, ...]:
    """Returns the capabilities that a refund needs beside its own; None is all that is left."""
    if amount_minor is None:
        amount_minor = actions.refundable_minor(payment)
    partial = 0 < amount_minor < payment.captured_minor
    return (capability_pb2.CAPABILITY_PARTIAL_REFUND,) if partial else ()


def refund_decision(
    payment: model.Payment,
    refund: model.Refund,
    operation: model.Operation,
    amount_minor: int | None,
    now_us: int,
) -> changes.Change | changes.Refusal:
    """Decides about a refund and writes its request for the amount decided on."""
    amount = amount_minor
    if amount is None:
        amount = max(actions.refundable_minor(payment), 1)
    request = requests.refund(payment, amount, refund.reason)
    return commands.refund(
        payment, refund, replace(operation, request=request), amount_minor, now_us
    )
