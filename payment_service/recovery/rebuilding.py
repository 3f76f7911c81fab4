"""Payments, refunds and customers as the event log tells them, as values of the domain.

Owns both readings: of a snapshot alone, and of a snapshot beside what was done here since the
back-up, which the log does not know. Called by `writing`. Pure; never guesses what no event
says: requests to providers and the payer's secrets are gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from google.protobuf import timestamp_pb2
from payhub.payments.v1 import customer_service_pb2, payment_pb2, refund_service_pb2

from payment_service.domain import model

_K = model.Kind
_S = model.OperationState
# At most one of these is open at a time.
_MONEY_IN = frozenset({_K.AUTHORIZE, _K.SALE, _K.CAPTURE, _K.INCREMENT})
# What was done here since the back-up and moves the payment, not only its refunds.
_MOVES = _MONEY_IN | {_K.VOID}


def us(value: timestamp_pb2.Timestamp) -> int:
    """Returns a Timestamp as epoch microseconds."""
    return value.seconds * 1_000_000 + value.nanos // 1000


def failure(value: payment_pb2.PaymentFailure) -> model.Failure:
    """Returns why something failed."""
    return model.Failure(
        kind=model.FailureKind(value.kind),
        reason=value.reason,
        provider_code=value.provider_code,
        retryable_later=value.retryable_later,
    )


def payment(
    told: payment_pb2.Payment, tenant_id: str, here: model.Payment | None, *, timeout_us: int
) -> model.Payment:
    """Returns the payment of a snapshot; what no event tells stays as it is *here*.

    Args:
        told: The payment right after the newest event.
        tenant_id: Whose it is.
        here: As it is stored, if it is.
        timeout_us: How long an attempt may be under way, after its operation last changed.
    """
    references = told.references
    made = model.Payment(
        id=told.id,
        tenant_id=tenant_id,
        state=model.PaymentState(told.state),
        amount_minor=told.amount.amount_minor,
        currency=told.amount.currency_code,
        capture_method=model.CaptureMethod(told.capture_method),
        provider=told.provider,
        binding_id=told.binding_id,
        provider_payment_id=told.provider_payment_id,
        references=model.References(
            customer_id=references.customer_id,
            user_id=references.user_id,
            subscription_id=references.subscription_id,
            order_id=references.order_id,
            metadata=dict(references.metadata),
        ),
        description=told.description,
        action=_action(told, here),
        failure=failure(told.failure) if told.HasField("failure") else None,
        cancel_requested=told.cancel_requested,
        authorized_minor=told.amounts.authorized_minor,
        captured_minor=told.amounts.captured_minor,
        capture_reserved_minor=told.amounts.capture_pending_minor,
        refunded_minor=told.amounts.refunded_minor,
        refund_reserved_minor=told.amounts.refund_pending_minor,
        foreign_refunded_minor=told.amounts.foreign_refunded_minor,
        disputed_minor=told.amounts.disputed_minor,
        payment_method_id=told.payment_method_id,
        off_session=told.off_session,
        saves_method=here is not None and here.saves_method,
        invoice_id=told.invoice_id,
        checkout_id=told.checkout_id,
        provider_time_us=here.provider_time_us if here is not None else 0,
        version=told.version,
        created_us=us(told.create_time),
        updated_us=us(told.update_time),
        revision=here.revision if here is not None else 1,
    )
    made = replace(made, operations=_operations(told, made, here, timeout_us))
    attempt = made.attempt
    # Without the request of the attempt before, no policy can repeat it.
    if told.HasField("next_retry_time") and attempt is not None and attempt.request:
        made = replace(made, next_retry_us=us(told.next_retry_time))
    return made


def _action(told: payment_pb2.Payment, here: model.Payment | None) -> model.CustomerAction | None:
    if not told.HasField("action"):
        return None
    if here is not None and here.action is not None:
        return here.action
    expires = told.action.HasField("expire_time")
    return model.CustomerAction(expire_us=us(told.action.expire_time) if expires else 0)


def _operations(
    told: payment_pb2.Payment,
    owner: model.Payment,
    here: model.Payment | None,
    timeout_us: int,
) -> tuple[model.Operation, ...]:
    stored = {one.id: one for one in here.operations} if here is not None else {}
    made = [_operation(one, owner, stored.get(one.id), timeout_us) for one in told.operations]
    return tuple(_reserving(made, owner.capture_reserved_minor))


def _operation(
    told: payment_pb2.Operation,
    owner: model.Payment,
    here: model.Operation | None,
    timeout_us: int,
) -> model.Operation:
    state = _S(told.state)
    why = failure(told.failure) if told.HasField("failure") else None
    updated_us = us(told.update_time)
    if here is not None:
        same = (here.state, here.provider_operation_id, here.failure)
        if same == (state, told.provider_operation_id, why):
            return here
    made = here or model.Operation(
        id=told.id,
        tenant_id=owner.tenant_id,
        entity_id=owner.id,
        kind=_K(told.kind),
        state=state,
        amount_minor=told.amount.amount_minor,
        currency=owner.currency,
        final=told.final,
        refund_id=told.refund_id,
        version=0,
        attempts=max(told.attempts, 1),
        provider=owner.provider,
        binding_id=owner.binding_id,
        created_us=us(told.create_time),
        updated_us=updated_us,
    )
    is_open = state in model.OPEN_STATES
    return replace(
        made,
        state=state,
        failure=why,
        provider_operation_id=told.provider_operation_id,
        version=made.version + 1,
        not_after_us=max(made.not_after_us, updated_us + timeout_us) if is_open else 0,
        # An answer that contradicted the question waits for an operator.
        next_check_us=updated_us if is_open and not why else 0,
        updated_us=updated_us,
    )


def _reserving(
    operations: Iterable[model.Operation], capture_reserved_minor: int
) -> Iterable[model.Operation]:
    """Gives open operations what they hold back: a final capture the whole remainder."""
    for one in operations:
        reserved = 0
        if one.is_open and one.kind is _K.REFUND:
            reserved = one.amount_minor
        elif one.is_open and one.kind in (_K.CAPTURE, _K.VOID):
            # Of these only one is open at a time.
            reserved = capture_reserved_minor
        yield replace(one, reserved_minor=reserved)


def merge(told: model.Payment, here: model.Payment) -> model.Payment | None:
    """Returns a payment that went on in the log and here, each without the other's knowledge.

    What was done here counts on top of what the log tells. None where both can't be: more
    would be taken or returned than there is.
    """
    ids = {one.id for one in told.operations}
    own = [one for one in here.operations if one.id not in ids]
    done = [one for one in own if one.state is _S.SUCCEEDED]
    if any(one.kind in model.INITIAL_KINDS and one.state not in _WITHOUT for one in own):
        return None
    if sum(one.is_open and one.kind in _MONEY_IN for one in (*told.operations, *own)) > 1:
        return None
    moved = any(one.kind in _MOVES and one.state not in _WITHOUT for one in own)
    raised = _sum(done, _K.INCREMENT)
    held = [one for one in own if one.is_open]
    merged = replace(
        told,
        state=here.state if moved else told.state,
        cancel_requested=told.cancel_requested or here.cancel_requested,
        amount_minor=told.amount_minor + raised,
        authorized_minor=told.authorized_minor + raised,
        captured_minor=told.captured_minor + _sum(done, _K.CAPTURE),
        capture_reserved_minor=told.capture_reserved_minor
        + sum(one.reserved_minor for one in held if one.kind in (_K.CAPTURE, _K.VOID)),
        refunded_minor=told.refunded_minor + _sum(done, _K.REFUND),
        refund_reserved_minor=told.refund_reserved_minor
        + sum(one.reserved_minor for one in held if one.kind is _K.REFUND),
        foreign_refunded_minor=max(told.foreign_refunded_minor, here.foreign_refunded_minor),
        disputed_minor=max(told.disputed_minor, here.disputed_minor),
        operations=(*told.operations, *own),
        updated_us=max(told.updated_us, here.updated_us),
    )
    return merged if _holds(merged) else None


_WITHOUT = (_S.DECLINED, _S.NOT_SENT, _S.SUPERSEDED)


def _sum(operations: Iterable[model.Operation], kind: model.Kind) -> int:
    return sum(one.amount_minor for one in operations if one.kind is kind)


def _holds(value: model.Payment) -> bool:
    """Whether the ceilings of the table hold."""
    captured = value.captured_minor + value.capture_reserved_minor
    refunded = value.refunded_minor + value.refund_reserved_minor
    return (
        value.authorized_minor <= value.amount_minor
        and captured <= value.authorized_minor
        and refunded <= value.captured_minor
    )


def refund(told: refund_service_pb2.Refund, tenant_id: str) -> model.Refund:
    """Returns the refund of a snapshot."""
    return model.Refund(
        id=told.id,
        tenant_id=tenant_id,
        payment_id=told.payment_id,
        operation_id=told.operation_id,
        amount_minor=told.amount.amount_minor,
        currency=told.amount.currency_code,
        state=model.RefundState(told.state),
        reason=model.RefundReason(told.reason),
        note=told.note,
        failure=failure(told.failure) if told.HasField("failure") else None,
        created_us=us(told.create_time),
        updated_us=us(told.update_time),
    )


def customer(
    told: customer_service_pb2.Customer, tenant_id: str, *, binding_id: str
) -> model.Customer:
    """Returns the customer of a snapshot."""
    profile = told.profile
    return model.Customer(
        id=told.id,
        tenant_id=tenant_id,
        profile=model.Profile(
            name=profile.name,
            email=profile.email,
            phone=profile.phone,
            user_id=profile.user_id,
            metadata=dict(profile.metadata),
        ),
        provider=told.provider,
        binding_id=binding_id,
        provider_customer_id=told.provider_customer_id,
        sync_state=model.SyncState(told.sync_state),
        version=told.version,
        created_us=us(told.create_time),
        updated_us=us(told.update_time),
    )


_SYNCED = {
    model.SyncState.PENDING: _S.IN_FLIGHT,
    model.SyncState.SYNCED: _S.SUCCEEDED,
    model.SyncState.FAILED: _S.DECLINED,
    model.SyncState.IN_DOUBT: _S.IN_DOUBT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What an operation on a customer or a mirrored entity is known by: how that stands."""

    id: str
    tenant_id: str
    provider: str
    binding_id: str
    sync_state: model.SyncState
    updated_us: int


