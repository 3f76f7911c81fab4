"""The one transition function: what a report does to a payment.

Owns every change that a provider's answer, a webhook, the resolver or an
operator can bring about. Called inside the transaction that holds the
payment's row, with values read under that lock. Never applies a report that
contradicts what is settled: such a one is returned as illegal and raised.
"""

from dataclasses import dataclass
from typing import Any

from payment_service.domain import actions, changes, commands, copies, model, outcomes, retries

_P = model.PaymentState
_S = model.OperationState
_K = model.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a report; `change` is set if something is to be written."""

    verdict: outcomes.Verdict
    change: changes.Change | None = None


def apply(
    payment: model.Payment,
    operation_id: str,
    report: outcomes.Report,
    now_us: int,
    refund: model.Refund | None = None,
    delays_us: tuple[int, ...] = (),
) -> Applied:
    """Applies *report* to one operation of *payment*.

    Args:
        payment: As locked, with all its operations.
        operation_id: Which operation the report is about.
        report: What is known now.
        now_us: The time of the change.
        refund: As locked, for an operation of kind REFUND.
        delays_us: The tenant's retry policy, for a payment off session.

    Raises:
        LookupError: The operation is not of this payment, or its refund was not given.
        ValueError: The operation is not about a payment.
    """
    operation = payment.operation(operation_id)
    if operation is None:
        raise LookupError(f"{payment.id} has no operation {operation_id}")
    verdict, state = outcomes.judge(operation, report)
    if verdict is outcomes.Verdict.REPEAT and _names_another(payment, operation, report):
        verdict = outcomes.Verdict.ILLEGAL
    if verdict is not outcomes.Verdict.APPLIED:
        if verdict is outcomes.Verdict.ILLEGAL:
            return Applied(verdict=verdict, change=_raised(payment, operation, now_us))
        return Applied(verdict=verdict)
    settled = _settled(operation, state, report, now_us)
    draft = _Draft(payment, settled, now_us)
    if operation.state is _S.IN_DOUBT and state is _S.IN_DOUBT:
        # The doubt stays and was told; that an operator must end it was not.
        draft.emit("reconciliation.discrepancy")
        return Applied(verdict=verdict, change=draft.change())
    if report.provider_object_id and not payment.provider_payment_id:
        draft.set(provider_payment_id=report.provider_object_id)
    match operation.kind:
        case _K.AUTHORIZE | _K.SALE:
            _initial(draft, operation, report, delays_us)
        case _K.CAPTURE:
            _capture(draft, operation)
        case _K.INCREMENT:
            _increment(draft, operation)
        case _K.VOID:
            _void(draft, operation)
        case _K.REFUND:
            if refund is None:
                raise LookupError(f"{operation_id} carries out a refund that was not read")
            _refund(draft, operation, refund)
        case _:
            raise ValueError(f"{operation_id} is not about a payment")
    return Applied(verdict=verdict, change=draft.change())


def _names_another(
    payment: model.Payment, operation: model.Operation, report: outcomes.Report
) -> bool:
    """Whether a success is that of another payment at the provider than the one known here."""
    if operation.kind not in model.INITIAL_KINDS or operation.state is not _S.SUCCEEDED:
        return False
    ids = {report.provider_object_id, payment.provider_payment_id}
    return len(ids - {""}) > 1


class _Draft:
    """Collects the values and steps of one change.

    Values are collected and copied into a payment once per step: copying is most of
    what a transition costs.
    """

    def __init__(self, payment: model.Payment, operation: model.Operation, now_us: int) -> None:
        self.operation = operation
        self.others: list[model.Operation] = []
        self.refund: model.Refund | None = None
        self.steps: list[changes.Step] = []
        self._before = payment
        self._current = payment
        self._values: dict[str, Any] = {
            "updated_us": now_us,
            "operations": _with(payment.operations, operation),
        }

    @property
    def payment(self) -> model.Payment:
        """The payment with everything collected so far."""
        if self._values:
            self._current = copies.replace(self._current, **self._values)
            self._values = {}
        return self._current

    def set(self, **values: Any) -> None:
        """Notes new values of the payment's fields."""
        self._values.update(values)

    def emit(self, event_type: str) -> None:
        """Ends a step: what changed since the last one becomes one event."""
        self.set(version=self._current.version + 1)
        self.steps.append(
            changes.Step(
                event_type=event_type,
                before=self._before,
                after=self.payment,
                refund=self.refund if event_type.startswith("refund.") else None,
                operation_id=self.operation.id,
            )
        )
        self._before = self.payment

    def enter(self, state: model.PaymentState, event_type: str) -> None:
        """Changes the payment's state, if it is another one, and emits."""
        if self._current.state is not state:
            self.set(state=state)
            self.emit(event_type)

    def change(self) -> changes.Change:
        """Returns what was collected; that an operation moved is told, if nothing else is."""
        if not self.steps:
            self.emit("payment.updated")
        return changes.Change(
            payment=self.payment,
            steps=tuple(self.steps),
            operations=(self.operation, *self.others),
            refund=self.refund,
        )


