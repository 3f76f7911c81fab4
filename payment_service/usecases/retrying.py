"""Retrying: payments off session that were refused softly are confirmed again.

Owns carrying out one due try. Called by the retrier, again and again. The transaction that
commits the try's operation also uses up its slot, under the payment's lock: whoever comes
second, in whatever process, finds nothing to do.
"""

from dataclasses import replace

from payment_service.db import mirrors, payments, retry_policies
from payment_service.domain import changes, commands, model, retries, routing
from payment_service.domain.mirrors import payment_methods
from payment_service.provider_client import requests
from payment_service.usecases import changing, context, daily_limits, events, intents, settling
from servicekit import errors, logs, storage

_log = logs.get_logger(__name__)

# What keeps a try from being made now is looked at again after this long; a provider that
# is not connected, as right after a start, sooner.
_PUT_OFF_US = 60_000_000
_CONNECT_US = 5_000_000


class Retrying:
    """Carries out tries."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._settler = settler

    async def due(self, most: int) -> list[tuple[str, str, int]]:
        """Returns (tenant, payment, when it was due) of tries to be made now."""
        now_us = self._ctx.clock.now_us()
        return list(
            await self._ctx.db.read(lambda conn: retry_policies.due(conn, now_us=now_us, most=most))
        )

    async def carry_out(self, tenant_id: str, payment_id: str, slot_us: int) -> bool:
        """Confirms one payment again; returns whether it was.

        Args:
            tenant_id: Whose it is.
            payment_id: Which.
            slot_us: When the try was due: it is made once.
        """
        before = await self._ctx.db.read(lambda conn: payments.load(conn, tenant_id, payment_id))
        if before is None or not _waits(before, slot_us):
            return False
        last = before.attempt
        if last is None:
            raise LookupError(f"{payment_id} was never tried")
        try:
            route = intents.find(self._ctx, tenant_id, before.provider, follows=True)
            intents.check(
                self._ctx, tenant_id, route, last.kind, before.amount_minor, before.currency
            )
        except errors.RpcError as refusal:
            await self._put_off(before, slot_us, refusal.reason)
            return False
        provider = self._ctx.providers.find(before.provider)
        if provider is None or not provider.ready:
            await self._put_off(before, slot_us, "PROVIDER_UNREACHABLE", _CONNECT_US)
            return False
        try:
            begun = await self._begin(before, last, route, slot_us)
        except daily_limits.DayIsFull:
            await self._put_off(before, slot_us, "LIMIT_EXCEEDED")
            return False
        if begun is None:
            return False
        self._ctx.outbox_written.set()
        operation = begun.new_operation
        if operation is None:
            return False
        _log.info("trying again", payment_id=payment_id, operation_id=operation.id)
        await self._ctx.tracker.shielded(self._settler.drive_payment(operation))
        return True

    async def _begin(
        self,
        before: model.Payment,
        last: model.Operation,
        route: routing.Route,
        slot_us: int,
    ) -> changes.Change | None:
        ctx = self._ctx
        caller = context.Caller(
            tenant_id=before.tenant_id, actor=retries.ACTOR, request_id=ctx.new_id("req")
        )
        now_us = ctx.clock.now_us()
        ids = context.fresh_ids(ctx.new_id)
        operation = intents.operation(
            ctx,
            caller,
            kind=last.kind,
            entity_id=before.id,
            provider_name=before.provider,
            key="",
            now_us=now_us,
            amount_minor=before.amount_minor,
            currency=before.currency,
            # The same payment method of the same customer, for the same amount.
            body=last.request,
        )
        takes = daily_limits.counted(route, operation)
        if takes is not None:
            operation = replace(operation, counted_day=takes.day)

        def begin(conn: storage.Connection) -> changes.Change | None:
            payment = payments.load(conn, before.tenant_id, before.id, lock=True)
            if payment is None or not _waits(payment, slot_us):
                return None
            change: changes.Change | changes.Refusal
            if _is_kept(conn, payment):
                intent = replace(operation, request=requests.authorize_again(payment, last.request))
                change = commands.confirm(payment, intent, now_us, payment.payment_method_id)
            else:
                _log.warning("its payment method was detached", payment_id=payment.id)
                change = commands.stop_retrying(payment, now_us)
            if isinstance(change, changes.Refusal):
                # It has as many operations as it may have.
                change = commands.stop_retrying(payment, now_us)
            entries = events.of_change(change, caller.cause(""), ids())
            statements = changing.batch(change, entries)
            counted = takes if change.new_operation is not None else None
            if not changing.write_if_first(conn, statements, counted):
                raise AssertionError(f"{payment.id} changed under its lock")
            return change

        return await ctx.db.write(begin)

    async def _put_off(
        self, payment: model.Payment, slot_us: int, reason: str, wait_us: int = _PUT_OFF_US
    ) -> None:
        """Nothing was sent and nothing is used up. No event: it says when it was due, as before."""
        _log.warning("can't try again now", payment_id=payment.id, reason=reason)
        await self.put_off(payment.tenant_id, payment.id, slot_us, wait_us)

    async def put_off(
        self, tenant_id: str, payment_id: str, slot_us: int, wait_us: int = _PUT_OFF_US
    ) -> None:
        """Looks at a try that was due at *slot_us* again after a while: others go first."""
        until_us = self._ctx.clock.now_us() + wait_us
        await self._ctx.db.write(
            lambda conn: retry_policies.put_off(conn, tenant_id, payment_id, slot_us, until_us)
        )


def _waits(payment: model.Payment, slot_us: int) -> bool:
    idle = not any(operation.is_open for operation in payment.operations)
    failed = payment.state is model.PaymentState.FAILED
    return failed and idle and payment.next_retry_us == slot_us


def _is_kept(conn: storage.Connection, payment: model.Payment) -> bool:
    """Whether the payment method may still be charged: nobody's is who took it away."""
    rules = payment_methods.RULES
    method = mirrors.load(conn, rules, payment.tenant_id, payment.payment_method_id)
    return method is not None and method.state is payment_methods.State.ACTIVE