def following(
    owner: Followed,
    operation_id: str,
    here: model.Operation | None,
    *,
    kind: model.Kind,
    timeout_us: int,
) -> model.Operation:
    """Returns an operation that an event names, as far as its entity tells."""
    state = _SYNCED[owner.sync_state]
    made = here or model.Operation(
        id=operation_id,
        tenant_id=owner.tenant_id,
        entity_id=owner.id,
        kind=kind,
        state=state,
        version=0,
        provider=owner.provider,
        binding_id=owner.binding_id,
        created_us=owner.updated_us,
        updated_us=owner.updated_us,
    )
    is_open = state in model.OPEN_STATES
    return replace(
        made,
        state=state,
        version=made.version + 1,
        not_after_us=max(made.not_after_us, owner.updated_us + timeout_us) if is_open else 0,
        next_check_us=owner.updated_us if is_open else 0,
        updated_us=owner.updated_us,
    )


# The calls whose keys events carry, by what the operation that they began does.
_RPCS = {
    _K.CAPTURE: "CapturePayment",
    _K.VOID: "CancelPayment",
    _K.REFUND: "CreateRefund",
    _K.INCREMENT: "IncrementAuthorization",
}
_MADE_BY = {
    "payment.canceled": "CancelPayment",
    "customer.created": "CreateCustomer",
    "customer.updated": "UpdateCustomer",
    "payment_method.created": "AttachPaymentMethod",
    "plan.created": "CreatePlan",
    "subscription.created": "CreateSubscription",
    "checkout.created": "CreateCheckout",
}


def rpc(event_type: str, told: payment_pb2.Payment | None, operation_id: str) -> str:
    """Returns the call that an event's idempotency key belongs to; '' where nobody can tell.

    *told* is the payment that the event is about, None for all else.
    """
    if told is None:
        return _MADE_BY.get(event_type, "")
    if event_type == "payment.created":
        return "CreatePayment"
    found = next((one for one in told.operations if one.id == operation_id), None)
    if found is None:
        return _MADE_BY.get(event_type, "")
    kind = _K(found.kind)
    if kind in model.INITIAL_KINDS:
        # Made with the payment, or sent later.
        return "CreatePayment" if found.create_time == told.create_time else "ConfirmPayment"
    return _RPCS.get(kind, "")
