"""Reading objects: snapshots of a provider in the domain's form.

Owns what a snapshot must have to be believed. Called by the client for answers and fetches,
and by the webhooks' use case for what a webhook tells. Pure.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf import timestamp_pb2
from google.protobuf.message import Message
from payhub.provider.v1 import operation_pb2, provider_object_pb2

from payment_service.domain import model
from payment_service.domain.mirrors import objects
from payment_service.provider_client import reading
from servicekit import errors, validation

_pb = provider_object_pb2


class NotUnderstood(Exception):
    """A snapshot that breaks the contract or has a state that core does not know.

    Args:
        text: What is wrong with it, for people.
        reference: The object, to be fetched again; None if not even that is known.
    """

    def __init__(self, text: str, reference: objects.Reference | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.reference = reference


def read(message: _pb.ProviderObject) -> objects.Seen:
    """Returns a snapshot.

    Raises:
        NotUnderstood: It is none.
    """
    try:
        validation.validate(message)
    except errors.RpcError as error:
        raise NotUnderstood(f"an object breaks the contract: {error.message}"[:256]) from None
    if b"\0" in message.SerializeToString() and _has_nul(message):
        raise NotUnderstood("a text of an object holds NUL")
    name = message.WhichOneof("object")
    kind = objects.ObjectKind[str(name).upper()]
    reference = objects.Reference(kind=kind, provider_object_id=message.provider_object_id)
    try:
        state_time_us = message.state_time.ToMicroseconds()
    except ValueError:
        raise NotUnderstood("state_time of an object is out of range") from None
    base = {
        "provider_object_id": message.provider_object_id,
        "state_time_us": state_time_us,
        "core_id": message.core_id,
        "operation_id": message.operation_id,
        "deleted": message.deleted,
    }
    try:
        return _READERS[kind](getattr(message, str(name)), base)
    except ValueError as error:
        raise NotUnderstood(f"{name} {str(error)[:160]}", reference) from None


def of_answer(answer: Any) -> tuple[tuple[objects.Seen, ...], str]:
    """Returns the objects of an answer that has any, or how they break the contract.

    One in a state that core does not know is left out: it is fetched when it is needed.
    """
    found: list[objects.Seen] = []
    for message in getattr(answer, "objects", ()):
        try:
            found.append(read(message))
        except NotUnderstood as error:
            if error.reference is None:
                return (), error.text
    return tuple(found), ""


def reference(message: _pb.ObjectReference) -> objects.Reference:
    """Returns what a reference names.

    Raises:
        NotUnderstood: A kind that core does not know.
    """
    try:
        kind = objects.ObjectKind(message.kind)
    except ValueError:
        raise NotUnderstood(f"an object of kind {message.kind}") from None
    return objects.Reference(kind=kind, provider_object_id=message.provider_object_id)


def refer(wanted: objects.Reference) -> _pb.ObjectReference:
    """Returns a reference as a message."""
    number: Any = int(wanted.kind)
    return _pb.ObjectReference(kind=number, provider_object_id=wanted.provider_object_id)


def _has_nul(message: Message) -> bool:
    for field, value in message.ListFields():
        for item in value if field.is_repeated else (value,):
            if isinstance(item, Message):
                if _has_nul(item):
                    return True
            elif isinstance(item, str) and "\0" in item:
                return True
    return False


def _us(message: Any, name: str) -> int:
    found: timestamp_pb2.Timestamp = getattr(message, name)
    return max(found.ToMicroseconds(), 0) if message.HasField(name) else 0


def _decline(message: Any) -> model.Failure | None:
    if not message.HasField("decline"):
        return None
    return reading.decline(message.decline)


def _action(message: Any) -> model.CustomerAction | None:
    return reading.action(message.action) if message.HasField("action") else None


def _payment(message: _pb.PaymentObject, base: Any) -> objects.Payment:
    state = _PAYMENT_STATES.get(message.state)
    if state is None or not message.amount.currency_code:
        raise ValueError("has no state or no currency that the contract knows")
    return objects.Payment(
        **base,
        amount_minor=message.amount.amount_minor,
        currency=message.amount.currency_code,
        captured_minor=message.captured_minor,
        refunded_minor=message.refunded_minor,
        state=state,
        provider_customer_id=message.provider_customer_id,
        provider_invoice_id=message.provider_invoice_id,
        provider_checkout_id=message.provider_checkout_id,
        decline=_decline(message),
        foreign_refunds=tuple(
            objects.ForeignRefund(
                provider_refund_id=one.provider_refund_id, amount_minor=one.amount_minor
            )
            for one in message.foreign_refunds
        ),
    )


_State = operation_pb2.Operation
_PAYMENT_STATES: dict[int, model.OperationState] = {
    _State.STATE_PENDING: model.OperationState.PENDING,
    _State.STATE_ACTION_REQUIRED: model.OperationState.REQUIRES_ACTION,
    _State.STATE_SUCCEEDED: model.OperationState.SUCCEEDED,
    _State.STATE_DECLINED: model.OperationState.DECLINED,
    _State.STATE_VOIDED: model.OperationState.SUPERSEDED,
}


def _payment_method(message: _pb.PaymentMethodObject, base: Any) -> objects.PaymentMethod:
    card = None
    if message.HasField("card"):
        card = objects.Card(
            brand=message.card.brand,
            last4=message.card.last4,
            expire_month=message.card.expire_month,
            expire_year=message.card.expire_year,
        )
    return objects.PaymentMethod(
        **base,
        provider_customer_id=message.provider_customer_id,
        type=message.type,
        card=card,
        is_default=message.is_default,
    )


def _plan(message: _pb.PlanObject, base: Any) -> objects.Plan:
    return objects.Plan(
        **base,
        amount_minor=message.amount.amount_minor,
        currency=message.amount.currency_code,
        interval=objects.Interval(message.interval),
        interval_count=message.interval_count or 1,
        active=message.active,
    )


def _subscription(message: _pb.SubscriptionObject, base: Any) -> objects.Subscription:
    return objects.Subscription(
        **base,
        state=objects.SubscriptionState(message.state),
        provider_customer_id=message.provider_customer_id,
        provider_price_id=message.provider_price_id,
        quantity=message.quantity or 1,
        period_start_us=_us(message, "current_period_start"),
        period_end_us=_us(message, "current_period_end"),
        trial_end_us=_us(message, "trial_end"),
        cancel_at_period_end=message.cancel_at_period_end,
        end_us=_us(message, "end_time"),
        provider_invoice_id=message.provider_invoice_id,
        provider_payment_method_id=message.provider_payment_method_id,
        action=_action(message),
        decline=_decline(message),
    )


def _invoice(message: _pb.InvoiceObject, base: Any) -> objects.Invoice:
    return objects.Invoice(
        **base,
        state=objects.InvoiceState(message.state),
        provider_customer_id=message.provider_customer_id,
        provider_subscription_id=message.provider_subscription_id,
        provider_payment_id=message.provider_payment_id,
        number=message.number,
        amount_due_minor=message.amount_due.amount_minor,
        amount_paid_minor=message.amount_paid_minor,
        currency=message.amount_due.currency_code,
        period_start_us=_us(message, "period_start"),
        period_end_us=_us(message, "period_end"),
        due_us=_us(message, "due_time"),
        overdue=message.overdue,
        attempt_count=message.attempt_count,
        next_attempt_us=_us(message, "next_attempt_time"),
        pdf_url=message.pdf_url,
        hosted_url=message.hosted_url,
        decline=_decline(message),
    )


def _checkout(message: _pb.CheckoutObject, base: Any) -> objects.Checkout:
    return objects.Checkout(
        **base,
        state=objects.CheckoutState(message.state),
        redirect_url=message.redirect_url,
        client_secret=message.client_secret,
        expire_us=_us(message, "expire_time"),
        provider_payment_id=message.provider_payment_id,
        provider_subscription_id=message.provider_subscription_id,
        provider_customer_id=message.provider_customer_id,
        paid=message.paid,
    )


def _dispute(message: _pb.DisputeObject, base: Any) -> objects.Dispute:
    return objects.Dispute(
        **base,
        state=objects.DisputeState(message.state),
        provider_payment_id=message.provider_payment_id,
        amount_minor=message.amount.amount_minor,
        currency=message.amount.currency_code,
        reason=message.reason,
        evidence_due_us=_us(message, "evidence_due_time"),
        has_evidence=message.has_evidence,
        open_us=_us(message, "open_time"),
        payment_id=message.payment_id,
    )


_READERS: dict[objects.ObjectKind, Callable[[Any, Any], objects.Seen]] = {
    objects.ObjectKind.PAYMENT: _payment,
    objects.ObjectKind.PAYMENT_METHOD: _payment_method,
    objects.ObjectKind.PLAN: _plan,
    objects.ObjectKind.SUBSCRIPTION: _subscription,
    objects.ObjectKind.INVOICE: _invoice,
    objects.ObjectKind.CHECKOUT: _checkout,
    objects.ObjectKind.DISPUTE: _dispute,
}