def _settled(
    operation: model.Operation,
    state: model.OperationState,
    report: outcomes.Report,
    now_us: int,
) -> model.Operation:
    failed = state in (_S.DECLINED, _S.NOT_SENT, _S.IN_DOUBT)
    return copies.replace(
        operation,
        state=state,
        version=operation.version + 1,
        reserved_minor=operation.reserved_minor if state in model.OPEN_STATES else 0,
        provider_operation_id=report.provider_operation_id or operation.provider_operation_id,
        failure=report.failure if failed else None,
        next_check_us=0,
        updated_us=now_us,
    )


def _with(
    operations: tuple[model.Operation, ...], operation: model.Operation
) -> tuple[model.Operation, ...]:
    return tuple(operation if o.id == operation.id else o for o in operations)


def _raised(payment: model.Payment, operation: model.Operation, now_us: int) -> changes.Change:
    after = copies.replace(payment, version=payment.version + 1, updated_us=now_us)
    step = changes.Step(
        event_type="reconciliation.discrepancy",
        before=payment,
        after=after,
        operation_id=operation.id,
    )
    return changes.Change(payment=after, steps=(step,))


def _initial(
    draft: _Draft,
    operation: model.Operation,
    report: outcomes.Report,
    delays_us: tuple[int, ...],
) -> None:
    draft.set(action=None, failure=None)
    amount = operation.amount_minor
    match draft.operation.state:
        case _S.SUCCEEDED if operation.kind is _K.SALE:
            draft.set(authorized_minor=amount, captured_minor=amount)
            draft.enter(_P.SUCCEEDED, "payment.succeeded")
        case _S.SUCCEEDED:
            draft.set(authorized_minor=amount)
            draft.enter(_P.AUTHORIZED, "payment.authorized")
        case _S.DECLINED | _S.NOT_SENT:
            _failed(draft, report, delays_us)
        case _S.PENDING:
            # Also where it was processing already: only now the provider has it, by its id.
            draft.set(state=_P.PROCESSING)
            draft.emit("payment.processing")
        case _S.REQUIRES_ACTION:
            draft.set(action=report.action)
            draft.enter(_P.REQUIRES_ACTION, "payment.requires_action")
        case _S.IN_DOUBT:
            draft.enter(_P.IN_DOUBT, "payment.in_doubt")
        case _S.SUPERSEDED:
            draft.set(cancel_requested=False)
            draft.enter(_P.CANCELED, "payment.canceled")
        case _S.IN_FLIGHT:
            raise AssertionError("no outcome leads back to IN_FLIGHT")


def _failed(draft: _Draft, report: outcomes.Report, delays_us: tuple[int, ...]) -> None:
    if draft.payment.cancel_requested or draft.payment.open_operation(_K.VOID):
        # Confirmable again, a second attempt would be ended by the void of the first.
        draft.set(cancel_requested=False)
        draft.enter(_P.CANCELED, "payment.canceled")
        return
    draft.set(failure=report.failure)
    if draft.payment.off_session:
        now_us = draft.operation.updated_us
        draft.set(next_retry_us=retries.next_us(draft.payment, draft.operation, delays_us, now_us))
    draft.enter(_P.FAILED, "payment.failed")


def _release(draft: _Draft, operation: model.Operation) -> None:
    if not draft.operation.is_open:
        draft.set(
            capture_reserved_minor=draft.payment.capture_reserved_minor - operation.reserved_minor
        )


def _keep_wish(draft: _Draft) -> None:
    """A cancellation that had to wait is still owed if nothing of it reached the provider; what
    the caller asked for beside does not end it.
    """
    own = draft.operation
    if own.cause.actor != commands.CANCELER:
        return
    few = len(commands.canceler_tries(draft.payment)) < commands.CANCELER_TRIES_MAX
    ends = draft.payment.state is _P.CANCELED
    draft.set(cancel_requested=own.state is _S.NOT_SENT and few and not ends)


def _ended_without_effect(operation: model.Operation, event_type: str) -> str:
    return "payment.resolved" if operation.state is _S.IN_DOUBT else event_type


