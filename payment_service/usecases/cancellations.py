"""Cancellations that had to wait until an outcome was known.

Owns carrying out `cancel_requested`: an authorization is voided, a sale is
refunded. Called by the resolver, again and again until nothing waits. Never
acts while the outcome is unknown.
"""

from dataclasses import replace

from payment_service.db import payments
from payment_service.domain import actions, changes, commands, model
from payment_service.provider_client import requests
from payment_service.usecases import changing, context, events, intents, refunds, settling
from payment_service.usecases import payments as payment_cases
from servicekit import bounded, errors, logs, storage

_log = logs.get_logger(__name__)

_TOLD_MAX = 10_000
_FROM_THE_FIRST = (0, "")


class Cancellations:
    """Carries out wishes to cancel."""

    def __init__(
        self,
        ctx: context.Context,
        settler: settling.Settler,
        payments_: payment_cases.Payments,
        refunds_: refunds.Refunds,
    ) -> None:
        self._ctx = ctx
        self._settler = settler
        self._payments = payments_
        self._refunds = refunds_
        self._told: bounded.Bounded[str, str] = bounded.Bounded(_TOLD_MAX)
        self._after = _FROM_THE_FIRST

    async def waiting(self, most: int) -> list[tuple[str, str]]:
        """Returns (tenant, payment) of wishes whose outcome may be known now.

        The next ones after those returned before, and then the first again: some can't be
        carried out for long, and the others don't wait for them.
        """
        after = self._after
        found = await self._ctx.db.read(
            lambda conn: payments.to_cancel(conn, after=after, most=most)
        )
        self._after = (found[-1][2], found[-1][1]) if len(found) == most else _FROM_THE_FIRST
        return [(tenant_id, payment_id) for tenant_id, payment_id, _ in found]

    async def carry_out(self, tenant_id: str, payment_id: str) -> bool:
        """Voids or refunds one payment; returns whether something was begun."""
        caller = context.Caller(
            tenant_id=tenant_id, actor=commands.CANCELER, request_id=self._ctx.new_id("req")
        )
        now_us = self._ctx.clock.now_us()
        ids = context.fresh_ids(self._ctx.new_id)
        before = await self._ctx.db.read(lambda conn: payments.load(conn, tenant_id, payment_id))
        if before is None or not self._possible(before):
            return False
        void = self._payments.void_operation(caller, before, "", now_us)
        wanted = refunds.Create(
            request=intents.Request(rpc="", key="", fingerprint=b""),
            payment_id=payment_id,
            amount_minor=None,
            currency="",
            reason=model.RefundReason.CANCELED,
            note="canceled while the outcome was unknown",
        )
        refund, refund_operation = self._refunds.draft(caller, before, wanted, now_us)

        def begin(conn: storage.Connection) -> changes.Change | None:
            payment = payments.load(conn, tenant_id, payment_id, lock=True)
            if payment is None or not payment.cancel_requested or not is_known(payment):
                return None
            change: changes.Change | changes.Refusal
            if payment.state is model.PaymentState.SUCCEEDED:
                change = refunds.refund_decision(payment, refund, refund_operation, None, now_us)
            else:
                operation = replace(void, request=requests.void(payment))
                change = commands.start_void(payment, operation, now_us)
            if isinstance(change, changes.Refusal):
                # Nothing is left to return: the wish is met.
                change = commands.meet_wish(payment, now_us)
            entries = events.of_change(change, caller.cause(""), ids())
            changing.write(conn, changing.batch(change, entries))
            return change

        begun = await self._ctx.db.write(begin)
        if begun is None:
            return False
        self._ctx.outbox_written.set()
        operation = begun.new_operation
        if operation is None:
            return False
        _log.info("carrying out a cancellation", payment_id=payment_id, kind=operation.kind.name)
        await self._ctx.tracker.shielded(self._settler.drive_payment(operation))
        return True

    def _possible(self, payment: model.Payment) -> bool:
        if not payment.cancel_requested or not is_known(payment) or not self._is_due(payment):
            return False
        sold = payment.state is model.PaymentState.SUCCEEDED
        kind = model.Kind.REFUND if sold else model.Kind.VOID
        more = refunds.needs(payment, None) if sold else ()
        try:
            route = intents.find(self._ctx, payment.tenant_id, payment.provider, follows=True)
            intents.check(self._ctx, payment.tenant_id, route, kind, more=more)
        except errors.RpcError as refusal:
            self._tell_once(payment.id, refusal)
            return False
        return True

    def _is_due(self, payment: model.Payment) -> bool:
        """Whether it waited long enough since it last did not reach the provider."""
        tries = commands.canceler_tries(payment)
        if not tries:
            return True
        schedule = self._ctx.schedule
        wait_s = min(schedule.pending_first_s * 2.0 ** (len(tries) - 1), schedule.longest_s)
        waited_us = self._ctx.clock.now_us() - tries[-1].updated_us
        # The other way it failed while the clock was ahead.
        return not 0 <= waited_us < round(wait_s * 1_000_000)

    def _tell_once(self, payment_id: str, refusal: errors.RpcError) -> None:
        """Waiting wishes are looked at again and again; why they wait is told once."""
        if self._told.get(payment_id) == refusal.reason:
            return
        self._told[payment_id] = refusal.reason
        _log.warning(
            "can't carry out a cancellation now",
            payment_id=payment_id,
            reason=refusal.reason,
            detail=refusal.message,
        )


def is_known(payment: model.Payment) -> bool:
    """Whether the outcome of the payment's authorization or sale is known, and there is
    something to return or nothing left of it.
    """
    initial = payment.open_operation(*model.INITIAL_KINDS)
    if initial is not None and initial.is_unknown:
        return False
    if payment.state is model.PaymentState.SUCCEEDED:
        # Refunds under way and disputes may still fail, and leave something to return.
        returned_minor = payment.refunded_minor + payment.foreign_refunded_minor
        is_met = returned_minor >= payment.captured_minor
        return is_met or actions.refundable_minor(payment) > 0
    busy = (model.Kind.CAPTURE, model.Kind.VOID, model.Kind.INCREMENT)
    return not payment.open_operation(*busy)
