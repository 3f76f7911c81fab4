"""Doubts that an operator looks at and ends.

Owns listing operations in doubt and settling one by what was found at the provider. Called by
the API. Never asks a provider, and never settles what can still arrive there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from payment_service.db import operations, payments
from payment_service.domain import model, outcomes
from payment_service.usecases import context, settling, snapshots
from servicekit import errors, logs, storage

_log = logs.get_logger(__name__)

# From the fence of the newest attempt until nothing of it can arrive: clocks that differ, and
# a request that a provider's process has on its way, unless the plugin says that one takes longer.
SETTLEABLE_AFTER_S = 60.0
_MAKING = frozenset({model.Kind.AUTHORIZE, model.Kind.SALE})
_MAY_ARRIVE = "a request may still arrive at the provider; look there again after settleable_time"
_PAYMENT_KINDS = _MAKING | {
    model.Kind.CAPTURE,
    model.Kind.INCREMENT,
    model.Kind.VOID,
    model.Kind.REFUND,
}
_ENDS = {
    outcomes.Outcome.SUCCEEDED: model.OperationState.SUCCEEDED,
    outcomes.Outcome.NOT_SENT: model.OperationState.NOT_SENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """Why nothing was settled: *field* is wrong, *operation* is not in the way for it, or, with
    neither, there is no such operation.
    """

    text: str = ""
    field: str = ""
    operation: model.Operation | None = None


def is_settleable(operation: model.Operation) -> bool:
    """Whether an operator can end a doubt about it: money moves by it, and nothing else."""
    return operation.kind in _PAYMENT_KINDS


class Doubts:
    """The use cases of doubts."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._settler = settler

    def settleable_us(self, operation: model.Operation) -> int:
        """Returns after which time what a provider's records say is a fact, epoch microseconds."""
        provider = self._ctx.providers.find(operation.provider)
        longest_s, behind_s = SETTLEABLE_AFTER_S, 0.0
        if provider is not None:
            longest_s = max(longest_s, provider.request_max_s(operation.plugin_version))
            behind_s = provider.lags.longest_s(self._ctx.clock.now_us())
        return operation.not_after_us + round((longest_s + behind_s) * 1_000_000)

    async def list_oldest_first(
        self, wanted: operations.DoubtFilter, most: int
    ) -> list[model.Operation]:
        """Returns at most *most* operations in doubt."""
        return await self._ctx.db.read(lambda conn: operations.list_doubts(conn, wanted, most=most))

    async def settle(
        self,
        operation_id: str,
        *,
        version: int,
        took_effect: bool,
        provider_payment_id: str,
        reason: str,
        actor: str,
    ) -> model.Payment:
        """Ends a doubt at the version that the operator has seen; returns the payment after it.

        Args:
            operation_id: Which operation.
            version: Of the operation, as it was listed.
            took_effect: Whether the provider has done all of it, or nothing and never will.
            provider_payment_id: The provider's id of a payment that took effect, if it is not
                known here.
            reason: How the operator knows.
            actor: Who that is, `key:<id>`.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, INVALID_FIELD, STATE_CONFLICT.
        """
        failure = None
        if not took_effect:
            failure = model.Failure(
                kind=model.FailureKind.NOT_SENT, reason=outcomes.FOUND_BY_OPERATOR
            )
        report = outcomes.Report(
            outcome=outcomes.Outcome.SUCCEEDED if took_effect else outcomes.Outcome.NOT_SENT,
            operation_version=version,
            provider_object_id=provider_payment_id,
            failure=failure,
            detail=f"{actor}: {reason}",
        )
        return await self._ctx.tracker.shielded(self._settle(operation_id, report, actor, reason))

    async def _settle(
        self, operation_id: str, report: outcomes.Report, actor: str, reason: str
    ) -> model.Payment:
        now_us = self._ctx.clock.now_us()
        ids = context.fresh_ids(self._ctx.new_id)

        def settle(conn: storage.Connection) -> settling.Settled | _Refused | model.Payment:
            return self._settle_in(conn, operation_id, report, now_us, ids(), actor)

        found = await self._ctx.db.write(settle)
        if isinstance(found, _Refused):
            raise self._error(found, operation_id)
        if isinstance(found, model.Payment):
            return found
        self._settler.after(found)
        _log.warning(
            "an operator ended a doubt",
            operation_id=operation_id,
            entity_id=found.operation.entity_id,
            outcome=report.outcome.value,
            actor=actor,
            detail=reason,
        )
        payment: model.Payment = found.entity
        return payment

    def _settle_in(
        self,
        conn: storage.Connection,
        operation_id: str,
        report: outcomes.Report,
        now_us: int,
        new_id: Callable[[str], str],
        actor: str,
    ) -> settling.Settled | _Refused | model.Payment:
        known = operations.find(conn, operation_id)
        if known is None:
            return _Refused()
        if not is_settleable(known):
            return _Refused(field="operation_id", text=_of_what_is_told(known))
        payment = payments.load(conn, known.tenant_id, known.entity_id, lock=True)
        operation = payment.operation(operation_id) if payment is not None else None
        if payment is None or operation is None:
            return _Refused()
        if _is_done(payment, operation, report):
            return payment
        if (refused := self._refused(conn, payment, operation, report, now_us)) is not None:
            return refused
        settled = self._settler.settle_in(
            conn, operation, report, now_us=now_us, new_id=new_id, actor=actor
        )
        operations.keep_report(
            conn,
            operations.StoredReport(
                id=new_id("rep"),
                operation=operation,
                outcome=report.outcome.value,
                detail=report.detail,
                created_us=now_us,
            ),
        )
        return settled

    def _refused(
        self,
        conn: storage.Connection,
        payment: model.Payment,
        operation: model.Operation,
        report: outcomes.Report,
        now_us: int,
    ) -> _Refused | None:
        """Returns why *report* can't end a doubt, or None. In the latter case nobody can send the
        operation again until the transaction ends.
        """
        version, named = report.operation_version, report.provider_object_id
        if operation.state is not model.OperationState.IN_DOUBT or operation.version != version:
            state = f"{operation.state.name} at version {operation.version}"
            return _Refused(operation=operation, text=f"it is {state}; list doubts again")
        if now_us <= self.settleable_us(operation):
            return _Refused(operation=operation, text=_MAY_ARRIVE)
        wrong = _wrong_id(payment, operation, report)
        if named and not wrong and (other := payments.already(conn, payment, named)):
            wrong = f"is that of {other}: refunds of both would go there"
        if wrong:
            return _Refused(field="provider_payment_id", text=wrong)
        # Who sends it again notes that first, without the payment's lock.
        if not operations.hold_doubt(conn, operation):
            return _Refused(operation=operation, text=_MAY_ARRIVE)
        return None

    def _error(self, refused: _Refused, operation_id: str) -> errors.RpcError:
        operation = refused.operation
        if refused.field:
            return errors.invalid_field(refused.field, refused.text)
        if operation is None:
            return errors.not_found("operation", operation_id)
        return errors.RpcError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "STATE_CONFLICT",
            f"{operation.id} can't be settled now: {refused.text}",
            metadata={
                "state": f"STATE_{operation.state.name}",
                "version": str(operation.version),
                "settleable_time": snapshots.timestamp(
                    self.settleable_us(operation)
                ).ToJsonString(),
                "allowed_actions": "",
            },
        )


def _is_done(payment: model.Payment, operation: model.Operation, report: outcomes.Report) -> bool:
    """Whether a doubt was ended by a call with the same words already."""
    if operation.state is not _ENDS[report.outcome]:
        return False
    same_id = report.provider_object_id in ("", payment.provider_payment_id)
    return same_id and operation.version == report.operation_version + 1


def _wrong_id(payment: model.Payment, operation: model.Operation, report: outcomes.Report) -> str:
    """Returns what is wrong with the provider's id of the payment, '' if nothing is."""
    makes = operation.kind in _MAKING and report.outcome is outcomes.Outcome.SUCCEEDED
    if makes and not payment.provider_payment_id:
        return "" if report.provider_object_id else "is required: the provider's id is not known"
    if report.provider_object_id and report.provider_object_id != payment.provider_payment_id:
        return "must be empty: it is known already, or nothing of the payment is there"
    return ""


def _of_what_is_told(operation: model.Operation) -> str:
    return (
        f"is of {operation.entity_id}, no payment: look-ups, webhooks and fetches settle it by "
        "what the provider tells"
    )