def _capture(draft: _Draft, operation: model.Operation) -> None:
    _release(draft, operation)
    match draft.operation.state:
        case _S.SUCCEEDED:
            captured = draft.payment.captured_minor + operation.amount_minor
            draft.set(captured_minor=captured)
            draft.emit("payment.captured")
            if operation.final or captured == draft.payment.authorized_minor:
                draft.enter(_P.SUCCEEDED, "payment.succeeded")
        case _S.DECLINED | _S.NOT_SENT | _S.SUPERSEDED:
            draft.emit(_ended_without_effect(operation, "payment.capture_failed"))
        case _S.IN_DOUBT:
            draft.emit("payment.in_doubt")
        case _S.PENDING | _S.REQUIRES_ACTION | _S.IN_FLIGHT:
            pass


def _increment(draft: _Draft, operation: model.Operation) -> None:
    match draft.operation.state:
        case _S.SUCCEEDED:
            more = operation.amount_minor
            draft.set(
                amount_minor=draft.payment.amount_minor + more,
                authorized_minor=draft.payment.authorized_minor + more,
            )
            draft.emit("payment.incremented")
        case _S.DECLINED | _S.NOT_SENT | _S.SUPERSEDED:
            draft.emit(_ended_without_effect(operation, "payment.increment_failed"))
        case _S.IN_DOUBT:
            draft.emit("payment.in_doubt")
        case _S.PENDING | _S.REQUIRES_ACTION | _S.IN_FLIGHT:
            pass


def _void(draft: _Draft, operation: model.Operation) -> None:
    _release(draft, operation)
    match draft.operation.state:
        case _S.SUCCEEDED:
            initial = draft.payment.open_operation(_K.AUTHORIZE, _K.SALE)
            if initial is not None:
                ended = copies.replace(
                    initial,
                    state=_S.SUPERSEDED,
                    version=initial.version + 1,
                    updated_us=draft.operation.updated_us,
                    next_check_us=0,
                )
                draft.set(operations=_with(draft.payment.operations, ended), action=None)
                draft.others.append(ended)
            if draft.payment.captured_minor == 0:
                draft.set(cancel_requested=False)
                draft.enter(_P.CANCELED, "payment.canceled")
            elif draft.payment.state is not _P.SUCCEEDED:
                draft.enter(_P.SUCCEEDED, "payment.succeeded")
                _note_refunded(draft)
            else:
                # Sold meanwhile, and yet voided: one of the two is wrong at the provider.
                draft.emit("reconciliation.discrepancy")
            if not draft.steps and operation.state is _S.IN_DOUBT:
                # The voided operation ended the payment first; the doubt was told all the same.
                draft.emit("payment.resolved")
        case _S.DECLINED | _S.NOT_SENT | _S.SUPERSEDED:
            _keep_wish(draft)
            draft.emit(_ended_without_effect(operation, "payment.void_failed"))
        case _S.IN_DOUBT:
            draft.emit("payment.in_doubt")
        case _S.PENDING | _S.REQUIRES_ACTION | _S.IN_FLIGHT:
            pass


def _refund(draft: _Draft, operation: model.Operation, refund: model.Refund) -> None:
    amount = operation.amount_minor
    refund = copies.replace(refund, failure=None, updated_us=draft.operation.updated_us)
    if not draft.operation.is_open:
        draft.set(
            refund_reserved_minor=draft.payment.refund_reserved_minor - operation.reserved_minor
        )
    match draft.operation.state:
        case _S.SUCCEEDED:
            draft.refund = copies.replace(refund, state=model.RefundState.SUCCEEDED)
            draft.set(refunded_minor=draft.payment.refunded_minor + amount)
            if draft.payment.cancel_requested and actions.is_returned(draft.payment):
                draft.set(cancel_requested=False)
            draft.emit("refund.succeeded")
            _note_refunded(draft)
        case _S.DECLINED | _S.NOT_SENT | _S.SUPERSEDED:
            draft.refund = copies.replace(
                refund, state=model.RefundState.FAILED, failure=draft.operation.failure
            )
            _keep_wish(draft)
            draft.emit("refund.failed")
        case _S.IN_DOUBT:
            draft.refund = copies.replace(refund, state=model.RefundState.IN_DOUBT)
            draft.emit("refund.in_doubt")
        case _S.PENDING | _S.REQUIRES_ACTION:
            draft.refund = copies.replace(refund, state=model.RefundState.PENDING)
            draft.emit("refund.pending")
        case _S.IN_FLIGHT:
            raise AssertionError("no outcome leads back to IN_FLIGHT")


def _note_refunded(draft: _Draft) -> None:
    """Emits once nothing more will be captured and everything captured was returned."""
    whole = draft.payment.refunded_minor == draft.payment.captured_minor
    if whole and draft.payment.state is _P.SUCCEEDED:
        draft.emit("payment.refunded")
