"""Resending: the same operation once more, where a look-up can't tell what became of it.

Owns when that is safe, and noting the new fence before anything is sent. Called by the
resolver for doubts only. Sends the stored request under its own id and nothing else: while the
provider remembers that id, and through the version of the plugin that was sent it first, as long
as that is there or may return. Never sends what an operator has stopped, a payment that is no
longer wanted, or an update that a later one has replaced.
"""

from collections.abc import Sequence
from dataclasses import replace

from payment_service.db import operations, payments
from payment_service.domain import customers, model, outcomes, routing
from payment_service.provider_client import pool, reading
from payment_service.usecases import context
from servicekit import failpoints, logs, storage

_log = logs.get_logger(__name__)

# For so long after an operation was made, a version that is gone may come back: what restarts
# processes waits no longer between two starts.
RETURN_S = 300.0

_RESULTS = frozenset(
    {
        outcomes.Outcome.SUCCEEDED,
        outcomes.Outcome.DECLINED,
        outcomes.Outcome.PENDING,
        outcomes.Outcome.ACTION_REQUIRED,
        outcomes.Outcome.VOIDED,
    }
)


def may_help(
    provider: pool.Provider, operation: model.Operation, report: outcomes.Report, now_us: int
) -> bool:
    """Whether sending a doubt again can end it, and can't do anything twice.

    It helps where the provider takes a repeat for the same operation and has no look-up that
    proves that it did not take place, by what the version that was sent it declared. That version
    is waited for a while if no instance of it is there.
    """
    if operation.state is not model.OperationState.IN_DOUBT or operation.failure is not None:
        return False
    if not operation.request:
        # It was taken back from the event log, which does not tell what was sent.
        return False
    if report.outcome is not outcomes.Outcome.UNKNOWN or report.needs_operator:
        return False
    if provider.finds(operation.plugin_version):
        return False
    version = operation.plugin_version
    window_s = provider.repeatable_s(version)
    age_s = (now_us - operation.created_us) / 1_000_000
    if age_s < min(RETURN_S, window_s / 2) and provider.awaits(version):
        return False
    # Before its fence the first attempt may still be on its way.
    return operation.not_after_us < now_us and age_s < window_s


class Resender:
    """Sends doubts again.

    Args:
        ctx: What lies outside.
    """

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def resend(
        self, provider: pool.Provider, operation: model.Operation, report: outcomes.Report
    ) -> outcomes.Report:
        """Sends *operation* again and returns what is known then.

        Only a result counts. A failure speaks of this attempt alone: that it had no effect
        says nothing of the one before, so the doubt stays. So does what an operator has stopped.
        """
        if (refused := routing.stopped(self._ctx.catalog.view, operation)) is not None:
            _log.info("not sent again", operation_id=operation.id, reason=refused.reason)
            return report
        if operation.kind is model.Kind.UPDATE_CUSTOMER:
            later = await self._ctx.db.read(lambda conn: _later(conn, operation))
            if later:
                # Sent now, it would bring back what was before them.
                return _overwritten(operation, later) or report
        now_us = self._ctx.clock.now_us()
        again = replace(
            operation, not_after_us=now_us + round(self._ctx.provider_timeout_s * 1_000_000)
        )
        if not await self._ctx.db.write(lambda conn: self._note(conn, again)):
            return report
        _log.info("sending again", operation_id=operation.id, attempt=operation.attempts)
        failpoints.hit("payment_service.before_resend")
        answered = await provider.execute(again, repeats=True)
        if answered.outcome in _RESULTS:
            return answered
        detail = f"sent again: {answered.outcome.value}: {answered.detail}"
        return reading.unknown(operation.version, detail[:256])

    def _note(self, conn: storage.Connection, again: model.Operation) -> bool:
        """Notes the new fence; False if the operation or its payment have moved on."""
        if again.kind in model.INITIAL_KINDS:
            payment = payments.load(conn, again.tenant_id, again.entity_id, lock=True)
            if payment is None or payment.cancel_requested:
                return False
        return operations.fence(conn, again)


def _later(conn: storage.Connection, operation: model.Operation) -> tuple[model.Operation, ...]:
    """Returns the operations of a customer that were begun after *operation*."""
    own = operations.newest(conn, operation.entity_id, customers.NEWEST_MAX)
    return tuple(one for one in own if model.turn(one) > model.turn(operation))


def _overwritten(
    operation: model.Operation, later: Sequence[model.Operation]
) -> outcomes.Report | None:
    """Returns the end of an update after which another one has succeeded, if one has.

    An update replaces the whole, and the doubt's fence is over: nothing of it is left to know.
    """
    if not any(one.state is model.OperationState.SUCCEEDED for one in later):
        return None
    return outcomes.Report(
        outcome=outcomes.Outcome.VOIDED,
        operation_version=operation.version,
        detail="overwritten by a later update",
    )
