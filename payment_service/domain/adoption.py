"""Payments that the provider made by itself: of an invoice or a checkout.

Owns making one here, with an operation of its own, and following what becomes of it. Called
by the use cases inside their transaction. What a report does to a payment is decided by
`transitions`, as for every payment.
"""

from dataclasses import replace

from payment_service.domain import actions, changes, commands, model, outcomes, transitions
from payment_service.domain.mirrors import objects

_P = model.PaymentState
_S = model.OperationState
_OUTCOMES = {
    _S.PENDING: outcomes.Outcome.PENDING,
    _S.REQUIRES_ACTION: outcomes.Outcome.ACTION_REQUIRED,
    _S.SUCCEEDED: outcomes.Outcome.SUCCEEDED,
    _S.DECLINED: outcomes.Outcome.DECLINED,
    _S.SUPERSEDED: outcomes.Outcome.VOIDED,
}
_STATES = {
    _S.PENDING: _P.PROCESSING,
    _S.REQUIRES_ACTION: _P.REQUIRES_ACTION,
    _S.SUCCEEDED: _P.SUCCEEDED,
    _S.DECLINED: _P.FAILED,
    _S.SUPERSEDED: _P.CANCELED,
}
_UNEXPLAINED = model.Failure(kind=model.FailureKind.DECLINED, reason="OTHER")


def adopt(payment: model.Payment, operation: model.Operation) -> changes.Change:
    """Makes a payment here; *operation* is the SALE that the provider began by itself."""
    return commands.create(payment, operation)


def differs(payment: model.Payment, seen: objects.Payment) -> bool:
    """Whether a snapshot tells another state than the payment is in."""
    return newest(payment).state is _S.IN_FLIGHT or payment.state is not _STATES[seen.state]


def follow(
    payment: model.Payment, seen: objects.Payment, again: model.Operation, now_us: int
) -> list[changes.Change]:
    """Returns the changes that lead to what a snapshot tells, one after the other.

    *again* is a new SALE, for a provider that tries a payment again that had failed.
    """
    found: list[changes.Change] = []
    if payment.state is _P.FAILED and seen.state is _S.SUPERSEDED:
        return [_given_up(payment, now_us)]
    if payment.state is _P.FAILED and seen.state is not _S.DECLINED:
        if actions.is_full(payment):
            return []
        found.append(_tried_again(payment, again, now_us))
        payment = replace(found[0].payment, revision=payment.revision + 1)
    target = newest(payment)
    report = outcomes.Report(
        outcome=_OUTCOMES[seen.state],
        operation_version=target.version,
        provider_object_id=seen.provider_object_id,
        failure=(seen.decline or _UNEXPLAINED) if seen.state is _S.DECLINED else None,
    )
    applied = transitions.apply(payment, target.id, report, now_us)
    return [*found, applied.change] if applied.change is not None else found


def newest(payment: model.Payment) -> model.Operation:
    """Returns the attempt of a payment that counts."""
    attempt = payment.attempt
    if attempt is None:
        raise LookupError(f"{payment.id} was never tried")
    return attempt


def _given_up(payment: model.Payment, now_us: int) -> changes.Change:
    after = replace(
        payment,
        state=_P.CANCELED,
        failure=None,
        version=payment.version + 1,
        updated_us=now_us,
    )
    step = changes.Step(event_type="payment.canceled", before=payment, after=after)
    return changes.Change(payment=after, steps=(step,))


def _tried_again(payment: model.Payment, operation: model.Operation, now_us: int) -> changes.Change:
    operation = model.after(operation, payment.operations)
    after = replace(
        payment,
        state=_P.PROCESSING,
        failure=None,
        version=payment.version + 1,
        updated_us=now_us,
        operations=(*payment.operations, operation),
    )
    step = changes.Step(
        event_type="payment.processing", before=payment, after=after, operation_id=operation.id
    )
    return changes.Change(payment=after, steps=(step,), new_operation=operation)
