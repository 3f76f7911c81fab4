"""Driving: an intent on a payment that exists, from its rule to its outcome.

Owns reading the payment, the task that no deadline of the caller can stop, and the answer
to a key that was used before. Called by the use cases of payments, increments and refunds.
Never decides: they bring the rule.
"""

from payment_service.db import idempotency, payments
from payment_service.domain import bindings, model
from payment_service.usecases import (
    beginning,
    context,
    daily_limits,
    intents,
    refusals,
    settling,
)
from servicekit import errors, storage


class Driver:
    """Begins changes of payments and drives them to their outcome."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._settler = settler

    async def read(self, caller: context.Caller, payment_id: str) -> model.Payment:
        """Returns a payment with its operations.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        payment = await self._ctx.db.read(
            lambda conn: payments.load(conn, caller.tenant_id, payment_id)
        )
        if payment is None:
            raise errors.not_found("payment", payment_id)
        return payment

    async def begin_and_drive(
        self,
        caller: context.Caller,
        request: intents.Request,
        before: model.Payment,
        operation_id: str,
        decide: beginning.Decide,
        takes: bindings.Counted | None = None,
    ) -> model.Payment:
        """Commits an intent on *before* and drives it to its outcome, whoever gives up.

        Raises:
            errors.RpcError: What *decide* refuses, idempotency conflicts, LIMIT_EXCEEDED.
        """
        return await self._ctx.tracker.shielded(
            self._drive(caller, request, before, operation_id, decide, takes)
        )

    async def _drive(
        self,
        caller: context.Caller,
        request: intents.Request,
        before: model.Payment,
        operation_id: str,
        decide: beginning.Decide,
        takes: bindings.Counted | None,
    ) -> model.Payment:
        try:
            begun = await beginning.begin(
                self._ctx, caller, request, before.id, operation_id, decide, takes=takes
            )
        except daily_limits.DayIsFull as full:
            raise await daily_limits.refusal(self._ctx, full) from None
        if begun.refusal is not None:
            raise refusals.of_payment(begun.refusal)
        if begun.payment is None:
            return await self.repeat(caller, request)
        self._ctx.outbox_written.set()
        if begun.operation is None:
            return begun.payment
        return await self._settler.drive_payment(begun.operation, begun.payment)

    async def repeat(self, caller: context.Caller, request: intents.Request) -> model.Payment:
        """Returns the payment that a used key made or changed, as it stands now.

        Raises:
            errors.RpcError: IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_KEY_IN_FLIGHT; UNAVAILABLE
                while the key is being written.
        """

        def look(
            conn: storage.Connection,
        ) -> tuple[idempotency.Found | None, model.Payment | None]:
            found = idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
            if found is None:
                return None, None
            return found, payments.load(conn, caller.tenant_id, found.resource_id)

        found, payment = await self._ctx.db.read(look)
        if found is None:
            raise errors.unavailable("the idempotency key is being written; repeat the call")
        operation = payment.operation(found.operation_id) if payment else None
        abandoned = intents.check_repeat(request, found, operation)
        if payment is None:
            raise LookupError(f"idempotency key points at {found.resource_id}, which is gone")
        if abandoned:
            await self._settler.hurry(payment.id)
        return payment
